//! ANALYZE of embeddings and queries: PostgreSQL's own statistics without the values. It counts nulls and distinct values, which GROUP BY, DISTINCT
//! and `=` are planned by; most common values and a histogram would be megabytes of numbers that no plan needs.

use crate::pg::fmgr::fmgr_functions;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::pg_sys::{self, AnalyzeAttrComputeStatsFunc, AnalyzeAttrFetchFunc, Datum, VacAttrStats};
use pgrx::prelude::*;
use std::ffi::{c_int, c_void};

/// What PostgreSQL would compute, and what it needs for it.
struct Standard {
    compute: AnalyzeAttrComputeStatsFunc,
    data: *mut c_void,
}

fmgr_functions! {
    /// Says how a column is analysed: `(internal)`, a VacAttrStats. False if it is not to be.
    fn coop_typanalyze(call) {
        // SAFETY: declared STRICT with one argument of type internal, which only ANALYZE can pass. The memory lives as long as the column's analysis.
        unsafe {
            let stats = call.arg(0).cast_mut_ptr::<VacAttrStats>();
            if !pg_sys::std_typanalyze(stats) {
                return Datum::from(false);
            }
            let standard = pg_sys::MemoryContextAlloc((*stats).anl_context, size_of::<Standard>()).cast::<Standard>();
            standard.write(Standard { compute: (*stats).compute_stats, data: (*stats).extra_data });
            (*stats).compute_stats = Some(compute);
            (*stats).extra_data = standard.cast();
            Datum::from(true)
        }
    }
}

/// Computes PostgreSQL's statistics, and leaves out those that hold values.
#[pg_guard]
unsafe extern "C-unwind" fn compute(
    stats: *mut VacAttrStats,
    fetch: AnalyzeAttrFetchFunc,
    sample_rows: c_int,
    rows: f64,
) {
    // SAFETY: ANALYZE passes the VacAttrStats that `coop_typanalyze` has prepared.
    unsafe {
        let stats = &mut *stats;
        let standard = stats.extra_data.cast::<Standard>();
        let Some(compute) = (*standard).compute else { return };
        stats.extra_data = (*standard).data;
        pg_guard_ffi_boundary(|| compute(stats, fetch, sample_rows, rows));
        stats.extra_data = standard.cast();
        for slot in 0..stats.stakind.len() {
            if stats.numvalues[slot] > 0 {
                (stats.stakind[slot], stats.numvalues[slot], stats.numnumbers[slot]) = (0, 0, 0);
            }
        }
    }
}
