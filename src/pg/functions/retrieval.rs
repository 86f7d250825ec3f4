//! Functions on a whole table, and measures of rankings. They are written in SQL, in `sql/current/retrieval.sql`, and so run with the
//! privileges of whoever calls them. This file only adds them to the extension; and it has
//! what `coop_search()` and `coop_duplicates()` pick rows with.

use crate::error::{Error, Kind, Result};
use crate::memory;
use crate::pg::{CoopQuery, CoopVec, OrReport};
use crate::space::{diverse, most_selective_subspace, EmbeddingRef, Query};
use pgrx::prelude::*;

extension_sql_file!(
    "../../../sql/current/retrieval.sql",
    name = "retrieval",
    requires = ["operators", "aggregates", "catalog"]
);

/// The numbers, from 1, of at most `k` embeddings, in the order in which [`diverse`] picks them. `distances` are those from the query.
#[pg_extern(sql = false)]
fn coop_diverse(
    embeddings: Array<'_, CoopVec<'_>>,
    distances: Array<'_, f64>,
    k: i32,
    diversity: f64,
) -> Vec<i32> {
    let pick = || -> Result<Vec<i32>> {
        let embeddings: Vec<CoopVec<'_>> = memory::collect(embeddings.iter().flatten())?;
        let rows: Vec<EmbeddingRef<'_>> =
            memory::collect(embeddings.iter().map(|embedding| embedding.view()))?;
        let distances: Vec<f64> = memory::collect(distances.iter().flatten())?;
        if rows.len() != distances.len() {
            return Err(Error::new(Kind::Mismatch, "as many distances as embeddings are needed")
                .detail(format!("Found {} embeddings and {} distances.", rows.len(), distances.len())));
        }
        let picks = diverse(&rows, &distances, k.max(0) as usize, diversity)?;
        memory::collect(picks.into_iter().map(|row| row as i32 + 1))
    };
    pick().or_report()
}

/// The subspace, from 0, in which the fewest pairs of embeddings are within a distance.
#[pg_extern(sql = false)]
fn coop_selective_subspace(embeddings: Array<'_, CoopVec<'_>>, distance: f64) -> i32 {
    let find = || -> Result<usize> {
        let embeddings: Vec<CoopVec<'_>> = memory::collect(embeddings.iter().flatten())?;
        let rows: Vec<EmbeddingRef<'_>> =
            memory::collect(embeddings.iter().map(|embedding| embedding.view()))?;
        most_selective_subspace(&rows, distance)
    };
    find().or_report() as i32
}

/// The query for what is like an embedding in one subspace, from 0: `coop_like()` without a model's names.
#[pg_extern(sql = false)]
fn coop_like_subspace(embedding: CoopVec<'_>, subspace: i32) -> CoopQuery<'static> {
    Query::like(embedding.view(), &[subspace.max(0) as usize]).or_report().into()
}
