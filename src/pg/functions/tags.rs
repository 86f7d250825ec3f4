//! Tags: which values an embedding shows, with probabilities. `sql/current/tags.sql` declares the functions.

use crate::error::Result;
use crate::pg::catalog::{subspaces_of, tagger};
use crate::pg::text::Jsonb;
use crate::pg::{CoopVec, OrReport, Text};
use crate::space::EmbeddingRef;
use pgrx::prelude::*;
use serde_json::{json, Map, Value};

extension_sql_file!("../../../sql/current/tags.sql", name = "tags", requires = ["algebra"]);

/// The values of an attribute that an embedding may show, likeliest first. The row with a null value has the probability that it shows none
/// of them; it exists where the model has a proxy for that.
#[pg_extern(sql = false)]
fn coop_predict(
    embedding: CoopVec<'_>,
    attribute: Text<'_>,
) -> TableIterator<'static, (name!(value, Option<Text<'static>>), name!(probability, f64))> {
    TableIterator::new(predict(embedding.view(), &attribute).or_report())
}

/// A value (`None`: no value), and its probability.
type Prediction = (Option<Text<'static>>, f64);

fn predict(e: EmbeddingRef<'_>, attribute: &str) -> Result<Vec<Prediction>> {
    let subspaces = subspaces_of(e.layout, &[attribute.to_owned()])?;
    let (tagger, config) = tagger(e.layout)?;
    let of = |k: usize| {
        let values = config.attributes[k].values.iter().map(|v| v.name.as_str());
        owned(ranked(tagger.attribute(e, k), values, tagger.detects_absence(k)))
    };
    Ok(subspaces.into_iter().flat_map(of).collect())
}

/// The categories that an embedding may be of, likeliest first.
#[pg_extern(sql = false)]
fn coop_predict_category(
    embedding: CoopVec<'_>,
) -> TableIterator<'static, (name!(category, Option<Text<'static>>), name!(probability, f64))> {
    let embedding = embedding.view();
    let (tagger, config) = tagger(embedding.layout).or_report();
    let names = config.categories.iter().map(|c| c.name.as_str());
    TableIterator::new(owned(ranked(tagger.category(embedding), names, false)))
}

/// The likeliest value of each attribute, and the likeliest category, as JSON:
/// `{"attributes": {"neckline": {"value": "v-neck", "probability": 0.93}, ...}, "category": {"value": "blouse", ...}}`. A null value
/// means that the image does not show the attribute.
#[pg_extern(sql = false)]
fn coop_tags(embedding: CoopVec<'_>) -> Jsonb {
    let embedding = embedding.view();
    let (tagger, config) = tagger(embedding.layout).or_report();
    let best = |rows: Vec<(Option<&str>, f64)>| {
        let first = rows.into_iter().next();
        first.map_or(Value::Null, |(value, probability)| json!({"value": value, "probability": probability}))
    };
    let attributes: Map<String, Value> = (config.attributes.iter().enumerate())
        .map(|(k, a)| {
            let values = a.values.iter().map(|v| v.name.as_str());
            (a.name.clone(), best(ranked(tagger.attribute(embedding, k), values, tagger.detects_absence(k))))
        })
        .collect();
    let categories = config.categories.iter().map(|c| c.name.as_str());
    let category = best(ranked(tagger.category(embedding), categories, false));
    Jsonb(json!({"attributes": attributes, "category": category}))
}

/// Names with their probabilities, likeliest first. With `with_none`, what the probabilities lack to 1 is that of `None`.
fn ranked<'a>(
    probabilities: Vec<f64>,
    names: impl Iterator<Item = &'a str>,
    with_none: bool,
) -> Vec<(Option<&'a str>, f64)> {
    let rest = (1.0 - probabilities.iter().sum::<f64>()).clamp(0.0, 1.0);
    let mut rows: Vec<_> = names.map(Some).zip(probabilities).collect();
    if with_none {
        rows.push((None, rest));
    }
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    rows
}

fn owned(rows: Vec<(Option<&str>, f64)>) -> Vec<Prediction> {
    rows.into_iter().map(|(name, probability)| (name.map(|n| n.to_owned().into()), probability)).collect()
}

#[cfg(any(test, feature = "pg_test"))]
mod tests;
