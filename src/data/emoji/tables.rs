//! The tables beside `images.csv`: who drew the pictures, and what they show.

use super::vocabulary::{View, ATTRIBUTES};
use super::Instance;
use crate::data::builder::output::{attributes_json, csv, Table};
use crate::error::Result;
use std::collections::BTreeMap;

/// By these an earlier build is known.
pub const NAMES: [&str; 3] = ["images.csv", "views.csv", "instances.csv"];

/// `attributes.json`, `views.csv` and `instances.csv`.
///
/// # Errors
/// [`Kind::Internal`](crate::error::Kind::Internal).
pub fn tables(views: &[&View], instances: &[Instance]) -> Result<Vec<Table>> {
    Ok(vec![
        ("attributes.json", attributes_json(&ATTRIBUTES, &BTreeMap::new())?),
        ("views.csv", views_csv(views, instances)?),
        ("instances.csv", instances_csv(instances)?),
    ])
}

/// Path of a picture below the folder of all pictures.
pub fn picture_name(view: &View, code: &str) -> String {
    format!("{}/{}.png", view.name, code.to_lowercase())
}

fn views_csv(views: &[&View], instances: &[Instance]) -> Result<Vec<u8>> {
    let header = vec!["view", "family", "package", "version", "licence", "author", "images"];
    let counts: Vec<String> = (0..views.len())
        .map(|v| instances.iter().filter(|i| i.looks.iter().any(|(view, _)| *view == v)).count().to_string())
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
            (e.code.to_lowercase(), i.concept.to_lowercase(), i.looks.len().to_string());
        [code, concept, e.name.clone(), e.group.clone(), e.subgroup.clone(), i.side.name().to_owned(), views]
    });
    let lines: Vec<[String; 7]> = std::iter::once(header).chain(lines).collect();
    csv(lines.iter().map(|l| l.iter().map(String::as_str).collect()))
}
