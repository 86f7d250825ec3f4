//! A label issue, and `label_issues.csv`, which lists them.

use super::{JudgedLabel, LabelColumn};
use crate::data::manifest::{Manifest, Split};
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A label that is probably wrong. Field names are the columns of `label_issues.csv` and the keys of the report's JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelIssue {
    /// The image's path, as in `images.csv`.
    pub path: String,
    /// Its instance.
    pub instance: String,
    /// Its split.
    pub split: String,
    /// The attribute, or `category`.
    pub column: String,
    /// The label.
    pub label: String,
    /// The label that it should probably have.
    pub suggested: String,
    /// How much more probable that one is, from 0 to 1.
    pub score: f64,
    /// Probability of the label by a training that has not seen the image; `None` if there is none.
    pub model_label: Option<f64>,
    /// The same for the suggested one.
    pub model_suggested: Option<f64>,
    /// The share of the nearest neighbours that have the label.
    pub neighbours_label: Option<f64>,
    /// The share that have the suggested one.
    pub neighbours_suggested: Option<f64>,
}

impl LabelIssue {
    pub(super) fn new(
        manifest: &Manifest,
        column: LabelColumn,
        judged: &JudgedLabel<'_>,
        suggested: usize,
    ) -> Self {
        let image = &manifest.images[judged.image];
        let values = column.values(manifest);
        let of = |p: Option<&[f64]>, value: usize| p.map(|p| rounded(p[value]));
        let split = match image.split {
            Split::Train => "train",
            Split::Query => "query",
            Split::Gallery => "gallery",
        };
        Self {
            path: image.path.clone(),
            instance: manifest.instances[image.instance as usize].clone(),
            split: split.into(),
            column: column.name(manifest).to_owned(),
            label: values[judged.given].clone(),
            suggested: values[suggested].clone(),
            score: rounded(judged.both[suggested] - judged.both[judged.given]),
            model_label: of(judged.model, judged.given),
            model_suggested: of(judged.model, suggested),
            neighbours_label: of(judged.neighbours, judged.given),
            neighbours_suggested: of(judged.neighbours, suggested),
        }
    }
}

/// To four decimals, so that the file is the same on every machine.
fn rounded(x: f64) -> f64 {
    (x * 1e4).round() / 1e4
}

/// Writes the issues as CSV, in their order.
///
/// # Errors
/// [`Kind::Io`].
pub fn write_issues(path: &Path, issues: &[LabelIssue]) -> Result<()> {
    let failed = |e: &dyn std::fmt::Display| {
        Error::new(Kind::Io, format!("could not write \"{}\": {e}", path.display()))
    };
    let mut out = csv::WriterBuilder::new().has_headers(false).from_path(path).map_err(|e| failed(&e))?;
    // Also without issues the file has its header.
    out.write_record(HEADER).map_err(|e| failed(&e))?;
    issues.iter().try_for_each(|issue| out.serialize(issue)).map_err(|e| failed(&e))?;
    out.flush().map_err(|e| failed(&e))
}

const HEADER: [&str; 11] = [
    "path",
    "instance",
    "split",
    "column",
    "label",
    "suggested",
    "score",
    "model_label",
    "model_suggested",
    "neighbours_label",
    "neighbours_suggested",
];

/// Reads what [`write_issues`] has written.
///
/// # Errors
/// [`Kind::Io`] for a file that cannot be read; [`Kind::InvalidData`] for one that is not such a list.
pub fn read_issues(path: &Path) -> Result<Vec<LabelIssue>> {
    let mut rows = csv::Reader::from_path(path)
        .map_err(|e| Error::new(Kind::Io, format!("could not read \"{}\": {e}", path.display())))?;
    rows.deserialize().collect::<std::result::Result<_, _>>().map_err(|e| {
        Error::new(Kind::InvalidData, format!("\"{}\" is not a list of label issues", path.display()))
            .detail(e.to_string())
            .hint("coopembed train writes it into the model directory.")
    })
}
