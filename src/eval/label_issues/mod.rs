//! Label issues: labels that are probably wrong, as confident learning finds them (Northcutt, Jiang and Chuang, arXiv 1911.00068).
//!
//! A label is judged by what has not seen it: a training that held the image out, or that never had it, and the image's nearest neighbours
//! in features that no label touched. Otherwise a model that knows its training images by heart would agree with any label.
//!
//! | file | what is in it |
//! |---|---|
//! | `neighbours` | how the labels of an image's nearest neighbours vote |
//! | `issue` | a label issue, and the file that lists them |

mod issue;
mod neighbours;
#[cfg(test)]
mod tests;

pub use issue::{read_issues, write_issues, LabelIssue};
pub use neighbours::{neighbour_votes, unit_rows};

use crate::data::manifest::{ImageEntry, Manifest};
use crate::eval::metrics::mean;
use std::collections::HashMap;

/// A value of fewer instances cannot be told from a mistake.
const MIN_INSTANCES: usize = 3;

/// Which label of an image: that of attribute k, or its category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LabelColumn {
    /// The number of the attribute.
    Attribute(usize),
    /// The category.
    Category,
}

/// Per image and column, the probability of each value of the column (`[V]`), given that the image has one.
pub type Probabilities = HashMap<(usize, LabelColumn), Vec<f64>>;

impl LabelColumn {
    /// All columns of a data set.
    pub fn all(manifest: &Manifest) -> Vec<Self> {
        (0..manifest.attributes.len()).map(Self::Attribute).chain([Self::Category]).collect()
    }

    /// The column's name in `images.csv`.
    pub fn name(self, manifest: &Manifest) -> &str {
        match self {
            Self::Attribute(k) => &manifest.attributes[k].name,
            Self::Category => "category",
        }
    }

    /// The names of its values.
    pub fn values(self, manifest: &Manifest) -> &[String] {
        match self {
            Self::Attribute(k) => &manifest.attributes[k].values,
            Self::Category => &manifest.categories,
        }
    }

    /// The label of an image: `None` without one, and where the image shows several values, in whose place no other could be.
    pub fn label(self, image: &ImageEntry) -> Option<usize> {
        match self {
            Self::Attribute(k) => image.values[k].single().map(|value| value as usize),
            Self::Category => Some(image.category as usize),
        }
    }
}

/// A label, and what is thought of it.
struct JudgedLabel<'a> {
    image: usize,
    given: usize,
    model: Option<&'a [f64]>,
    neighbours: Option<&'a [f64]>,
    /// The mean of both, or the one there is.
    both: Vec<f64>,
}

/// The labels of a data set that are probably wrong, the most certain first. `model` are probabilities by trainings that had not seen the
/// image, `neighbours` come from [`neighbour_votes`]; a label that neither judges is no issue.
///
/// As in confident learning, each value has a threshold of its own, the mean probability of the images that are labelled with it. A
/// label is an issue if another value reaches its threshold and is more probable; the score is the difference of both probabilities.
pub fn label_issues(
    manifest: &Manifest,
    model: &Probabilities,
    neighbours: &Probabilities,
) -> Vec<LabelIssue> {
    let mut issues = Vec::new();
    for column in LabelColumn::all(manifest) {
        let judged = judged_labels(manifest, column, model, neighbours);
        let thresholds = thresholds(&judged, column.values(manifest).len());
        for label in &judged {
            if let Some(suggested) = suggestion(label, &thresholds) {
                issues.push(LabelIssue::new(manifest, column, label, suggested));
            }
        }
    }
    issues.sort_by(|a, b| {
        b.score.total_cmp(&a.score).then_with(|| (&a.path, &a.column).cmp(&(&b.path, &b.column)))
    });
    issues
}

/// The labels of a column that can be judged.
fn judged_labels<'a>(
    manifest: &Manifest,
    column: LabelColumn,
    model: &'a Probabilities,
    neighbours: &'a Probabilities,
) -> Vec<JudgedLabel<'a>> {
    let instances = instances_of_values(manifest, column);
    let judged = manifest.images.iter().enumerate().filter_map(|(image, entry)| {
        let given = column.label(entry).filter(|&value| instances[value] >= MIN_INSTANCES)?;
        let of = |all: &'a Probabilities| all.get(&(image, column)).map(Vec::as_slice);
        let (model, neighbours) = (of(model), of(neighbours));
        let both = match (model, neighbours) {
            (Some(a), Some(b)) => a.iter().zip(b).map(|(a, b)| f64::midpoint(*a, *b)).collect(),
            (one, other) => one.or(other)?.to_vec(),
        };
        Some(JudgedLabel { image, given, model, neighbours, both })
    });
    judged.collect()
}

/// Per value of a column, how many instances have an image that is labelled with it.
fn instances_of_values(manifest: &Manifest, column: LabelColumn) -> Vec<usize> {
    let mut instances = vec![std::collections::BTreeSet::new(); column.values(manifest).len()];
    for image in &manifest.images {
        if let Some(value) = column.label(image) {
            instances[value].insert(image.instance);
        }
    }
    instances.iter().map(std::collections::BTreeSet::len).collect()
}

/// Per value, the mean of its probabilities over the images that are labelled with it; `None` without such images.
fn thresholds(judged: &[JudgedLabel<'_>], values: usize) -> Vec<Option<f64>> {
    let of_value = |value| judged.iter().filter(move |label| label.given == value);
    (0..values).map(|value| mean(of_value(value).map(|label| label.both[value]))).collect()
}

/// The value that a label should probably have: the most probable one of those that reach their threshold, if it is another and more
/// probable.
fn suggestion(label: &JudgedLabel<'_>, thresholds: &[Option<f64>]) -> Option<usize> {
    let reached = |&value: &usize| thresholds[value].is_some_and(|threshold| label.both[value] >= threshold);
    let likeliest =
        (0..thresholds.len()).filter(reached).max_by(|&a, &b| label.both[a].total_cmp(&label.both[b]))?;
    (likeliest != label.given && label.both[likeliest] > label.both[label.given]).then_some(likeliest)
}
