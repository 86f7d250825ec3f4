//! `coop_embed_table`, the part between two commits; `sql/current/embed_table.sql` has the procedure around it.
//!
//! A step looks for rows to embed from a position in the table on, locks each before it reads the picture, and stores its
//! embedding in the row that it locked: a picture cannot change under its embedding, and rows that others hold are left to
//! them. The caller's rights apply, and nothing is looked up by a name without a schema.

use super::embed::{request, COMPUTE};
use super::queries::not_null;
use crate::error::{Error, Kind, Result};
use crate::inference::Priority;
use crate::memory;
use crate::pg::catalog::{self, AsOwner, ModelEntry};
use crate::pg::encoding::{self, to_server};
use crate::pg::ereport::{warn, with_readable_errors};
use crate::pg::fmgr::fmgr_functions;
use crate::pg::inference::pipeline::Pipeline;
use crate::pg::{guc, CoopVec, OrReport, Text};
use crate::space::Embedding;
use pgrx::datum::DatumWithOid;
use pgrx::itemptr::{item_pointer_to_u64, u64_to_item_pointer};
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::PgRelation;
use std::ffi::CString;

extension_sql_file!(
    "../../../sql/current/embed_table.sql",
    name = "embed_table",
    requires = ["operators", "retrieval"]
);

/// How much of a table is searched for rows at first, in pages; more each time that too few are found.
const FIRST_SPAN: u64 = 8;
const LARGEST_SPAN: u64 = 4096;

fmgr_functions! {
    /// The fingerprint of an embedding's model. Reads the header alone where the value lies out of line.
    fn coopvec_fingerprint(call) {
        // SAFETY: declared STRICT with a coopvec; its first 16 bytes are its header.
        let head = unsafe {
            let slice = pg_sys::pg_detoast_datum_slice(call.arg(0).cast_mut_ptr(), 0, 12);
            pgrx::varlena::varlena_to_byte_slice(slice).first_chunk::<12>().copied()
        };
        let [.., a, b, c, d] = head.unwrap_or_default();
        pg_sys::Datum::from(i64::from(u32::from_ne_bytes([a, b, c, d])))
    }
}

/// Name and fingerprint of the model that is meant.
#[pg_extern(sql = false)]
fn embed_model(
    model: Option<Text<'_>>,
) -> TableIterator<'static, (name!(name, Text<'static>), name!(fingerprint, i64))> {
    let model = catalog::model(model.as_deref()).or_report();
    TableIterator::once((model.name.into(), i64::from(model.layout.fingerprint())))
}

/// Embeds up to `batch` rows of a table from `position` on. Returns where to go on, null at the end, and how many rows got
/// an embedding, could not be embedded (each with a warning), and were locked by others.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn embed_step(
    table: pg_sys::Oid,
    image: Text<'_>,
    emb: Text<'_>,
    key: Array<'_, Text<'_>>,
    model: Text<'_>,
    position: i64,
    batch: i32,
) -> TableIterator<
    'static,
    (name!(next, Option<i64>), name!(done, i64), name!(failed, i64), name!(locked, i64)),
> {
    let model = catalog::model(Some(&model)).or_report();
    let key = not_null("a column's name", key.iter()).or_report();
    // SAFETY: closed again below; an error in between has the transaction close it.
    unsafe { pg_sys::SPI_connect() };
    let mut step = Step::new(table, &image, &emb, &key, &model);
    let next = step.run(position.unsigned_abs(), batch.unsigned_abs() as usize).or_report();
    // SAFETY: connected above.
    unsafe { pg_sys::SPI_finish() };
    note(&step).or_report();
    let next = next.map(|at| at as i64);
    TableIterator::once((next, step.done as i64, step.failed as i64, step.locked as i64))
}

/// Notes that this session begins to embed a table, for `coop_embed_progress`.
#[pg_extern(sql = false)]
fn embed_begin(table: pg_sys::Oid, model: Text<'_>, total: i64) {
    // Runs over this table that have ended are forgotten, and the last one of this session or of one that had its number.
    change_runs(
        "WITH gone AS (DELETE FROM coopembed.embedding_runs r
             WHERE r.pid OPERATOR(pg_catalog.<>) $1 AND r.relation OPERATOR(pg_catalog.=) $2 AND (r.finished IS NOT NULL OR
                 NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.pid OPERATOR(pg_catalog.=) r.pid)))
         INSERT INTO coopembed.embedding_runs AS r (pid, relation, model, total) VALUES ($1, $2, $3, $4)
         ON CONFLICT (pid) DO UPDATE SET relation = excluded.relation, model = excluded.model, total = excluded.total,
             done = 0, failed = 0, locked = 0, started = excluded.started, updated = excluded.updated, finished = NULL",
        vec![table.into(), model.into(), total.into()],
    )
    .or_report()
}

