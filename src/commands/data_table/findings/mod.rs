//! What is odd about a table's labels and images: found, counted, and said with the SQL that shows or mends it. Nothing of it is changed
//! silently.
//!
//! | file | what is in it |
//! |---|---|
//! | `values` | values of a column: spellings, placeholders, rare ones |
//! | `instances` | images of one instance that disagree, instances with one image, images that several instances have |
//! | `rows` | rows that are left out |
//! | `splits` | values that are in one half only, instances in both |
//! | `sql` | the statements |
//! | `report` | the table on standard output, and questions.md |

mod instances;
mod report;
mod rows;
mod splits;
mod sql;
#[cfg(test)]
mod tests;
mod values;

pub use report::{questions, table_text};

use super::rows::Table;
use super::selection::{LabelColumn, Selection};
use super::training_set::TrainingSet;
use sql::Sql;

/// Values or names that are listed, before "and so many more".
const LISTED: usize = 8;

/// Something odd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// One word for what kind of thing it is.
    pub kind: &'static str,
    /// The column; empty if it is about none.
    pub column: String,
    /// How many rows, images, values or instances it is about.
    pub count: usize,
    /// What was found; no full stop.
    pub what: String,
    /// What the user should decide.
    pub question: &'static str,
    /// SQL that shows it; empty if none does.
    pub show: String,
    /// SQL that mends it.
    pub mend: Option<String>,
}

/// Everything odd, the worst first.
pub fn find(set: &TrainingSet, table: &Table, selection: &Selection, tidy: bool) -> Vec<Finding> {
    let sql = Sql::new(selection);
    let mut out = rows::find(set, selection, &sql);
    out.extend(splits::find(set, selection, &sql));
    out.extend(instances::find(set, selection, &sql));
    let names = [(&selection.instance, &table.instances)];
    let groups = selection.group.iter().map(|g| (g, &table.groups));
    for (column, vocabulary) in names.into_iter().chain(groups) {
        out.extend(values::spellings(column, vocabulary, false, &sql));
    }
    let category = [(&selection.category, &table.categories, values::LabelCounts::of_categories(set))];
    let attributes = selection.attributes.iter().zip(&table.attributes).enumerate();
    let attributes =
        attributes.map(|(k, (column, v))| (column, v, values::LabelCounts::of_attribute(set, k)));
    for (column, vocabulary, counts) in category.into_iter().chain(attributes) {
        out.extend(values::spellings(column, vocabulary, tidy, &sql));
        out.extend(values::placeholders(column, vocabulary, tidy, &sql));
        out.extend(values::counts(column, &counts, &sql));
    }
    for (column, of) in selection.attributes.iter().zip(&set.attributes) {
        out.extend(values::renamed(column, of, &sql));
    }
    out
}

/// Up to so many of the texts, and how many more there are.
fn listed<T: AsRef<str>>(texts: &[T]) -> String {
    let shown: Vec<String> = texts.iter().take(LISTED).map(|t| shown(t.as_ref())).collect();
    match texts.len().saturating_sub(LISTED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Values with their counts.
fn listed_counts(values: &[(&str, usize)]) -> String {
    let shown: Vec<String> = values.iter().take(LISTED).map(|(v, n)| format!("{} ({n})", shown(v))).collect();
    match values.len().saturating_sub(LISTED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A value in quotes, in one line, abridged.
fn shown(value: &str) -> String {
    let line: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("\"{}\"", crate::error::abridged(&line))
}

fn column_name(column: &LabelColumn) -> String {
    column.name.clone()
}
