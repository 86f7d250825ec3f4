//! The trigger AFTER INSERT or AFTER UPDATE, for each statement. It goes through the transition tables, finds each row that is to be embedded
//! by its primary key (rows in transition tables have no ctid), reads the image that the row has now, and updates the row. Several images are
//! under way at the same time, and no more than that are in memory. Its statements have the rights of whoever wrote the rows.

use super::arguments::{RowValues, TriggerColumns};
use super::transition_table::TransitionTable;
use super::TriggerEvent;
use crate::error::{Error, Kind, Result};
use crate::inference::EmbedRequest;
use crate::pg::catalog::{self, ModelEntry};
use crate::pg::ereport::warn;
use crate::pg::functions::embed::priority;
use crate::pg::functions::row_image::{qualified_name, row_error, row_request, ImageColumns};
use crate::pg::inference::embed_request::answer_timeout;
use crate::pg::inference::pipeline::Pipeline;
use crate::pg::prepared_statement::PreparedStatement;
use crate::pg::CoopVec;
use crate::space::Embedding;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Embeds the images of the rows that the statement wrote.
///
/// # Errors
/// Those of an image, with the key of its row; those of the model and the service; a table without a primary key.
pub fn embed_rows(event: &TriggerEvent<'_>, columns: &TriggerColumns) -> Result<()> {
    let mut rows = WrittenRows::new(event, columns);
    if !rows.advance() {
        return Ok(());
    }
    let model = catalog::model(columns.model.as_deref())?;
    // SAFETY: closed again below; if an error comes first, the end of the transaction closes it.
    unsafe { pg_sys::SPI_connect() };
    let mut embedder = RowEmbedder::new(event, columns, &model)?;
    loop {
        embedder.embed(&rows.new)?;
        if !rows.advance() {
            break;
        }
    }
    embedder.finish()?;
    // SAFETY: SPI was connected above, and everything that the embedder uses of it is used up.
    unsafe { pg_sys::SPI_finish() };
    Ok(())
}

/// The rows that a statement wrote.
struct WrittenRows<'a> {
    columns: &'a TriggerColumns,
    new: TransitionTable,
    /// The rows before an UPDATE, in the same order.
    old: Option<TransitionTable>,
    is_update: bool,
}

impl<'a> WrittenRows<'a> {
    fn new(event: &TriggerEvent<'_>, columns: &'a TriggerColumns) -> Self {
        // SAFETY: the transition tables of the trigger that is being called, which has checked that they are there.
        let table = |rows| unsafe { TransitionTable::new(rows, event.descriptor()) };
        let new = table(event.data.tg_newtable);
        let mut old = event.is_update.then(|| table(event.data.tg_oldtable));
        // A row that another trigger kept from moving to its new partition has an old version only. Then nothing tells which belong together.
        if old.as_ref().is_some_and(|old| old.count() != new.count()) {
            old = None;
        }
        Self { columns, new, old, is_update: event.is_update }
    }

    /// Goes on to the next row that is to be embedded, if there is one.
    fn advance(&mut self) -> bool {
        while self.new.advance() {
            pgrx::check_for_interrupts!();
            let columns = self.columns;
            let old =
                self.old.as_mut().and_then(|old| old.advance().then(|| columns.values(|c| old.value(c))));
            if self.is_to_embed(old, self.columns.values(|c| self.new.value(c))) {
                return true;
            }
        }
        false
    }

    fn is_to_embed(&self, old: Option<RowValues>, new: RowValues) -> bool {
        let has_nothing = new.image.is_none() && new.emb.is_none();
        // Where old versions are not known, every row counts as changed.
        let is_unmatched = self.is_update && old.is_none();
        // SAFETY: the values are those of the columns.
        !has_nothing && (is_unmatched || unsafe { self.columns.is_to_embed(old, new) })
    }
}

/// A column of the primary key.
struct KeyColumn {
    name: String,
    /// Columns count from 1.
    number: i32,
    type_oid: pg_sys::Oid,
    /// The operator that means "equal" in the key's index, as SQL.
    equals: String,
}

