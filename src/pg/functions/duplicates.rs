//! `coop_duplicates()`: pairs of rows that are near each other. `sql/current/retrieval.sql` says which rows, and [`crate::pairs`] finds
//! the pairs, in the memory that a hash join has and in temporary files.

use crate::error::{Error, Kind, Result};
use crate::pairs::{Files, PairJoin};
use crate::pg::am::TemporaryFile;
use crate::pg::ereport::with_readable_errors;
use crate::pg::fmgr::{fmgr_functions, Call};
use crate::pg::spi_row::{with_bytes, SpiRow};
use crate::pg::{CoopVec, OrReport};
use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::{is_a, PgMemoryContexts};

fmgr_functions! {
    /// The pairs of a query's rows that are no further apart than a threshold: `(query text, threshold float8, any_embedding coopvec)`.
    fn coop_pairs_within(call) {
        let result = ResultSet::of(call).or_report();
        // SAFETY: declared with arguments of these types, which live as long as the call.
        unsafe {
            if let (Some(query), Some(threshold)) = (call.nullable_arg(0), call.nullable_arg(1)) {
                let coopvec = pg_sys::get_fn_expr_argtype((*call.0).flinfo, 2);
                let threshold = f64::from_bits(threshold.value() as u64);
                find_pairs(query, threshold, coopvec, result).or_report();
            }
        }
        call.null()
    }
}

/// Reads the rows of a query, and puts their pairs into `result`.
///
/// # Safety
/// `query` must be a `text`, and `coopvec` the type's oid.
unsafe fn find_pairs(query: Datum, threshold: f64, coopvec: Oid, result: ResultSet) -> Result<()> {
    // SAFETY: reads a setting and the current memory context.
    let (memory, files) =
        unsafe { (pg_sys::get_hash_memory_limit(), TemporaryFiles(pg_sys::CurrentMemoryContext)) };
    let mut join = PairJoin::new(threshold, memory, files);
    // SAFETY: as the caller promises.
    unsafe { read_rows(query, coopvec, &mut join)? };
    let mut row_context = PgMemoryContexts::new("coop_duplicates row");
    let mut found = |one: &[u8], other: &[u8], distance: f64| {
        // SAFETY: the values are made in a context that is reset once the result has copied them.
        unsafe {
            row_context.switch_to(|_| result.put([text(one), text(other), Datum::from(distance.to_bits())]));
            row_context.reset();
        }
        Ok(())
    };
    let mut wait = || {
        pgrx::check_for_interrupts!();
    };
    join.finish(&mut wait, &mut found)
}

/// Adds the rows of a query of an id and an embedding, some hundreds at a time.
///
/// # Safety
/// As [`find_pairs`].
unsafe fn read_rows(query: Datum, coopvec: Oid, join: &mut PairJoin<TemporaryFiles>) -> Result<()> {
    // SAFETY: SPI's functions return null or a negative code where they fail. Columns are read as the types that they have, and rows before
    // they are freed.
    unsafe {
        let sql = pg_sys::text_to_cstring(query.cast_mut_ptr());
        spi(pg_sys::SPI_connect())?;
        let plan = with_readable_errors(|| pg_sys::SPI_prepare(sql, 0, std::ptr::null_mut()));
        if plan.is_null() || !pg_sys::SPI_is_cursor_plan(plan) {
            return Err(usage("the query returns no rows"));
        }
        let (null, read_only) = (std::ptr::null_mut(), true);
        let portal =
            with_readable_errors(|| pg_sys::SPI_cursor_open(null, plan, null.cast(), null.cast(), read_only));
        check_columns((*portal).tupDesc, coopvec)?;
        loop {
            with_readable_errors(|| pg_sys::SPI_cursor_fetch(portal, true, FETCHED_ROWS));
            let (table, count) = (pg_sys::SPI_tuptable, pg_sys::SPI_processed as usize);
            if count == 0 || table.is_null() {
                break;
            }
            for i in 0..count {
                let row = SpiRow::new(*(*table).vals.add(i), (*table).tupdesc);
                if let (Some(id), Some(embedding)) = (row.datum(1), row.datum(2)) {
                    let embedding = CoopVec::from_raw(embedding);
                    with_bytes(id, |id| join.push(id, embedding.view()))?;
                }
            }
            pg_sys::SPI_freetuptable(table);
        }
        pg_sys::SPI_cursor_close(portal);
        spi(pg_sys::SPI_finish())
    }
}

