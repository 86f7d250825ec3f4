//! `WITH (tail_rows = ...)`.

use super::storage::Index;
use crate::pg::compat;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::sync::OnceLock;

/// What an index may be told.
#[repr(C)]
struct Options {
    vl_len: i32,
    tail_rows: i32,
}

/// A tail of 2,048 rows is read in a tenth of a millisecond, and making a group of it takes an inserter ten.
const TAIL_ROWS: i32 = 2048;

fn kind() -> pg_sys::relopt_kind::Type {
    static KIND: OnceLock<pg_sys::relopt_kind::Type> = OnceLock::new();
    // SAFETY: registers an option of ours, once in each process; the strings live for ever.
    *KIND.get_or_init(|| unsafe {
        let kind = pg_sys::add_reloption_kind();
        pg_sys::add_int_reloption(
            kind,
            c"tail_rows".as_ptr(),
            c"New rows that are kept as they are before they are made into a group.".as_ptr(),
            TAIL_ROWS,
            64,
            16_384,
            pg_sys::AccessExclusiveLock as i32,
        );
        kind
    })
}

/// Parses and checks the options.
#[pg_guard]
pub unsafe extern "C-unwind" fn parse(options: pg_sys::Datum, validate: bool) -> *mut pg_sys::bytea {
    let kind = kind();
    let elements = [compat::int_option(c"tail_rows", std::mem::offset_of!(Options, tail_rows))];
    // SAFETY: the elements describe fields of Options.
    unsafe {
        pg_sys::build_reloptions(options, validate, kind, size_of::<Options>(), elements.as_ptr(), 1).cast()
    }
}

/// The option of an index that is being built; later it is in the metapage.
pub fn tail_rows(index: &Index) -> u32 {
    // SAFETY: rd_options is null or what `parse` returned.
    let options = unsafe { (*index.relation()).rd_options.cast::<Options>().as_ref() };
    options.map_or(TAIL_ROWS, |o| o.tail_rows).unsigned_abs()
}
