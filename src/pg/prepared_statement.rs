//! A statement that runs for each of many rows.

use super::encoding::to_server;
use super::ereport::{raise, with_readable_errors};
use super::spi_row::SpiRow;
use super::OrReport;
use crate::error::{Error, Kind};
use crate::memory;
use pgrx::pg_sys;
use std::ffi::CString;

/// A statement with the caller's privileges. Its plan lives until SPI_finish.
pub struct PreparedStatement(pg_sys::SPIPlanPtr);

impl PreparedStatement {
    /// Prepares a statement with parameters of these types. SPI must be connected for as long as it is used.
    pub fn new(sql: &str, types: &[pg_sys::Oid]) -> Self {
        let text = server_c_string(sql);
        let mut types = types.to_vec();
        // SAFETY: the text and the types live during the call; without a connection, SPI_prepare returns null.
        let plan = with_readable_errors(|| unsafe {
            pg_sys::SPI_prepare(text.as_ptr(), types.len() as i32, types.as_mut_ptr())
        });
        if plan.is_null() {
            raise(Error::new(Kind::Internal, "a statement on the table could not be prepared").detail(sql));
        }
        Self(plan)
    }

    /// Runs the statement, makes a value of each row, and frees the rows.
    pub fn run<T>(&self, arguments: &[pg_sys::Datum], make: impl Fn(&SpiRow) -> T) -> Vec<T> {
        let mut values = arguments.to_vec();
        // SAFETY: the callers pass as many values as the plan has parameters, of their types, and read columns as the types that the
        // statement gives them. The rows are read before they are freed, and what `make` returns owns its memory: SpiRow copies.
        unsafe {
            let code = with_readable_errors(|| {
                pg_sys::SPI_execute_plan(self.0, values.as_mut_ptr(), std::ptr::null(), false, 0)
            });
            if code < 0 {
                raise(Error::new(
                    Kind::Internal,
                    format!("a statement on the table failed with SPI code {code}"),
                ));
            }
            let (table, count) = (pg_sys::SPI_tuptable, pg_sys::SPI_processed as usize);
            if table.is_null() {
                return Vec::new();
            }
            let mut rows = memory::with_capacity(count).or_report();
            rows.extend((0..count).map(|i| make(&SpiRow::new(*(*table).vals.add(i), (*table).tupdesc))));
            pg_sys::SPI_freetuptable(table);
            rows
        }
    }
}

/// A text as a C string in the database's encoding. A text of SQL contains no zero byte.
pub fn server_c_string(text: &str) -> CString {
    CString::new(to_server(text).or_report()).unwrap_or_default()
}
