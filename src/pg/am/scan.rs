//! Answering `ORDER BY emb <-> query`: lower bounds in order; the executor computes the distance itself and reorders.

use super::report;
use super::storage::{item_pointer, refuse, Index};
use crate::error::Kind as ErrorKind;
use crate::index::{Cursor, Meta, Mode, Read, Tid};
use crate::pg::settings;
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
}

impl Scan {
    const NEW: Self = Self { cursor: None, started: false, null: false, nulls: None };

    /// The next row, and a bound of its distance if it has one.
    fn next(&mut self, index: &Index) -> Read<Option<(Tid, Option<f64>)>> {
        if let Some(cursor) = &mut self.cursor {
            let row = cursor.next(index)?;
            report::keep(index, cursor.stats());
            if let Some((tid, bound)) = row {
                return Ok(Some((tid, (!self.null).then_some(bound))));
            }
            self.cursor = None;
        }
        let nulls = match &mut self.nulls {
            Some(nulls) => nulls,
            none => {
                let mut tids = Vec::new();
                Meta::read(index)?.scan_nulls(index, &mut |_, page| tids.extend(page))?;
                none.insert(tids.into_iter())
            }
        };
        Ok(nulls.next().map(|tid| (tid, None)))
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
    let Some((tid, bound)) = state.next(&index).or_report() else { return false };
    scan.xs_heaptid = item_pointer(tid);
    scan.xs_recheck = false;
    scan.xs_recheckorderby = true;
    // Of a second distance in ORDER BY nothing is known but that it is not below 0, and null without an embedding.
    let null_row = bound.is_none() && !state.null;
    for i in 0..scan.numberOfOrderBys as usize {
        let least = if i == 0 { bound.unwrap_or(0.0) } else { 0.0 };
        // SAFETY: `begin` made room for a value of each ORDER BY.
        unsafe {
            *scan.xs_orderbyvals.add(i) = pg_sys::Datum::from(least.to_bits());
            *scan.xs_orderbynulls.add(i) = null_row || bound.is_none() && i == 0;
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
            let Some(layout) = index.meta().or_report().layout else { return };
            Query::superspace(layout, vec![0.0; layout.dimensions()]).or_report()
        } else if key.sk_strategy == EMBEDDING_STRATEGY {
            let embedding = CoopVec::from_raw(key.sk_argument);
            let embedding = embedding.view();
            Query::superspace(embedding.layout, embedding.to_f32()).or_report()
        } else {
            CoopQuery::from_raw(key.sk_argument).view().to_query()
        };
        let mode = match settings::probes() {
            0 => Mode::Exact,
            candidates => Mode::Approximate { candidates },
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
