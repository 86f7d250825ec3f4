//! Tags: which values an embedding shows, with probabilities. `sql/current/tags.sql` declares the functions.

use crate::error::Result;
use crate::model::SHOWN_FROM;
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
        let found = tagger.attribute(e, k);
        owned(ranked(found.values, values, found.none))
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
    TableIterator::new(owned(ranked(tagger.category(embedding), names, None)))
}

/// The likeliest value of each attribute, and the likeliest category, as JSON:
/// `{"attributes": {"neckline": {"value": "v-neck", "probability": 0.93}, ...}, "category": {"value": "blouse", ...}}`. A null value
/// means that the image does not show the attribute. An attribute of which an image may show several values has also `"values"`, a list of
/// the values that are at least as likely as not, each with its probability.
#[pg_extern(sql = false)]
fn coop_tags(embedding: CoopVec<'_>) -> Jsonb {
    let embedding = embedding.view();
    let (tagger, config) = tagger(embedding.layout).or_report();
    let tag =
        |(value, probability): &(Option<&str>, f64)| json!({"value": value, "probability": probability});
    let best = |rows: &[(Option<&str>, f64)]| rows.first().map_or(Value::Null, tag);
    let attributes: Map<String, Value> = (config.attributes.iter().enumerate())
        .map(|(k, a)| {
            let found = tagger.attribute(embedding, k);
            let rows = ranked(found.values, a.values.iter().map(|v| v.name.as_str()), found.none);
            let mut tags = best(&rows);
            if let (true, Some(tags)) = (tagger.is_multi(k), tags.as_object_mut()) {
                let shown = rows.iter().filter(|(value, p)| value.is_some() && *p >= SHOWN_FROM);
                tags.insert("values".into(), shown.map(tag).collect());
            }
            (a.name.clone(), tags)
        })
        .collect();
    let categories = config.categories.iter().map(|c| c.name.as_str());
    let category = best(&ranked(tagger.category(embedding), categories, None));
    Jsonb(json!({"attributes": attributes, "category": category}))
}

/// Names with their probabilities, likeliest first, and among them that of `None`, if there is one.
fn ranked<'a>(
    probabilities: Vec<f64>,
    names: impl Iterator<Item = &'a str>,
    none: Option<f64>,
) -> Vec<(Option<&'a str>, f64)> {
    let mut rows: Vec<_> = names.map(Some).zip(probabilities).collect();
    rows.extend(none.map(|probability| (None, probability)));
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    rows
}

fn owned(rows: Vec<(Option<&str>, f64)>) -> Vec<Prediction> {
    rows.into_iter().map(|(name, probability)| (name.map(|n| n.to_owned().into()), probability)).collect()
}

#[cfg(any(test, feature = "pg_test"))]
mod tests;
