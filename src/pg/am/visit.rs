//! Rows of a table, as PostgreSQL shows them to an index.

use super::storage::tid;
use crate::error::Result;
use crate::index::Tid;
use crate::pg::{CoopVec, OrReport};
use crate::space::EmbeddingRef;
use pgrx::pg_sys;
use std::ffi::c_void;

/// Takes the rows of a table scan, one at a time.
pub trait Visitor {
    /// A row, and what it has in the indexed column. One that is not alive is deleted, and older snapshots may see it.
    ///
    /// # Errors
    /// What ends the scan, and becomes the statement's error.
    fn row(&mut self, tid: Tid, embedding: Option<EmbeddingRef<'_>>, alive: bool) -> Result<()>;
}

/// The callback that shows rows to a `V`.
///
/// # Safety
/// For PostgreSQL to call, with the row's TID, one value, one flag and, as state, a pointer to a `V` that nobody else uses.
pub unsafe extern "C-unwind" fn visit<V: Visitor>(
    _relation: pg_sys::Relation,
    row: pg_sys::ItemPointer,
    values: *mut pg_sys::Datum,
    nulls: *mut bool,
    alive: bool,
    state: *mut c_void,
) {
    let show = || {
        pgrx::check_for_interrupts!();
        // SAFETY: as promised.
        unsafe {
            let visitor = &mut *state.cast::<V>();
            if *nulls {
                visitor.row(tid(*row), None, alive).or_report();
            } else {
                let embedding = CoopVec::from_raw(*values);
                visitor.row(tid(*row), Some(embedding.view()), alive).or_report();
            }
        }
    };
    // SAFETY: what `#[pg_guard]` does, which knows no type parameters: a panic becomes an error of PostgreSQL's.
    unsafe { pgrx::pg_sys::panic::pgrx_extern_c_guard(std::panic::AssertUnwindSafe(show)) }
}
