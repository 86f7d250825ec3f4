//! Input, output, receive and send functions of `coopvec` and `coopquery`. `sql/current/types.sql` declares them.
//!
//! That script comes first in the extension's script (`bootstrap`), with its functions declared by hand, so that every `#[pg_extern]` of
//! the crate may name the types without a `requires`.

use crate::error::{Error, Kind, Result};
use crate::pg::ereport::raise;
use crate::pg::guc::{self, Output};
use crate::pg::{CoopQuery, CoopVec, OrReport};
use crate::space::{Embedding, Query};
use pgrx::datum::Internal;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::{CStr, CString};

pgrx::extension_sql_file!("../../../sql/current/types.sql", name = "types", bootstrap);

#[pg_extern(sql = false)]
fn coopvec_in(text: &CStr) -> CoopVec<'static> {
    ascii(text, "coopvec").and_then(str::parse::<Embedding>).or_report().into()
}

#[pg_extern(sql = false)]
fn coopvec_out(v: CoopVec<'_>) -> CString {
    output(|| v.view().to_string(), || v.view().to_hex())
}

#[pg_extern(sql = false)]
fn coopvec_recv(message: Internal) -> CoopVec<'static> {
    // SAFETY: PostgreSQL calls a type's receive function with a StringInfo.
    Embedding::from_bytes(unsafe { message_bytes(message) }).or_report().into()
}

#[pg_extern(sql = false)]
fn coopvec_send(v: CoopVec<'_>) -> Vec<u8> {
    v.view().to_bytes()
}

#[pg_extern(sql = false)]
fn coopquery_in(text: &CStr) -> CoopQuery<'static> {
    ascii(text, "coopquery").and_then(str::parse::<Query>).or_report().into()
}

#[pg_extern(sql = false)]
fn coopquery_out(q: CoopQuery<'_>) -> CString {
    output(|| q.view().to_string(), || q.view().to_hex())
}

#[pg_extern(sql = false)]
fn coopquery_recv(message: Internal) -> CoopQuery<'static> {
    // SAFETY: PostgreSQL calls a type's receive function with a StringInfo.
    Query::from_bytes(unsafe { message_bytes(message) }).or_report().into()
}

#[pg_extern(sql = false)]
fn coopquery_send(q: CoopQuery<'_>) -> Vec<u8> {
    q.view().to_bytes()
}

/// The text form of a value is ASCII, so text that is not valid UTF-8 is not one, whatever the server's encoding.
fn ascii<'a>(text: &'a CStr, type_name: &str) -> Result<&'a str> {
    text.to_str()
        .map_err(|_| Error::new(Kind::InvalidText, format!("invalid input syntax for type {type_name}")))
}

/// A value as text, in the form that `coopembed.output` asks for.
fn output(decimal: impl Fn() -> String, hex: impl Fn() -> String) -> CString {
    let text = match guc::output() {
        Output::Decimal => decimal(),
        Output::Hex => hex(),
    };
    // Both forms are digits, letters and punctuation, without a zero byte.
    CString::new(text).unwrap_or_default()
}

/// The rest of a binary message, which is marked as read: the caller parses all of it or raises an error.
///
/// # Safety
/// `message` must be the StringInfo that PostgreSQL passes to a receive function, and outlive the result.
unsafe fn message_bytes<'a>(message: Internal) -> &'a [u8] {
    let Some(datum) = message.unwrap() else {
        raise(Error::new(Kind::Internal, "a receive function was called without a message"))
    };
    // SAFETY: the caller promises a StringInfo that outlives the result; it has `len` bytes at `data`, and `cursor` lies within.
    unsafe {
        let buffer = &mut *datum.cast_mut_ptr::<pg_sys::StringInfoData>();
        let rest = buffer.data.cast::<u8>().add(buffer.cursor as usize);
        let length = buffer.len - buffer.cursor;
        buffer.cursor = buffer.len;
        std::slice::from_raw_parts(rest, length as usize)
    }
}

#[cfg(any(test, feature = "pg_test"))]
mod tests;
