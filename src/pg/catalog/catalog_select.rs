//! A SELECT on the catalogue, run as the owner of its tables, with its plan kept for the session.

use super::owner::AsCatalogOwner;
use crate::error::{Error, Kind};
use crate::pg::ereport::raise;
use crate::pg::spi_row::SpiRow;
use pgrx::pg_sys;
use std::cell::Cell;
use std::ffi::{c_char, CStr};

/// A SELECT on the catalogue. It uses the snapshot of the statement that calls it, as a STABLE function must, and changes nothing; so it
/// also works in parallel workers and on a hot standby.
pub struct CatalogSelect {
    sql: &'static CStr,
    argument_types: &'static [pg_sys::Oid],
    plan: Cell<pg_sys::SPIPlanPtr>,
}

// SAFETY: a server process has one thread that calls PostgreSQL, and only that one runs statements.
unsafe impl Sync for CatalogSelect {}

impl CatalogSelect {
    /// The statement, and the types of its `$1`, `$2`... It is planned when it first runs.
    pub const fn new(sql: &'static CStr, argument_types: &'static [pg_sys::Oid]) -> Self {
        Self { sql, argument_types, plan: Cell::new(std::ptr::null_mut()) }
    }

    /// Runs the statement and makes a value of each row.
    pub fn rows<T>(&self, arguments: &[Option<pg_sys::Datum>], mut make: impl FnMut(&SpiRow) -> T) -> Vec<T> {
        debug_assert_eq!(arguments.len(), self.argument_types.len());
        let mut values: Vec<pg_sys::Datum> =
            arguments.iter().map(|a| a.unwrap_or_else(|| pg_sys::Datum::from(0))).collect();
        let nulls: Vec<c_char> =
            arguments.iter().map(|a| if a.is_some() { b' ' } else { b'n' } as c_char).collect();
        let _owner = AsCatalogOwner::enter();
        // SAFETY: values and nulls are as many as the plan's arguments. The table of results is read before SPI_finish frees it, and
        // what `make` returns owns its memory: SpiRow copies.
        unsafe {
            self.check(pg_sys::SPI_connect());
            let plan = self.plan();
            self.check(pg_sys::SPI_execute_plan(plan, values.as_mut_ptr(), nulls.as_ptr(), true, 0));
            let (table, count) = (pg_sys::SPI_tuptable, pg_sys::SPI_processed as usize);
            let rows =
                (0..count).map(|i| make(&SpiRow::new(*(*table).vals.add(i), (*table).tupdesc))).collect();
            pg_sys::SPI_finish();
            rows
        }
    }

    /// Runs the statement and makes a value of the first row.
    pub fn first<T>(&self, arguments: &[Option<pg_sys::Datum>], make: impl FnMut(&SpiRow) -> T) -> Option<T> {
        self.rows(arguments, make).into_iter().next()
    }

    fn plan(&self) -> pg_sys::SPIPlanPtr {
        if self.plan.get().is_null() {
            let mut types = self.argument_types.to_vec();
            // SAFETY: SPI is connected. SPI_keepplan moves the plan to memory that lives as long as the session before it is stored.
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
