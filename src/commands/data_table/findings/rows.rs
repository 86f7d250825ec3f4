//! Rows that are left out.

use super::sql::Sql;
use super::Finding;
use crate::commands::data_table::rows::{LeftOut, Reason};
use crate::commands::data_table::selection::Selection;
use crate::commands::data_table::training_set::TrainingSet;
use std::collections::BTreeMap;

/// One finding for each reason.
pub fn find(set: &TrainingSet, selection: &Selection, sql: &Sql<'_>) -> Vec<Finding> {
    let mut of_reason: BTreeMap<Reason, Vec<&LeftOut>> = BTreeMap::new();
    for row in &set.left_out {
        of_reason.entry(row.reason).or_default().push(row);
    }
    of_reason.into_iter().map(|(reason, rows)| finding(reason, &rows, selection, sql)).collect()
}

fn finding(reason: Reason, rows: &[&LeftOut], selection: &Selection, sql: &Sql<'_>) -> Finding {
    let ids: Vec<&[String]> = rows.iter().map(|r| r.id.as_slice()).collect();
    let instances: Vec<&str> = rows.iter().map(|r| r.instance.as_str()).collect();
    let example = rows.first().map_or(String::new(), |row| {
        let name = if row.id.is_empty() { &row.instance } else { &row.id.join(",") };
        format!(", such as {name}: {}", row.why)
    });
    let image = &selection.image_name;
    let these = || sql.rows(&ids, &instances);
    let (column, what, question, show) = match reason {
        Reason::NoImage => (
            image,
            "rows have no image".to_owned(),
            "Should they have one?",
            sql.all(&format!("{} IS NULL", selection.image)),
        ),
        Reason::NoInstance => (
            &selection.instance.name,
            "rows have no instance".to_owned(),
            "Which product do they show? An image that is of no other's product may have its own number.",
            sql.blank(&selection.instance.quoted),
        ),
        Reason::NoCategory => (
            &selection.category.name,
            "rows have no category".to_owned(),
            "What kind of thing do they show?",
            sql.blank(&selection.category.quoted),
        ),
        Reason::BadBox => (
            image,
            format!("rows have a box that cannot be used{example}"),
            "What are the right boxes?",
            these(),
        ),
        Reason::Unreadable => (
            image,
            format!("images could not be read{example}"),
            "Are they still there? The next run tries them again.",
            these(),
        ),
        Reason::TooLarge => (
            image,
            format!("images are too large{example}"),
            "Should they be read? Then raise --max-size.",
            these(),
        ),
        Reason::Undecodable => {
            (image, format!("images do not decode{example}"), "Can they be had from elsewhere?", these())
        }
        Reason::Repeated => (
            image,
            format!("rows repeat an image of the same instance{example}"),
            "Should each image be there once?",
            these(),
        ),
    };
    Finding { kind: "left out", column: column.clone(), count: rows.len(), what, question, show, mend: None }
}
