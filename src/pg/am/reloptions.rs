//! The storage parameters of an index: `WITH (tail_rows = ...)`.

use super::relation::IndexRelation;
use crate::pg::compat;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::sync::OnceLock;

/// The parsed parameters, as PostgreSQL keeps them in `rd_options`: a varlena.
#[repr(C)]
struct Options {
    vl_len: i32,
    /// Rows that the tail collects before they are made into a group.
    tail_rows: i32,
}

/// Every scan reads the whole tail, 2,048 rows in 0.1 ms; making a group of them costs one insert 10 ms.
const DEFAULT_TAIL_ROWS: i32 = 2048;

/// The kind of relation options under which PostgreSQL knows ours, registered on first use.
fn kind() -> pg_sys::relopt_kind::Type {
    static KIND: OnceLock<pg_sys::relopt_kind::Type> = OnceLock::new();
    // SAFETY: runs in the backend's only thread, once in each process; the strings are static.
    *KIND.get_or_init(|| unsafe {
        let kind = pg_sys::add_reloption_kind();
        pg_sys::add_int_reloption(
            kind,
            c"tail_rows".as_ptr(),
            c"New rows that are kept as they are before they are made into a group.".as_ptr(),
            DEFAULT_TAIL_ROWS,
            64,
            16_384,
            pg_sys::AccessExclusiveLock as i32,
        );
        kind
    })
}

/// amoptions: parses and checks the parameters.
#[pg_guard]
pub unsafe extern "C-unwind" fn parse(options: pg_sys::Datum, validate: bool) -> *mut pg_sys::bytea {
    let kind = kind();
    let elements = [compat::int_option(c"tail_rows", std::mem::offset_of!(Options, tail_rows))];
    // SAFETY: the one element describes a field of Options, whose size is passed, too.
    unsafe {
        pg_sys::build_reloptions(options, validate, kind, size_of::<Options>(), elements.as_ptr(), 1).cast()
    }
}

/// The parameter `tail_rows` of an index that is being built. Afterwards the metapage has it.
pub fn tail_rows(index: &IndexRelation) -> u32 {
    // SAFETY: the relation is open; rd_options is null or an Options that `parse` returned.
    let options = unsafe { (*index.relation()).rd_options.cast::<Options>().as_ref() };
    options.map_or(DEFAULT_TAIL_ROWS, |o| o.tail_rows).unsigned_abs()
}
