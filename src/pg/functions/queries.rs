//! The functions that make queries, by attribute value, by category and by example, and embeddings from plain numbers.
//! `sql/current/queries.sql` declares them.

use super::arguments::attribute_list;
use crate::error::{Error, Kind, Result};
use crate::memory;
use crate::pg::catalog::{absence_query, attribute_query, category_query, model, subspaces_of};
use crate::pg::statement::notice_null_query;
use crate::pg::{CoopQuery, CoopVec, OrReport, Text};
use crate::space::{Embedding, Query};
use half::f16;
use pgrx::datum::UnboxDatum;
use pgrx::prelude::*;

extension_sql_file!(
    "../../../sql/current/queries.sql",
    name = "queries",
    requires = ["catalog", "operators"]
);

/// The query for a value of an attribute, whatever the rest of the image shows: `ORDER BY emb <-> coop_attr_query('neckline', 'v-neck')`. NULL,
/// with a notice, if an argument is: a STRICT function would have become NULL while planning, and rows would come in any order without a word.
#[pg_extern(sql = false)]
fn coop_attr_query(attribute: Option<Text<'_>>, value: Option<Text<'_>>) -> Option<CoopQuery<'static>> {
    let (attribute, value) = non_null(attribute.zip(value))?;
    Some(attribute_query(&attribute, &value, None).or_report().into())
}

/// [`coop_attr_query`] of a named model.
#[pg_extern(sql = false)]
fn coop_attr_query_of(
    attribute: Option<Text<'_>>,
    value: Option<Text<'_>>,
    model: Option<Text<'_>>,
) -> Option<CoopQuery<'static>> {
    let ((attribute, value), model) = non_null(attribute.zip(value).zip(model))?;
    Some(attribute_query(&attribute, &value, Some(&model)).or_report().into())
}

/// The query for a category: `ORDER BY emb <-> coop_category_query('blouse')`. NULL, with a notice, for NULL.
#[pg_extern(sql = false)]
fn coop_category_query(category: Option<Text<'_>>) -> Option<CoopQuery<'static>> {
    Some(category_query(&non_null(category)?, None).or_report().into())
}

/// [`coop_category_query`] of a named model.
#[pg_extern(sql = false)]
fn coop_category_query_of(category: Option<Text<'_>>, model: Option<Text<'_>>) -> Option<CoopQuery<'static>> {
    let (category, model) = non_null(category.zip(model))?;
    Some(category_query(&category, Some(&model)).or_report().into())
}

/// The arguments of a query; sends a notice if one of them is null.
fn non_null<T>(arguments: Option<T>) -> Option<T> {
    if arguments.is_none() {
        notice_null_query(
            "the query is null, because an argument is",
            "ORDER BY a distance from it puts rows in no particular order.",
        );
    }
    arguments
}

/// The query for what is least like another query: `ORDER BY emb <-> coop_not(coop_attr_query('pattern', 'striped'))`.
#[pg_extern(sql = false)]
fn coop_not(query: CoopQuery<'_>) -> CoopQuery<'static> {
    query.view().opposite().into()
}

/// The query for images that show no value of an attribute.
#[pg_extern(sql = false)]
fn coop_absent(attribute: Text<'_>) -> CoopQuery<'static> {
    absence_query(&attribute, None).or_report().into()
}

/// [`coop_absent`] of a named model.
#[pg_extern(sql = false)]
fn coop_absent_of(attribute: Text<'_>, model: Text<'_>) -> CoopQuery<'static> {
    absence_query(&attribute, Some(&model)).or_report().into()
}

/// The query for images like this one in some attributes, whatever the rest of them shows: `coop_like(emb, 'neckline', 'prints')`. The
/// attributes are those of the model that made the embedding, which is found by the embedding's fingerprint.
#[pg_extern(sql = false)]
fn coop_like(embedding: CoopVec<'_>, attributes: VariadicArray<'_, Text<'_>>) -> CoopQuery<'static> {
    like(&embedding, &attributes).or_report().into()
}

fn like(embedding: &CoopVec<'_>, attributes: &VariadicArray<'_, Text<'_>>) -> Result<Query> {
    let embedding = embedding.view();
    Query::like(embedding, &subspaces_of(embedding.layout, &attribute_list(attributes)?)?)
}

/// Makes an embedding of the default model from K·n numbers, which are rounded to half precision. They are not normalised: the network's embeddings have subspaces of unit
/// length, and whoever calls this decides whether theirs do.
#[pg_extern(sql = false)]
fn coop_vector_float8(numbers: Array<'_, f64>) -> CoopVec<'static> {
    vector(&numbers, None).or_report().into()
}

/// [`coop_vector_float8`] for a named model.
#[pg_extern(sql = false)]
fn coop_vector_float8_of(numbers: Array<'_, f64>, model: Text<'_>) -> CoopVec<'static> {
    vector(&numbers, Some(&model)).or_report().into()
}

/// The cast of a `real[]`.
#[pg_extern(sql = false)]
fn coop_vector(numbers: Array<'_, f32>) -> CoopVec<'static> {
    vector(&numbers, None).or_report().into()
}

/// The cast of a `real[]` for a named model: `coop_vector()` of version 0.2.0.
#[pg_extern(sql = false)]
fn coop_vector_of(numbers: Array<'_, f32>, model: Text<'_>) -> CoopVec<'static> {
    vector(&numbers, Some(&model)).or_report().into()
}

fn vector<T>(numbers: &Array<'_, T>, model_name: Option<&str>) -> Result<Embedding>
where
    T: Into<f64> + for<'a> UnboxDatum<As<'a> = T> + 'static,
{
    let null = || Error::new(Kind::InvalidParameter, "numbers of an embedding must not be null");
    let mut list = memory::with_capacity(numbers.len())?;
    for number in numbers.iter() {
        list.push(f16::from_f64(number.ok_or_else(null)?.into()));
    }
    Embedding::from_f16(model(model_name)?.layout, list)
}

#[cfg(any(test, feature = "pg_test"))]
mod tests;
