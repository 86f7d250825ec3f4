//! SQL's `text` and `jsonb` as arguments and results of functions: UTF-8 in Rust, the database's encoding in PostgreSQL.

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
use std::ffi::{c_char, CStr};
use std::ops::Deref;

/// A `text`, in UTF-8. If it is ASCII, or the database's encoding is UTF-8, it is read in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a>(Cow<'a, str>);

/// A `text` that is only compared and returned as it came; see [`to_opaque`].
pub struct OpaqueText<'a>(Cow<'a, str>);

/// A `jsonb` result.
pub struct Jsonb(pub serde_json::Value);

impl Text<'_> {
    /// An owned copy.
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

/// The bytes of a `text`: in place, or detoasted into the current memory context.
///
/// # Safety
/// `datum` must be a non-null `text` that lives as long as the result is used.
unsafe fn bytes<'a>(datum: pg_sys::Datum) -> &'a [u8] {
    // SAFETY: the caller promises a `text`; detoasting with a short header allowed keeps it in place where it can.
    unsafe { pgrx::varlena::varlena_to_byte_slice(pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr())) }
}

/// A name from the catalogue, say of a relation, in UTF-8; empty if the pointer is null.
///
/// # Safety
/// `name` must be null or a C string.
pub unsafe fn catalog_name(name: *const c_char) -> String {
    if name.is_null() {
        return String::new();
    }
    // SAFETY: the caller promises a C string.
    let name = unsafe { CStr::from_ptr(name) };
    from_server(name.to_bytes()).or_report().into_owned()
}

/// A `text` datum in the current memory context.
pub fn datum(text: &str) -> Option<pg_sys::Datum> {
    // `bytea` and `text` are stored alike.
    to_server(text).or_report().as_ref().into_datum()
}

/// JSON as a parameter of type `text`. A character that the database's encoding lacks is written as an escape, which means the same.
///
/// # Errors
/// [`Kind::OutOfMemory`].
pub fn json_parameter(json: &str) -> error::Result<DatumWithOid<'static>> {
    let bytes = to_server_escaped(json)?;
    // SAFETY: `bytea` and `text` are stored alike, so the datum of the bytes is a valid `text`.
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
                // SAFETY: pgrx calls this for an argument of the declared type.
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
                // SAFETY: pgrx passes an element of an array of `text`, which lives as long as the result.
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
        let mut text = FallibleBuffer(Vec::new());
        serde_json::to_writer(&mut text, &self.0)
            .map_err(|_| memory::out_of_memory(text.0.capacity().saturating_mul(2)))
            .or_report();
        let text = std::str::from_utf8(&text.0).unwrap_or_default();
        jsonb(&to_server(text).or_report())
    }
}

/// A `jsonb` from JSON whose strings may come from [`to_opaque`].
pub fn opaque_jsonb(text: &str) -> Option<pg_sys::Datum> {
    jsonb(&from_opaque(text).or_report())
}

/// A `jsonb` from JSON in the database's encoding.
fn jsonb(json: &[u8]) -> Option<pg_sys::Datum> {
    let mut text = memory::with_capacity(json.len() + 1).or_report();
    text.extend_from_slice(json);
    text.push(0);
    // SAFETY: the input function of jsonb takes a C string, and keeps no pointer to it.
    unsafe {
        pgrx::direct_function_call_as_datum(pg_sys::jsonb_in, &[Some(pg_sys::Datum::from(text.as_ptr()))])
    }
}

/// A writer into memory whose allocation may fail.
struct FallibleBuffer(Vec<u8>);

impl std::io::Write for FallibleBuffer {
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
                    // SAFETY: the value was allocated in the memory context of the call, where PostgreSQL expects a result.
                    Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
                    None => fcinfo.return_null(),
                }
            }
        }
    )*};
}

returned_as_datum!(Text<'_>, Jsonb);
