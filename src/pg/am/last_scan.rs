//! `coop_last_scan()`: how much work this session's last index scan did.

use super::relation::IndexRelation;
use crate::index::SearchStats;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::Cell;

thread_local! {
    /// The index and the counts of the last scan.
    static LAST: Cell<Option<(pg_sys::Oid, SearchStats)>> = const { Cell::new(None) };
}

/// Keeps what a scan has done so far.
pub fn record(index: &IndexRelation, stats: SearchStats) {
    // SAFETY: the relation is open.
    LAST.set(Some((unsafe { (*index.relation()).rd_id }, stats)));
}

/// The last index scan of this session: how many rows the index had, for how many the scan bounded the distance, for how many it read all
/// bits of the code, and how many it returned. (Access methods cannot add to EXPLAIN's output.)
#[pg_extern(sql = false)]
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
