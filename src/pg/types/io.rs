//! Input and output of `coopvec` and `coopquery`; `sql/current/types.sql` declares them.
//!
//! That script is the extension's first (`bootstrap`), with its functions declared by hand: every `#[pg_extern]` of
//! the crate may then name the types without saying that it comes after them.

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
    utf8(text, "coopvec").and_then(str::parse::<Embedding>).or_report().into()
}

#[pg_extern(sql = false)]
fn coopvec_out(v: CoopVec<'_>) -> CString {
    shown(|| v.view().to_string(), || v.view().to_hex())
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
    shown(|| q.view().to_string(), || q.view().to_hex())
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

fn shown(decimal: impl Fn() -> String, hex: impl Fn() -> String) -> CString {
    let text = match guc::output() {
        Output::Decimal => decimal(),
        Output::Hex => hex(),
    };
    // Digits, brackets and letters only: never a zero byte.
    CString::new(text).unwrap_or_default()
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
    use crate::pg::fixture::{failure, text};
    use pgrx::prelude::*;

    #[pg_test]
    fn text_round_trips() {
        for value in ["2x2@0000002a:[0.5,-0,65504,0.00000006]", "1x1@ffffffff:[1]"] {
            assert_eq!(text(&format!("SELECT '{value}'::coopvec::text")), value);
        }
        for value in ["2x2@0000002a:{0.25;1:2*[0.5,1]}", "1x1@00000000:{0;0:1*[-1]}"] {
            assert_eq!(text(&format!("SELECT '{value}'::coopquery::text")), value);
        }
    }

    #[pg_test]
    fn text_is_hexadecimal_where_that_is_asked_for() {
        Spi::run("SET LOCAL coopembed.output TO hex").unwrap();
        // struct.pack('>BHHI4e', 1, 2, 2, 42, 0.5, 1, 0, -2).hex(), and '>BHHId4f' of 1, 2, 2, 42, 0.25, 0, 2, 0.5, 1.
        let embedding = r"\x01000200020000002a38003c000000c000";
        let query = r"\x01000200020000002a3fd000000000000000000000400000003f0000003f800000";
        for (value, hex) in [
            ("coopvec '2x2@0000002a:[0.5,1,0,-2]'", embedding),
            ("coopquery '2x2@0000002a:{0.25;1:2*[0.5,1]}'", query),
        ] {
            assert_eq!(text(&format!("SELECT ({value})::text")), hex);
            let of = &value[..value.find(' ').unwrap()];
            assert_eq!(text(&format!("SELECT ({of}_send({of} '{hex}') = {of}_send({value}))::text")), "true");
        }
        assert_eq!(failure("SET coopembed.output TO base64").state, "22023");
    }

    #[pg_test]
    fn malformed_text_is_an_error_that_shows_the_form() {
        let e = failure("SELECT '2x2@0000002a:[1,2,3]'::coopvec");
        assert_eq!((e.state.as_str(), e.message.as_str()), ("22P02", "expected 4 numbers, not 3"));
        let e = failure("SELECT '[1,2,3]'::coopvec");
        assert_eq!(e.state, "22P02");
        assert!(e.hint.contains("8x50@1a2b3c4d:[0.1,0.2,...]"));
        assert_eq!(failure("SELECT '2x2@0000002a:{0}'::coopquery").state, "22P02");
    }

    /// Narrow (a 1-byte length word), ordinary, and so wide that it is stored out of line; as values of rows.
    fn widths() {
        Spi::run(
            "CREATE TABLE widths AS
             SELECT k, n, format('%sx%s@0000002a:[%s]', k, n,
                        (SELECT string_agg(((i * 37 % 256) / 256.0)::text, ',') FROM generate_series(1, k * n) i)
                    )::coopvec AS emb
             FROM (VALUES (1, 1), (2, 2), (8, 50), (300, 50)) AS shape(k, n)",
        )
        .unwrap();
        Spi::run("INSERT INTO widths VALUES (0, 0, NULL)").unwrap();
        Spi::run("ALTER TABLE widths ADD q coopquery").unwrap();
        Spi::run("UPDATE widths SET q = emb").unwrap();
    }

    #[pg_test]
    fn stored_values_of_any_width_are_read_in_place_or_fetched() {
        widths();
        let toasted = "SELECT pg_relation_size(reltoastrelid) > 30000 FROM pg_class WHERE relname = 'widths'";
        assert_eq!(Spi::get_one(toasted), Ok(Some(true)));
        let short = "SELECT pg_column_size(emb) < 20 FROM widths WHERE k = 1";
        assert_eq!(Spi::get_one(short), Ok(Some(true)));
        let all = "SELECT count(*) FROM widths
                   WHERE emb <-> emb = 0 AND emb <-> q = 0 AND q <-> emb = 0 AND emb <-> emb::text::coopvec = 0";
        assert_eq!(Spi::get_one(all), Ok(Some(4i64)));
    }

    #[pg_test]
    fn binary_copies_round_trip() {
        widths();
        // COPY to and from a file on the server: the one way for binary through SQL alone.
        let file = format!("/tmp/coopembed-binary-{}", std::process::id());
        Spi::run(&format!("COPY widths TO '{file}' (FORMAT binary)")).unwrap();
        Spi::run("CREATE TABLE back (LIKE widths)").unwrap();
        Spi::run(&format!("COPY back FROM '{file}' (FORMAT binary)")).unwrap();
        std::fs::remove_file(file).unwrap();
        let same = "SELECT count(*) FROM widths JOIN back USING (emb)
                    WHERE widths.q::text = back.q::text AND coopvec_send(widths.emb) = coopvec_send(back.emb)";
        assert_eq!(Spi::get_one(same), Ok(Some(4i64)));
    }

    #[pg_test]
    fn a_malformed_binary_message_is_an_error() {
        let file = format!("/tmp/coopembed-malformed-{}", std::process::id());
        Spi::run("CREATE TABLE one (emb coopvec)").unwrap();
        // PostgreSQL's header (11 signature bytes, flags, extension), a row of one field of 3 bytes, the trailer.
        let mut copy = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        copy.extend([0, 1, 0, 0, 0, 3, 1, 0, 2, 255, 255]);
        std::fs::write(&file, copy).unwrap();
        let e = failure(&format!("COPY one FROM '{file}' (FORMAT binary)"));
        std::fs::remove_file(file).unwrap();
        assert_eq!(
            (e.state.as_str(), e.message.as_str()),
            ("22P03", "invalid binary format for type coopvec")
        );
        assert_eq!(e.detail, "The message ends 2 bytes early.");
    }
}
