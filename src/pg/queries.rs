//! The functions that make queries: by attribute value, by category, by likeness, and embeddings from plain numbers.

use super::catalog::{attribute_query, category_query, model, subspaces_of};
use super::{CoopQuery, CoopVec, OrReport};
use crate::error::{Error, Kind, Result};
use crate::space::{Embedding, Query};
use pgrx::prelude::*;

/// "This value of this attribute, whatever else": `ORDER BY emb <-> coop_attr_query('neckline', 'v-neck')`.
#[pg_extern(stable, strict, parallel_safe, cost = 1000)]
fn coop_attr_query(attribute: &str, value: &str) -> CoopQuery<'static> {
    attribute_query(attribute, value, None).or_report().into()
}

/// The same of a named model.
#[pg_extern(stable, strict, parallel_safe, cost = 1000, name = "coop_attr_query")]
fn coop_attr_query_of(attribute: &str, value: &str, model: &str) -> CoopQuery<'static> {
    attribute_query(attribute, value, Some(model)).or_report().into()
}

/// "This category": `ORDER BY emb <-> coop_category_query('blouse')`.
#[pg_extern(stable, strict, parallel_safe, cost = 1000)]
fn coop_category_query(category: &str) -> CoopQuery<'static> {
    category_query(category, None).or_report().into()
}

/// The same of a named model.
#[pg_extern(stable, strict, parallel_safe, cost = 1000, name = "coop_category_query")]
fn coop_category_query_of(category: &str, model: &str) -> CoopQuery<'static> {
    category_query(category, Some(model)).or_report().into()
}

/// "Like this one in these attributes, whatever else": `coop_like(emb, 'neckline', 'prints')`. The attributes are those
/// of the model that made the embedding, which is found by the embedding's fingerprint.
#[pg_extern(stable, strict, parallel_safe, cost = 1000)]
fn coop_like(embedding: CoopVec<'_>, attributes: VariadicArray<'_, &str>) -> CoopQuery<'static> {
    let attributes: Result<Vec<String>> =
        attributes.iter().map(|a| a.map(str::to_owned).ok_or_else(null_name)).collect();
    like(&embedding, attributes).or_report().into()
}

fn like(embedding: &CoopVec<'_>, attributes: Result<Vec<String>>) -> Result<Query> {
    let (embedding, attributes) = (embedding.view(), attributes?);
    if attributes.is_empty() {
        return Err(Error::new(Kind::InvalidParameter, "no attribute is named")
            .hint("coop_like(embedding) without attributes is like this one in all of them."));
    }
    Query::like(embedding, &subspaces_of(embedding.layout, &attributes)?)
}

fn null_name() -> Error {
    Error::new(Kind::InvalidParameter, "an attribute's name must not be null")
}

/// "Like this one in everything": the embedding itself as a query, to be mixed with others.
#[pg_extern(immutable, strict, parallel_safe, name = "coop_like")]
fn coop_like_in_all(embedding: CoopVec<'_>) -> CoopQuery<'static> {
    let embedding = embedding.view();
    Query::superspace(embedding.layout, embedding.to_f32()).or_report().into()
}

/// Numbers (K·n of them) as an embedding of the default model, taken as they are: the network's embeddings have
/// subspaces of unit length, and whoever brings numbers of their own decides whether theirs do.
#[pg_extern(stable, strict, parallel_safe, cost = 100)]
fn coop_vector(numbers: Array<'_, f32>) -> CoopVec<'static> {
    vector(&numbers, None).or_report().into()
}

/// Numbers as an embedding of a named model.
#[pg_extern(stable, strict, parallel_safe, cost = 100, name = "coop_vector")]
fn coop_vector_of(numbers: Array<'_, f32>, model: &str) -> CoopVec<'static> {
    vector(&numbers, Some(model)).or_report().into()
}

fn vector(numbers: &Array<'_, f32>, model_name: Option<&str>) -> Result<Embedding> {
    let null = || Error::new(Kind::InvalidParameter, "numbers of an embedding must not be null");
    let numbers = numbers.iter().map(|x| x.ok_or_else(null)).collect::<Result<Vec<f32>>>()?;
    Embedding::from_f32(model(model_name)?.layout, &numbers)
}

extension_sql!(
    r"CREATE CAST (real[] AS coopvec) WITH FUNCTION coop_vector(real[]);",
    name = "coop_vector_cast",
    requires = [coop_vector]
);
