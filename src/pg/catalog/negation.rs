//! What an image does not show: the query for no value of an attribute, and an embedding's nearest other value.

use super::catalog_select::CatalogSelect;
use super::default_model::model;
use super::lookup::{attribute_query_of, check_attribute, query_column};
use super::model_entry::{model_with_fingerprint, ModelEntry};
use crate::error::{Error, Kind, Result};
use crate::memory;
use crate::pg::text;
use crate::space::{distance, normalize_subspaces, Embedding, EmbeddingRef, Layout, Query};
use pgrx::pg_sys;

const TEXT: pg_sys::Oid = pg_sys::TEXTOID;

static ABSENT: CatalogSelect = CatalogSelect::new(
    c"SELECT p.absent, a.ordinal FROM coopembed.attributes a LEFT JOIN coopembed.proxies p \
      ON p.model OPERATOR(pg_catalog.=) a.model AND p.attribute OPERATOR(pg_catalog.=) a.ordinal \
      WHERE a.model OPERATOR(pg_catalog.=) $1 AND a.name OPERATOR(pg_catalog.=) $2",
    &[TEXT, TEXT],
);
static VALUE_QUERIES: CatalogSelect = CatalogSelect::new(
    c"SELECT v.query, v.value FROM coopembed.attributes a JOIN coopembed.attribute_values v \
      ON v.model OPERATOR(pg_catalog.=) a.model AND v.attribute OPERATOR(pg_catalog.=) a.ordinal \
      WHERE a.model OPERATOR(pg_catalog.=) $1 AND a.name OPERATOR(pg_catalog.=) $2 AND v.query IS NOT NULL \
      ORDER BY v.ordinal",
    &[TEXT, TEXT],
);

/// The query for images that show no value of an attribute: its target is the direction of the proxy towards which training pulled such images.
///
/// # Errors
/// [`Kind::UnknownName`] for an unknown name, [`Kind::InvalidParameter`] if the model has learned no such proxy.
pub fn absence_query(attribute: &str, model_name: Option<&str>) -> Result<Query> {
    absence_query_in(&model(model_name)?, attribute)
}

/// [`absence_query`] of a model.
pub fn absence_query_in(model: &ModelEntry, attribute: &str) -> Result<Query> {
    let key = [text::datum(&model.name), text::datum(attribute)];
    let found = ABSENT.first(&key, |row| (row.numbers(1), row.expect::<i32>(2)));
    let Some((Some(mut proxy), ordinal)) = found else {
        check_attribute(model, attribute)?;
        return Err(Error::new(
            Kind::InvalidParameter,
            format!(
                "model \"{}\" has not learned what no value of attribute \"{attribute}\" looks like",
                model.name
            ),
        )
        .detail(
            "Each of its training images shows a value of it, or it was trained without proxies of absence.",
        )
        .hint("coop_not(attribute, value) asks for what a single value is not."));
    };
    normalize_subspaces(Layout::new(1, proxy.len(), 0)?, &mut proxy)?;
    Query::subspace(model.layout, ordinal as usize - 1, &proxy)
}

/// The embedding, if it is nearer to another value of the attribute than to this one; or else with the nearest other value.
///
/// # Errors
/// Those of [`attribute_query_of`]; [`Kind::InvalidParameter`] if there is no other value.
pub fn with_other_value(embedding: EmbeddingRef<'_>, attribute: &str, value: &str) -> Result<Embedding> {
    let model = model_with_fingerprint(embedding.layout)?;
    let key = [text::datum(&model.name), text::datum(attribute)];
    let mut distances = Vec::new();
    for (query, name) in VALUE_QUERIES.rows(&key, |row| (query_column(row), row.text(2))) {
        if let Some(query) = query {
            memory::push(&mut distances, (distance(embedding, query.as_ref())?, name, query))?;
        }
    }
    let Some(this) = distances.iter().position(|(_, name, _)| name == value) else {
        // The error that says what there is.
        attribute_query_of(embedding.layout, attribute, value)?;
        return Err(Error::new(Kind::Internal, "a value of the catalogue was not found"));
    };
    let (to_this, ..) = distances.remove(this);
    let (to_other, _, other) = distances.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).ok_or_else(|| {
        let message = format!("attribute \"{attribute}\" of model \"{}\" has no other value", model.name);
        Error::new(Kind::InvalidParameter, message)
    })?;
    match to_other < to_this {
        true => Embedding::from_f16(embedding.layout, embedding.values.to_vec()),
        false => embedding.with_targets_of(&other.as_ref()),
    }
}
