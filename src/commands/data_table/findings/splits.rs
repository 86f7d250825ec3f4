//! Values that are in one half of the split only, and what is in both halves.

use super::sql::Sql;
use super::{column_name, listed, Finding};
use crate::commands::data_table::selection::{LabelColumn, Selection};
use crate::commands::data_table::training_set::{ExportedImage, TrainingSet};
use crate::data::manifest::Split;
use std::collections::{BTreeMap, BTreeSet};

/// All of it.
pub fn find(set: &TrainingSet, selection: &Selection, sql: &Sql<'_>) -> Vec<Finding> {
    let [train, query, gallery] = set.split_counts();
    if query + gallery == 0 {
        return Vec::new();
    }
    let mut out = Vec::new();
    let columns = [(&selection.category, &set.categories.names)];
    let category = |i: &ExportedImage| vec![set.instance_category[i.instance as usize]];
    for (column, names) in columns {
        out.extend(one_sided(set, column, names, sql, &category));
    }
    for (k, column) in selection.attributes.iter().enumerate() {
        out.extend(one_sided(set, column, &set.attributes[k].names, sql, &|i| i.values[k].clone()));
    }
    if train > 0 {
        out.extend(leaks(set, selection, sql));
    }
    out
}

fn one_sided(
    set: &TrainingSet,
    column: &LabelColumn,
    names: &[String],
    sql: &Sql<'_>,
    of: &dyn Fn(&ExportedImage) -> Vec<u32>,
) -> Vec<Finding> {
    let values = |train: bool| -> BTreeSet<u32> {
        set.images.iter().filter(|i| (i.split == Split::Train) == train).flat_map(of).collect()
    };
    let (train, test) = (values(true), values(false));
    let finding = |only: BTreeSet<&u32>, what: &str, question| {
        let mut only: Vec<&str> = only.into_iter().map(|&v| names[v as usize].as_str()).collect();
        only.sort_unstable();
        (!only.is_empty()).then(|| Finding {
            kind: "split",
            column: column_name(column),
            count: only.len(),
            what: format!("values {what}: {}", listed(&only)),
            question,
            show: sql.count_values(column, &only),
            mend: None,
        })
    };
    let untrained = finding(
        test.difference(&train).collect(),
        "have no image for training, so that no model can know them",
        "Should they be trained on? Then change the column of splits.",
    );
    let unmeasured = finding(
        train.difference(&test).collect(),
        "occur in training only, so that no figure tells how well they are learned",
        "Are there more instances with them? Another --seed or a larger --split may measure them.",
    );
    untrained.into_iter().chain(unmeasured).collect()
}

/// Instances, groups and images that are in both halves, which a column of splits can bring about.
fn leaks(set: &TrainingSet, selection: &Selection, sql: &Sql<'_>) -> Vec<Finding> {
    let instance = |i: &ExportedImage| Some(set.instances.names[i.instance as usize].clone());
    let group = |i: &ExportedImage| i.group.map(|g| set.groups.names[g as usize].clone());
    let image = |i: &ExportedImage| Some(i.image.path.clone());
    let mut out = Vec::new();
    for (what, column, of) in [
        ("instances", &selection.instance.name, &instance as &dyn Fn(&ExportedImage) -> Option<String>),
        ("groups", selection.group.as_ref().map_or(&selection.instance.name, |g| &g.name), &group),
        ("images", &selection.image_name, &image),
    ] {
        let mut halves: BTreeMap<String, (BTreeSet<bool>, &ExportedImage)> = BTreeMap::new();
        for image in &set.images {
            if let Some(name) = of(image) {
                halves.entry(name).or_insert((BTreeSet::new(), image)).0.insert(image.split == Split::Train);
            }
        }
        let both: Vec<(&String, &ExportedImage)> = halves
            .iter()
            .filter(|(_, (h, _))| h.len() > 1)
            .map(|(name, (_, image))| (name, *image))
            .collect();
        if both.is_empty() {
            continue;
        }
        let names: Vec<&str> = both.iter().map(|(name, _)| name.as_str()).collect();
        let ids: Vec<&[String]> = both.iter().map(|(_, i)| i.id.as_slice()).collect();
        let instances: Vec<&str> =
            both.iter().map(|(_, i)| set.instances.names[i.instance as usize].as_str()).collect();
        out.push(Finding {
            kind: "leak",
            column: column.clone(),
            count: both.len(),
            what: format!("{what} are in training and among what a model is measured on: {}", listed(&names)),
            question: "Should figures be of what a model has not seen? Then change the column of splits, or let --split make it.",
            show: sql.rows(&ids, &instances),
            mend: None,
        });
    }
    out
}
