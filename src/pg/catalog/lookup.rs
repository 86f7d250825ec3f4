//! From names to queries and subspaces; a model's tagger and its files.

use super::catalog_select::CatalogSelect;
use super::default_model::model;
use super::model_entry::{config, config_text, model_with_fingerprint, spoilt, ModelCache, ModelEntry};
use crate::error::{Error, Kind, Result};
use crate::memory;
use crate::model::MAX_FILE_BYTES;
use crate::model::{ModelConfig, Proxies, Tagger};
use crate::pg::spi_row::SpiRow;
use crate::pg::{text, CoopQuery};
use crate::space::{Layout, Query};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::rc::Rc;

const TEXT: pg_sys::Oid = pg_sys::TEXTOID;

static ATTRIBUTE_QUERY: CatalogSelect = CatalogSelect::new(
    c"SELECT v.query FROM coopembed.attributes a JOIN coopembed.attribute_values v \
      ON v.model OPERATOR(pg_catalog.=) a.model AND v.attribute OPERATOR(pg_catalog.=) a.ordinal \
      WHERE a.model OPERATOR(pg_catalog.=) $1 AND a.name OPERATOR(pg_catalog.=) $2 \
      AND v.value OPERATOR(pg_catalog.=) $3",
    &[TEXT, TEXT, TEXT],
);
static CATEGORY_QUERY: CatalogSelect = CatalogSelect::new(
    c"SELECT query FROM coopembed.categories \
      WHERE model OPERATOR(pg_catalog.=) $1 AND name OPERATOR(pg_catalog.=) $2",
    &[TEXT, TEXT],
);
static ATTRIBUTES: CatalogSelect = CatalogSelect::new(
    c"SELECT name FROM coopembed.attributes WHERE model OPERATOR(pg_catalog.=) $1 ORDER BY ordinal",
    &[TEXT],
);
static VALUES: CatalogSelect = CatalogSelect::new(
    c"SELECT v.value, v.query IS NOT NULL FROM coopembed.attributes a JOIN coopembed.attribute_values v \
      ON v.model OPERATOR(pg_catalog.=) a.model AND v.attribute OPERATOR(pg_catalog.=) a.ordinal \
      WHERE a.model OPERATOR(pg_catalog.=) $1 AND a.name OPERATOR(pg_catalog.=) $2 ORDER BY v.ordinal",
    &[TEXT, TEXT],
);
static CATEGORIES: CatalogSelect = CatalogSelect::new(
    c"SELECT name, query IS NOT NULL FROM coopembed.categories \
      WHERE model OPERATOR(pg_catalog.=) $1 ORDER BY ordinal",
    &[TEXT],
);
static WEIGHTS: CatalogSelect = CatalogSelect::new(
    c"SELECT bytes FROM coopembed.model_weights \
      WHERE model OPERATOR(pg_catalog.=) $1 AND part OPERATOR(pg_catalog.=) $2",
    &[TEXT, pg_sys::INT4OID],
);

static PROXIES: CatalogSelect = CatalogSelect::new(
    c"SELECT attribute, points, absent FROM coopembed.proxies \
      WHERE model OPERATOR(pg_catalog.=) $1 ORDER BY attribute",
    &[TEXT],
);

/// The tagger and the config of the model that made an embedding. They are cached: the rows of a loaded model do not change.
///
/// # Errors
/// [`Kind::UnknownName`] if the model is not loaded, [`Kind::InvalidParameter`] if it has no proxies or
/// calibration, which tags need.
pub fn tagger(layout: Layout) -> Result<(Rc<Tagger>, Rc<ModelConfig>)> {
    static CACHE: ModelCache<Tagger> = ModelCache::new();
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
    Ok((CACHE.get_or_make(&model, make)?, config))
}

/// The query for a value of an attribute: the mean, in the attribute's subspace, of the training embeddings that show the value.
///
/// # Errors
/// [`Kind::UnknownName`] for an unknown name, with the nearest; [`Kind::InvalidParameter`] for a value without a query.
pub fn attribute_query(attribute: &str, value: &str, model_name: Option<&str>) -> Result<Query> {
    query_of_value(&model(model_name)?, attribute, value)
}

/// Like [`attribute_query`], of the model that made an embedding.
///
/// # Errors
/// As [`attribute_query`]; [`Kind::UnknownName`] if that model is not loaded.
pub fn attribute_query_of(layout: Layout, attribute: &str, value: &str) -> Result<Query> {
    query_of_value(&model_with_fingerprint(layout)?, attribute, value)
}

