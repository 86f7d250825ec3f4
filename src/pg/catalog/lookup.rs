//! From names to queries, subspaces and weights.

use super::entry::{config, model, model_with_fingerprint, ModelEntry, Remembered};
use super::statement::{Row, Select};
use crate::error::{Error, Kind, Result};
use crate::memory;
use crate::model::{ModelConfig, Proxies, Tagger};
use crate::pg::{text, CoopQuery};
use crate::space::{Layout, Query};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::rc::Rc;

const TEXT: pg_sys::Oid = pg_sys::TEXTOID;

static ATTRIBUTE_QUERY: Select = Select::new(
    c"SELECT v.query FROM coopembed.attributes a JOIN coopembed.attribute_values v \
      ON v.model OPERATOR(pg_catalog.=) a.model AND v.attribute OPERATOR(pg_catalog.=) a.ordinal \
      WHERE a.model OPERATOR(pg_catalog.=) $1 AND a.name OPERATOR(pg_catalog.=) $2 \
      AND v.value OPERATOR(pg_catalog.=) $3",
    &[TEXT, TEXT, TEXT],
);
static CATEGORY_QUERY: Select = Select::new(
    c"SELECT query FROM coopembed.categories \
      WHERE model OPERATOR(pg_catalog.=) $1 AND name OPERATOR(pg_catalog.=) $2",
    &[TEXT, TEXT],
);
static ATTRIBUTES: Select = Select::new(
    c"SELECT name FROM coopembed.attributes WHERE model OPERATOR(pg_catalog.=) $1 ORDER BY ordinal",
    &[TEXT],
);
static VALUES: Select = Select::new(
    c"SELECT v.value, v.query IS NOT NULL FROM coopembed.attributes a JOIN coopembed.attribute_values v \
      ON v.model OPERATOR(pg_catalog.=) a.model AND v.attribute OPERATOR(pg_catalog.=) a.ordinal \
      WHERE a.model OPERATOR(pg_catalog.=) $1 AND a.name OPERATOR(pg_catalog.=) $2 ORDER BY v.ordinal",
    &[TEXT, TEXT],
);
static CATEGORIES: Select = Select::new(
    c"SELECT name, query IS NOT NULL FROM coopembed.categories \
      WHERE model OPERATOR(pg_catalog.=) $1 ORDER BY ordinal",
    &[TEXT],
);
static WEIGHTS: Select = Select::new(
    c"SELECT bytes FROM coopembed.model_weights \
      WHERE model OPERATOR(pg_catalog.=) $1 AND part OPERATOR(pg_catalog.=) $2",
    &[TEXT, pg_sys::INT4OID],
);

static PROXIES: Select = Select::new(
    c"SELECT attribute, points, absent FROM coopembed.proxies \
      WHERE model OPERATOR(pg_catalog.=) $1 ORDER BY attribute",
    &[TEXT],
);

/// What tags the embeddings of a model, and its config. Kept for the session: the rows of a loaded model do not change.
///
/// # Errors
/// [`Kind::UnknownName`] if the model is not loaded, [`Kind::InvalidParameter`] if it was made without what tags need.
pub fn tagger(layout: Layout) -> Result<(Rc<Tagger>, Rc<ModelConfig>)> {
    static LAST: Remembered<Tagger> = Remembered::new();
    let model = model_with_fingerprint(layout)?;
    let config = config(&model)?;
    let make = || {
        let mut proxies =
            Proxies { attributes: Vec::new(), absent: Vec::new(), instances: None, categories: None };
        let key = [text::datum(&model.name)];
        for (attribute, points, absent) in PROXIES
            .rows(&key, |row| (row.expect::<i32>(1), row.numbers(2).unwrap_or_default(), row.numbers(3)))
        {
            if attribute == 0 {
                proxies.categories = Some(points);
            } else {
                proxies.attributes.push(points);
                proxies.absent.push(absent);
            }
        }
        Tagger::new(&config, proxies).map_err(|e| in_model(e, &model))
    };
    Ok((LAST.of(&model, make)?, config))
}

/// What a model answers "this value of this attribute" with: the mean of its training embeddings in that subspace.
///
/// # Errors
/// [`Kind::UnknownName`] for an unknown name, with the nearest; [`Kind::InvalidParameter`] for a value without a query.
pub fn attribute_query(attribute: &str, value: &str, model_name: Option<&str>) -> Result<Query> {
    query_of_value(&model(model_name)?, attribute, value)
}

/// The same of the model that made an embedding.
///
/// # Errors
/// As [`attribute_query`]; [`Kind::UnknownName`] if that model is not loaded.
pub fn attribute_query_of(layout: Layout, attribute: &str, value: &str) -> Result<Query> {
    query_of_value(&model_with_fingerprint(layout)?, attribute, value)
}

fn query_of_value(model: &ModelEntry, attribute: &str, value: &str) -> Result<Query> {
    let key = [text::datum(&model.name), text::datum(attribute), text::datum(value)];
    match ATTRIBUTE_QUERY.first(&key, query) {
        Some(Some(query)) => of_model(query, model),
        Some(None) => Err(without_query(
            &format!("value \"{value}\" of attribute \"{attribute}\""),
            model,
            &VALUES.rows(&key[..2], named),
        )),
        None => Err(unknown_value(model, attribute, value)),
    }
}

