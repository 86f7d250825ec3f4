//! Why a request is not answered: an HTTP status, and the words that PostgreSQL or we have for it.

use crate::error::{Error, Kind};
use axum::extract::rejection::QueryRejection;
use axum::http::{header, StatusCode};
use axum::response::{IntoResponse, Response};
use deadpool_postgres::PoolError;
use serde::Serialize;
use std::error::Error as _;

/// An answer that is none, as JSON: `{"message": ..., "detail": ..., "hint": ..., "sqlstate": ...}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refusal {
    #[serde(skip)]
    status: StatusCode,
    /// One line.
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    /// PostgreSQL's code, if the server refused.
    sqlstate: Option<String>,
}

impl Refusal {
    /// A refusal with a status.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), detail: None, hint: None, sqlstate: None }
    }

    /// The request is wrong.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// What was found and what was expected.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// What to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A photo was dropped so long ago that others have taken its place.
    pub fn photo_gone() -> Self {
        Self::new(StatusCode::GONE, "the photo is no longer kept").hint("Drop it on the page again.")
    }

    /// No row has an id.
    pub fn no_row(id: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format!("there is no row with id \"{}\"", crate::error::abridged(id)),
        )
    }

    /// Whether the server cancelled, lost or refused the connection, so that a new one may do better.
    pub fn is_lost_connection(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let json = serde_json::to_string(&self).unwrap_or_else(|_| "{\"message\": \"error\"}".to_owned());
        (self.status, [(header::CONTENT_TYPE, "application/json")], json).into_response()
    }
}

/// The status that says whose fault it is, by the class of the SQLSTATE (PostgreSQL's appendix A).
fn status(sqlstate: &str) -> StatusCode {
    match (sqlstate.get(..2).unwrap_or_default(), sqlstate) {
        (_, "57014") => StatusCode::GATEWAY_TIMEOUT,
        (_, "25006" | "42501") | ("28", _) => StatusCode::FORBIDDEN,
        // Data, cardinality, names, limits, what is not supported, what a function raises: of what was asked with.
        ("0A" | "21" | "22" | "54" | "P0", _) | (_, "42704") => StatusCode::BAD_REQUEST,
        ("08" | "53" | "57", _) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<tokio_postgres::Error> for Refusal {
    fn from(e: tokio_postgres::Error) -> Self {
        if let Some(db) = e.as_db_error() {
            let code = db.code().code();
            return Self {
                status: status(code),
                message: db.message().to_owned(),
                detail: db.detail().map(str::to_owned),
                hint: db.hint().map(str::to_owned),
                sqlstate: Some(code.to_owned()),
            };
        }
        let mut message = e.to_string();
        let mut source = e.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !message.contains(&cause_text) {
                message = format!("{message}: {cause_text}");
            }
            source = cause.source();
        }
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
            .hint("Is PostgreSQL running and reachable? Then try again.")
    }
}

impl From<PoolError> for Refusal {
    fn from(e: PoolError) -> Self {
        match e {
            PoolError::Backend(e) => e.into(),
            PoolError::Timeout(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "all connections are busy")
                .hint("Wait for the queries that run, or give them less time with --timeout."),
            e => Self::new(StatusCode::SERVICE_UNAVAILABLE, e.to_string()),
        }
    }
}

/// What follows the address's question mark is not understood.
impl From<QueryRejection> for Refusal {
    fn from(e: QueryRejection) -> Self {
        Self::bad("the address is not understood").detail(format!("{}.", e.body_text()))
    }
}

/// For what fails before there is a page.
impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let kind = if refusal.is_lost_connection() { Kind::Unavailable } else { Kind::InvalidParameter };
        let message = match refusal.sqlstate {
            Some(code) => format!("{} (SQLSTATE {code})", refusal.message),
            None => refusal.message,
        };
        Self { kind, message, detail: refusal.detail, hint: refusal.hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_says_whose_fault_it_is() {
        let of = |code| status(code).as_u16();
        assert_eq!([of("22P02"), of("42704"), of("21000")], [400; 3], "what was asked with");
        assert_eq!([of("42501"), of("28P01"), of("25006")], [403; 3], "who asks");
        assert_eq!([of("57014"), of("57P01"), of("53300"), of("08006")], [504, 503, 503, 503], "when");
        assert_eq!([of("XX000"), of("42P01"), of("")], [500; 3], "nobody's who asks");
    }
}