/// Rows that are read at a time.
const FETCHED_ROWS: std::ffi::c_long = 256;

/// Fails unless a query's columns are a text and a coopvec.
///
/// # Safety
/// The descriptor must be null or a query's.
unsafe fn check_columns(columns: pg_sys::TupleDesc, coopvec: Oid) -> Result<()> {
    // SAFETY: the caller promises a descriptor; columns are counted from 1.
    let types = |columns| unsafe { [1, 2].map(|column| pg_sys::SPI_gettypeid(columns, column)) };
    // SAFETY: a descriptor that is not null.
    let fits = unsafe { columns.as_ref() }.is_some_and(|found| found.natts == 2)
        && types(columns) == [pg_sys::TEXTOID, coopvec]
        && coopvec != pg_sys::InvalidOid;
    if fits {
        Ok(())
    } else {
        Err(usage("the query does not return a text and a coopvec"))
    }
}

fn usage(message: &str) -> Error {
    Error::new(Kind::InvalidParameter, message)
        .detail("Expected an id of type text, and an embedding.")
        .hint("Use coop_duplicates(table, id_column, emb_column, threshold).")
}

fn spi(code: i32) -> Result<()> {
    if code < 0 {
        return Err(Error::new(Kind::Internal, format!("rows could not be read: SPI code {code}")));
    }
    Ok(())
}

/// PostgreSQL's temporary files, in the memory context of the call: that of SPI is gone before they are.
struct TemporaryFiles(pg_sys::MemoryContext);

impl Files for TemporaryFiles {
    type File = TemporaryFile;

    fn create(&self) -> TemporaryFile {
        // SAFETY: the context is that of the call, which lives until the function has returned.
        unsafe {
            let current = pg_sys::MemoryContextSwitchTo(self.0);
            let file = TemporaryFile::new();
            pg_sys::MemoryContextSwitchTo(current);
            file
        }
    }
}

/// A `text` of these bytes, in the current memory context.
fn text(bytes: &[u8]) -> Datum {
    // SAFETY: copies as many bytes as the slice has; those of an id are fewer than 1 GiB.
    unsafe { Datum::from(pg_sys::cstring_to_text_with_len(bytes.as_ptr().cast(), bytes.len() as i32)) }
}

/// The result of a function that returns rows: they go to disk if there are more than `work_mem` holds.
struct ResultSet {
    rows: *mut pg_sys::Tuplestorestate,
    columns: pg_sys::TupleDesc,
}

impl ResultSet {
    /// The result of a call, without rows so far.
    fn of(call: Call) -> Result<Self> {
        // SAFETY: the call's record lives until the function has returned. `resultinfo` is null or a node; if that is a ReturnSetInfo, the caller
        // reads the rows from where it says.
        unsafe {
            let info = (*call.0).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            let materialize = pg_sys::SetFunctionReturnMode::SFRM_Materialize;
            let can_take_rows = !info.is_null()
                && is_a(info.cast(), pg_sys::NodeTag::T_ReturnSetInfo)
                && (*info).allowedModes & materialize as i32 != 0
                && !(*info).expectedDesc.is_null();
            if !can_take_rows {
                return Err(Error::new(Kind::Unsupported, "pairs can only be had in FROM"));
            }
            let context = pg_sys::MemoryContextSwitchTo((*(*info).econtext).ecxt_per_query_memory);
            let columns = pg_sys::CreateTupleDescCopy((*info).expectedDesc);
            let random_access =
                (*info).allowedModes & pg_sys::SetFunctionReturnMode::SFRM_Materialize_Random as i32 != 0;
            let rows = pg_sys::tuplestore_begin_heap(random_access, false, pg_sys::work_mem);
            pg_sys::MemoryContextSwitchTo(context);
            (*info).returnMode = materialize;
            (*info).setResult = rows;
            (*info).setDesc = columns;
            if (*columns).natts != 3 {
                return Err(Error::new(Kind::Internal, "pairs have three columns"));
            }
            Ok(Self { rows, columns })
        }
    }

    /// Adds a row: two texts and a float8.
    fn put(&self, values: [Datum; 3]) {
        let (mut values, mut nulls) = (values, [false; 3]);
        // SAFETY: the result lives as long as the statement; it has three columns.
        unsafe {
            pg_sys::tuplestore_putvalues(self.rows, self.columns, values.as_mut_ptr(), nulls.as_mut_ptr());
        }
    }
}
