//! `coop_last_scan()`: how much work this session's last index scan did.

use super::relation::IndexRelation;
use crate::index::{Cursor, SearchStats};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::Cell;

thread_local! {
    /// The last scan.
    static LAST: Cell<Option<LastScan>> = const { Cell::new(None) };
}

/// What is kept of a scan.
#[derive(Clone, Copy)]
struct LastScan {
    index: pg_sys::Oid,
    stats: SearchStats,
    /// The recall that the settings asked for; `None` for a number of candidates.
    asked: Option<f64>,
    /// [`Cursor::is_exact`].
    is_exact: bool,
}

/// Keeps what a scan has done so far, for which the settings asked for a recall, or for a number of candidates.
pub fn record(index: &IndexRelation, cursor: &Cursor, asked: Option<f64>) {
    // SAFETY: the relation is open.
    let index = unsafe { (*index.relation()).rd_id };
    LAST.set(Some(LastScan { index, stats: cursor.stats(), asked, is_exact: cursor.is_exact() }));
}

fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
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
    TableIterator::new(LAST.get().map(|LastScan { index, stats, .. }| {
        (index, count(stats.rows), count(stats.bounded), count(stats.refined), count(stats.returned))
    }))
}

/// What the recall was that the last index scan of this session was to find, whether it was answered exactly all the same, and how many rows it
/// ranked by their cells and estimated by their sketches.
#[pg_extern(sql = false)]
fn coop_last_scan_recall() -> TableIterator<
    'static,
    (name!(recall, Option<f64>), name!(is_exact, bool), name!(rows_ranked, i64), name!(rows_estimated, i64)),
> {
    TableIterator::new(LAST.get().map(|LastScan { stats, asked, is_exact, .. }| {
        (asked, is_exact, count(stats.ranked), count(stats.sketched))
    }))
}
