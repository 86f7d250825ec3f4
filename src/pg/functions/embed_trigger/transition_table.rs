//! The rows that a statement has written, as its triggers see them.

use pgrx::pg_sys;
use std::ffi::c_int;

/// A transition table, read once, in the order in which the statement wrote its rows.
pub struct TransitionTable {
    rows: *mut pg_sys::Tuplestorestate,
    /// Our position in it; others may read it too.
    read_pointer: c_int,
    /// The row that [`TransitionTable::advance`] has found.
    slot: *mut pg_sys::TupleTableSlot,
}

impl TransitionTable {
    /// Before its first row.
    ///
    /// # Safety
    /// `rows` must be a transition table of a trigger that is being called, with rows of this descriptor.
    pub unsafe fn new(rows: *mut pg_sys::Tuplestorestate, descriptor: pg_sys::TupleDesc) -> Self {
        // SAFETY: the caller promises a tuplestore; PostgreSQL makes those of triggers so that they can be read again.
        unsafe {
            let read_pointer = pg_sys::tuplestore_alloc_read_pointer(rows, pg_sys::EXEC_FLAG_REWIND as c_int);
            pg_sys::tuplestore_select_read_pointer(rows, read_pointer);
            pg_sys::tuplestore_rescan(rows);
            let slot = pg_sys::MakeSingleTupleTableSlot(descriptor, &raw const pg_sys::TTSOpsMinimalTuple);
            Self { rows, read_pointer, slot }
        }
    }

    /// Number of rows.
    pub fn count(&self) -> i64 {
        // SAFETY: the tuplestore lives as long as the trigger's call.
        unsafe { pg_sys::tuplestore_tuple_count(self.rows) }
    }

    /// Goes on to the next row, if there is one. Values of the row before are gone.
    pub fn advance(&mut self) -> bool {
        // SAFETY: the tuplestore lives as long as the trigger's call; the slot is for its tuples.
        unsafe {
            pg_sys::tuplestore_select_read_pointer(self.rows, self.read_pointer);
            pg_sys::tuplestore_gettupleslot(self.rows, true, false, self.slot)
        }
    }

    /// The value of a column, from 1; `None` for null. It lives until [`TransitionTable::advance`].
    pub fn value(&self, column: i32) -> Option<pg_sys::Datum> {
        let index = usize::try_from(column - 1).ok()?;
        // SAFETY: the slot holds a row; its arrays have as many values as were taken out of the tuple.
        unsafe {
            if i32::from((*self.slot).tts_nvalid) < column {
                pg_sys::slot_getsomeattrs_int(self.slot, column);
            }
            (!*(*self.slot).tts_isnull.add(index)).then(|| *(*self.slot).tts_values.add(index))
        }
    }
}

impl Drop for TransitionTable {
    fn drop(&mut self) {
        // After an error PostgreSQL frees the slot with its memory.
        if !std::thread::panicking() {
            // SAFETY: the slot is ours.
            unsafe { pg_sys::ExecDropSingleTupleTableSlot(self.slot) }
        }
    }
}
