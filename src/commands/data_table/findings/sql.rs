//! The statements that show or mend what was found. They are for psql, in the user's own session.

use crate::commands::data_table::selection::{ImageKind, LabelColumn, Selection};
use crate::connection::quote_literal;

/// Values or rows that one statement names.
const MOST: usize = 50;

/// Writes statements for a table or query.
pub struct Sql<'a> {
    selection: &'a Selection,
    from: String,
}

impl<'a> Sql<'a> {
    /// For the table or query of an export.
    pub fn new(selection: &'a Selection) -> Self {
        let alias = if selection.is_query() { " q" } else { "" };
        Self { selection, from: format!("{}{alias}", selection.from) }
    }

    /// Shows how often the values occur.
    pub fn count_values(&self, column: &LabelColumn, values: &[&str]) -> String {
        let (name, from, list) = (&column.quoted, &self.from, list(values));
        if column.multi {
            format!("SELECT v, count(*) FROM {from}, unnest({name}) v WHERE v IN ({list}) GROUP BY v;")
        } else {
            format!("SELECT {name}, count(*) FROM {from} WHERE {name} IN ({list}) GROUP BY {name};")
        }
    }

    /// Makes `value` of the others; without it, nothing.
    pub fn replace_values(
        &self,
        column: &LabelColumn,
        others: &[&str],
        value: Option<&str>,
    ) -> Option<String> {
        if !self.selection.is_table {
            return None;
        }
        let (name, from) = (&column.quoted, &self.from);
        if !column.multi {
            let new = value.map_or("NULL".to_owned(), quote_literal);
            return Some(format!("UPDATE {from} SET {name} = {new} WHERE {name} IN ({});", list(others)));
        }
        let one = |other: &&str| {
            let new = match value {
                Some(value) => {
                    format!("array_replace({name}, {}, {})", quote_literal(other), quote_literal(value))
                }
                None => format!("array_remove({name}, {})", quote_literal(other)),
            };
            format!("UPDATE {from} SET {name} = {new} WHERE {} = ANY ({name});", quote_literal(other))
        };
        Some(others.iter().take(MOST).map(one).collect::<Vec<_>>().join("\n"))
    }

    /// Shows the rows with these ids, which are those of the columns that identify a row; by their instances if there are no such columns.
    pub fn rows(&self, ids: &[&[String]], instances: &[&str]) -> String {
        let columns = &self.selection.id;
        let condition = match columns.as_slice() {
            [] => format!("{} IN ({})", self.selection.instance.quoted, list(instances)),
            [one] => {
                let ids: Vec<&str> = ids.iter().filter_map(|id| id.first().map(String::as_str)).collect();
                format!("{one} IN ({})", list(&ids))
            }
            several => {
                let row = |id: &&[String]| {
                    format!("({})", id.iter().map(|v| quote_literal(v)).collect::<Vec<_>>().join(", "))
                };
                let rows: Vec<String> = ids.iter().take(MOST).map(row).collect();
                format!("({}) IN ({})", several.join(", "), rows.join(", "))
            }
        };
        self.all(&condition)
    }

    /// Shows the rows for which the condition holds.
    pub fn all(&self, condition: &str) -> String {
        let id = if self.selection.id.is_empty() { "*".to_owned() } else { self.selection.id.join(", ") };
        let and_instance = if self.selection.id.is_empty() { "" } else { ", " };
        let instance = if self.selection.id.is_empty() { "" } else { &self.selection.instance.quoted };
        format!("SELECT {id}{and_instance}{instance} FROM {} WHERE {condition};", self.from)
    }

    /// Shows rows in which a column has no text.
    pub fn blank(&self, column: &str) -> String {
        self.all(&format!("{column} IS NULL OR btrim({column}::text) = ''"))
    }

    /// Shows the instances whose images have different values of a column.
    pub fn disagreeing(&self, column: &LabelColumn) -> String {
        let (name, from, instance) = (&column.quoted, &self.from, &self.selection.instance.quoted);
        format!(
            "SELECT {instance}, array_agg(DISTINCT {name}) FROM {from} GROUP BY {instance} HAVING count(DISTINCT {name}) > 1;"
        )
    }

    /// Shows the instances with one row.
    pub fn single_images(&self) -> String {
        let (from, instance) = (&self.from, &self.selection.instance.quoted);
        format!("SELECT {instance} FROM {from} GROUP BY {instance} HAVING count(*) = 1;")
    }

    /// Shows the images that several instances have.
    pub fn shared_images(&self) -> String {
        let Selection { instance, image, image_kind, .. } = self.selection;
        let (from, instance) = (&self.from, &instance.quoted);
        let image = match image_kind {
            ImageKind::Bytes => format!("md5({image})"),
            ImageKind::LargeObject => format!("md5(lo_get({image}))"),
            ImageKind::Named => image.clone(),
        };
        format!(
            "SELECT {image}, array_agg(DISTINCT {instance}) FROM {from} GROUP BY 1 HAVING count(DISTINCT {instance}) > 1;"
        )
    }
}

fn list(values: &[&str]) -> String {
    values.iter().take(MOST).map(|v| quote_literal(v)).collect::<Vec<_>>().join(", ")
}
