//! Answering `ORDER BY emb <-> query`: lower bounds in order; the executor computes the distance itself and reorders.

use super::storage::{item_pointer, refuse, Index};
use super::{last_scan, model};
use crate::error::Kind as ErrorKind;
use crate::index::{Cursor, Meta, PageResult, SearchMode, Tid};
use crate::memory;
use crate::pg::guc;
use crate::pg::{CoopQuery, CoopVec, OrReport};
use crate::space::Query;
use pgrx::prelude::*;
use pgrx::{pg_sys, PgMemoryContexts};
use std::ffi::c_int;

/// A scan between two calls. It holds no lock and no pin.
struct Scan {
    /// None before the first row, and of an index that never had one.
    cursor: Option<Cursor>,
    /// The query has been looked at.
    started: bool,
    /// The query is null, and so are all distances.
    null: bool,
    /// Rows without an embedding, once all others have been returned.
    nulls: Option<std::vec::IntoIter<Tid>>,
    /// The metapage's counter when the snapshot was last found to be young enough.
    seen: Option<u32>,
}

/// What is known of a row's distance.
enum Distance {
    /// It is not below this.
    AtLeast(f64),
    /// There is none: the query is null.
    Null,
    /// There is none: the query is another model's. Whoever computes it raises the error, for a row that is visible and wanted.
    Mismatch,
    /// There is none: the row has no embedding.
    NoEmbedding,
}

impl Scan {
    const NEW: Self = Self { cursor: None, started: false, null: false, nulls: None, seen: None };

