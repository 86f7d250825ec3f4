//! Counts of a built set, for people, and the checks that make it usable for retrieval.

use super::row::{BuiltAttribute, BuiltRow};
use crate::error::{Error, Kind, Result};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

/// Lines with the counts of images, splits, instances, categories and attribute values.
pub fn report(rows: &[BuiltRow], attributes: &[BuiltAttribute]) -> String {
    let mut out = String::new();
    let splits = counts(rows.iter().map(|r| r.split));
    let _ = writeln!(out, "{} images: {}", rows.len(), list_counts(&splits));
    let (train, test) = (instances(rows, |s| s == "train"), instances(rows, |s| s != "train"));
    let _ =
        writeln!(out, "{} instances: train {}, test {}", train.union(&test).count(), train.len(), test.len());
    let categories = counts(rows.iter().map(|r| r.category));
    let _ = writeln!(out, "{} categories: {}", categories.len(), list_counts(&categories));
    for split in ["train", "query", "gallery"] {
        let n = rows.iter().filter(|r| r.split == split).map(|r| r.category).collect::<BTreeSet<_>>().len();
        let _ = writeln!(out, "  categories in {split}: {n}");
    }
    for (i, attribute) in attributes.iter().enumerate() {
        let _ = writeln!(out, "{}: {}", attribute.name, describe_values(rows, attribute, i));
    }
    out
}

/// How many images and instances have each value of attribute number `i`, and which values occur only in train or only in test.
fn describe_values(rows: &[BuiltRow], attribute: &BuiltAttribute, i: usize) -> String {
    let labelled: Vec<(&BuiltRow, &'static str)> =
        rows.iter().filter_map(|r| Some((r, r.values[i]?))).collect();
    let per_value = attribute.values.iter().filter_map(|value| {
        let shows = |(_, field): &&(&BuiltRow, &'static str)| attribute.values_of(field).any(|v| v == *value);
        let with: Vec<&BuiltRow> = labelled.iter().filter(shows).map(|(r, _)| *r).collect();
        let instances: BTreeSet<&str> = with.iter().map(|r| r.instance.as_str()).collect();
        (!with.is_empty()).then(|| format!("{value} {}/{}", with.len(), instances.len()))
    });
    let per_value: Vec<String> = per_value.collect();
    let values_in = |train: bool| -> BTreeSet<&str> {
        let of_half = labelled.iter().filter(|(r, _)| (r.split == "train") == train);
        of_half.flat_map(|(_, field)| attribute.values_of(field)).collect()
    };
    let (train, test) = (values_in(true), values_in(false));
    let in_one_half: Vec<&str> = train.symmetric_difference(&test).copied().collect();
    let mut out = format!("{} images, values (images/instances): {}", labelled.len(), per_value.join(", "));
    if !in_one_half.is_empty() {
        let _ = write!(out, "; only in train or only in test: {}", in_one_half.join(", "));
    }
    out
}

fn instances<'a>(rows: &'a [BuiltRow], split: impl Fn(&str) -> bool) -> BTreeSet<&'a str> {
    rows.iter().filter(|r| split(r.split)).map(|r| r.instance.as_str()).collect()
}

/// Distinct names with their counts, the most frequent first.
fn counts<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(&'a str, usize)> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    let mut out: Vec<_> = counts.into_iter().collect();
    out.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    out
}

fn list_counts(counts: &[(&str, usize)]) -> String {
    counts.iter().map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", ")
}

/// Checks that every query instance has gallery images, and that no instance is in both train and test.
///
/// # Errors
/// [`Kind::Internal`] if that is not so.
pub fn check(rows: &[BuiltRow]) -> Result<()> {
    let in_split = |name: &'static str| instances(rows, move |s| s == name);
    let (train, query, gallery) = (in_split("train"), in_split("query"), in_split("gallery"));
    let failed =
        |what: &str, example: &str| Err(Error::new(Kind::Internal, format!("{what}, such as {example}")));
    if let Some(missing) = query.difference(&gallery).next() {
        return failed("a query instance has no gallery image", missing);
    }
    if let Some(both) = train.iter().find(|i| query.contains(*i) || gallery.contains(*i)) {
        return failed("an instance is in both train and test", both);
    }
    Ok(())
}
