//! Turns an [`Error`] into PostgreSQL's `ereport(ERROR)` with SQLSTATE, DETAIL and HINT. No other file does.

use super::encoding::{message, needs_conversion};
use crate::error::{Error, Kind, Result};
use pgrx::pg_sys::panic::{CaughtError, ErrorReport};
use pgrx::prelude::*;
use std::panic::AssertUnwindSafe;

/// Unwraps a [`Result`], or raises its error in PostgreSQL.
pub trait OrReport<T> {
    /// The value. An error does not return: PostgreSQL rolls the statement back.
    fn or_report(self) -> T;
}

impl<T> OrReport<T> for Result<T> {
    #[inline]
    fn or_report(self) -> T {
        match self {
            Ok(value) => value,
            Err(error) => raise(error),
        }
    }
}

/// Raises `error` in PostgreSQL, which rolls the statement back.
#[cold]
pub fn raise(error: Error) -> ! {
    report(error, PgLogLevel::ERROR);
    unreachable!("ereport(ERROR) does not return")
}

/// Runs `f`, in which users' code may raise errors. pgrx reads an error's texts as UTF-8, with U+FFFD for bytes that are not. In a database of
/// another encoding the bytes of U+FFFD would not be valid text, so they become `?`.
pub fn with_readable_errors<T>(f: impl FnOnce() -> T) -> T {
    let readable = |text: &str| text.replace(char::REPLACEMENT_CHARACTER, "?");
    PgTryBuilder::new(AssertUnwindSafe(f))
        .catch_others(|error| match error {
            CaughtError::PostgresError(e) if needs_conversion() => {
                let mut report = ErrorReport::new(e.sql_error_code(), readable(e.message()), "coopembed");
                if let Some(detail) = e.detail() {
                    report = report.set_detail(readable(detail));
                }
                if let Some(hint) = e.hint() {
                    report = report.set_hint(readable(hint));
                }
                report.report(PgLogLevel::ERROR);
                unreachable!("ereport(ERROR) does not return")
            }
            other => other.rethrow(),
        })
        .execute()
}

/// Raises an error and catches it, when the library is loaded. Thread-local variables of Rust, pgrx and this crate are made on first use, and
/// glibc aborts the process if there is no memory to register their destructors. After this, raising an error needs no such memory.
///
/// Rust looks at this moment, and never again, at whether errors are to have backtraces. pgrx would send them to the client as DETAIL, whoever it
/// is, because somebody has set RUST_BACKTRACE for the server: so they are to have none.
pub fn rehearse() {
    const NAME: &str = "RUST_LIB_BACKTRACE";
    let former = std::env::var_os(NAME);
    std::env::set_var(NAME, "0");
    PgTryBuilder::new(|| raise(Error::new(Kind::Internal, "rehearsal"))).catch_others(|_| ()).execute();
    match former {
        Some(value) => std::env::set_var(NAME, value),
        None => std::env::remove_var(NAME),
    }
}

/// Sends `error` to the client as a notice.
pub fn notice(error: Error) {
    report(error, PgLogLevel::NOTICE);
}

/// Sends `error` to the client as a warning.
pub fn warn(error: Error) {
    report(error, PgLogLevel::WARNING);
}

fn report(error: Error, level: PgLogLevel) {
    let mut report = ErrorReport::new(sqlstate(error.kind), message(error.message), "coopembed");
    if let Some(detail) = error.detail {
        report = report.set_detail(message(detail));
    }
    if let Some(hint) = error.hint {
        report = report.set_hint(message(hint));
    }
    report.report(level);
}

/// The SQLSTATE of each kind of error.
fn sqlstate(kind: Kind) -> PgSqlErrorCode {
    match kind {
        Kind::InvalidImage | Kind::InvalidData => PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
        Kind::LimitExceeded => PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        Kind::InvalidModel => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        Kind::Unsupported => PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
        Kind::UnknownName => PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        Kind::DuplicateName => PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
        Kind::Mismatch => PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
        Kind::InvalidText => PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION,
        Kind::InvalidBinary => PgSqlErrorCode::ERRCODE_INVALID_BINARY_REPRESENTATION,
        Kind::InvalidEncoding => PgSqlErrorCode::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
        Kind::Untranslatable => PgSqlErrorCode::ERRCODE_UNTRANSLATABLE_CHARACTER,
        Kind::InvalidParameter => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        Kind::Unavailable => PgSqlErrorCode::ERRCODE_CONNECTION_FAILURE,
        Kind::Busy => PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
        Kind::InUse => PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
        Kind::Conflict => PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
        Kind::OutOfMemory => PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
        Kind::Io => PgSqlErrorCode::ERRCODE_IO_ERROR,
        Kind::Corrupted => PgSqlErrorCode::ERRCODE_INDEX_CORRUPTED,
        Kind::Internal => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
    }
}
