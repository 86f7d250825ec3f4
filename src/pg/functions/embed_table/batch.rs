//! One batch of `coop_embed_table()`: the work between two commits.
//!
//! It finds rows to embed from a position in the table on, locks each before it reads the row's image, and stores the embedding in the row
//! that it locked. So an image cannot change under its embedding. Rows that others have locked are skipped, and left to them. The
//! statements have the caller's privileges, and qualify each name with its schema.
//!
//! A position is a row's ctid as one number: its page shifted left by 32 bits, and its place on the page.

use crate::error::{Error, Kind, Result};
use crate::inference::{EmbedRequest, Priority};
use crate::memory;
use crate::pg::catalog::ModelEntry;
use crate::pg::ereport::warn;
use crate::pg::functions::row_image::{qualified_name, row_error, row_request, ImageColumns};
use crate::pg::inference::embed_request::answer_timeout;
use crate::pg::inference::pipeline::Pipeline;
use crate::pg::prepared_statement::{server_c_string, PreparedStatement};
use crate::pg::CoopVec;
use crate::space::Embedding;
use pgrx::itemptr::u64_to_item_pointer;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::PgRelation;

/// How many pages of the table are searched for rows at first. The number doubles as long as too few rows are found, up to the maximum.
const FIRST_PAGES: u64 = 8;
const MAX_PAGES: u64 = 4096;

/// How many rows of a batch got an embedding, could not be embedded, and were locked by others.
#[derive(Debug, Clone, Copy, Default)]
pub struct RowCounts {
    /// Rows that got an embedding.
    pub done: u64,
    /// Rows that could not be embedded, each with a warning.
    pub failed: u64,
    /// Rows that others had locked.
    pub locked: u64,
}

/// A row that this session has locked: its ctid, and the values of its key columns for a warning.
struct LockedRow {
    tid: pg_sys::ItemPointerData,
    key: String,
}

/// Embeds one batch of a table's rows.
pub struct EmbedBatch<'m> {
    model: &'m ModelEntry,
    /// The table's qualified name.
    table: String,
    /// The position after the table's last page.
    end: u64,
    key_names: String,
    /// Finds the rows from position `$1` to before `$2` that have an image and no embedding of this model.
    find: PreparedStatement,
    /// Locks the row at `$1` if it is still such a row and nobody else has locked it, and returns its image, key and crop box.
    lock: PreparedStatement,
    /// Tells whether the row at `$1` is still such a row, also if somebody else has locked it.
    check: PreparedStatement,
    /// Stores the embedding `$1` in the row at `$2`.
    store: PreparedStatement,
    counts: RowCounts,
}

impl<'m> EmbedBatch<'m> {
    /// Prepares the statements. `key` are columns by which warnings name a row; if there are none, its ctid does.
    pub fn new(
        table: pg_sys::Oid,
        columns: &ImageColumns<'_>,
        key: &[String],
        model: &'m ModelEntry,
    ) -> Self {
        // SAFETY: the relation is closed and unlocked at the end of this function; the statements lock the table themselves.
        let relation = unsafe { PgRelation::with_lock(table, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE) };
        // SAFETY: the relation is open.
        let name = qualified_name(unsafe { &*relation.as_ptr() });
        // SAFETY: the relation is open; the column is looked up by a C string that lives during the call.
        let (pages, image_type, emb_type) = unsafe {
            let fork = pg_sys::ForkNumber::MAIN_FORKNUM;
            let base_type = |name| {
                let number = pg_sys::get_attnum(table, server_c_string(name).as_ptr());
                pg_sys::getBaseType(pg_sys::get_atttype(table, number))
            };
            let pages = pg_sys::RelationGetNumberOfBlocksInFork(relation.as_ptr(), fork);
            (u64::from(pages), base_type(columns.image), base_type(columns.emb))
        };
        let [image, emb] = [columns.image, columns.emb].map(pgrx::spi::quote_identifier);
        let key: Vec<String> = key.iter().map(pgrx::spi::quote_identifier).collect();
        let key_value = match key.as_slice() {
            [] => "ctid::pg_catalog.text".to_owned(),
            key => format!("pg_catalog.concat_ws(', ', {})", key.join(", ")),
        };
        let key_names = if key.is_empty() { "ctid".to_owned() } else { key.join(", ") };
        let missing = format!(
            "{image} IS NOT NULL AND ({emb} IS NULL OR \
             coopembed.fingerprint({emb}) OPERATOR(pg_catalog.<>) {}::pg_catalog.int8)",
            model.layout.fingerprint()
        );
        let tid = pg_sys::TIDOID;
        let of_row = format!("FROM ONLY {name} t WHERE ctid OPERATOR(pg_catalog.=) $1 AND {missing}");
        let find = format!(
            "SELECT ctid FROM ONLY {name} WHERE ctid OPERATOR(pg_catalog.>=) $1 AND ctid OPERATOR(pg_catalog.<) $2 AND {missing}"
        );
        let lock = format!(
            "SELECT ctid, {key_value}, {} {of_row} FOR NO KEY UPDATE SKIP LOCKED",
            columns.sql(image_type)
        );
        let store = format!("UPDATE ONLY {name} SET {emb} = $1 WHERE ctid OPERATOR(pg_catalog.=) $2");
        Self {
            model,
            find: PreparedStatement::new(&find, &[tid, tid]),
            lock: PreparedStatement::new(&lock, &[tid]),
            check: PreparedStatement::new(&format!("SELECT {of_row}"), &[tid]),
            store: PreparedStatement::new(&store, &[emb_type, tid]),
            table: name,
            end: pages << 32,
            key_names,
            counts: RowCounts::default(),
        }
    }