fn query_of_value(model: &ModelEntry, attribute: &str, value: &str) -> Result<Query> {
    let key = [text::datum(&model.name), text::datum(attribute), text::datum(value)];
    match ATTRIBUTE_QUERY.first(&key, query_column) {
        Some(Some(query)) => check_layout(query, model),
        Some(None) => Err(without_query(
            &format!("value \"{value}\" of attribute \"{attribute}\""),
            model,
            &VALUES.rows(&key[..2], name_and_has_query),
        )),
        None => Err(unknown_value(model, attribute, value)),
    }
}

/// The query for a category: the mean of its training embeddings in the superspace.
///
/// # Errors
/// As [`attribute_query`].
pub fn category_query(category: &str, model_name: Option<&str>) -> Result<Query> {
    let model = model(model_name)?;
    let key = [text::datum(&model.name), text::datum(category)];
    match CATEGORY_QUERY.first(&key, query_column) {
        Some(Some(query)) => check_layout(query, &model),
        known => {
            let categories = CATEGORIES.rows(&key[..1], name_and_has_query);
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
    if known.len() != layout.subspaces() {
        return Err(spoilt(&model, "list of attributes").detail(format!(
            "Found {}, expected {}.",
            known.len(),
            layout.subspaces()
        )));
    }
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
    let values = VALUES.rows(&key, name_and_has_query);
    Error::unknown("value", value, values.iter().map(|v| &v.0))
        .detail(format!("The attribute is \"{attribute}\" of model \"{}\".", model.name))
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

/// The contents of a model's `config.json` and `model.safetensors`, as the inference service needs them.
///
/// # Errors
/// [`Kind::UnknownName`] if the model is gone, [`Kind::Internal`] if it has no weights.
pub fn model_files(model: &ModelEntry) -> Result<(String, Vec<u8>)> {
    let weights = weights_of(&model.name)?.ok_or_else(|| {
        Error::new(Kind::Internal, format!("the weights of model \"{}\" are missing", model.name))
            .hint("Drop the model and load it again.")
    })?;
    Ok((config_text(model)?, weights))
}

/// All parts of `model.safetensors` under a name, put together; `None` if there are none.
///
/// # Errors
/// [`Kind::LimitExceeded`] if they are longer than such a file may be, [`Kind::OutOfMemory`].
pub fn weights_of(name: &str) -> Result<Option<Vec<u8>>> {
    let mut weights = Vec::new();
    for part in 1.. {
        if weights_part(name, part, |bytes| memory::extend(&mut weights, bytes)).transpose()?.is_none() {
            return Ok((part > 1).then_some(weights));
        }
        if weights.len() as u64 > MAX_FILE_BYTES {
            return Err(Error::new(Kind::LimitExceeded, "the weights are too long")
                .detail(format!("A model has at most {MAX_FILE_BYTES} bytes of weights.")));
        }
    }
    Ok(None)
}

/// Applies `f` to one part of the weights under a name, counted from 1; `None` past the last.
pub fn weights_part<T>(name: &str, part: i32, f: impl FnOnce(&[u8]) -> T) -> Option<T> {
    let mut f = Some(f);
    let key = [text::datum(name), part.into_datum()];
    WEIGHTS.first(&key, |row| f.take().map(|f| row.with_bytes(1, f))).flatten()
}

/// The first column, a coopquery or NULL.
pub fn query_column(row: &SpiRow) -> Option<Query> {
    // SAFETY: the statements declare this column as a coopquery, and `to_query` copies it while the row lives.
    row.datum(1).map(|datum| unsafe { CoopQuery::from_raw(datum) }.view().to_query())
}

/// The columns `name` and "has a query".
fn name_and_has_query(row: &SpiRow) -> (String, bool) {
    (row.text(1), row.expect(2))
}

/// Fails if the query is not of this model, which can only be if somebody has edited the rows.
fn check_layout(query: Query, model: &ModelEntry) -> Result<Query> {
    query.layout().check_same(&model.layout)?;
    Ok(query)
}

/// Adds to an error which model was asked, unless it has a detail already.
pub fn in_model(error: Error, model: &ModelEntry) -> Error {
    match error.detail {
        Some(_) => error,
        None => error.detail(format!("The model is \"{}\".", model.name)),
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
