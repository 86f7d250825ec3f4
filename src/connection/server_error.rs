//! Errors of PostgreSQL and of the connection to it.

use crate::error::{Error, Kind};
use std::error::Error as _;

/// An error of the server with its message, DETAIL and HINT, or of the connection.
pub fn server_error(e: &tokio_postgres::Error) -> Error {
    let Some(db) = e.as_db_error() else {
        return Error::new(Kind::Unavailable, with_causes(e))
            .hint("Is PostgreSQL running and reachable? Then try again.");
    };
    Error {
        kind: kind(db.code().code()),
        message: format!("{} (SQLSTATE {})", db.message(), db.code().code()),
        detail: db.detail().map(str::to_owned),
        hint: db.hint().map(str::to_owned),
    }
}

/// Whether a connection has dropped, or could not be made because the server starts, stops or is not there: another one may be had.
pub fn is_connection_lost(error: &Error) -> bool {
    let sqlstate = error.message.rsplit_once("(SQLSTATE ").map(|(_, code)| code);
    error.kind == Kind::Unavailable
        && sqlstate.is_none_or(|code| code.starts_with("57P") || code.starts_with("08"))
}

/// The kind that an SQLSTATE stands for, as far as the program distinguishes them.
fn kind(sqlstate: &str) -> Kind {
    match (sqlstate.get(..2).unwrap_or_default(), sqlstate) {
        (_, "42883" | "42P01" | "42704") => Kind::UnknownName,
        (_, "42710" | "23505") => Kind::DuplicateName,
        ("08" | "53" | "57", _) => Kind::Unavailable,
        ("40", _) => Kind::Conflict,
        _ => Kind::InvalidParameter,
    }
}

/// The message of an error, followed by those of its causes that it does not repeat.
pub fn with_causes(e: &tokio_postgres::Error) -> String {
    let mut message = e.to_string();
    let mut source = e.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !message.contains(&cause_text) {
            message = format!("{message}: {cause_text}");
        }
        source = cause.source();
    }
    message
}
