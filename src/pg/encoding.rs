//! Converts between PostgreSQL's texts, which are in the database's encoding, and Rust's, which are UTF-8.
//!
//! ASCII is the same in every encoding that a database can have, and in UTF-8 there is nothing to convert: in both cases no byte
//! is copied. SQL_ASCII says nothing about its bytes: those that are valid UTF-8 pass as they are, others are an error.
//!
//! A stored text must read back the same. So a character that the encoding has, but that reads back as another one (there are some in
//! Japanese encodings), is treated as one that the encoding lacks.

use crate::error::{abridged, Error, Kind, Result};
use crate::memory;
use pgrx::pg_sys;
use std::borrow::Cow;
use std::ffi::{c_int, CStr};

const UTF8: c_int = pg_sys::pg_enc::PG_UTF8 as c_int;
const SQL_ASCII: c_int = pg_sys::pg_enc::PG_SQL_ASCII as c_int;

/// The most bytes that are converted at once, so that a long text needs only a small buffer beside its result.
const CHUNK: usize = 16 << 10;
/// The most bytes that one byte may become (PostgreSQL's MAX_CONVERSION_GROWTH).
const MAX_GROWTH: usize = 4;

/// A text of PostgreSQL's, in UTF-8.
///
/// # Errors
/// [`Kind::InvalidEncoding`] for bytes that are not valid text, [`Kind::OutOfMemory`].
pub fn from_server(bytes: &[u8]) -> Result<Cow<'_, str>> {
    if bytes.is_ascii() || !needs_conversion() {
        return std::str::from_utf8(bytes)
            .map(Cow::Borrowed)
            .map_err(|e| not_utf8(&bytes[e.valid_up_to()..]));
    }
    let length = c_int::try_from(bytes.len()).map_err(|_| memory::out_of_memory(bytes.len()))?;
    // SAFETY: PostgreSQL reads `length` bytes. As the encodings differ and the text is not empty, it returns a new, zero-terminated text.
    let copy = unsafe {
        let converted = pg_sys::pg_server_to_any(bytes.as_ptr().cast(), length, UTF8);
        let copy = memory::copied(CStr::from_ptr(converted).to_bytes());
        if !std::ptr::addr_eq(converted, bytes.as_ptr()) {
            pg_sys::pfree(converted.cast());
        }
        copy
    };
    String::from_utf8(copy?)
        .map(Cow::Owned)
        .map_err(|e| not_utf8(&e.as_bytes()[e.utf8_error().valid_up_to()..]))
}

/// A text in the database's encoding, from which [`from_server`] makes the same text again.
///
/// # Errors
/// [`Kind::Untranslatable`] for a character that the encoding lacks, [`Kind::OutOfMemory`].
pub fn to_server(text: &str) -> Result<Cow<'_, [u8]>> {
    convert(text, |character, _| Err(untranslatable(text, character)))
}

/// [`to_server`], but a character that the encoding lacks is written as JSON writes it, `\u65e5`: for JSON, where it can only stand in a string,
/// and for messages, whose readers may know the notation.
///
/// # Errors
/// [`Kind::OutOfMemory`].
pub fn to_server_escaped(text: &str) -> Result<Cow<'_, [u8]>> {
    convert(text, |character, out| {
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            memory::extend(out, format!("\\u{unit:04x}").as_bytes())?;
        }
        Ok(())
    })
}

/// Converts a message, a DETAIL or a HINT to the database's encoding, in which PostgreSQL expects it. pgrx passes on the bytes of the String.
pub fn message(text: String) -> String {
    match to_server_escaped(&text) {
        Ok(Cow::Borrowed(_)) => text,
        // SAFETY: the String may not be UTF-8, which its contract forbids. Nothing reads it as text: it is moved into pgrx's report, whose bytes
        // are copied for errmsg(), and then freed.
        Ok(Cow::Owned(bytes)) => unsafe { String::from_utf8_unchecked(bytes) },
        Err(_) => text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect(),
    }
}

/// A text that is only compared and returned, by [`from_opaque`], byte for byte the same. If the database's encoding is not UTF-8, each byte
/// becomes the character with its number.
///
/// # Errors
/// [`Kind::InvalidEncoding`] in a damaged database, [`Kind::OutOfMemory`].
pub fn to_opaque(bytes: &[u8]) -> Result<Cow<'_, str>> {
    if bytes.is_ascii() || encoding() == UTF8 {
        return std::str::from_utf8(bytes)
            .map(Cow::Borrowed)
            .map_err(|e| not_utf8(&bytes[e.valid_up_to()..]));
    }
    let mut text = String::new();
    text.try_reserve(2 * bytes.len()).map_err(|_| memory::out_of_memory(2 * bytes.len()))?;
    text.extend(bytes.iter().copied().map(char::from));
    Ok(Cow::Owned(text))
}

