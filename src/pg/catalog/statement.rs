//! Statements on the catalogue: read-only ones with plans kept for the session, and the switch to the tables' owner.

use crate::error::{Error, Kind};
use crate::memory;
use crate::pg::ereport::raise;
use crate::pg::run_as::RunAs;
use crate::pg::{OrReport, Text};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::Cell;
use std::ffi::{c_char, CStr};

/// Acts as the owner of the catalogue's tables until dropped.
pub struct AsOwner {
    _role: RunAs,
}

impl AsOwner {
    /// Switches.
    pub fn enter() -> Self {
        Self { _role: RunAs::local(owner_of(super::relation(c"models"))) }
    }
}

fn owner_of(relation: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: the tuple is checked before it is read and released after.
    unsafe {
        let tuple =
            pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, pg_sys::Datum::from(relation));
        if tuple.is_null() {
            raise(Error::new(Kind::Internal, format!("relation {relation} does not exist")));
        }
        let owner = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>()).relowner;
        pg_sys::ReleaseSysCache(tuple);
        owner
    }
}

/// A SELECT on the catalogue. It runs in the snapshot of the statement that asks, as a STABLE function must, and
/// changes nothing, so it works in parallel workers and on a hot standby too.
pub struct Select {
    sql: &'static CStr,
    arguments: &'static [pg_sys::Oid],
    plan: Cell<pg_sys::SPIPlanPtr>,
}

// SAFETY: a server process has one thread that calls PostgreSQL, and only that one runs statements.
unsafe impl Sync for Select {}

impl Select {
    /// The statement and the types of its `$1`, `$2`...; planned when first run.
    pub const fn new(sql: &'static CStr, arguments: &'static [pg_sys::Oid]) -> Self {
        Self { sql, arguments, plan: Cell::new(std::ptr::null_mut()) }
    }

    /// Runs it and makes a value of each row.
    pub fn rows<T>(&self, arguments: &[Option<pg_sys::Datum>], mut row: impl FnMut(&Row) -> T) -> Vec<T> {
        debug_assert_eq!(arguments.len(), self.arguments.len());
        let mut values: Vec<pg_sys::Datum> =
            arguments.iter().map(|a| a.unwrap_or_else(|| pg_sys::Datum::from(0))).collect();
        let nulls: Vec<c_char> =
            arguments.iter().map(|a| if a.is_some() { b' ' } else { b'n' } as c_char).collect();
        let _owner = AsOwner::enter();
        // SAFETY: the plan takes these arguments; the table of results is read before SPI_finish frees it, and
        // whatever `row` makes of it is owned by Rust.
        unsafe {
            self.check(pg_sys::SPI_connect());
            let plan = self.plan();
            self.check(pg_sys::SPI_execute_plan(plan, values.as_mut_ptr(), nulls.as_ptr(), true, 0));
            let (table, count) = (pg_sys::SPI_tuptable, pg_sys::SPI_processed as usize);
            let rows = (0..count)
                .map(|i| row(&Row { tuple: *(*table).vals.add(i), descriptor: (*table).tupdesc }))
                .collect();
            pg_sys::SPI_finish();
            rows
        }
    }

    /// Runs it and makes a value of the first row.
    pub fn first<T>(&self, arguments: &[Option<pg_sys::Datum>], row: impl FnMut(&Row) -> T) -> Option<T> {
        self.rows(arguments, row).into_iter().next()
    }

    fn plan(&self) -> pg_sys::SPIPlanPtr {
        if self.plan.get().is_null() {
            let mut types = self.arguments.to_vec();
            // SAFETY: we are connected; the plan is kept before it is remembered.
            unsafe {
                let plan = pg_sys::SPI_prepare(self.sql.as_ptr(), types.len() as i32, types.as_mut_ptr());
                if plan.is_null() {
                    self.check(pg_sys::SPI_result);
                }
                self.check(pg_sys::SPI_keepplan(plan));
                self.plan.set(plan);
            }
        }
        self.plan.get()
    }

    fn check(&self, code: i32) {
        if code < 0 {
            raise(
                Error::new(Kind::Internal, format!("a lookup in the catalogue failed with SPI code {code}"))
                    .detail(self.sql.to_string_lossy()),
            );
        }
    }
}

/// A row of a result; columns count from 1.
pub struct Row {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl Row {
    /// A column, or `None` for NULL. `T` must own what it holds: a number, a `Vec<u8>`.
    pub fn get<T: FromDatum + 'static>(&self, column: i32) -> Option<T> {
        let datum = self.datum(column)?;
        // SAFETY: the statement gives this column the type that the caller reads.
        unsafe { T::from_datum(datum, false) }
    }

    /// A column that the table declares NOT NULL.
    pub fn expect<T: FromDatum + 'static>(&self, column: i32) -> T {
        match self.get(column) {
            Some(value) => value,
            None => raise(Error::new(Kind::Internal, format!("column {column} of the catalogue is null"))),
        }
    }

    /// A text that the table declares NOT NULL.
    pub fn text(&self, column: i32) -> String {
        match self.nullable_text(column) {
            Some(text) => text,
            None => raise(Error::new(Kind::Internal, format!("column {column} of the catalogue is null"))),
        }
    }

    /// A text, or `None` for NULL.
    pub fn nullable_text(&self, column: i32) -> Option<String> {
        let datum = self.datum(column)?;
        // SAFETY: the statement gives this column as a text; what is read of it is copied.
        unsafe { Text::from_datum(datum, false) }.map(Text::into_owned)
    }

    /// Numbers, or `None` for NULL.
    pub fn numbers(&self, column: i32) -> Option<Vec<f32>> {
        let datum = self.datum(column)?;
        // SAFETY: the statement gives this column as a real[]; what is read of it is copied.
        let numbers = unsafe { Array::<f32>::from_datum(datum, false) }?;
        Some(memory::collect(numbers.iter().map(Option::unwrap_or_default)).or_report())
    }

    /// Hands a bytea's bytes to `f`, and keeps no copy.
    pub fn with_bytes<T>(&self, column: i32, f: impl FnOnce(&[u8]) -> T) -> T {
        let Some(datum) = self.datum(column) else { return f(&[]) };
        // SAFETY: the statement gives this column as a bytea; a copy that detoasting made is ours to free.
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

    /// A column's raw value; lives as long as the row.
    pub fn datum(&self, column: i32) -> Option<pg_sys::Datum> {
        let mut null = false;
        // SAFETY: tuple and descriptor are those of a result that has not been freed.
        let datum = unsafe { pg_sys::SPI_getbinval(self.tuple, self.descriptor, column, &mut null) };
        (!null).then_some(datum)
    }
}