/// Notes that it is done.
#[pg_extern(sql = false)]
fn embed_end() {
    change_runs(
        "UPDATE coopembed.embedding_runs SET finished = pg_catalog.clock_timestamp() WHERE pid OPERATOR(pg_catalog.=) $1",
        vec![],
    )
    .or_report()
}

fn note(step: &Step<'_>) -> Result<()> {
    change_runs(
        "UPDATE coopembed.embedding_runs SET done = done OPERATOR(pg_catalog.+) $2,
             failed = failed OPERATOR(pg_catalog.+) $3, locked = locked OPERATOR(pg_catalog.+) $4,
             updated = pg_catalog.clock_timestamp() WHERE pid OPERATOR(pg_catalog.=) $1",
        vec![(step.done as i64).into(), (step.failed as i64).into(), (step.locked as i64).into()],
    )
}

/// Changes the list of runs, as its owner; `$1` is this session, and only what is of this session is ever changed.
fn change_runs(sql: &str, arguments: Vec<DatumWithOid<'_>>) -> Result<()> {
    let _owner = AsOwner::enter();
    // SAFETY: a plain variable of the server.
    let mut all = vec![unsafe { pg_sys::MyProcPid }.into()];
    all.extend(arguments);
    Spi::connect_mut(|client| client.update(sql, None, &all).map(|_| ()).map_err(catalog::failed))
}

/// A row that waits for its embedding: where it is, and what a user knows it by.
struct Place {
    tid: pg_sys::ItemPointerData,
    key: String,
}

struct Step<'m> {
    model: &'m ModelEntry,
    table: String,
    /// One past the table's last page.
    end: u64,
    key_names: String,
    /// `$1` to `$2`: rows without an embedding of this model.
    find: Statement,
    /// `$1`: the same of one row, locked.
    lock: Statement,
    /// `$1`: the same of one row, whoever holds it.
    look: Statement,
    /// `$1` into row `$2`.
    store: Statement,
    done: u64,
    failed: u64,
    locked: u64,
}

impl<'m> Step<'m> {
    fn new(table: pg_sys::Oid, image: &str, emb: &str, key: &[String], model: &'m ModelEntry) -> Self {
        // SAFETY: it is closed at the end of this function; the statements lock the table for themselves.
        let relation = unsafe { PgRelation::with_lock(table, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE) };
        // Quoting looks at ASCII alone, which is the same in UTF-8.
        let name = pgrx::spi::quote_qualified_identifier(&schema_of(&relation), &name_of(&relation));
        // SAFETY: the relation is open; the attribute's number is asked for by a C string.
        let (pages, emb_type) = unsafe {
            let fork = pg_sys::ForkNumber::MAIN_FORKNUM;
            let number = pg_sys::get_attnum(table, server_string(emb).as_ptr());
            let pages = pg_sys::RelationGetNumberOfBlocksInFork(relation.as_ptr(), fork);
            (u64::from(pages), pg_sys::get_atttype(table, number))
        };
        let [image, emb] = [image, emb].map(pgrx::spi::quote_identifier);
        let columns: Vec<String> = key.iter().map(pgrx::spi::quote_identifier).collect();
        let key_value = match columns.as_slice() {
            [] => "ctid::pg_catalog.text".to_owned(),
            columns => format!("pg_catalog.concat_ws(', ', {})", columns.join(", ")),
        };
        let key_names = if columns.is_empty() { "ctid".to_owned() } else { columns.join(", ") };
        let missing = format!(
            "{image} IS NOT NULL AND ({emb} IS NULL OR \
             coopembed.fingerprint({emb}) OPERATOR(pg_catalog.<>) {}::pg_catalog.int8)",
            model.layout.fingerprint()
        );
        let tid = pg_sys::TIDOID;
        let of_row = format!("FROM ONLY {name} WHERE ctid OPERATOR(pg_catalog.=) $1 AND {missing}");
        let find = format!(
            "SELECT ctid FROM ONLY {name} WHERE ctid OPERATOR(pg_catalog.>=) $1 AND ctid OPERATOR(pg_catalog.<) $2 AND {missing}"
        );
        let lock = format!(
            "SELECT ctid, {image}::pg_catalog.bytea, {key_value} {of_row} FOR NO KEY UPDATE SKIP LOCKED"
        );
        let store = format!("UPDATE ONLY {name} SET {emb} = $1 WHERE ctid OPERATOR(pg_catalog.=) $2");
        Self {
            model,
            find: Statement::new(&find, &[tid, tid]),
            lock: Statement::new(&lock, &[tid]),
            look: Statement::new(&format!("SELECT {of_row}"), &[tid]),
            store: Statement::new(&store, &[emb_type, tid]),
            table: name,
            end: pages << 32,
            key_names,
            done: 0,
            failed: 0,
            locked: 0,
        }
    }

