//! Images of one instance that disagree, instances with one image, and images that several instances have.

use super::sql::Sql;
use super::{column_name, listed, Finding};
use crate::commands::data_table::selection::{LabelColumn, Selection};
use crate::commands::data_table::training_set::{ExportedImage, TrainingSet};
use std::collections::{BTreeMap, BTreeSet};

/// An image of which a side has fewer pixels is small.
const SMALL: u32 = 64;

/// All of it.
pub fn find(set: &TrainingSet, selection: &Selection, sql: &Sql<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    let category = "the most frequent one is exported for all images";
    out.extend(disagreement(set, &selection.category, sql, category, |i| Some(i.category)));
    if let Some(group) = &selection.group {
        out.extend(disagreement(set, group, sql, "the most frequent one is exported", |i| i.group));
    }
    for (k, column) in selection.attributes.iter().enumerate().filter(|(_, a)| !a.multi) {
        let label = "exported as they are";
        out.extend(disagreement(set, column, sql, label, |i| i.values[k].first().copied()));
    }
    out.extend(single_images(set, selection, sql));
    out.extend(shared_images(set, selection, sql));
    out.extend(small_images(set, selection, sql));
    out
}

fn disagreement(
    set: &TrainingSet,
    column: &LabelColumn,
    sql: &Sql<'_>,
    exported: &str,
    of: impl Fn(&ExportedImage) -> Option<u32>,
) -> Option<Finding> {
    let mut values: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for image in &set.images {
        if let Some(value) = of(image) {
            values.entry(image.instance).or_default().insert(value);
        }
    }
    let disagreeing = names(set, values.iter().filter(|(_, v)| v.len() > 1).map(|(i, _)| *i));
    (!disagreeing.is_empty()).then(|| Finding {
        kind: "disagreement",
        column: column_name(column),
        count: disagreeing.len(),
        what: format!("images of one instance have different values, {exported}: {}", listed(&disagreeing)),
        question: "Which value is right for each of these instances?",
        show: sql.disagreeing(column),
        mend: None,
    })
}

fn single_images(set: &TrainingSet, selection: &Selection, sql: &Sql<'_>) -> Option<Finding> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    set.images.iter().for_each(|i| *counts.entry(i.instance).or_default() += 1);
    let single = names(set, counts.iter().filter(|(_, n)| **n == 1).map(|(i, _)| *i));
    (!single.is_empty()).then(|| Finding {
        kind: "one image",
        column: column_name(&selection.instance),
        count: single.len(),
        what: format!(
            "of {} instances have one image, from which nobody learns what makes them the same: {}",
            counts.len(),
            listed(&single)
        ),
        question: "Does the column say which product it is, or which image? Are there more images of these?",
        show: sql.single_images(),
        mend: None,
    })
}

fn shared_images(set: &TrainingSet, selection: &Selection, sql: &Sql<'_>) -> Option<Finding> {
    let mut instances: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for image in set.images.iter().filter(|i| i.crop.is_none()) {
        instances.entry(&image.image.path).or_default().insert(image.instance);
    }
    let shared: Vec<&BTreeSet<u32>> = instances.values().filter(|of| of.len() > 1).collect();
    let most = shared.iter().max_by_key(|of| of.len())?;
    Some(Finding {
        kind: "shared image",
        column: column_name(&selection.instance),
        count: shared.len(),
        what: format!(
            "images are of several instances, which stay together in the split; one is of {}: {}",
            most.len(),
            listed(&names(set, most.iter().copied()))
        ),
        question:
            "Are these one thing, or is it an image for \"no photograph\"? Such rows should be left out.",
        show: sql.shared_images(),
        mend: None,
    })
}

fn small_images(set: &TrainingSet, selection: &Selection, sql: &Sql<'_>) -> Option<Finding> {
    let small: Vec<&ExportedImage> =
        set.images.iter().filter(|i| i.image.width.min(i.image.height) < SMALL).collect();
    let ids: Vec<&[String]> = small.iter().map(|i| i.id.as_slice()).collect();
    let instances: Vec<&str> =
        small.iter().map(|i| set.instances.names[i.instance as usize].as_str()).collect();
    (!small.is_empty()).then(|| Finding {
        kind: "small",
        column: selection.image_name.clone(),
        count: small.len(),
        what: format!("images have a side of less than {SMALL} pixels: of {}", listed(&instances)),
        question: "Are these thumbnails? Are there larger ones?",
        show: sql.rows(&ids, &instances),
        mend: None,
    })
}

/// Names of instances, sorted.
fn names(set: &TrainingSet, instances: impl Iterator<Item = u32>) -> Vec<&str> {
    let mut names: Vec<&str> = instances.map(|i| set.instances.names[i as usize].as_str()).collect();
    names.sort_unstable();
    names
}
