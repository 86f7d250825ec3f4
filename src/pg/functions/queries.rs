//! The functions that make queries: by attribute value, by category, by likeness, and embeddings from plain numbers;
//! `sql/current/queries.sql` declares them.

use crate::error::{Error, Kind, Result};
use crate::memory;
use crate::pg::catalog::{attribute_query, category_query, model, subspaces_of};
use crate::pg::{CoopQuery, CoopVec, OrReport, Text};
use crate::space::{Embedding, Query};
use pgrx::prelude::*;

extension_sql_file!(
    "../../../sql/current/queries.sql",
    name = "queries",
    requires = ["catalog", "operators"]
);

/// "This value of this attribute, whatever else": `ORDER BY emb <-> coop_attr_query('neckline', 'v-neck')`.
#[pg_extern(sql = false)]
fn coop_attr_query(attribute: Text<'_>, value: Text<'_>) -> CoopQuery<'static> {
    attribute_query(&attribute, &value, None).or_report().into()
}

/// The same of a named model.
#[pg_extern(sql = false)]
fn coop_attr_query_of(attribute: Text<'_>, value: Text<'_>, model: Text<'_>) -> CoopQuery<'static> {
    attribute_query(&attribute, &value, Some(&model)).or_report().into()
}

/// "This category": `ORDER BY emb <-> coop_category_query('blouse')`.
#[pg_extern(sql = false)]
fn coop_category_query(category: Text<'_>) -> CoopQuery<'static> {
    category_query(&category, None).or_report().into()
}

/// The same of a named model.
#[pg_extern(sql = false)]
fn coop_category_query_of(category: Text<'_>, model: Text<'_>) -> CoopQuery<'static> {
    category_query(&category, Some(&model)).or_report().into()
}

/// "Like this one in these attributes, whatever else": `coop_like(emb, 'neckline', 'prints')`. The attributes are those
/// of the model that made the embedding, which is found by the embedding's fingerprint.
#[pg_extern(sql = false)]
fn coop_like(embedding: CoopVec<'_>, attributes: VariadicArray<'_, Text<'_>>) -> CoopQuery<'static> {
    like(&embedding, &attributes).or_report().into()
}

fn like(embedding: &CoopVec<'_>, attributes: &VariadicArray<'_, Text<'_>>) -> Result<Query> {
    let embedding = embedding.view();
    Query::like(embedding, &subspaces_of(embedding.layout, &names(attributes)?)?)
}

/// The names in a list of attributes.
///
/// # Errors
/// [`Kind::InvalidParameter`] if there is none, or one is null.
pub fn names(attributes: &VariadicArray<'_, Text<'_>>) -> Result<Vec<String>> {
    let names = not_null("an attribute's name", attributes.iter())?;
    if names.is_empty() {
        return Err(Error::new(Kind::InvalidParameter, "no attribute is named")
            .hint("coop_like(embedding) without attributes is like this one in all of them."));
    }
    Ok(names)
}

/// The texts of a list of `what`.
///
/// # Errors
/// [`Kind::InvalidParameter`] if one is null.
pub fn not_null<'a>(what: &str, texts: impl Iterator<Item = Option<Text<'a>>>) -> Result<Vec<String>> {
    let null = || Error::new(Kind::InvalidParameter, format!("{what} must not be null"));
    let mut list = Vec::new();
    for text in texts {
        memory::push(&mut list, text.ok_or_else(null)?.into_owned())?;
    }
    Ok(list)
}

/// Numbers (K·n of them) as an embedding of the default model, taken as they are: the network's embeddings have
/// subspaces of unit length, and whoever brings numbers of their own decides whether theirs do.
#[pg_extern(sql = false)]
fn coop_vector(numbers: Array<'_, f32>) -> CoopVec<'static> {
    vector(&numbers, None).or_report().into()
}

/// Numbers as an embedding of a named model.
#[pg_extern(sql = false)]
fn coop_vector_of(numbers: Array<'_, f32>, model: Text<'_>) -> CoopVec<'static> {
    vector(&numbers, Some(&model)).or_report().into()
}

fn vector(numbers: &Array<'_, f32>, model_name: Option<&str>) -> Result<Embedding> {
    let null = || Error::new(Kind::InvalidParameter, "numbers of an embedding must not be null");
    let mut list = memory::with_capacity(numbers.len())?;
    for number in numbers.iter() {
        list.push(number.ok_or_else(null)?);
    }
    // For its copy in half precision.
    memory::headroom(numbers.len() * size_of::<f32>())?;
    Embedding::from_f32(model(model_name)?.layout, &list)
}

#[cfg(any(test, feature = "pg_test"))]
mod tests;