    /// Embeds rows from `position` on; returns where to go on.
    fn run(&mut self, position: u64, batch: usize) -> Result<Option<u64>> {
        let (places, next) = self.search(position, batch)?;
        let mut pipeline = Pipeline::new(self.model, guc::queue_timeout().map(|t| t + COMPUTE));
        for at in places {
            pgrx::check_for_interrupts!();
            match self.fetch(at) {
                Some((place, Ok(request))) => {
                    while pipeline.is_full() {
                        self.take(pipeline.receive()?)?;
                    }
                    pipeline.send(place, request)?;
                }
                Some((place, Err(error))) => self.fail(&place, error),
                None => {}
            }
        }
        while !pipeline.is_empty() {
            self.take(pipeline.receive()?)?;
        }
        Ok(next)
    }

    /// The first `most` rows to embed from `position` on, in the order in which they lie, and where the next one may be.
    fn search(&self, position: u64, most: usize) -> Result<(Vec<u64>, Option<u64>)> {
        let (mut found, mut from, mut span) = (Vec::new(), position, FIRST_SPAN);
        while from < self.end && found.len() < most {
            pgrx::check_for_interrupts!();
            let to = ((from >> 32) + span) << 32;
            let (mut first, mut last) = (item(from), item(to));
            // In no order that could be relied on: the planner may choose any way to these pages.
            let more = self.find.run(&[datum(&mut first), datum(&mut last)], |row| {
                // SAFETY: a ctid is never null.
                unsafe { row.tid(1) }
            });
            memory::extend(&mut found, &more)?;
            (from, span) = (to, (span * 2).min(LARGEST_SPAN));
        }
        found.sort_unstable();
        let next = found.get(most).copied().or_else(|| (from < self.end).then_some(from));
        found.truncate(most);
        Ok((found, next))
    }

    /// Locks a row and prepares its picture; `None` if others have the row, or have changed it.
    fn fetch(&mut self, at: u64) -> Option<(Place, Result<crate::inference::EmbedRequest>)> {
        let mut tid = item(at);
        let fetched = self.lock.run(&[datum(&mut tid)], |row| {
            // SAFETY: the columns are a ctid, a bytea and a text.
            let (tid, key) = unsafe { (row.tid(1), row.text(3)) };
            let request = row.with_bytes(2, |bytes| request(bytes, self.model, Priority::Bulk));
            (Place { tid: item(tid), key }, request)
        });
        if fetched.is_empty() {
            self.locked += self.look.run(&[datum(&mut tid)], |_| ()).len() as u64;
        }
        fetched.into_iter().next()
    }

