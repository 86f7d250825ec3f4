//! The one place where an [`Error`] becomes PostgreSQL's `ereport(ERROR)`.

use super::encoding::{converts, message};
use crate::error::{Error, Kind, Result};
use pgrx::pg_sys::panic::{CaughtError, ErrorReport};
use pgrx::prelude::*;
use std::panic::AssertUnwindSafe;

/// Unwraps a [`Result`] or raises its error.
pub trait OrReport<T> {
    /// The value, or `ereport(ERROR)` with SQLSTATE, DETAIL and HINT.
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

/// Raises `error`; PostgreSQL rolls the statement back.
#[cold]
pub fn raise(error: Error) -> ! {
    report(error, PgLogLevel::ERROR);
    unreachable!("ereport(ERROR) does not return")
}

/// Runs `f`, in which code of users may raise errors. pgrx takes an error's texts to be UTF-8 and has U+FFFD for what is not; in a database of
/// another encoding its bytes are no text at all, so that `?` takes its place.
pub fn with_readable_errors<T>(f: impl FnOnce() -> T) -> T {
    let readable = |text: &str| text.replace(char::REPLACEMENT_CHARACTER, "?");
    PgTryBuilder::new(AssertUnwindSafe(f))
        .catch_others(|error| match error {
            CaughtError::PostgresError(e) if converts() => {
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

/// Raises an error and catches it, when the library is loaded. What Rust, pgrx and we keep for a thread is made when it is first needed, and
/// glibc aborts the process where it cannot note that such a thing is to be dropped. From then on an error needs none of that, however
/// short memory is.
pub fn rehearse() {
    PgTryBuilder::new(|| raise(Error::new(Kind::Internal, "rehearsal"))).catch_others(|_| ()).execute();
}

/// Tells the client of `error`, and goes on.
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
        Kind::Conflict => PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
        Kind::OutOfMemory => PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
        Kind::Io => PgSqlErrorCode::ERRCODE_IO_ERROR,
        Kind::Corrupted => PgSqlErrorCode::ERRCODE_INDEX_CORRUPTED,
        Kind::Internal => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
    }
}
