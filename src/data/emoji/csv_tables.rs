//! The files beside `images.csv`: `attributes.json`, `views.csv` with the designers, `instances.csv` with the emoji.

use super::attributes::ATTRIBUTES;
use super::designers::View;
use super::instances::Instance;
use crate::data::builder::output::{attributes_json, csv, ExtraFile};
use crate::error::Result;
use std::collections::BTreeMap;

/// A folder with these files is an earlier build of this set.
pub const TABLE_NAMES: [&str; 3] = ["images.csv", "views.csv", "instances.csv"];

/// `attributes.json`, `views.csv` and `instances.csv`.
///
/// # Errors
/// [`Kind::Internal`](crate::error::Kind::Internal) if they cannot be written.
pub fn tables(views: &[&View], instances: &[Instance]) -> Result<Vec<ExtraFile>> {
    Ok(vec![
        ("attributes.json", attributes_json(&ATTRIBUTES, &BTreeMap::new())?),
        ("views.csv", views_csv(views, instances)?),
        ("instances.csv", instances_csv(instances)?),
    ])
}

fn views_csv(views: &[&View], instances: &[Instance]) -> Result<Vec<u8>> {
    let header = vec!["view", "family", "package", "version", "licence", "author", "images"];
    let counts: Vec<String> = (0..views.len())
        .map(|v| instances.iter().filter(|i| i.views.iter().any(|(view, _)| *view == v)).count().to_string())
        .collect();
    let lines = views
        .iter()
        .zip(&counts)
        .map(|(v, n)| vec![v.name, v.family, v.package, v.version, v.licence, v.author, n.as_str()]);
    csv(std::iter::once(header).chain(lines))
}

fn instances_csv(instances: &[Instance]) -> Result<Vec<u8>> {
    let header = ["instance", "concept", "name", "group", "subgroup", "side", "views"].map(str::to_owned);
    let lines = instances.iter().map(|i| {
        let e = &i.emoji;
        let (code, concept, views) =
            (e.code.to_lowercase(), i.concept.to_lowercase(), i.views.len().to_string());
        [code, concept, e.name.clone(), e.group.clone(), e.subgroup.clone(), i.half.name().to_owned(), views]
    });
    let lines: Vec<[String; 7]> = std::iter::once(header).chain(lines).collect();
    csv(lines.iter().map(|l| l.iter().map(String::as_str).collect()))
}