    /// Stores an answer.
    fn take(&mut self, (mut place, answer): (Place, Result<Vec<f32>>)) -> Result<()> {
        let raw = match answer {
            Ok(raw) => raw,
            // One picture's; anything else would be the same for every row.
            Err(error) if error.kind == Kind::Internal => {
                self.fail(&place, error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let emb = CoopVec::from(Embedding::from_raw(self.model.layout, &raw)?).into_datum();
        let emb = emb.unwrap_or_else(pg_sys::Datum::null);
        self.store.run(&[emb, datum(&mut place.tid)], |_| ());
        // SAFETY: made above, and stored.
        unsafe { pg_sys::pfree(emb.cast_mut_ptr()) };
        self.done += 1;
        Ok(())
    }

    fn fail(&mut self, place: &Place, error: Error) {
        self.failed += 1;
        let message = format!(
            "row ({})=({}) of {} gets no embedding: {}",
            self.key_names, place.key, self.table, error.message
        );
        warn(Error { message, ..error });
    }
}

/// A statement with the caller's rights, planned for one step; SPI forgets it with the step.
struct Statement(pg_sys::SPIPlanPtr);

impl Statement {
    fn new(sql: &str, types: &[pg_sys::Oid]) -> Self {
        let text = server_string(sql);
        let mut types = types.to_vec();
        // SAFETY: SPI is connected for the whole of a step.
        let plan = with_readable_errors(|| unsafe {
            pg_sys::SPI_prepare(text.as_ptr(), types.len() as i32, types.as_mut_ptr())
        });
        if plan.is_null() {
            crate::pg::ereport::raise(
                Error::new(Kind::Internal, "a statement on the table could not be prepared").detail(sql),
            );
        }
        Self(plan)
    }

    /// Runs it, makes a value of each row and frees the rows.
    fn run<T>(&self, arguments: &[pg_sys::Datum], row: impl Fn(&Row) -> T) -> Vec<T> {
        let mut values = arguments.to_vec();
        // SAFETY: the plan takes these arguments; the rows are read before they are freed.
        unsafe {
            let code = with_readable_errors(|| {
                pg_sys::SPI_execute_plan(self.0, values.as_mut_ptr(), std::ptr::null(), false, 0)
            });
            if code < 0 {
                crate::pg::ereport::raise(Error::new(
                    Kind::Internal,
                    format!("a statement on the table failed with SPI code {code}"),
                ));
            }
            let (table, count) = (pg_sys::SPI_tuptable, pg_sys::SPI_processed as usize);
            if table.is_null() {
                return Vec::new();
            }
            let mut rows = memory::with_capacity(count).or_report();
            rows.extend(
                (0..count).map(|i| row(&Row { tuple: *(*table).vals.add(i), descriptor: (*table).tupdesc })),
            );
            pg_sys::SPI_freetuptable(table);
            rows
        }
    }
}

/// A row of a result; columns count from 1.
struct Row {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl Row {
    fn datum(&self, column: i32) -> Option<pg_sys::Datum> {
        let mut null = false;
        // SAFETY: tuple and descriptor are those of a result that has not been freed.
        let datum = unsafe { pg_sys::SPI_getbinval(self.tuple, self.descriptor, column, &mut null) };
        (!null).then_some(datum)
    }

    /// # Safety
    /// The column must be a tid.
    unsafe fn tid(&self, column: i32) -> u64 {
        // SAFETY: a tid is passed by reference.
        self.datum(column).map_or(0, |d| item_pointer_to_u64(unsafe { *d.cast_mut_ptr() }))
    }

    /// # Safety
    /// The column must be a text.
    unsafe fn text(&self, column: i32) -> String {
        // SAFETY: passed on.
        let text = self.datum(column).and_then(|d| unsafe { Text::from_datum(d, false) });
        text.map(Text::into_owned).unwrap_or_default()
    }

    /// Hands a bytea's bytes to `f`, and keeps no copy.
    fn with_bytes<T>(&self, column: i32, f: impl FnOnce(&[u8]) -> T) -> T {
        let Some(datum) = self.datum(column) else { return f(&[]) };
        // SAFETY: the statement casts the column to bytea; a copy that detoasting made is ours to free.
        unsafe {
            let stored = datum.cast_mut_ptr::<pg_sys::varlena>();
            let flat = pg_sys::pg_detoast_datum_packed(stored);
            let result = f(pgrx::varlena::varlena_to_byte_slice(flat));
            if flat != stored {
                pg_sys::pfree(flat.cast());
            }
            result
        }
    }
}

fn name_of(relation: &PgRelation) -> String {
    // SAFETY: the relation is open, and its name a C string.
    unsafe { encoding::name((*(*relation.as_ptr()).rd_rel).relname.data.as_ptr()) }
}

fn schema_of(relation: &PgRelation) -> String {
    // SAFETY: the relation is open; the name is a copy, or null if somebody dropped the schema.
    unsafe { encoding::name(pg_sys::get_namespace_name((*(*relation.as_ptr()).rd_rel).relnamespace)) }
}

/// A C string in the encoding of the database. SQL has no text with a zero in it.
fn server_string(text: &str) -> CString {
    CString::new(to_server(text).or_report()).unwrap_or_default()
}

fn item(at: u64) -> pg_sys::ItemPointerData {
    let mut item = pg_sys::ItemPointerData::default();
    u64_to_item_pointer(at, &mut item);
    item
}

/// A tid as an argument: by reference.
fn datum(item: &mut pg_sys::ItemPointerData) -> pg_sys::Datum {
    pg_sys::Datum::from(std::ptr::from_mut(item))
}
