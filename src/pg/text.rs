//! SQL's `text` and `jsonb` as arguments and results of our functions: UTF-8 in Rust, in the encoding of the database outside.

use super::encoding::{from_opaque, from_server, to_opaque, to_server, to_server_escaped};
use super::OrReport;
use crate::error::{self, Error, Kind};
use crate::memory;
use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::{DatumWithOid, UnboxDatum};
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::impl_sql_translatable;
use pgrx::prelude::*;
use std::borrow::Cow;
use std::ops::Deref;

/// A `text` in UTF-8. One in ASCII or of a database in UTF-8 is read where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a>(Cow<'a, str>);

/// A `text` that is only compared and handed back as it came; see [`to_opaque`].
pub struct OpaqueText<'a>(Cow<'a, str>);

/// A `jsonb`, made of text in UTF-8.
pub struct Jsonb(pub serde_json::Value);

impl Text<'_> {
    /// Its own copy.
    pub fn into_owned(self) -> String {
        match self.0 {
            Cow::Borrowed(text) => memory::text(text).or_report(),
            Cow::Owned(text) => text,
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'static> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl Deref for OpaqueText<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// The bytes of a text where they lie, or where they have been fetched to in the current memory context.
///
/// # Safety
/// `datum` must be a non-null `text` that lives as long as the result is used.
unsafe fn bytes<'a>(datum: pg_sys::Datum) -> &'a [u8] {
    // SAFETY: passed on.
    unsafe { pgrx::varlena::varlena_to_byte_slice(pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr())) }
}

/// A text as a datum of the current memory context.
pub fn datum(text: &str) -> Option<pg_sys::Datum> {
    // Bytes and text are stored alike.
    to_server(text).or_report().as_ref().into_datum()
}

/// JSON as a parameter that is a `text`. A character that the encoding of the database lacks is escaped: the JSON means the same.
///
/// # Errors
/// [`Kind::OutOfMemory`].
pub fn json_parameter(json: &str) -> error::Result<DatumWithOid<'static>> {
    let bytes = to_server_escaped(json)?;
    // SAFETY: bytes and text are stored alike.
    Ok(unsafe { DatumWithOid::new(bytes.as_ref(), pg_sys::TEXTOID) })
}

macro_rules! read_as_text {
    ($name:ident, $read:path) => {
        impl<'a> FromDatum for $name<'a> {
            unsafe fn from_polymorphic_datum(
                datum: pg_sys::Datum,
                null: bool,
                _: pg_sys::Oid,
            ) -> Option<Self> {
                // SAFETY: PostgreSQL passes a datum of the declared type.
                (!null).then(|| Self($read(unsafe { bytes(datum) }).or_report()))
            }
        }

        // SAFETY: arguments of this SQL type are varlenas that `bytes` reads.
        unsafe impl<'fcx> ArgAbi<'fcx> for $name<'fcx> {
            unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
                let index = arg.index();
                // SAFETY: as promised to `unbox_arg_unchecked`.
                match unsafe { arg.unbox_arg_using_from_datum() } {
                    Some(value) => value,
                    None => super::ereport::raise(Error::new(
                        Kind::Internal,
                        format!("argument {index} must not be null"),
                    )),
                }
            }
        }

        // SAFETY: elements of an array of this type are varlenas that `bytes` reads, and live as long as the array.
        unsafe impl UnboxDatum for $name<'_> {
            type As<'src>
                = $name<'src>
            where
                Self: 'src;

            unsafe fn unbox<'src>(datum: pgrx::datum::Datum<'src>) -> $name<'src>
            where
                Self: 'src,
            {
                // SAFETY: as promised to `unbox`.
                $name($read(unsafe { bytes(datum.sans_lifetime()) }).or_report())
            }
        }

        impl_sql_translatable!($name<'_>, "text");
    };
}

read_as_text!(Text, from_server);
read_as_text!(OpaqueText, to_opaque);

impl IntoDatum for Text<'_> {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        datum(&self)
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::TEXTOID
    }
}

impl Jsonb {
    fn datum(&self) -> Option<pg_sys::Datum> {
        let mut text = Fallible(Vec::new());
        serde_json::to_writer(&mut text, &self.0)
            .map_err(|_| memory::out_of_memory(text.0.capacity().saturating_mul(2)))
            .or_report();
        let text = std::str::from_utf8(&text.0).unwrap_or_default();
        jsonb(&to_server(text).or_report())
    }
}

/// A `jsonb` from a text of JSON that [`to_opaque`] made parts of.
pub fn opaque_jsonb(text: &str) -> Option<pg_sys::Datum> {
    jsonb(&from_opaque(text).or_report())
}

/// A `jsonb` from JSON in the encoding of the database.
fn jsonb(json: &[u8]) -> Option<pg_sys::Datum> {
    let mut text = memory::with_capacity(json.len() + 1).or_report();
    text.extend_from_slice(json);
    text.push(0);
    // SAFETY: the input function of jsonb takes a C string and keeps nothing of it.
    unsafe {
        pgrx::direct_function_call_as_datum(pg_sys::jsonb_in, &[Some(pg_sys::Datum::from(text.as_ptr()))])
    }
}

/// A writer into memory that may be refused.
struct Fallible(Vec<u8>);

impl std::io::Write for Fallible {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        memory::extend(&mut self.0, bytes).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl IntoDatum for Jsonb {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        self.datum()
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::JSONBOID
    }
}

impl_sql_translatable!(Jsonb, "jsonb");

macro_rules! returned_as_datum {
    ($($name:ty),*) => {$(
        // SAFETY: the datum returned is of this SQL type.
        unsafe impl BoxRet for $name {
            unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
                match self.into_datum() {
                    // SAFETY: the value lives in the caller's memory context.
                    Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
                    None => fcinfo.return_null(),
                }
            }
        }
    )*};
}

returned_as_datum!(Text<'_>, Jsonb);
