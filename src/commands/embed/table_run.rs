//! A run over a table: its rows' images are read, embedded and stored in batches.

use super::args::EmbedArgs;
use super::failures::Failures;
use super::pipeline::{embed_all, Engine, Run, Task};
use super::some_failed;
use super::table::{Counts, EmbedTable, EmbeddedRow, RowRef, PROGRAM};
use crate::commands::dump_model::stored_model;
use crate::connection::{column, is_connection_lost, Session};
use crate::data::image_source::ImageSource;
use crate::data::progress::progress_bar;
use crate::error::{Error, Kind, Result};
use crate::model::read_directory;
use crate::space::Embedding;
use indicatif::ProgressBar;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_postgres::types::Type;

/// What is embedded is stored after this time even if it is less than a batch.
const STORE_AFTER: Duration = Duration::from_secs(10);

/// Failures that are shown; all are in their table.
const SHOWN_FAILURES: u64 = 20;

/// The first wait before a connection that has dropped is made again, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Embeds the rows that have no embedding of the model. If the connection drops, the run goes on over another one.
///
/// # Errors
/// Those of the model, the database and its columns; [`Kind::InvalidData`] at the end if some images could not be embedded.
pub fn run(args: &EmbedArgs) -> Result<()> {
    let session = args.database.open(PROGRAM)?;
    let source = args.images_at.source()?;
    let (engine, model) = engine(&session, args)?;
    let images = Images { engine, model, source };
    let start = Instant::now();
    let mut progress = Progress::default();
    let mut pass = over_table(args, &session, &images, &mut progress);
    drop(session);
    let mut reconnects = Reconnects::new(args.reconnects);
    while let Some(wait) = pass.as_ref().err().and_then(|e| reconnects.wait_after(e, progress.counts.done)) {
        if let Err(e) = &pass {
            eprintln!(
                "WARNING:  the connection dropped, {:.1} s until it is made again: {}",
                wait.as_secs_f64(),
                e.message
            );
        }
        std::thread::sleep(wait);
        pass = args
            .database
            .open(PROGRAM)
            .and_then(|session| over_table(args, &session, &images, &mut progress));
    }
    let names = pass.map_err(|e| to_resume(e, progress.counts))?;
    let Counts { done, failed, skipped } = progress.counts;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{done} rows of {} embedded in {seconds:.1} s, {:.1} per second; {failed} failed; {skipped} were locked or changed meanwhile",
        names.table,
        done as f64 / seconds.max(0.001)
    );
    if failed > 0 {
        return Err(some_failed(failed, done + failed + skipped)
            .detail(format!("They are in {}.", names.failures))
            .hint("Run the command again to try them again."));
    }
    Ok(())
}

/// What embeds the images of a run.
struct Images {
    engine: Engine,
    /// The model's name in the database.
    model: String,
    source: Arc<dyn ImageSource>,
}

/// What a run has done, over all of its connections.
#[derive(Default)]
struct Progress {
    counts: Counts,
    /// Images that could not be embedded: another connection does not try them again.
    failed: HashSet<String>,
}

/// The tables of a run, for people.
struct TableNames {
    table: String,
    failures: String,
}

/// Embeds what is missing over one connection, until nothing is or it drops.
fn over_table(
    args: &EmbedArgs,
    session: &Session,
    images: &Images,
    progress: &mut Progress,
) -> Result<TableNames> {
    let table = EmbedTable::find(session, args, images.engine.layout)?;
    let failures = Failures::find(session, args, table.oid())?;
    let total = table.begin(&images.model)?;
    let mut rows = Rows {
        table: &table,
        failures,
        batch: args.batch,
        embedded: Vec::new(),
        failed: Vec::new(),
        stored_at: Instant::now(),
        over_again: !progress.failed.is_empty(),
        progress,
        bar: progress_bar("embedding", total as usize),
    };
    let workers = args.images_at.worker_count();
    let result = embed_all(&images.engine, &images.source, workers, args.batch as usize + workers, &mut rows)
        .and_then(|()| rows.store());
    rows.bar.finish_and_clear();
    let failures = std::mem::take(&mut rows.failures.name);
    result?;
    table.end()?;
    Ok(TableNames { table: table.name.clone(), failures })
}

