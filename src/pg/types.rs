//! Input and output of `coopvec` and `coopquery`; `sql/types.sql` declares them.
//!
//! That script is the extension's first (`bootstrap`), with its functions declared by hand: every `#[pg_extern]` of
//! the crate may then name the types without saying that it comes after them.

use super::report::{raise, OrReport};
use super::{CoopQuery, CoopVec};
use crate::error::{Error, Kind, Result};
use crate::space::{Embedding, Query};
use pgrx::datum::Internal;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::{CStr, CString};
use std::fmt::Display;

pgrx::extension_sql_file!("../../sql/types.sql", name = "types", bootstrap);

#[pg_extern(sql = false)]
fn coopvec_in(text: &CStr) -> CoopVec<'static> {
    utf8(text, "coopvec").and_then(str::parse::<Embedding>).or_report().into()
}

#[pg_extern(sql = false)]
fn coopvec_out(v: CoopVec<'_>) -> CString {
    shown(v.view())
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
    utf8(text, "coopquery").and_then(str::parse::<Query>).or_report().into()
}

#[pg_extern(sql = false)]
fn coopquery_out(q: CoopQuery<'_>) -> CString {
    shown(q.view())
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

/// All our forms are ASCII; text in another server encoding that is not UTF-8 cannot be one.
fn utf8<'a>(text: &'a CStr, of: &str) -> Result<&'a str> {
    text.to_str().map_err(|_| Error::new(Kind::InvalidText, format!("invalid input syntax for type {of}")))
}

fn shown(value: impl Display) -> CString {
    // Digits, brackets and letters only: never a zero byte.
    CString::new(value.to_string()).unwrap_or_default()
}

/// What is left of a binary message, marked as read: the caller takes all of it or raises an error.
///
/// # Safety
/// `message` must hold the StringInfo of a receive function, which lives as long as the result is used.
unsafe fn message_bytes<'a>(message: Internal) -> &'a [u8] {
    let Some(datum) = message.unwrap() else {
        raise(Error::new(Kind::Internal, "a receive function was called without a message"))
    };
    // SAFETY: a StringInfo, which outlives the call; `cursor` lies within `len` readable bytes at `data`.
    unsafe {
        let buffer = &mut *datum.cast_mut_ptr::<pg_sys::StringInfoData>();
        let rest = buffer.data.cast::<u8>().add(buffer.cursor as usize);
        let length = buffer.len - buffer.cursor;
        buffer.cursor = buffer.len;
        std::slice::from_raw_parts(rest, length as usize)
    }
}

#[cfg(any(test, feature = "pg_test"))]
#[pg_schema]
mod tests {
    use pgrx::prelude::*;

    fn text(sql: &str) -> String {
        Spi::get_one(sql).unwrap().unwrap()
    }

    #[pg_test]
    fn text_round_trips() {
        for value in ["2x2@0000002a:[0.5,-0,65504,0.000000059604645]", "1x1@ffffffff:[1]"] {
            assert_eq!(text(&format!("SELECT '{value}'::coopvec::text")), value);
        }
        for value in ["2x2@0000002a:{0.25;1:2*[0.5,1]}", "1x1@00000000:{0;0:1*[-1]}"] {
            assert_eq!(text(&format!("SELECT '{value}'::coopquery::text")), value);
        }
    }
}
