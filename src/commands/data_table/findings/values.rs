//! Values of a column: spellings, placeholders, rare ones.

use super::sql::Sql;
use super::{column_name, listed, listed_counts, shown, Finding};
use crate::commands::data_table::selection::LabelColumn;
use crate::commands::data_table::training_set::TrainingSet;
use crate::commands::data_table::vocabulary::{ExportedValues, Vocabulary};

/// Values of fewer images than these are rare.
const RARE: usize = 10;
/// Groups of spellings that are listed for a column.
const MOST_SPELLINGS: usize = 20;
/// An attribute has many values from here on, if each occurs in few images.
const MANY_VALUES: usize = 100;
/// A value of fewer images on average is one of too many.
const FEW_PER_VALUE: usize = 3;
/// An attribute that fewer of the images have is hardly there.
const SPARSE: f64 = 0.2;

/// How many images have each value of a column.
pub struct LabelCounts<'a> {
    /// Values with their images, the rarest first.
    values: Vec<(&'a str, usize)>,
    /// Images that have a value.
    labelled: usize,
    images: usize,
}

impl<'a> LabelCounts<'a> {
    /// Of the categories.
    pub fn of_categories(set: &'a TrainingSet) -> Self {
        let of = |i: usize| vec![set.instance_category[set.images[i].instance as usize]];
        Self::new(set, &set.categories, of)
    }

    /// Of attribute number `k`.
    pub fn of_attribute(set: &'a TrainingSet, k: usize) -> Self {
        Self::new(set, &set.attributes[k], |i| set.images[i].values[k].clone())
    }

    fn new(set: &TrainingSet, names: &'a ExportedValues, of: impl Fn(usize) -> Vec<u32>) -> Self {
        let mut counts = vec![0; names.names.len()];
        let mut labelled = 0;
        for i in 0..set.images.len() {
            let values = of(i);
            labelled += usize::from(!values.is_empty());
            values.iter().for_each(|&v| counts[v as usize] += 1);
        }
        let named = names.names.iter().map(String::as_str).zip(counts);
        let mut values: Vec<_> = named.filter(|(_, n)| *n > 0).collect();
        values.sort_by(|a, b| a.1.cmp(&b.1).then(a.0.cmp(b.0)));
        Self { values, labelled, images: set.images.len() }
    }
}

/// Values that differ only in case, blanks and hyphens.
pub fn spellings(column: &LabelColumn, vocabulary: &Vocabulary, merged: bool, sql: &Sql<'_>) -> Vec<Finding> {
    let found = vocabulary.spellings();
    let mut out: Vec<Finding> = Vec::new();
    for same in found.iter().take(MOST_SPELLINGS) {
        let Some(((first, _), others)) = same.split_first() else { continue };
        let others: Vec<&str> = others.iter().map(|(value, _)| *value).collect();
        let all: Vec<&str> = same.iter().map(|(value, _)| *value).collect();
        let what = if merged { format!(", merged into {}", shown(first.trim())) } else { String::new() };
        out.push(Finding {
            kind: "spelling",
            column: column_name(column),
            count: same.iter().map(|(_, n)| n).sum(),
            what: format!("{} differ only in case, blanks or hyphens{what}", listed_counts(same)),
            question:
                "Are these the same? Then one of them should remain; --tidy merges them in the export alone.",
            show: sql.count_values(column, &all),
            mend: sql.replace_values(column, &others, Some(first.trim())),
        });
    }
    if found.len() > MOST_SPELLINGS {
        out.push(Finding {
            kind: "spelling",
            column: column_name(column),
            count: found.len() - MOST_SPELLINGS,
            what: "more groups of values differ only in case, blanks or hyphens".to_owned(),
            question: "Should all of them be merged? --tidy does it in the export alone.",
            show: String::new(),
            mend: None,
        });
    }
    out
}

/// Values that look as if they stood for none.
pub fn placeholders(
    column: &LabelColumn,
    vocabulary: &Vocabulary,
    dropped: bool,
    sql: &Sql<'_>,
) -> Option<Finding> {
    let found = vocabulary.placeholders();
    let values: Vec<&str> = found.iter().map(|(value, _)| *value).collect();
    let what = if dropped { "taken as absent" } else { "exported as values" };
    (!found.is_empty()).then(|| Finding {
        kind: "placeholder",
        column: column_name(column),
        count: found.iter().map(|(_, n)| n).sum(),
        what: format!("{} look like no value, and are {what}", listed_counts(&found)),
        question: "Do they mean that there is no value? Then they should be NULL; --tidy takes them so in the export alone.",
        show: sql.count_values(column, &values),
        mend: sql.replace_values(column, &values, None),
    })
}

/// Values whose names had to change.
pub fn renamed(column: &LabelColumn, of: &ExportedValues, sql: &Sql<'_>) -> Option<Finding> {
    let values: Vec<&str> = of.renamed.iter().map(|(value, _)| value.as_str()).collect();
    let pairs: Vec<String> = of.renamed.iter().map(|(value, name)| format!("{value} as {name}")).collect();
    (!values.is_empty()).then(|| Finding {
        kind: "renamed",
        column: column_name(column),
        count: values.len(),
        what: format!("values with \"|\", which separates values, have other names: {}", listed(&pairs)),
        question: "Which names should these values have?",
        show: sql.count_values(column, &values),
        mend: None,
    })
}

/// What the numbers of images say.
pub fn counts(column: &LabelColumn, counts: &LabelCounts<'_>, sql: &Sql<'_>) -> Vec<Finding> {
    let LabelCounts { values, labelled, images } = counts;
    let finding = |kind, count, what, question, show| Finding {
        kind,
        column: column_name(column),
        count,
        what,
        question,
        show,
        mend: None,
    };
    if values.len() <= 1 {
        let what = match values.first() {
            None => "no image has a value".to_owned(),
            Some((only, _)) => {
                format!("all images that have a value have {}, which teaches nothing", shown(only))
            }
        };
        return vec![finding("constant", *labelled, what, "Is it the right column?", String::new())];
    }
    let mut out = Vec::new();
    if values.len() >= MANY_VALUES && values.len() * FEW_PER_VALUE > *labelled {
        let what = format!("{} values for {labelled} images", values.len());
        let question = "Is it a measure or an identifier? Then put it into classes in --query (width_bucket), or leave it out.";
        return vec![finding("many values", values.len(), what, question, String::new())];
    }
    let rare: Vec<(&str, usize)> = values.iter().copied().filter(|(_, n)| *n < RARE).collect();
    if !rare.is_empty() {
        let names: Vec<&str> = rare.iter().map(|(value, _)| *value).collect();
        let what = format!("values of fewer than {RARE} images: {}", listed_counts(&rare));
        let question =
            "Are they misspelt, or parts of a more frequent value? What has few images is learned badly.";
        out.push(finding("rare", rare.len(), what, question, sql.count_values(column, &names)));
    }
    if (*labelled as f64) < SPARSE * *images as f64 {
        let what = format!("{labelled} of {images} images have a value");
        let question = "Is that right? An attribute that few images have is learned badly.";
        out.push(finding("sparse", images - labelled, what, question, sql.blank(&column.quoted)));
    }
    out
}
