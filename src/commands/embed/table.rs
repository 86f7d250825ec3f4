//! A table with a column of paths or URLs: which of its rows lack an embedding, and how embeddings get into them.
//!
//! Each name is qualified with its schema, and so is each operator: nothing that somebody else has created under the same name is called. The
//! table's own triggers fire, as with any UPDATE.

use super::args::EmbedArgs;
use super::failures::Failures;
use super::pipeline::Task;
use crate::connection::{column, CopyBinary, Parameter, Session};
use crate::error::{Error, Kind, Result};
use crate::image::CropBox;
use crate::space::{Embedding, Layout};
use tokio_postgres::types::Type;

/// What the server's list of runs says of a connection; the view coop_embed_progress knows the name.
pub const PROGRAM: &str = "coopembed embed";

/// A row as it was found: its table (a partition perhaps), its place in it, and its crop box as text, empty without one.
pub struct RowRef {
    table: u32,
    place: String,
    crop: String,
}

/// A row and its embedding.
pub struct EmbeddedRow {
    /// The row.
    pub row: RowRef,
    /// The path or URL of which the embedding is.
    pub name: String,
    /// The embedding.
    pub embedding: Embedding,
}

/// What became of the rows of a batch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// They have their embeddings.
    pub done: u64,
    /// Their images could not be embedded.
    pub failed: u64,
    /// They were locked by others, or changed meanwhile.
    pub skipped: u64,
}

/// The table.
pub struct EmbedTable<'s> {
    session: &'s Session,
    /// Qualified and quoted.
    pub name: String,
    /// SQL that says of a row `t` that it has no embedding of the model.
    is_missing: String,
    /// SQL of the row's path or URL.
    source: String,
    /// SQL of the row's crop box, as text.
    crop: String,
    /// The column of embeddings, quoted.
    emb: String,
    oid: u32,
}

impl<'s> EmbedTable<'s> {
    /// Finds the table and its columns, and checks them.
    ///
    /// # Errors
    /// [`Kind::UnknownName`], [`Kind::Mismatch`] for columns of other types, and those of the server.
    pub fn find(session: &'s Session, args: &EmbedArgs, layout: Layout) -> Result<Self> {
        let (named, source) =
            (args.table.clone().unwrap_or_default(), args.column.clone().unwrap_or_default());
        let (oid, name) = find_table(session, &named)?;
        let source = check_source(session, oid, &name, &source)?;
        let crop = match &args.box_column {
            Some(column) => check_box(session, oid, &name, column)?,
            None => "''::pg_catalog.text".into(),
        };
        let emb = embedding_column(session, oid, &name, args.emb.as_deref())?;
        let fingerprint = layout.fingerprint();
        let is_missing = format!(
            "(t.{emb} IS NULL OR coopembed.fingerprint(t.{emb}) OPERATOR(pg_catalog.<>) {fingerprint}::pg_catalog.int8)"
        );
        let table = Self {
            session,
            name,
            is_missing,
            source: format!("t.{source}::pg_catalog.text"),
            crop,
            emb,
            oid,
        };
        table.check_indexes(fingerprint)?;
        Ok(table)
    }