/// How often a connection may still be made again, one time after the other without a row embedded.
struct Reconnects {
    allowed: u32,
    left: u32,
    wait: Duration,
    done: u64,
}

impl Reconnects {
    fn new(allowed: u32) -> Self {
        Self { allowed, left: allowed, wait: FIRST_WAIT, done: 0 }
    }

    /// How long to wait before the connection that ended with this error is made again; `None` if it is not. `done` rows are embedded.
    fn wait_after(&mut self, error: &Error, done: u64) -> Option<Duration> {
        if !is_connection_lost(error) {
            return None;
        }
        if done > self.done {
            (self.left, self.wait, self.done) = (self.allowed, FIRST_WAIT, done);
        }
        self.left = self.left.checked_sub(1)?;
        let wait = self.wait;
        self.wait = (2 * wait).min(LONGEST_WAIT);
        Some(wait)
    }
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
    /// Whether an earlier connection of this run has failed images.
    over_again: bool,
    progress: &'a mut Progress,
    bar: ProgressBar,
}

impl Rows<'_> {
    fn store(&mut self) -> Result<()> {
        let stored = self.table.store(&self.embedded, &self.failed, &mut self.failures)?;
        self.bar.inc((self.embedded.len() + self.failed.len()) as u64);
        self.embedded.clear();
        self.progress.failed.extend(self.failed.drain(..).map(|(name, _)| name));
        let counts = &mut self.progress.counts;
        counts.done += stored.done;
        counts.failed += stored.failed;
        counts.skipped += stored.skipped;
        self.stored_at = Instant::now();
        Ok(())
    }
}

impl Run<RowRef> for Rows<'_> {
    fn more(&mut self) -> Result<Option<Vec<Task<RowRef>>>> {
        let mut rows = self.table.next_rows(self.batch)?;
        let more = !rows.is_empty();
        if self.over_again {
            rows.retain(|row| !self.progress.failed.contains(&row.name));
        }
        Ok(more.then_some(rows))
    }

    fn finish(&mut self, task: Task<RowRef>, embedding: Result<Embedding>) -> Result<()> {
        match embedding {
            Ok(embedding) => self.embedded.push(EmbeddedRow { row: task.of, name: task.name, embedding }),
            Err(error) => {
                let shown = self.progress.counts.failed + (self.failed.len() as u64);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> Error {
        Error::new(Kind::Unavailable, "connection closed")
    }

    #[test]
    fn waits_double_up_to_a_minute_and_begin_anew_after_a_row() {
        let mut reconnects = Reconnects::new(9);
        let seconds = |wait: Option<Duration>| wait.map(|wait| wait.as_secs_f64());
        let waits: Vec<_> = (0..10).map(|_| seconds(reconnects.wait_after(&lost(), 7))).collect();
        let expected = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0].map(Some);
        assert_eq!((&waits[..9], waits[9]), (&expected[..], None));
        assert_eq!(seconds(reconnects.wait_after(&lost(), 8)), Some(0.5));
    }

    #[test]
    fn only_a_connection_that_dropped_is_made_again() {
        let mut reconnects = Reconnects::new(3);
        let cancelled =
            Error::new(Kind::Unavailable, "canceling statement due to user request (SQLSTATE 57014)");
        let stopped = Error::new(Kind::Unavailable, "terminating connection (SQLSTATE 57P01)");
        assert_eq!(reconnects.wait_after(&cancelled, 0), None);
        assert_eq!(reconnects.wait_after(&Error::new(Kind::Io, "the disk is full"), 0), None);
        assert!(reconnects.wait_after(&stopped, 0).is_some());
        assert_eq!(Reconnects::new(0).wait_after(&lost(), 0), None);
    }
}
