//! Rows of a table as PostgreSQL's table_index_build_scan shows them to an index: for builds, their sample, and checks.

use super::relation::tid;
use crate::error::Result;
use crate::index::Tid;
use crate::pg::{CoopVec, OrReport};
use crate::space::EmbeddingRef;
use pgrx::pg_sys;
use std::ffi::c_void;

/// Takes the rows of a table scan, one at a time.
pub trait RowSink {
    /// A row, and its value in the indexed column. A row that is not alive has been deleted, but older snapshots may see it.
    ///
    /// # Errors
    /// Ends the scan and becomes the statement's error.
    fn row(&mut self, tid: Tid, embedding: Option<EmbeddingRef<'_>>, alive: bool) -> Result<()>;
}

/// PostgreSQL's IndexBuildCallback for a sink `S`.
///
/// # Safety
/// PostgreSQL must call it with the row's TID, one value and one null flag. `state` must point to an `S` that nobody else uses.
pub unsafe extern "C-unwind" fn build_callback<S: RowSink>(
    _relation: pg_sys::Relation,
    row: pg_sys::ItemPointer,
    values: *mut pg_sys::Datum,
    nulls: *mut bool,
    alive: bool,
    state: *mut c_void,
) {
    let show = || {
        pgrx::check_for_interrupts!();
        // SAFETY: the caller promises a TID, one value with its null flag, and a sink of its own.
        unsafe {
            let sink = &mut *state.cast::<S>();
            if *nulls {
                sink.row(tid(*row), None, alive).or_report();
            } else {
                let embedding = CoopVec::from_raw(*values);
                sink.row(tid(*row), Some(embedding.view()), alive).or_report();
            }
        }
    };
    // SAFETY: turns a panic into an error of PostgreSQL's, as `#[pg_guard]` does, which cannot be put on a generic function.
    unsafe { pgrx::pg_sys::panic::pgrx_extern_c_guard(std::panic::AssertUnwindSafe(show)) }
}