/// A row whose image is under way.
struct Row {
    /// The values of its primary key, which it owns.
    key: Vec<pg_sys::Datum>,
    /// The same as a text.
    name: String,
}

/// What a row has now.
enum Image {
    None,
    Prepared(Result<EmbedRequest>),
}

/// Embeds rows of a table.
struct RowEmbedder<'m> {
    model: &'m ModelEntry,
    /// The table's qualified name.
    table: String,
    key: Vec<KeyColumn>,
    /// Reads the row with the key `$1`, ...: its key as text, whether it has an image, the image and its crop box.
    read: PreparedStatement,
    /// Stores the embedding `$n`, after the key, and returns a row.
    store: PreparedStatement,
    /// Removes the embedding, and returns a row.
    clear: PreparedStatement,
    pipeline: Pipeline<'m, Row>,
    /// Rows that were not found again.
    lost: u64,
}

impl<'m> RowEmbedder<'m> {
    /// Prepares the statements. SPI must be connected as long as it is used.
    fn new(event: &TriggerEvent<'_>, columns: &TriggerColumns, model: &'m ModelEntry) -> Result<Self> {
        let (table, is_partitioned) = {
            // SAFETY: the relation is open during the call.
            let relation = unsafe { &*event.data.tg_relation };
            // SAFETY: the same.
            unsafe {
                (
                    qualified_name(relation),
                    (*relation.rd_rel).relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE,
                )
            }
        };
        let key = primary_key(event.relation());
        if key.is_empty() {
            return Err(Error::new(Kind::Unsupported, format!("table {table} has no primary key"))
                .detail("coop_embed_trigger for each statement finds the rows by it.")
                .hint("Add a primary key that is not deferrable, or use a trigger BEFORE INSERT OR UPDATE ... FOR EACH ROW."));
        }
        // Rows of child tables have other keys.
        let only = if is_partitioned { "" } else { "ONLY " };
        let quoted: Vec<String> = key.iter().map(|k| pgrx::spi::quote_identifier(&k.name)).collect();
        let is_row: Vec<String> = key
            .iter()
            .zip(&quoted)
            .enumerate()
            .map(|(i, (k, name))| format!("t.{name} {} ${}", k.equals, i + 1))
            .collect();
        let is_row = is_row.join(" AND ");
        let image = ImageColumns {
            image: &columns.image.name,
            emb: &columns.emb.name,
            crop: columns.crop.as_ref().map(|c| c.name.as_str()),
        };
        let emb = pgrx::spi::quote_identifier(image.emb);
        let names: Vec<String> = quoted.iter().map(|name| format!("t.{name}")).collect();
        let read = format!(
            "SELECT pg_catalog.concat_ws(', ', {}), t.{} IS NOT NULL, {} FROM {only}{table} t WHERE {is_row}",
            names.join(", "),
            pgrx::spi::quote_identifier(image.image),
            image.sql(columns.image.base_type)
        );
        let store =
            format!("UPDATE {only}{table} t SET {emb} = ${} WHERE {is_row} RETURNING true", key.len() + 1);
        let clear = format!("UPDATE {only}{table} t SET {emb} = NULL WHERE {is_row} RETURNING true");
        let mut types: Vec<pg_sys::Oid> = key.iter().map(|k| k.type_oid).collect();
        let (read, clear) = (PreparedStatement::new(&read, &types), PreparedStatement::new(&clear, &types));
        types.push(columns.emb.base_type);
        let store = PreparedStatement::new(&store, &types);
        let pipeline = Pipeline::new(model, answer_timeout());
        Ok(Self { model, table, key, read, store, clear, pipeline, lost: 0 })
    }

