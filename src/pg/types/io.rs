//! Input, output, receive and send functions of `coopvec` and `coopquery`. `sql/current/types.sql` declares them.
//!
//! That script comes first in the extension's script (`bootstrap`), with its functions declared by hand, so that every `#[pg_extern]` of
//! the crate may name the types without a `requires`.

use super::check_dimensions;
use crate::error::{Error, Kind, Result};
use crate::pg::catalog::model;
use crate::pg::ereport::raise;
use crate::pg::fmgr::{fmgr_functions, Call};
use crate::pg::guc::{self, Output};
use crate::pg::{CoopQuery, CoopVec, OrReport};
use crate::space::{Embedding, Layout, Query};
use pgrx::datum::Internal;
use pgrx::pg_sys::{self, Datum};
use pgrx::prelude::*;
use std::ffi::{CStr, CString};

pgrx::extension_sql_file!("../../../sql/current/types.sql", name = "types", bootstrap);

fmgr_functions! {
    /// Declared with a cstring, an oid and the type modifier.
    fn coopvec_in_wrapper(call) {
        // SAFETY: declared STRICT with a cstring first, which outlives the call.
        let text = unsafe { CStr::from_ptr(call.arg(0).cast_mut_ptr()) };
        fitting(embedding_of_text(text), call).or_report()
    }

    /// Declared with an internal, an oid and the type modifier.
    fn coopvec_recv_wrapper(call) {
        // SAFETY: PostgreSQL calls a type's receive function with a StringInfo first, which outlives the call.
        let embedding = Embedding::from_bytes(unsafe { message_bytes(call.arg(0)) });
        fitting(embedding, call).or_report()
    }
}

/// The embedding as a datum, if it fits the type modifier of the call of an input or receive function.
fn fitting(embedding: Result<Embedding>, call: Call) -> Result<Datum> {
    let embedding = embedding?;
    // PostgreSQL passes three arguments to these functions. Only who calls that of version 0.2.0, declared with one argument, as a function
    // passes no modifier.
    if call.count() > 2 {
        // SAFETY: there is a third argument: PostgreSQL passes the modifier, an integer.
        check_dimensions(embedding.layout(), unsafe { call.arg(2) }.value() as i32)?;
    }
    Ok(CoopVec::from(embedding).into_datum().unwrap_or_else(|| call.null()))
}

/// Parses the text form, or the bare numbers of an embedding of the default model: `[0.1,0.2,...]`. What is written out always names its
/// model, so that a dump can be read into any database.
fn embedding_of_text(text: &CStr) -> Result<Embedding> {
    let text = ascii(text, "coopvec")?;
    if Embedding::is_bare_list(text) {
        Embedding::from_bare_list(default_layout()?, text)
    } else {
        text.parse()
    }
}

/// The layout of the default model, which text without a model is of.
fn default_layout() -> Result<Layout> {
    const FORM: &str = "8x50@1a2b3c4d:[0.1,0.2,...]";
    // SAFETY: reads the session's state.
    if !unsafe { pg_sys::ActiveSnapshotSet() } {
        let message = "the default model cannot be looked up outside of a statement";
        return Err(Error::new(Kind::InvalidParameter, message)
            .hint(format!("Name the model with the numbers: {FORM}.")));
    }
    model(None).map(|model| model.layout).map_err(|error| {
        let hint = error.hint.clone().unwrap_or_default();
        error.hint(format!("{hint} Or name the model with the numbers: {FORM}.").trim_start())
    })
}

#[pg_extern(sql = false)]
fn coopvec_out(v: CoopVec<'_>) -> CString {
    output(|| v.view().to_string(), || v.view().to_hex())
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
    let Some(message) = message.unwrap() else {
        raise(Error::new(Kind::Internal, "a receive function was called without a message"))
    };
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
unsafe fn message_bytes<'a>(message: Datum) -> &'a [u8] {
    // SAFETY: the caller promises a StringInfo that outlives the result; it has `len` bytes at `data`, and `cursor` lies within.
    unsafe {
        let buffer = &mut *message.cast_mut_ptr::<pg_sys::StringInfoData>();
        let rest = buffer.data.cast::<u8>().add(buffer.cursor as usize);
        let length = buffer.len - buffer.cursor;
        buffer.cursor = buffer.len;
        std::slice::from_raw_parts(rest, length as usize)
    }
}

#[cfg(any(test, feature = "pg_test"))]
mod tests;
