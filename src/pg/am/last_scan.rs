//! What this session's last index scan did.

use super::storage::Index;
use crate::index::SearchStats;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::Cell;

thread_local! {
    static LAST: Cell<Option<(pg_sys::Oid, SearchStats)>> = const { Cell::new(None) };
}

/// Remembers what a scan has done so far.
pub fn keep(index: &Index, stats: SearchStats) {
    // SAFETY: the relation is open.
    LAST.set(Some((unsafe { (*index.relation()).rd_id }, stats)));
}

/// The last index scan of this session: how many rows the index had, of how many it bounded the distance, for how many
/// with all bits, and how many it returned. EXPLAIN in PostgreSQL 15 has no place for it.
#[pg_extern(volatile, parallel_restricted)]
fn coop_last_scan() -> TableIterator<
    'static,
    (
        name!(index_oid, pg_sys::Oid),
        name!(indexed_rows, i64),
        name!(rows_bounded, i64),
        name!(rows_refined, i64),
        name!(rows_returned, i64),
    ),
> {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    TableIterator::new(
        LAST.get()
            .map(|(oid, s)| (oid, count(s.rows), count(s.bounded), count(s.refined), count(s.returned))),
    )
}
