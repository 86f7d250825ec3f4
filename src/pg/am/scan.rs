//! Index scans: answer `ORDER BY emb <-> query` with rows in the order of lower bounds on their distance. The executor computes the distances
//! and reorders (`xs_recheckorderby`). A condition `emb <@ ball`, which the planner makes of `emb <-> query < r`, ends the scan at the
//! distance r; without ORDER BY, it alone says which rows come.

use super::relation::{item_pointer, IndexRelation};
use super::{index_model, last_scan};
use crate::error::Kind as ErrorKind;
use crate::index::{Cursor, Meta, PageResult, SearchMode, Tid};
use crate::memory;
use crate::pg::statement::notice_null_query;
use crate::pg::types::ball::Ball;
use crate::pg::{compat, guc, CoopQuery, CoopVec, OrReport};
use crate::space::Query;
use pgrx::prelude::*;
use pgrx::{pg_sys, PgMemoryContexts};
use std::ffi::c_int;

/// The state of a scan between two calls. It holds no lock and no pin.
struct ScanState {
    /// The search; `None` before the first row, and once all its rows have been returned.
    cursor: Option<Cursor>,
    /// Whether there is a condition, which no row without an embedding meets.
    has_condition: bool,
    /// Whether the query has been read.
    is_started: bool,
    /// Whether the query is null; then so are all distances.
    is_query_null: bool,
    /// The rows without an embedding, once all others have been returned.
    nulls: Option<std::vec::IntoIter<Tid>>,
    /// The recall that the settings asked for; `None` for a number of candidates.
    asked_recall: Option<f64>,
    /// The metapage's count of reorganizations when [`index_model::check_horizon`] last passed.
    horizon_checked_at: Option<u32>,
}

/// What is known of a row's distance before it is computed.
enum Distance {
    /// A lower bound.
    AtLeast(f64),
    /// There is no distance: the query is null.
    NullQuery,
    /// There is no distance: the query is another model's. The operator raises the error, if a row that is visible and wanted reaches it.
    ModelMismatch,
    /// There is no distance: the row has no embedding.
    NoEmbedding,
}

impl ScanState {
    const NEW: Self = Self {
        cursor: None,
        has_condition: false,
        is_started: false,
        is_query_null: false,
        nulls: None,
        asked_recall: Some(1.0),
        horizon_checked_at: None,
    };

    /// The next row, whether `snapshot` sees it or not.
    fn next(
        &mut self,
        index: &IndexRelation,
        snapshot: &pg_sys::SnapshotData,
    ) -> PageResult<Option<(Tid, Distance)>> {
        if let Some(cursor) = &mut self.cursor {
            let row = cursor.next(index)?;
            last_scan::record(index, cursor, self.asked_recall);
            // After the read: what was dropped before it is in the horizon by now.
            if self.horizon_checked_at != cursor.reorganizations() {
                index_model::check_horizon(index, snapshot)?;
                self.horizon_checked_at = cursor.reorganizations();
            }
            if let Some((tid, bound)) = row {
                return Ok(Some((
                    tid,
                    match bound {
                        Some(bound) => Distance::AtLeast(bound),
                        None if self.is_query_null => Distance::NullQuery,
                        None => Distance::ModelMismatch,
                    },
                )));
            }
            self.cursor = None;
        }
        if self.has_condition {
            return Ok(None);
        }
        let nulls = match &mut self.nulls {
            Some(nulls) => nulls,
            none => {
                let mut tids = Vec::new();
                Meta::read(index)?.scan_nulls(index, &mut |_, page| Ok(memory::extend(&mut tids, &page)?))?;
                none.insert(tids.into_iter())
            }
        };
        Ok(nulls.next().map(|tid| (tid, Distance::NoEmbedding)))
    }
}