/// What a model answers "this category" with: the mean of its training embeddings in the superspace.
///
/// # Errors
/// As [`attribute_query`].
pub fn category_query(category: &str, model_name: Option<&str>) -> Result<Query> {
    let model = model(model_name)?;
    let key = [text::datum(&model.name), text::datum(category)];
    match CATEGORY_QUERY.first(&key, query) {
        Some(Some(query)) => of_model(query, &model),
        known => {
            let categories = CATEGORIES.rows(&key[..1], named);
            Err(match known {
                Some(_) => without_query(&format!("category \"{category}\""), &model, &categories),
                None => {
                    in_model(Error::unknown("category", category, categories.iter().map(|c| &c.0)), &model)
                }
            })
        }
    }
}

/// The subspaces (from 0) of attributes of the model that made an embedding.
///
/// # Errors
/// [`Kind::UnknownName`] if that model is not loaded or has no such attribute.
pub fn subspaces_of(layout: Layout, attributes: &[String]) -> Result<Vec<usize>> {
    let model = model_with_fingerprint(layout)?;
    let known = attributes_of(&model);
    let find = |name: &String| {
        known
            .iter()
            .position(|k| k == name)
            .ok_or_else(|| in_model(Error::unknown("attribute", name, &known), &model))
    };
    let mut subspaces = memory::with_capacity(attributes.len())?;
    for attribute in attributes {
        subspaces.push(find(attribute)?);
    }
    Ok(subspaces)
}

/// The attributes of the model that made an embedding, in the order of their subspaces.
///
/// # Errors
/// [`Kind::UnknownName`] if that model is not loaded.
pub fn attribute_names(layout: Layout) -> Result<Vec<String>> {
    Ok(attributes_of(&model_with_fingerprint(layout)?))
}

fn attributes_of(model: &ModelEntry) -> Vec<String> {
    ATTRIBUTES.rows(&[text::datum(&model.name)], |row| row.text(1))
}

fn unknown_value(model: &ModelEntry, attribute: &str, value: &str) -> Error {
    if let Err(error) = check_attribute(model, attribute) {
        return error;
    }
    let key = [text::datum(&model.name), text::datum(attribute)];
    let values = VALUES.rows(&key, named);
    Error::unknown("value", value, values.iter().map(|v| &v.0))
        .detail(format!("Asked of attribute \"{attribute}\" of model \"{}\".", model.name))
}

/// Fails unless the model has this attribute.
///
/// # Errors
/// [`Kind::UnknownName`] with the nearest names.
pub fn check_attribute(model: &ModelEntry, attribute: &str) -> Result<()> {
    let attributes = attributes_of(model);
    if attributes.iter().any(|a| a == attribute) {
        return Ok(());
    }
    Err(in_model(Error::unknown("attribute", attribute, &attributes), model))
}

/// Hands the bytes of a model's `model.safetensors` to `sink`, part after part.
///
/// # Errors
/// Those of `sink`; [`Kind::Internal`] if the model has no weights.
pub fn with_weights(model: &ModelEntry, mut sink: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    for part in 1.. {
        let key = [text::datum(&model.name), part.into_datum()];
        match WEIGHTS.first(&key, |row| row.with_bytes(1, &mut sink)) {
            Some(done) => done?,
            None if part == 1 => {
                return Err(Error::new(
                    Kind::Internal,
                    format!("the weights of model \"{}\" are not there", model.name),
                )
                .hint("Drop the model and load it again."))
            }
            None => break,
        }
    }
    Ok(())
}

fn query(row: &Row) -> Option<Query> {
    // SAFETY: the column is a coopquery, and the copy is made while the row lives.
    row.datum(1).map(|datum| unsafe { CoopQuery::from_raw(datum) }.view().to_query())
}

/// `name, has a query` of a row.
fn named(row: &Row) -> (String, bool) {
    (row.text(1), row.expect(2))
}

/// Guards against rows that somebody has edited.
fn of_model(query: Query, model: &ModelEntry) -> Result<Query> {
    query.layout().check_same(&model.layout)?;
    Ok(query)
}

/// Says which model was asked, unless more is said already.
pub fn in_model(error: Error, model: &ModelEntry) -> Error {
    match error.detail {
        Some(_) => error,
        None => error.detail(format!("Asked of model \"{}\".", model.name)),
    }
}

fn without_query(what: &str, model: &ModelEntry, siblings: &[(String, bool)]) -> Error {
    let with: Vec<String> =
        siblings.iter().filter(|s| s.1).take(8).map(|(name, _)| format!("\"{name}\"")).collect();
    let error = Error::new(Kind::InvalidParameter, format!("{what} has no query"))
        .detail(format!("No training image of model \"{}\" shows it.", model.name));
    match with.as_slice() {
        [] => error,
        with => error.hint(format!("These have one: {}.", with.join(", "))),
    }
}