    /// Embeds the row that `written` is at, or begins to.
    fn embed(&mut self, written: &TransitionTable) -> Result<()> {
        let key = self.key_of(written);
        let found = self.read.run(&key, |row| {
            let image = match row.expect::<bool>(2) {
                true => Image::Prepared(row_request(row, 3, self.model, priority())),
                false => Image::None,
            };
            (row.text(1), image)
        });
        let Some((name, image)) = found.into_iter().next() else {
            self.lost += 1;
            return Ok(());
        };
        let row = Row { key, name };
        match image {
            Image::Prepared(request) => {
                let request = request.map_err(|error| self.error(&row, error))?;
                while self.pipeline.is_full() {
                    self.store_answer()?;
                }
                self.pipeline.send(row, request)
            }
            Image::None => {
                self.lost += u64::from(self.clear.run(&row.key, |_| ()).is_empty());
                Ok(())
            }
        }
    }

    /// Waits for the embeddings that are under way.
    fn finish(mut self) -> Result<()> {
        while !self.pipeline.is_empty() {
            self.store_answer()?;
        }
        if self.lost > 0 {
            let message =
                format!("{} new or changed rows of {} have not been embedded", self.lost, self.table);
            warn(Error::new(Kind::Conflict, message)
                .detail("They were not found again by their primary key: a policy hides them, they are in a child table, or another trigger has changed them.")
                .hint("Embed them with coop_embed_table()."));
        }
        Ok(())
    }

    /// Waits for the next embedding and stores it.
    fn store_answer(&mut self) -> Result<()> {
        let (row, answer) = self.pipeline.receive()?;
        let raw = answer.map_err(|error| self.error(&row, error))?;
        let emb = CoopVec::from(Embedding::from_raw(self.model.layout, &raw)?).into_datum();
        let emb = emb.unwrap_or_else(pg_sys::Datum::null);
        let mut arguments = row.key.clone();
        arguments.push(emb);
        self.lost += u64::from(self.store.run(&arguments, |_| ()).is_empty());
        // SAFETY: `into_datum` allocated the value with palloc, and the statement that stored a copy of it is over.
        unsafe { pg_sys::pfree(emb.cast_mut_ptr()) };
        self.free(row);
        Ok(())
    }

    /// Copies of the key's values in a row.
    fn key_of(&self, written: &TransitionTable) -> Vec<pg_sys::Datum> {
        let copied = |column: &KeyColumn| {
            let value = written.value(column.number).unwrap_or_else(pg_sys::Datum::null);
            let (length, by_value) = storage_of(column.type_oid);
            // SAFETY: a value of a column of this type; a primary key has no nulls. SPI is connected.
            unsafe { pg_sys::SPI_datumTransfer(value, by_value, length.into()) }
        };
        self.key.iter().map(copied).collect()
    }

    /// Frees the values of a row's key.
    fn free(&self, row: Row) {
        for (column, value) in self.key.iter().zip(row.key) {
            if !storage_of(column.type_oid).1 {
                // SAFETY: a copy that `key_of` made, and nothing refers to it.
                unsafe { pg_sys::pfree(value.cast_mut_ptr()) }
            }
        }
    }

    /// The error of a row. One that would be the same for every row stays as it is.
    fn error(&self, row: &Row, error: Error) -> Error {
        let names: Vec<&str> = self.key.iter().map(|k| k.name.as_str()).collect();
        match error.kind {
            Kind::Busy | Kind::Unavailable => error,
            _ => row_error(&names.join(", "), &row.name, &self.table, error),
        }
    }
}

/// The columns of a table's primary key; none if it has none that can be used.
fn primary_key(relation: pg_sys::Oid) -> Vec<KeyColumn> {
    let select = PreparedStatement::new(
        "SELECT k.name, k.number, k.type, k.equals FROM coopembed.primary_key($1) k",
        &[pg_sys::REGCLASSOID],
    );
    select.run(&[pg_sys::Datum::from(relation)], |row| KeyColumn {
        name: row.text(1),
        number: row.expect::<i32>(2),
        type_oid: row.expect(3),
        equals: row.text(4),
    })
}

/// Length of a type's values, and whether they are passed by value.
fn storage_of(type_oid: pg_sys::Oid) -> (i16, bool) {
    let (mut length, mut by_value) = (0, false);
    // SAFETY: a lookup in the catalogue, into local variables.
    unsafe { pg_sys::get_typlenbyval(type_oid, &mut length, &mut by_value) };
    (length, by_value)
}
