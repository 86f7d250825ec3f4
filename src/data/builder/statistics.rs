//! What came out, in numbers, and what must hold for it to be a retrieval set.

use super::row::{Attribute, Row};
use crate::error::{Error, Kind, Result};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

/// Counts of images, splits, instances, categories and attribute values, in lines for people.
pub fn report(rows: &[Row], attributes: &[Attribute]) -> String {
    let mut out = String::new();
    let splits = counts(rows.iter().map(|r| r.split));
    let _ = writeln!(out, "{} images: {}", rows.len(), listed(&splits));
    let (train, test) = (instances(rows, |s| s == "train"), instances(rows, |s| s != "train"));
    let _ =
        writeln!(out, "{} instances: train {}, test {}", train.union(&test).count(), train.len(), test.len());
    let categories = counts(rows.iter().map(|r| r.category));
    let _ = writeln!(out, "{} categories: {}", categories.len(), listed(&categories));
    for split in ["train", "query", "gallery"] {
        let n = rows.iter().filter(|r| r.split == split).map(|r| r.category).collect::<BTreeSet<_>>().len();
        let _ = writeln!(out, "  categories in {split}: {n}");
    }
    for (i, attribute) in attributes.iter().enumerate() {
        let _ = writeln!(out, "{}: {}", attribute.name, values(rows, attribute, i));
    }
    out
}

/// How many images and instances have each value of an attribute, the column `i`, and which values are on one side of
/// the split only.
fn values(rows: &[Row], attribute: &Attribute, i: usize) -> String {
    let labelled: Vec<(&Row, &str)> = rows.iter().filter_map(|r| Some((r, r.values[i]?))).collect();
    let per_value = attribute.values.iter().filter_map(|value| {
        let with: Vec<&Row> = labelled.iter().filter(|(_, v)| v == value).map(|(r, _)| *r).collect();
        let instances: BTreeSet<&str> = with.iter().map(|r| r.instance.as_str()).collect();
        (!with.is_empty()).then(|| format!("{value} {}/{}", with.len(), instances.len()))
    });
    let per_value: Vec<String> = per_value.collect();
    let side = |train: bool| -> BTreeSet<&str> {
        labelled.iter().filter(|(r, _)| (r.split == "train") == train).map(|(_, v)| *v).collect()
    };
    let (train, test) = (side(true), side(false));
    let one_side: Vec<&str> = train.symmetric_difference(&test).copied().collect();
    let mut out = format!("{} images, values (images/instances): {}", labelled.len(), per_value.join(", "));
    if !one_side.is_empty() {
        let _ = write!(out, "; on one side of the split only: {}", one_side.join(", "));
    }
    out
}

fn instances<'a>(rows: &'a [Row], split: impl Fn(&str) -> bool) -> BTreeSet<&'a str> {
    rows.iter().filter(|r| split(r.split)).map(|r| r.instance.as_str()).collect()
}

/// Names with their counts, the most frequent first.
fn counts<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(&'a str, usize)> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    let mut out: Vec<_> = counts.into_iter().collect();
    out.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    out
}

fn listed(counts: &[(&str, usize)]) -> String {
    counts.iter().map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", ")
}

/// Every query has something to find, and nothing of the test half trains.
///
/// # Errors
/// [`Kind::Internal`] if not.
pub fn check(rows: &[Row]) -> Result<()> {
    let of = |name: &'static str| instances(rows, move |s| s == name);
    let (train, query, gallery) = (of("train"), of("query"), of("gallery"));
    let failed =
        |what: &str, example: &str| Err(Error::new(Kind::Internal, format!("{what}, say {example}")));
    if let Some(lost) = query.difference(&gallery).next() {
        return failed("a query instance has no gallery image", lost);
    }
    if let Some(both) = train.iter().find(|i| query.contains(*i) || gallery.contains(*i)) {
        return failed("an instance is on both sides of the split", both);
    }
    Ok(())
}