    /// Fails if an index of the table holds embeddings of another model.
    fn check_indexes(&self, fingerprint: u32) -> Result<()> {
        let sql = "SELECT coopembed.embed_check_index(c.oid::pg_catalog.regclass, a.attname, $2) FROM pg_catalog.pg_class c \
            JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid AND pg_catalog.quote_ident(a.attname) OPERATOR(pg_catalog.=) $3 \
            WHERE c.relkind OPERATOR(pg_catalog.=) 'r' AND (c.oid OPERATOR(pg_catalog.=) $1 OR c.oid OPERATOR(pg_catalog.=) ANY \
            (SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree($1::pg_catalog.regclass) p))";
        let fingerprint = i64::from(fingerprint);
        let parameters: [Parameter<'_>; 3] =
            [(&self.oid, Type::OID), (&fingerprint, Type::INT8), (&self.emb, Type::TEXT)];
        self.session.rows(sql, &parameters).map(|_| ())
    }

    /// Lists the rows to embed, in a cursor that outlives its transaction, and returns how many there are. The server shows the run from
    /// now on.
    ///
    /// # Errors
    /// Those of the server.
    pub fn begin(&self, model: &str) -> Result<i64> {
        let Self { name, source, crop, is_missing, .. } = self;
        let schema = &self.session.extension_schema;
        self.session.execute(&format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; \
             CREATE TEMPORARY TABLE coopembed_batch (tab pg_catalog.oid, place pg_catalog.text, source pg_catalog.text, \
             crop pg_catalog.text, emb {schema}.coopvec) ON COMMIT DELETE ROWS; \
             DECLARE coopembed_rows SCROLL CURSOR WITH HOLD FOR SELECT t.tableoid, t.ctid::pg_catalog.text, {source}, {crop} FROM {name} t \
             WHERE {source} IS NOT NULL AND {is_missing}; \
             COMMIT"
        ))?;
        let total = self.session.affected("MOVE FORWARD ALL IN coopembed_rows")? as i64;
        self.session.execute("MOVE ABSOLUTE 0 IN coopembed_rows")?;
        let parameters: [Parameter<'_>; 3] =
            [(&self.oid, Type::OID), (&model, Type::TEXT), (&total, Type::INT8)];
        self.session.rows("SELECT coopembed.embed_begin($1::pg_catalog.regclass, $2, $3)", &parameters)?;
        Ok(total)
    }

    /// The next rows to embed; none at the end.
    ///
    /// # Errors
    /// Those of the server.
    pub fn next_rows(&self, count: u32) -> Result<Vec<Task<RowRef>>> {
        let rows = self.session.rows(&format!("FETCH FORWARD {count} FROM coopembed_rows"), &[])?;
        let task = |row| {
            let of = RowRef { table: column(row, 0)?, place: column(row, 1)?, crop: column(row, 3)? };
            Ok(Task { crop: crop_box(&of.crop), of, name: column(row, 2)? })
        };
        rows.iter().map(task).collect()
    }

    /// Stores embeddings and failures in one transaction.
    ///
    /// # Errors
    /// Those of the server.
    pub fn store(
        &self,
        rows: &[EmbeddedRow],
        failed: &[(String, Error)],
        failures: &mut Failures<'_>,
    ) -> Result<Counts> {
        self.session.execute("BEGIN ISOLATION LEVEL READ COMMITTED")?;
        let done = if rows.is_empty() { 0 } else { self.update(rows)? };
        failures.record(rows.iter().map(|row| row.name.as_str()).collect(), failed)?;
        let counts =
            Counts { done, failed: failed.len() as u64, skipped: (rows.len() as u64).saturating_sub(done) };
        let [d, f, s] = [counts.done, counts.failed, counts.skipped].map(|n| n as i64);
        let parameters: [Parameter<'_>; 3] = [(&d, Type::INT8), (&f, Type::INT8), (&s, Type::INT8)];
        self.session.rows("SELECT coopembed.embed_add($1, $2, $3)", &parameters)?;
        self.session.execute("COMMIT")?;
        Ok(counts)
    }

    /// Updates the rows that still lack an embedding and whose path or URL and box are still those that were embedded; returns how many.
    fn update(&self, rows: &[EmbeddedRow]) -> Result<u64> {
        let mut copy = CopyBinary::default();
        copy.header();
        for EmbeddedRow { row, name, embedding } in rows {
            let emb = embedding.as_ref().to_bytes();
            copy.row(&[
                &row.table.to_be_bytes(),
                row.place.as_bytes(),
                name.as_bytes(),
                row.crop.as_bytes(),
                &emb,
            ]);
        }
        copy.trailer();
        self.session.copy_in(
            "COPY pg_temp.coopembed_batch (tab, place, source, crop, emb) FROM STDIN (FORMAT binary)",
            copy.take(),
        )?;
        let Self { name, source, crop, is_missing, emb, .. } = self;
        // Rows are found by their places; any other plan would read the whole table for each batch.
        self.session.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")?;
        self.session.affected(&format!(
            "WITH locked AS MATERIALIZED (SELECT t.tableoid AS tab, t.ctid AS place, b.emb AS emb \
             FROM pg_temp.coopembed_batch b JOIN {name} t ON t.ctid OPERATOR(pg_catalog.=) b.place::pg_catalog.tid \
             AND t.tableoid OPERATOR(pg_catalog.=) b.tab AND {source} OPERATOR(pg_catalog.=) b.source \
             AND {crop} OPERATOR(pg_catalog.=) b.crop AND {is_missing} \
             FOR NO KEY UPDATE OF t SKIP LOCKED) \
             UPDATE {name} t SET {emb} = l.emb FROM locked l \
             WHERE t.ctid OPERATOR(pg_catalog.=) l.place AND t.tableoid OPERATOR(pg_catalog.=) l.tab"
        ))
    }

    /// The table's oid.
    pub fn oid(&self) -> u32 {
        self.oid
    }

    /// Says to the server that the run is over.
    ///
    /// # Errors
    /// Those of the server.
    pub fn end(&self) -> Result<()> {
        self.session.execute("SELECT coopembed.embed_end()")
    }
}

/// The oid of the table called `name`, taken literally or as SQL reads it, and its qualified name.
fn find_table(session: &Session, name: &str) -> Result<(u32, String)> {
    let sql = "SELECT c.oid, pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(c.relname)), \
        c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog.\"char\"[]) \
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
        WHERE c.oid OPERATOR(pg_catalog.=) coalesce(pg_catalog.to_regclass(pg_catalog.quote_ident($1)), pg_catalog.to_regclass($1))::pg_catalog.oid";
    let rows = session.rows(sql, &[(&name, Type::TEXT)])?;
    let Some(row) = rows.first() else {
        let sql = "SELECT c.oid::pg_catalog.regclass::pg_catalog.text FROM pg_catalog.pg_class c \
            WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog.\"char\"[]) AND c.relnamespace OPERATOR(pg_catalog.<>) ALL \
            (ARRAY['pg_catalog', 'information_schema', 'coopembed']::pg_catalog.regnamespace[]::pg_catalog.oid[])";
        let rows = session.rows(sql, &[])?;
        return Err(Error::unknown(
            "table",
            name,
            rows.iter().filter_map(|row| column::<String>(row, 0).ok()),
        ));
    };
    if !column::<bool>(row, 2)? {
        return Err(Error::new(Kind::Mismatch, format!("\"{name}\" is not a table")).hint(
            "Name the table that stores the rows. For a view or a foreign table, embed the table behind it.",
        ));
    }
    Ok((column(row, 0)?, column(row, 1)?))
}

/// Fails unless the column has text; returns its name, quoted.
fn check_source(session: &Session, table: u32, table_name: &str, name: &str) -> Result<String> {
    let sql = "SELECT pg_catalog.quote_ident($2), b.typcategory OPERATOR(pg_catalog.=) 'S', pg_catalog.format_type(b.oid, NULL) \
        FROM pg_catalog.pg_type b WHERE b.oid OPERATOR(pg_catalog.=) \
        coopembed.column_type($1::pg_catalog.regclass, $2::pg_catalog.name)::pg_catalog.oid";
    let row = session.row(sql, &[(&table, Type::OID), (&name, Type::TEXT)])?;
    if !column::<bool>(&row, 1)? {
        let found: String = column(&row, 2)?;
        let error = Error::new(
            Kind::Mismatch,
            format!("column \"{name}\" of {table_name} does not contain paths or URLs"),
        )
        .detail(format!("Its type is {found}; expected text."));
        return Err(match found.as_str() {
            "bytea" | "oid" => {
                error.hint("The server embeds images that it stores: CALL coop_embed_table(...).")
            }
            _ => error,
        });
    }
    column(&row, 0)
}

/// Fails unless the column has boxes; returns SQL of its text.
fn check_box(session: &Session, table: u32, table_name: &str, name: &str) -> Result<String> {
    let sql = "SELECT pg_catalog.quote_ident($2), f.found OPERATOR(pg_catalog.=) 'pg_catalog.box'::pg_catalog.regtype::pg_catalog.oid, pg_catalog.format_type(f.found, NULL) \
        FROM (SELECT coopembed.column_type($1::pg_catalog.regclass, $2::pg_catalog.name)::pg_catalog.oid AS found) f";
    let row = session.row(sql, &[(&table, Type::OID), (&name, Type::TEXT)])?;
    if !column::<bool>(&row, 1)? {
        let found: String = column(&row, 2)?;
        return Err(Error::new(
            Kind::Mismatch,
            format!("column \"{name}\" of {table_name} does not contain crop boxes"),
        )
        .detail(format!("Its type is {found}; expected box."))
        .hint("Make one of numbers as box(point(x1, y1), point(x2, y2))."));
    }
    Ok(format!("coalesce(t.{}::pg_catalog.text, '')", column::<String>(&row, 0)?))
}

/// The box that a text of PostgreSQL's type box says, `(x2,y2),(x1,y1)`; `None` for an empty one.
fn crop_box(text: &str) -> Result<Option<CropBox>> {
    if text.is_empty() {
        return Ok(None);
    }
    let numbers = text.split(['(', ')', ',']).filter_map(|number| number.parse::<f64>().ok());
    let corners = <[f64; 4]>::try_from(numbers.collect::<Vec<f64>>()).ok();
    let found = corners.and_then(|[x2, y2, x1, y1]| CropBox::from_corners([x1, y1, x2, y2]));
    found.map(Some).ok_or_else(|| {
        Error::new(Kind::InvalidParameter, "invalid crop box")
            .detail(format!("The box is {text}, expected x1 < x2 and y1 < y2, less than 10^9 pixels away."))
    })
}

/// The named column of embeddings, or the only one; quoted.
fn embedding_column(session: &Session, table: u32, table_name: &str, name: Option<&str>) -> Result<String> {
    if let Some(name) = name {
        let sql = "SELECT coopembed.embedding_column($1::pg_catalog.regclass, $2::pg_catalog.name)::pg_catalog.text, pg_catalog.quote_ident($2)";
        return column(&session.row(sql, &[(&table, Type::OID), (&name, Type::TEXT)])?, 1);
    }
    let sql = "SELECT pg_catalog.quote_ident(a.attname) FROM pg_catalog.pg_attribute a \
        JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) coopembed.base_type(a.atttypid)::pg_catalog.oid \
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace \
        WHERE a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped \
        AND t.typname OPERATOR(pg_catalog.=) 'coopvec' AND pg_catalog.quote_ident(n.nspname) OPERATOR(pg_catalog.=) $2";
    let parameters: [Parameter<'_>; 2] = [(&table, Type::OID), (&session.extension_schema, Type::TEXT)];
    let rows = session.rows(sql, &parameters)?;
    match rows.as_slice() {
        [only] => column(only, 0),
        [] => Err(Error::new(Kind::InvalidParameter, format!("{table_name} has no column of embeddings"))
            .hint(format!("ALTER TABLE {table_name} ADD COLUMN emb coopvec;"))),
        several => {
            let names: Vec<String> = several.iter().map(|row| column(row, 0)).collect::<Result<_>>()?;
            Err(Error::new(Kind::InvalidParameter, format!("{table_name} has several columns of embeddings"))
                .detail(format!("They are {}.", names.join(", ")))
                .hint("Name one with --emb."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_read_from_its_text() {
        assert_eq!(crop_box("").unwrap(), None);
        let expected = CropBox { x1: -1, y1: 20, x2: 101, y2: 200 };
        assert_eq!(crop_box("(100.5,200),(-0.5,20)").unwrap(), Some(expected));
        for invalid in ["(1,1),(1,1)", "(NaN,1),(0,0)", "(Infinity,1),(0,0)", "(1,1)", "x"] {
            assert!(crop_box(invalid).unwrap_err().detail.unwrap().contains(invalid), "{invalid}");
        }
    }
}