/// The bytes that [`to_opaque`] made a text from, also as a part of a longer text.
///
/// # Errors
/// [`Kind::Internal`] for a text with other characters, [`Kind::OutOfMemory`].
pub fn from_opaque(text: &str) -> Result<Cow<'_, [u8]>> {
    if text.is_ascii() || encoding() == UTF8 {
        return Ok(Cow::Borrowed(text.as_bytes()));
    }
    let not_a_byte = |_| Error::new(Kind::Internal, "a text is not made of bytes");
    let mut bytes = memory::with_capacity(text.len())?;
    for character in text.chars() {
        bytes.push(u8::try_from(character).map_err(not_a_byte)?);
    }
    Ok(Cow::Owned(bytes))
}

/// The database's encoding.
fn encoding() -> c_int {
    // SAFETY: reads a variable of this process.
    unsafe { pg_sys::GetDatabaseEncoding() }
}

/// Whether texts must be converted: the database's encoding is neither UTF-8 nor SQL_ASCII.
pub fn needs_conversion() -> bool {
    !matches!(encoding(), UTF8 | SQL_ASCII)
}

/// Converts a text to the database's encoding, in chunks. `lacking` writes each character that the encoding lacks, or refuses it.
fn convert(text: &str, mut lacking: impl FnMut(char, &mut Vec<u8>) -> Result<()>) -> Result<Cow<'_, [u8]>> {
    if text.is_ascii() || !needs_conversion() {
        return Ok(Cow::Borrowed(text.as_bytes()));
    }
    let (forward, back) = (Conversion::find(UTF8, encoding())?, Conversion::find(encoding(), UTF8)?);
    // The converted text; `None` if it does not read back the same.
    let exactly = |text: &str| -> Result<Option<Vec<u8>>> {
        let Some(bytes) = forward.run(text.as_bytes())? else { return Ok(None) };
        let is_same = back.run(&bytes)?.is_some_and(|again| again == text.as_bytes());
        Ok(is_same.then_some(bytes))
    };
    let (mut out, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rest.floor_char_boundary(CHUNK));
        rest = after;
        if let Some(bytes) = exactly(chunk)? {
            memory::extend(&mut out, &bytes)?;
            continue;
        }
        for character in chunk.chars() {
            match exactly(character.encode_utf8(&mut [0; 4]))? {
                Some(bytes) => memory::extend(&mut out, &bytes)?,
                None => lacking(character, &mut out)?,
            }
        }
    }
    Ok(Cow::Owned(out))
}

/// PostgreSQL's function that needs_conversion from one encoding to another.
struct Conversion {
    from: c_int,
    to: c_int,
    function: pg_sys::Oid,
}

impl Conversion {
    fn find(from: c_int, to: c_int) -> Result<Self> {
        // SAFETY: looks up the catalogue.
        let function = unsafe { pg_sys::FindDefaultConversionProc(from, to) };
        if function == pg_sys::InvalidOid {
            let message = format!("there is no default conversion between UTF8 and {}", encoding_name());
            return Err(Error::new(Kind::Unsupported, message).hint("See CREATE DEFAULT CONVERSION."));
        }
        Ok(Self { from, to, function })
    }

    /// The converted text; `None` if the target encoding lacks a character.
    fn run(&self, text: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut out = memory::filled(0u8, text.len() * MAX_GROWTH + 1)?;
        // SAFETY: PostgreSQL only reads the text, though it takes a mutable pointer, and writes a zero-terminated text that fits into `out`.
        let done = unsafe {
            pg_sys::pg_do_encoding_conversion_buf(
                self.function,
                self.from,
                self.to,
                text.as_ptr().cast_mut(),
                text.len() as c_int,
                out.as_mut_ptr(),
                out.len() as c_int,
                true,
            )
        };
        if done as usize != text.len() {
            return Ok(None);
        }
        let end = out.iter().position(|byte| *byte == 0).unwrap_or(0);
        out.truncate(end);
        Ok(Some(out))
    }
}

fn encoding_name() -> String {
    // SAFETY: names of encodings are static C strings.
    unsafe { CStr::from_ptr(pg_sys::GetDatabaseEncodingName()) }.to_string_lossy().into_owned()
}

#[cold]
fn untranslatable(text: &str, character: char) -> Error {
    Error::new(
        Kind::Untranslatable,
        format!("\"{}\" cannot be written in the encoding of this database", abridged(text)),
    )
    .detail(format!("{} lacks the character U+{:04X}.", encoding_name(), u32::from(character)))
    .hint("Use a database in UTF8, or other words.")
}

#[cold]
fn not_utf8(found: &[u8]) -> Error {
    let bytes: Vec<String> = found.iter().take(4).map(|byte| format!("0x{byte:02x}")).collect();
    Error::new(
        Kind::InvalidEncoding,
        format!("invalid byte sequence for encoding \"UTF8\": {}", bytes.join(" ")),
    )
    .detail(format!("The encoding of this database is {}.", encoding_name()))
    .hint("In a database whose encoding is SQL_ASCII, coopembed reads texts as UTF-8.")
}