/// ambeginscan: makes room for the scan's state and for the values of ORDER BY.
#[pg_guard]
pub unsafe extern "C-unwind" fn begin(
    index: pg_sys::Relation,
    keys: c_int,
    orderbys: c_int,
) -> pg_sys::IndexScanDesc {
    // SAFETY: PostgreSQL passes an open index, and expects these arrays of access methods with `amcanorderbyop`, one value and one null flag
    // for each ORDER BY operator.
    unsafe {
        let scan = pg_sys::RelationGetIndexScan(index, keys, orderbys);
        let state = ScanState::NEW;
        (*scan).opaque = PgMemoryContexts::CurrentMemoryContext.leak_and_drop_on_delete(state).cast();
        (*scan).xs_orderbyvals = pg_sys::palloc0(size_of::<pg_sys::Datum>() * orderbys as usize).cast();
        (*scan).xs_orderbynulls = pg_sys::palloc0(orderbys as usize).cast();
        scan
    }
}

/// amrescan: takes a new query.
#[pg_guard]
pub unsafe extern "C-unwind" fn rescan(
    scan: pg_sys::IndexScanDesc,
    keys: pg_sys::ScanKey,
    _nkeys: c_int,
    orderbys: pg_sys::ScanKey,
    _norderbys: c_int,
) {
    // SAFETY: the scan was made by `begin`, so `opaque` is a ScanState. PostgreSQL passes as many keys as it announced, or none to keep the
    // old ones.
    unsafe {
        if !keys.is_null() && (*scan).numberOfKeys > 0 {
            std::ptr::copy(keys, (*scan).keyData, (*scan).numberOfKeys as usize);
        }
        if !orderbys.is_null() && (*scan).numberOfOrderBys > 0 {
            std::ptr::copy(orderbys, (*scan).orderByData, (*scan).numberOfOrderBys as usize);
        }
        *(*scan).opaque.cast::<ScanState>() = ScanState::NEW;
    }
}

/// amgettuple: the next row.
#[pg_guard]
pub unsafe extern "C-unwind" fn next(
    scan: pg_sys::IndexScanDesc,
    _direction: pg_sys::ScanDirection::Type,
) -> bool {
    // SAFETY: the scan was made by `begin`, so `opaque` is a ScanState that nobody else uses, and its index is open.
    let (scan, state, index) = unsafe {
        (&mut *scan, &mut *(*scan).opaque.cast::<ScanState>(), IndexRelation::new((*scan).indexRelation))
    };
    if !state.is_started {
        state.is_started = true;
        // SAFETY: the scan was made by `begin`, and `rescan` has filled in its keys; its index is open.
        unsafe {
            compat::count_index_scan(scan);
            start_search(scan, &index, state);
        }
    }
    // SAFETY: a scan that returns rows has a snapshot; `start_search` has read its kind.
    let snapshot = unsafe { &*scan.xs_snapshot };
    let Some((tid, distance)) = state.next(&index, snapshot).or_report() else { return false };
    scan.xs_heaptid = item_pointer(tid);
    // With a query of another model, that would raise the error for rows that the rest of WHERE drops.
    scan.xs_recheck = state.has_condition && !matches!(distance, Distance::ModelMismatch);
    // To recheck, the executor computes the distance before it tests WHERE. With a query of another model that would raise an error for rows
    // that WHERE drops, so those are returned as if the distance were exact: the first to compute it is then the target list.
    scan.xs_recheckorderby = !matches!(distance, Distance::ModelMismatch);
    // Nothing is known of a second distance in ORDER BY, but that it is not below 0, and null where the row has no embedding.
    for i in 0..scan.numberOfOrderBys as usize {
        let (lower_bound, is_null) = match distance {
            Distance::AtLeast(bound) if i == 0 => (bound, false),
            Distance::AtLeast(_) | Distance::ModelMismatch => (0.0, false),
            Distance::NullQuery => (0.0, i == 0),
            Distance::NoEmbedding => (0.0, true),
        };
        // SAFETY: `begin` made room for a value and a flag of each ORDER BY operator.
        unsafe {
            *scan.xs_orderbyvals.add(i) = pg_sys::Datum::from(lower_bound.to_bits());
            *scan.xs_orderbynulls.add(i) = is_null;
        }
    }
    true
}

