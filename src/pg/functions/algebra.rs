//! Functions that change an embedding in some subspaces, and that explain a distance. `sql/current/algebra.sql` declares them.

use super::arguments::attribute_list;
use crate::error::Result;
use crate::pg::catalog::{attribute_names, attribute_query_of, subspaces_of, with_other_value};
use crate::pg::{CoopQuery, CoopVec, OrReport, Text};
use crate::space::{Embedding, EmbeddingRef, Query, QueryRef};
use pgrx::prelude::*;

extension_sql_file!("../../../sql/current/algebra.sql", name = "algebra", requires = ["queries"]);

/// The embedding with another value of one attribute ("this one, but with long sleeves"): the attribute's subspace becomes the target of the
/// value's query, scaled to unit length.
#[pg_extern(sql = false)]
fn coop_replace(embedding: CoopVec<'_>, attribute: Text<'_>, value: Text<'_>) -> CoopVec<'static> {
    let replaced =
        |e: EmbeddingRef<'_>| e.with_targets_of(&attribute_query_of(e.layout, &attribute, &value)?.as_ref());
    replaced(embedding.view()).or_report().into()
}

/// The embedding with the query's targets, scaled to unit length, in all subspaces in which the query has a weight. How large the weights are
/// does not matter.
#[pg_extern(sql = false)]
fn coop_replace_by(embedding: CoopVec<'_>, query: CoopQuery<'_>) -> CoopVec<'static> {
    embedding.view().with_targets_of(&query.view()).or_report().into()
}

/// The embedding, if it is nearer to another value of the attribute than to this one ("this one, but not striped"); or else with the nearest
/// other value.
#[pg_extern(sql = false)]
fn coop_not_value(embedding: CoopVec<'_>, attribute: Text<'_>, value: Text<'_>) -> CoopVec<'static> {
    with_other_value(embedding.view(), &attribute, &value).or_report().into()
}

/// The embedding with the subspaces of some attributes taken from another one.
#[pg_extern(sql = false)]
fn coop_blend(
    embedding: CoopVec<'_>,
    other: CoopVec<'_>,
    attributes: VariadicArray<'_, Text<'_>>,
) -> CoopVec<'static> {
    let blend = || -> Result<Embedding> {
        let (embedding, other) = (embedding.view(), other.view());
        embedding.layout.check_same(&other.layout)?;
        embedding.with_subspaces_of(&other, &subspaces_of(embedding.layout, &attribute_list(&attributes)?)?)
    };
    blend().or_report().into()
}

/// The n numbers of an embedding in the subspace of an attribute.
#[pg_extern(sql = false)]
fn coop_subspace(embedding: CoopVec<'_>, attribute: Text<'_>) -> Vec<f32> {
    let embedding = embedding.view();
    let subspaces = subspaces_of(embedding.layout, &[attribute.into_owned()]).or_report();
    let ranges = subspaces.into_iter().map(|k| embedding.layout.range(k));
    ranges.flat_map(|range| embedding.values[range].iter().map(|v| v.to_f32())).collect()
}

/// A row of `coop_explain()`: attribute, weight, distance, contribution.
type Contribution = (Option<Text<'static>>, Option<f32>, Option<f64>, f64);

/// Explains a distance. For each attribute in which the query has a weight: the weight, the distance in the attribute's subspace, and what
/// that adds to the squared distance. The query's constant, which no embedding can avoid, is in a row without attribute, if it is not 0.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)] // pgrx reads the columns from the signature
fn coop_explain(
    embedding: CoopVec<'_>,
    query: CoopQuery<'_>,
) -> TableIterator<
    'static,
    (
        name!(attribute, Option<Text<'static>>),
        name!(weight, Option<f32>),
        name!(distance, Option<f64>),
        name!(contribution, f64),
    ),
> {
    TableIterator::new(contributions(embedding.view(), query.view()).or_report())
}

/// Explains the distance of two embeddings, with every weight 1.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)] // pgrx reads the columns from the signature
fn coop_explain_other(
    embedding: CoopVec<'_>,
    other: CoopVec<'_>,
) -> TableIterator<
    'static,
    (
        name!(attribute, Option<Text<'static>>),
        name!(weight, Option<f32>),
        name!(distance, Option<f64>),
        name!(contribution, f64),
    ),
> {
    let other = other.view();
    let query = Query::superspace(other.layout, other.to_f32()).or_report();
    TableIterator::new(contributions(embedding.view(), query.as_ref()).or_report())
}

fn contributions(embedding: EmbeddingRef<'_>, query: QueryRef<'_>) -> Result<Vec<Contribution>> {
    let parts = query.contributions(embedding)?;
    let names = attribute_names(embedding.layout)?;
    let rows = parts.into_iter().map(move |(k, w, d)| {
        (names.get(k).cloned().map(Text::from), Some(w), Some(d), f64::from(w) * d * d)
    });
    let constant = (query.constant > 0.0).then_some((None, None, None, query.constant));
    Ok(rows.chain(constant).collect())
}

#[cfg(any(test, feature = "pg_test"))]
mod tests;
