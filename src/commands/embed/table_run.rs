//! A run over a table: its rows' images are read, embedded and stored in batches.

use super::args::EmbedArgs;
use super::failures::Failures;
use super::pipeline::{embed_all, Engine, Run, Task};
use super::some_failed;
use super::table::{Counts, EmbedTable, EmbeddedRow, RowRef, PROGRAM};
use crate::commands::dump_model::stored_model;
use crate::connection::{column, Session};
use crate::data::progress::progress_bar;
use crate::error::{Error, Kind, Result};
use crate::model::read_directory;
use crate::space::Embedding;
use indicatif::ProgressBar;
use std::time::{Duration, Instant};
use tokio_postgres::types::Type;

/// What is embedded is stored after this time even if it is less than a batch.
const STORE_AFTER: Duration = Duration::from_secs(10);

/// Failures that are shown; all are in their table.
const SHOWN_FAILURES: u64 = 20;

/// Embeds the rows that have no embedding of the model.
///
/// # Errors
/// Those of the model, the database and its columns; [`Kind::InvalidData`] at the end if some images could not be embedded.
pub fn run(args: &EmbedArgs) -> Result<()> {
    let session = args.database.open(PROGRAM)?;
    let source = args.images_at.source()?;
    let (engine, model) = engine(&session, args)?;
    let table = EmbedTable::find(&session, args, engine.layout)?;
    let failures = Failures::find(&session, args, table.oid())?;
    let start = Instant::now();
    let total = table.begin(&model)?;
    let mut rows = Rows {
        table: &table,
        failures,
        batch: args.batch,
        embedded: Vec::new(),
        failed: Vec::new(),
        stored_at: Instant::now(),
        counts: Counts::default(),
        bar: progress_bar("embedding", total as usize),
    };
    let ahead = args.batch as usize + args.images_at.worker_count();
    let result = embed_all(&engine, &source, args.images_at.worker_count(), ahead, &mut rows)
        .and_then(|()| rows.store());
    rows.bar.finish_and_clear();
    result.map_err(|e| to_resume(e, rows.counts))?;
    table.end()?;
    let Counts { done, failed, skipped } = rows.counts;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{done} rows of {} embedded in {seconds:.1} s, {:.1} per second; {failed} failed; {skipped} were locked or changed meanwhile",
        table.name,
        done as f64 / seconds.max(0.001)
    );
    if failed > 0 {
        return Err(some_failed(failed, done + failed + skipped)
            .detail(format!("They are in {}.", rows.failures.name))
            .hint("Run the command again to try them again."));
    }
    Ok(())
}

/// The model of `--model`, which the database must know, or one of the database; and its name there.
fn engine(session: &Session, args: &EmbedArgs) -> Result<(Engine, String)> {
    if let Some(directory) = &args.model {
        let (config, weights) = read_directory(directory)?;
        let engine = Engine::new(&config, &weights, args.device.as_deref())?;
        let fingerprint = format!("{:08x}", engine.layout.fingerprint());
        let sql = "SELECT m.name FROM coopembed.models m WHERE m.fingerprint OPERATOR(pg_catalog.=) $1 ORDER BY m.name";
        let rows = session.rows(sql, &[(&fingerprint, Type::TEXT)])?;
        let row = rows.first().ok_or_else(|| {
            Error::new(
                Kind::UnknownName,
                format!("model {} is not loaded in {}", engine.layout, session.described),
            )
            .hint(format!("coopembed load --name NAME {}", directory.display()))
        })?;
        return Ok((engine, column(row, 0)?));
    }
    let sql = "SELECT m.name FROM coopembed.embed_model($1) m";
    let name: String = column(&session.row(sql, &[(&args.model_name, Type::TEXT)])?, 0)?;
    let (config, weights) = stored_model(session, &name).map_err(|e| {
        if e.message.contains("42501") {
            e.hint("Give the model's directory with --model.")
        } else {
            e
        }
    })?;
    Ok((Engine::new(&config, &weights, args.device.as_deref())?, name))
}

fn to_resume(e: Error, counts: Counts) -> Error {
    let detail = format!("{} rows are embedded and committed.", counts.done);
    match (&e.detail, &e.hint) {
        (None, _) if e.kind == Kind::Unavailable => {
            e.detail(detail).hint("Run the command again: it goes on where it was.")
        }
        (None, None) => e.detail(detail),
        _ => e,
    }
}

/// The rows of a run.
struct Rows<'a> {
    table: &'a EmbedTable<'a>,
    failures: Failures<'a>,
    batch: u32,
    /// What is embedded and not stored yet.
    embedded: Vec<EmbeddedRow>,
    failed: Vec<(String, Error)>,
    stored_at: Instant,
    counts: Counts,
    bar: ProgressBar,
}

impl Rows<'_> {
    fn store(&mut self) -> Result<()> {
        let stored = self.table.store(&self.embedded, &self.failed, &mut self.failures)?;
        self.bar.inc((self.embedded.len() + self.failed.len()) as u64);
        self.embedded.clear();
        self.failed.clear();
        self.counts.done += stored.done;
        self.counts.failed += stored.failed;
        self.counts.skipped += stored.skipped;
        self.stored_at = Instant::now();
        Ok(())
    }
}

impl Run<RowRef> for Rows<'_> {
    fn more(&mut self) -> Result<Option<Vec<Task<RowRef>>>> {
        let rows = self.table.next_rows(self.batch)?;
        Ok((!rows.is_empty()).then_some(rows))
    }

    fn finish(&mut self, task: Task<RowRef>, embedding: Result<Embedding>) -> Result<()> {
        match embedding {
            Ok(embedding) => self.embedded.push(EmbeddedRow { row: task.of, name: task.name, embedding }),
            Err(error) => {
                let shown = self.counts.failed + (self.failed.len() as u64);
                if shown < SHOWN_FAILURES {
                    self.bar.suspend(|| {
                        eprintln!("WARNING:  \"{}\" gets no embedding: {}", task.name, error.report())
                    });
                } else if shown == SHOWN_FAILURES {
                    self.bar.suspend(|| eprintln!("NOTICE:  all failures are in {}", self.failures.name));
                }
                self.failed.push((task.name, error));
            }
        }
        let waiting = self.embedded.len() + self.failed.len();
        if waiting >= self.batch as usize || self.stored_at.elapsed() > STORE_AFTER {
            self.store()?;
        }
        Ok(())
    }
}
