//! A row of an SPI result.

use super::ereport::raise;
use super::{OrReport, Text};
use crate::error::{Error, Kind};
use crate::memory;
use pgrx::itemptr::item_pointer_to_u64;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// A row of an SPI result that has not been freed. Columns count from 1.
pub struct SpiRow {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl SpiRow {
    /// A row of `SPI_tuptable`.
    ///
    /// # Safety
    /// Tuple and descriptor must belong together and outlive the row, and the methods may be called only for columns whose types are
    /// those that they read.
    pub unsafe fn new(tuple: pg_sys::HeapTuple, descriptor: pg_sys::TupleDesc) -> Self {
        Self { tuple, descriptor }
    }

    /// A column, or `None` for NULL. `T` must own its contents: a number, a `Vec<u8>`.
    pub fn get<T: FromDatum + 'static>(&self, column: i32) -> Option<T> {
        let datum = self.datum(column)?;
        // SAFETY: whoever made this row promised that the column's type is the one that is read.
        unsafe { T::from_datum(datum, false) }
    }

    /// A column that is never NULL.
    pub fn expect<T: FromDatum + 'static>(&self, column: i32) -> T {
        self.get(column).unwrap_or_else(|| unexpected_null(column))
    }

    /// A text that is never NULL.
    pub fn text(&self, column: i32) -> String {
        let Some(datum) = self.datum(column) else { unexpected_null(column) };
        // SAFETY: whoever made this row promised that the column is a text; what is read of it is copied.
        unsafe { Text::from_datum(datum, false) }.map_or_else(|| unexpected_null(column), Text::into_owned)
    }

    /// The numbers of a `real[]`, or `None` for NULL.
    pub fn numbers(&self, column: i32) -> Option<Vec<f32>> {
        let datum = self.datum(column)?;
        // SAFETY: whoever made this row promised that the column is a real[]; what is read of it is copied.
        let numbers = unsafe { Array::<f32>::from_datum(datum, false) }?;
        Some(memory::collect(numbers.iter().map(Option::unwrap_or_default)).or_report())
    }

    /// A `tid` that is never NULL, as pgrx packs it into a number: block, then offset.
    pub fn tid(&self, column: i32) -> u64 {
        let Some(datum) = self.datum(column) else { unexpected_null(column) };
        // SAFETY: whoever made this row promised that the column is a tid, which is passed by reference.
        item_pointer_to_u64(unsafe { *datum.cast_mut_ptr() })
    }

    /// Calls `f` with the bytes of a `bytea`, which are not copied unless they were compressed or stored out of line. NULL is no bytes.
    pub fn with_bytes<T>(&self, column: i32, f: impl FnOnce(&[u8]) -> T) -> T {
        let Some(datum) = self.datum(column) else { return f(&[]) };
        // SAFETY: whoever made this row promised that the column is a bytea.
        unsafe { with_bytes(datum, f) }
    }

    /// A column's raw value, which lives as long as the row.
    pub fn datum(&self, column: i32) -> Option<pg_sys::Datum> {
        let mut null = false;
        // SAFETY: tuple and descriptor are those of a result that has not been freed.
        let datum = unsafe { pg_sys::SPI_getbinval(self.tuple, self.descriptor, column, &mut null) };
        (!null).then_some(datum)
    }
}

fn unexpected_null(column: i32) -> ! {
    raise(Error::new(Kind::Internal, format!("column {column} of the result is null")))
}

/// Calls `f` with the bytes of a varlena, and frees the copy that detoasting made, if it did.
///
/// # Safety
/// The datum must be a varlena.
pub unsafe fn with_bytes<T>(datum: pg_sys::Datum, f: impl FnOnce(&[u8]) -> T) -> T {
    // SAFETY: the caller promises a varlena; nothing else refers to a copy.
    unsafe {
        let stored = datum.cast_mut_ptr::<pg_sys::varlena>();
        let flat = pg_sys::pg_detoast_datum_packed(stored);
        let result = f(pgrx::varlena::varlena_to_byte_slice(flat));
        if flat != stored {
            pg_sys::pfree(flat.cast());
        }
        result
    }
}