/// Reads query and condition, and makes a cursor for them: none if the condition is null, which no row meets.
///
/// # Safety
/// `scan` must have been made by [`begin`], and its keys filled in by [`rescan`].
unsafe fn start_search(scan: &pg_sys::IndexScanDescData, index: &IndexRelation, state: &mut ScanState) {
    if scan.numberOfOrderBys < 1 && scan.numberOfKeys < 1 {
        let what = "can only be read in the order of a distance, or up to one";
        Err(index.error(ErrorKind::Unsupported, what)).or_report()
    }
    state.has_condition = scan.numberOfKeys > 0;
    // No pins are kept between calls, so VACUUM may remove a row that the scan is about to return, and another row take its TID. An MVCC
    // snapshot does not see the new row; any other kind might.
    // SAFETY: the scan has a snapshot, and as many keys as it says.
    unsafe {
        let kind = (*scan.xs_snapshot).snapshot_type;
        if kind != pg_sys::SnapshotType::SNAPSHOT_MVCC && kind != pg_sys::SnapshotType::SNAPSHOT_HISTORIC_MVCC
        {
            Err(index.error(ErrorKind::Unsupported, "can only be read with an MVCC snapshot")).or_report()
        }
        // Of several conditions the first ends the scan; the executor tests all of them.
        let ball = match state.has_condition.then(|| &*scan.keyData) {
            Some(key) if is_null(key) => return,
            Some(key) => match Ball::from_raw(key.sk_argument) {
                None => return,
                ball => ball,
            },
            None => None,
        };
        let ball = ball.map(|ball| (ball.query(), ball.limit));
        let (query, limit) = match (scan.numberOfOrderBys > 0).then(|| &*scan.orderByData) {
            Some(key) if is_null(key) => {
                state.is_query_null = true;
                state.cursor = Some(Cursor::unordered());
                notice_null_query(
                    "the query is null, so rows come in no particular order",
                    "A subquery that found no row, or a row without an embedding, gives NULL.",
                );
                return;
            }
            Some(key) => {
                let query = order_query(key);
                // The planner has the scan end only where both are the same expression, but only their values say so for certain.
                let limit = ball.filter(|(centre, _)| *centre == query).map_or(f64::INFINITY, |ball| ball.1);
                (query, limit)
            }
            None => match ball {
                Some(ball) => ball,
                None => return,
            },
        };
        // Without ORDER BY the condition says which rows there are, and a setting must not.
        let mode = if scan.numberOfOrderBys > 0 { mode() } else { SearchMode::Exact };
        state.asked_recall = mode.recall();
        state.cursor = Some(Cursor::new(query, mode).up_to(limit));
    }
}

fn is_null(key: &pg_sys::ScanKeyData) -> bool {
    key.sk_flags & pg_sys::SK_ISNULL as i32 != 0
}

/// The query of an ORDER BY operator.
///
/// # Safety
/// The key must hold a datum of its operator's right type that is not null.
unsafe fn order_query(key: &pg_sys::ScanKeyData) -> Query {
    // SAFETY: as the caller promises; the strategy tells the type.
    unsafe {
        if key.sk_strategy == EMBEDDING_STRATEGY {
            let embedding = CoopVec::from_raw(key.sk_argument);
            let embedding = embedding.view();
            let target = memory::collect(embedding.values.iter().map(|v| v.to_f32())).or_report();
            Query::superspace(embedding.layout, target).or_report()
        } else {
            CoopQuery::from_raw(key.sk_argument).view().to_query()
        }
    }
}

/// How exact the settings want a search to be.
fn mode() -> SearchMode {
    match (guc::candidates(), guc::recall()) {
        (0, recall) if recall < 1.0 => SearchMode::Recall(recall),
        (0, _) => SearchMode::Exact,
        (candidates, _) => SearchMode::Candidates(candidates),
    }
}

/// The strategy number of `coopvec <-> coopvec` in the operator class; 2 is `coopvec <-> coopquery`, 3 `coopvec <@
/// coopembed.ball` (sql/current/am.sql).
const EMBEDDING_STRATEGY: u16 = 1;

/// amendscan: frees the search. The rest goes with the scan's memory context.
#[pg_guard]
pub unsafe extern "C-unwind" fn end(scan: pg_sys::IndexScanDesc) {
    // SAFETY: the scan was made by `begin`, so `opaque` is a ScanState.
    unsafe { (*(*scan).opaque.cast::<ScanState>()).cursor = None };
}