    /// How many rows [`EmbedBatch::run`] has dealt with.
    pub fn counts(&self) -> RowCounts {
        self.counts
    }

    /// Embeds up to `batch` rows from `position` on. Returns the position to go on from; `None` at the table's end.
    ///
    /// # Errors
    /// Those that concern every row: the service cannot be reached, the model is gone. An image that cannot be embedded is a warning.
    pub fn run(&mut self, position: u64, batch: usize) -> Result<Option<u64>> {
        let (rows, next) = self.find_rows(position, batch)?;
        let mut pipeline = Pipeline::new(self.model, answer_timeout());
        for row in rows {
            pgrx::check_for_interrupts!();
            match self.lock_and_prepare(row) {
                Some((row, Ok(request))) => {
                    while pipeline.is_full() {
                        self.store_answer(pipeline.receive()?)?;
                    }
                    pipeline.send(row, request)?;
                }
                Some((row, Err(error))) => self.warn_of_failure(&row, error),
                None => {}
            }
        }
        while !pipeline.is_empty() {
            self.store_answer(pipeline.receive()?)?;
        }
        Ok(next)
    }

    /// The positions of the first `max` rows to embed from `position` on, in ascending order, and the position at which the next one may
    /// be.
    fn find_rows(&self, position: u64, max: usize) -> Result<(Vec<u64>, Option<u64>)> {
        let (mut found, mut from, mut pages) = (Vec::new(), position, FIRST_PAGES);
        while from < self.end && found.len() < max {
            pgrx::check_for_interrupts!();
            let to = ((from >> 32) + pages) << 32;
            let (mut first, mut last) = (item_pointer(from), item_pointer(to));
            // The rows come in any order: the planner may scan these pages in whatever way it likes.
            let more = self.find.run(&[tid_datum(&mut first), tid_datum(&mut last)], |row| row.tid(1));
            memory::extend(&mut found, &more)?;
            (from, pages) = (to, (pages * 2).min(MAX_PAGES));
        }
        found.sort_unstable();
        let next = found.get(max).copied().or_else(|| (from < self.end).then_some(from));
        found.truncate(max);
        Ok((found, next))
    }

    /// Locks a row and prepares its image. `None` if somebody else has locked the row, or has changed it meanwhile.
    fn lock_and_prepare(&mut self, position: u64) -> Option<(LockedRow, Result<EmbedRequest>)> {
        let mut tid = item_pointer(position);
        let locked = self.lock.run(&[tid_datum(&mut tid)], |row| {
            let locked = LockedRow { tid: item_pointer(row.tid(1)), key: row.text(2) };
            (locked, row_request(row, 3, self.model, Priority::Bulk))
        });
        if locked.is_empty() {
            self.counts.locked += self.check.run(&[tid_datum(&mut tid)], |_| ()).len() as u64;
        }
        locked.into_iter().next()
    }

    /// Stores the embedding of a row, or warns that it has none.
    fn store_answer(&mut self, (mut row, answer): (LockedRow, Result<Vec<f32>>)) -> Result<()> {
        let raw = match answer {
            Ok(raw) => raw,
            // The model failed on this image. Any other error would be the same for every row.
            Err(error) if error.kind == Kind::Internal => {
                self.warn_of_failure(&row, error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let emb = CoopVec::from(Embedding::from_raw(self.model.layout, &raw)?).into_datum();
        let emb = emb.unwrap_or_else(pg_sys::Datum::null);
        self.store.run(&[emb, tid_datum(&mut row.tid)], |_| ());
        // SAFETY: `into_datum` allocated the value with palloc, and the statement that stored a copy of it is over.
        unsafe { pg_sys::pfree(emb.cast_mut_ptr()) };
        self.counts.done += 1;
        Ok(())
    }

    fn warn_of_failure(&mut self, row: &LockedRow, error: Error) {
        self.counts.failed += 1;
        warn(row_error(&self.key_names, &row.key, &self.table, error));
    }
}

/// The ctid of a position.
fn item_pointer(position: u64) -> pg_sys::ItemPointerData {
    let mut item = pg_sys::ItemPointerData::default();
    u64_to_item_pointer(position, &mut item);
    item
}

/// A ctid as a parameter of a statement, which is passed by reference.
fn tid_datum(item: &mut pg_sys::ItemPointerData) -> pg_sys::Datum {
    pg_sys::Datum::from(std::ptr::from_mut(item))
}
