//! The functions that make queries: by attribute value, by category, by likeness, and embeddings from plain numbers;
//! `sql/queries.sql` declares them.

use super::catalog::{attribute_query, category_query, model, subspaces_of};
use super::{CoopQuery, CoopVec, OrReport};
use crate::error::{Error, Kind, Result};
use crate::space::{Embedding, Query};
use pgrx::prelude::*;

extension_sql_file!("../../sql/queries.sql", name = "queries", requires = ["catalog", "operators"]);

/// "This value of this attribute, whatever else": `ORDER BY emb <-> coop_attr_query('neckline', 'v-neck')`.
#[pg_extern(sql = false)]
fn coop_attr_query(attribute: &str, value: &str) -> CoopQuery<'static> {
    attribute_query(attribute, value, None).or_report().into()
}

/// The same of a named model.
#[pg_extern(sql = false)]
fn coop_attr_query_of(attribute: &str, value: &str, model: &str) -> CoopQuery<'static> {
    attribute_query(attribute, value, Some(model)).or_report().into()
}

/// "This category": `ORDER BY emb <-> coop_category_query('blouse')`.
#[pg_extern(sql = false)]
fn coop_category_query(category: &str) -> CoopQuery<'static> {
    category_query(category, None).or_report().into()
}

/// The same of a named model.
#[pg_extern(sql = false)]
fn coop_category_query_of(category: &str, model: &str) -> CoopQuery<'static> {
    category_query(category, Some(model)).or_report().into()
}

/// "Like this one in these attributes, whatever else": `coop_like(emb, 'neckline', 'prints')`. The attributes are those
/// of the model that made the embedding, which is found by the embedding's fingerprint.
#[pg_extern(sql = false)]
fn coop_like(embedding: CoopVec<'_>, attributes: VariadicArray<'_, &str>) -> CoopQuery<'static> {
    like(&embedding, &attributes).or_report().into()
}

fn like(embedding: &CoopVec<'_>, attributes: &VariadicArray<'_, &str>) -> Result<Query> {
    let embedding = embedding.view();
    Query::like(embedding, &subspaces_of(embedding.layout, &names(attributes)?)?)
}

/// The names in a list of attributes.
///
/// # Errors
/// [`Kind::InvalidParameter`] if there is none, or one is null.
pub fn names(attributes: &VariadicArray<'_, &str>) -> Result<Vec<String>> {
    let null = || Error::new(Kind::InvalidParameter, "an attribute's name must not be null");
    let names = attributes.iter().map(|name| name.map(str::to_owned).ok_or_else(null));
    let names = names.collect::<Result<Vec<String>>>()?;
    if names.is_empty() {
        return Err(Error::new(Kind::InvalidParameter, "no attribute is named")
            .hint("coop_like(embedding) without attributes is like this one in all of them."));
    }
    Ok(names)
}

/// Numbers (K·n of them) as an embedding of the default model, taken as they are: the network's embeddings have
/// subspaces of unit length, and whoever brings numbers of their own decides whether theirs do.
#[pg_extern(sql = false)]
fn coop_vector(numbers: Array<'_, f32>) -> CoopVec<'static> {
    vector(&numbers, None).or_report().into()
}

/// Numbers as an embedding of a named model.
#[pg_extern(sql = false)]
fn coop_vector_of(numbers: Array<'_, f32>, model: &str) -> CoopVec<'static> {
    vector(&numbers, Some(model)).or_report().into()
}

fn vector(numbers: &Array<'_, f32>, model_name: Option<&str>) -> Result<Embedding> {
    let null = || Error::new(Kind::InvalidParameter, "numbers of an embedding must not be null");
    let numbers = numbers.iter().map(|x| x.ok_or_else(null)).collect::<Result<Vec<f32>>>()?;
    Embedding::from_f32(model(model_name)?.layout, &numbers)
}

#[cfg(any(test, feature = "pg_test"))]
mod tests;
