//! Errors of the page's API: an HTTP status with a message, detail and hint, from PostgreSQL or from this program.

use crate::connection::with_causes;
use crate::error::{Error, Kind};
use axum::extract::rejection::QueryRejection;
use axum::http::{header, StatusCode};
use axum::response::{IntoResponse, Response};
use deadpool_postgres::PoolError;
use serde::Serialize;

/// An error response; its body is JSON: `{"message": ..., "detail": ..., "hint": ..., "sqlstate": ...}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HttpError {
    #[serde(skip)]
    status: StatusCode,
    /// One line, without a full stop.
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    /// PostgreSQL's five-character code, if the error came from there.
    sqlstate: Option<String>,
}

impl HttpError {
    /// An error with this status and message.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), detail: None, hint: None, sqlstate: None }
    }

    /// Status 400: the request is wrong.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Adds the detail: what was found and what was expected.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the hint: what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Status 410: a dropped image has been evicted by later ones.
    pub fn dropped_image_gone() -> Self {
        Self::new(StatusCode::GONE, "the image is no longer kept").hint("Drop it on the page again.")
    }

    /// Status 404: no row has this id.
    pub fn no_row(id: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format!("there is no row with id \"{}\"", crate::error::abridged(id)),
        )
    }

    /// Whether the connection was lost or refused, so that a new one may work.
    pub fn is_lost_connection(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let json = serde_json::to_string(&self).unwrap_or_else(|_| "{\"message\": \"error\"}".to_owned());
        (self.status, [(header::CONTENT_TYPE, "application/json")], json).into_response()
    }
}

/// The HTTP status for an SQLSTATE, mostly by its class (PostgreSQL's manual, appendix A): 400 for bad input, 403 for missing
/// privileges, 503 and 504 for what may work later, else 500.
fn status(sqlstate: &str) -> StatusCode {
    match (sqlstate.get(..2).unwrap_or_default(), sqlstate) {
        (_, "57014") => StatusCode::GATEWAY_TIMEOUT,
        (_, "25006" | "42501") | ("28", _) => StatusCode::FORBIDDEN,
        // Feature, cardinality, data, program limit, raise_exception, undefined object: caused by the request's values.
        ("0A" | "21" | "22" | "54" | "P0", _) | (_, "42704") => StatusCode::BAD_REQUEST,
        ("08" | "53" | "57", _) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<tokio_postgres::Error> for HttpError {
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
        Self::new(StatusCode::SERVICE_UNAVAILABLE, with_causes(&e))
            .hint("Is PostgreSQL running and reachable? Then try again.")
    }
}

impl From<PoolError> for HttpError {
    fn from(e: PoolError) -> Self {
        match e {
            PoolError::Backend(e) => e.into(),
            PoolError::Timeout(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "all connections are busy")
                .hint("Wait for the running queries, or lower --timeout."),
            e => Self::new(StatusCode::SERVICE_UNAVAILABLE, e.to_string()),
        }
    }
}

/// The query string could not be parsed.
impl From<QueryRejection> for HttpError {
    fn from(e: QueryRejection) -> Self {
        Self::bad_request("could not parse the query string").detail(format!("{}.", e.body_text()))
    }
}

/// For errors at start-up, which are printed rather than served.
impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        let kind = if error.is_lost_connection() { Kind::Unavailable } else { Kind::InvalidParameter };
        let message = match error.sqlstate {
            Some(code) => format!("{} (SQLSTATE {code})", error.message),
            None => error.message,
        };
        Self { kind, message, detail: error.detail, hint: error.hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_says_whose_fault_an_error_is() {
        let of = |code| status(code).as_u16();
        assert_eq!([of("22P02"), of("42704"), of("21000")], [400; 3], "bad input");
        assert_eq!([of("42501"), of("28P01"), of("25006")], [403; 3], "missing privileges");
        assert_eq!(
            [of("57014"), of("57P01"), of("53300"), of("08006")],
            [504, 503, 503, 503],
            "may work later"
        );
        assert_eq!([of("XX000"), of("42P01"), of("")], [500; 3], "not the user's fault");
    }
}