    /// The next row, which `snapshot` may see or not.
    fn next(
        &mut self,
        index: &Index,
        snapshot: &pg_sys::SnapshotData,
    ) -> PageResult<Option<(Tid, Distance)>> {
        if let Some(cursor) = &mut self.cursor {
            let row = cursor.next(index)?;
            last_scan::keep(index, cursor.stats());
            if self.seen != cursor.reorganizations() {
                model::check_horizon(index, snapshot)?;
                self.seen = cursor.reorganizations();
            }
            if let Some((tid, bound)) = row {
                return Ok(Some((
                    tid,
                    match bound {
                        Some(bound) => Distance::AtLeast(bound),
                        None if self.null => Distance::Null,
                        None => Distance::Mismatch,
                    },
                )));
            }
            self.cursor = None;
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

/// Begins a scan.
#[pg_guard]
pub unsafe extern "C-unwind" fn begin(
    index: pg_sys::Relation,
    keys: c_int,
    orderbys: c_int,
) -> pg_sys::IndexScanDesc {
    // SAFETY: PostgreSQL passes an open index; the arrays are those that it expects of methods that order by operators.
    unsafe {
        let scan = pg_sys::RelationGetIndexScan(index, keys, orderbys);
        let state = Scan::NEW;
        (*scan).opaque = PgMemoryContexts::CurrentMemoryContext.leak_and_drop_on_delete(state).cast();
        (*scan).xs_orderbyvals = pg_sys::palloc0(size_of::<pg_sys::Datum>() * orderbys as usize).cast();
        (*scan).xs_orderbynulls = pg_sys::palloc0(orderbys as usize).cast();
        scan
    }
}

/// Takes a new query.
#[pg_guard]
pub unsafe extern "C-unwind" fn rescan(
    scan: pg_sys::IndexScanDesc,
    _keys: pg_sys::ScanKey,
    _nkeys: c_int,
    orderbys: pg_sys::ScanKey,
    _norderbys: c_int,
) {
    // SAFETY: the scan is one of ours; PostgreSQL passes as many keys as it announced, or none to keep the old ones.
    unsafe {
        if !orderbys.is_null() && (*scan).numberOfOrderBys > 0 {
            std::ptr::copy(orderbys, (*scan).orderByData, (*scan).numberOfOrderBys as usize);
        }
        let state = &mut *(*scan).opaque.cast::<Scan>();
        *state = Scan::NEW;
    }
}

/// The next row.
#[pg_guard]
pub unsafe extern "C-unwind" fn next(
    scan: pg_sys::IndexScanDesc,
    _direction: pg_sys::ScanDirection::Type,
) -> bool {
    // SAFETY: the scan is one of ours, and its index is open.
    let (scan, state, index) =
        unsafe { (&mut *scan, &mut *(*scan).opaque.cast::<Scan>(), Index::new((*scan).indexRelation)) };
    if !state.started {
        state.started = true;
        // SAFETY: as above.
        unsafe { open(scan, &index, state) };
    }
    // SAFETY: the scan has a snapshot, as `open` has seen.
    let snapshot = unsafe { &*scan.xs_snapshot };
    let Some((tid, distance)) = state.next(&index, snapshot).or_report() else { return false };
    scan.xs_heaptid = item_pointer(tid);
    scan.xs_recheck = false;
    // The executor would compute distances of rows that WHERE is about to drop. Without it, the first to be computed is that of a row that
    // is wanted, and has none.
    scan.xs_recheckorderby = !matches!(distance, Distance::Mismatch);
    // Of a second distance in ORDER BY nothing is known but that it is not below 0, and null without an embedding.
    for i in 0..scan.numberOfOrderBys as usize {
        let (least, null) = match distance {
            Distance::AtLeast(bound) if i == 0 => (bound, false),
            Distance::AtLeast(_) | Distance::Mismatch => (0.0, false),
            Distance::Null => (0.0, i == 0),
            Distance::NoEmbedding => (0.0, true),
        };
        // SAFETY: `begin` made room for a value of each ORDER BY.
        unsafe {
            *scan.xs_orderbyvals.add(i) = pg_sys::Datum::from(least.to_bits());
            *scan.xs_orderbynulls.add(i) = null;
        }
    }
    true
}

/// Looks at the query.
///
/// # Safety
/// `scan` must be one of ours.
unsafe fn open(scan: &pg_sys::IndexScanDescData, index: &Index, state: &mut Scan) {
    if scan.numberOfOrderBys < 1 {
        Err(refuse(index, ErrorKind::Unsupported, "can only be read in the order of a distance")).or_report()
    }
    // No pins are kept between calls, so VACUUM may remove a row that a scan is about to return, and another take its
    // place. A snapshot of MVCC does not see the other; any other kind might.
    // SAFETY: the scan has a snapshot; its key holds a datum of the operator's right type.
    unsafe {
        let kind = (*scan.xs_snapshot).snapshot_type;
        if kind != pg_sys::SnapshotType::SNAPSHOT_MVCC && kind != pg_sys::SnapshotType::SNAPSHOT_HISTORIC_MVCC
        {
            Err(refuse(index, ErrorKind::Unsupported, "can only be read with an MVCC snapshot")).or_report()
        }
        let key = &*scan.orderByData;
        let query = if key.sk_flags & pg_sys::SK_ISNULL as i32 != 0 {
            state.null = true;
            state.cursor = Some(Cursor::unordered());
            return;
        } else if key.sk_strategy == EMBEDDING_STRATEGY {
            let embedding = CoopVec::from_raw(key.sk_argument);
            let embedding = embedding.view();
            let target = memory::collect(embedding.values.iter().map(|v| v.to_f32())).or_report();
            Query::superspace(embedding.layout, target).or_report()
        } else {
            CoopQuery::from_raw(key.sk_argument).view().to_query()
        };
        let mode = match guc::probes() {
            0 => SearchMode::Exact,
            candidates => SearchMode::Approximate { candidates },
        };
        state.cursor = Some(Cursor::new(query, mode));
    }
}

/// The strategy of `coopvec <-> coopvec`; 2 is that of `coopvec <-> coopquery` (sql/index.sql).
const EMBEDDING_STRATEGY: u16 = 1;

/// Ends a scan.
#[pg_guard]
pub unsafe extern "C-unwind" fn end(scan: pg_sys::IndexScanDesc) {
    // SAFETY: the scan is one of ours.
    unsafe { (*(*scan).opaque.cast::<Scan>()).cursor = None };
}
