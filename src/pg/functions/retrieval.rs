//! Functions on a whole table, and measures of rankings. They are written in SQL, in `sql/current/retrieval.sql`, and so run with the
//! privileges of whoever calls them. This file only adds them to the extension; and it has
//! what `coop_search()` picks varied rows with.

use crate::error::{Error, Kind, Result};
use crate::memory;
use crate::pg::{CoopVec, OrReport};
use crate::space::{diverse, EmbeddingRef};
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
