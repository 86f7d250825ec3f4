//! `coopembed data table`: a training set out of a table of a database.
//!
//! | file | what is in it |
//! |---|---|
//! | `args` | the flags |
//! | `selection`, `relation`, `column_types` | the table or query, its columns, and the statement that reads them |
//! | `rows`, `vocabulary` | its rows with their labels, by number; the values of a column |
//! | `read_rows` | reads all rows from one snapshot, and has their images fetched |
//! | `fetch`, `image_store` | images from wherever they are into the folder, by several workers |
//! | `journal` | which images the folder has, so that a later run goes on |
//! | `split` | which instances are for training |
//! | `training_set` | the rows of `images.csv` |
//! | `findings/` | what is odd about the labels |
//! | `exported_from` | which table it was, for what follows a training |
//! | `output` | the files beside the images |

mod args;
mod column_types;
mod exported_from;
mod fetch;
mod findings;
mod image_store;
mod journal;
mod output;
mod read_rows;
mod relation;
mod rows;
mod selection;
mod split;
mod training_set;
mod vocabulary;

pub use args::TableArgs;
pub use exported_from::{ExportedFrom, ImagesAt};

use crate::connection::{column, Session};
use crate::error::{Error, Kind, Result};
use fetch::Fetcher;
use findings::{questions, table_text, Finding};
use image_store::ImageStore;
use journal::{Journal, Origin};
use read_rows::read_rows;
use rows::Reason;
use selection::{ImageKind, Selection};
use std::collections::BTreeSet;
use std::time::Instant;
use training_set::{SetOptions, TrainingSet};

/// What the server's list of connections says of this one.
const PROGRAM: &str = "coopembed data table";

/// Exports the set.
///
/// # Errors
/// Those of the connection, the table and its columns, and of writing; [`Kind::InvalidData`] if no row can be exported.
pub fn run(args: &TableArgs) -> Result<()> {
    let start = Instant::now();
    let session = Session::connect(args.database.db.as_deref(), PROGRAM)?;
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    let selection = Selection::find(&session, args)?;
    let source = args.images_at.source()?;
    let mut journal = Journal::open(&args.out, &origin(&session, args, &selection)?)?;
    if args.refetch {
        journal.known.clear();
    }
    let known = journal.known.len();
    if known > 0 {
        eprintln!(
            "NOTICE:  {known} images of earlier runs are kept; labels are read anew, from a new snapshot"
        );
    }
    let store = ImageStore::new(&args.out);
    let mut fetcher = Fetcher::start(
        args.images_at.worker_count(),
        &source,
        &store,
        journal,
        selection.image_kind != ImageKind::Bytes,
    )?;
    let read = read_rows(&session, &selection, args.images_at.max_bytes(), &mut fetcher);
    // What was fetched is kept, whatever has happened.
    let finished = fetcher.finish();
    let fetched = fetcher.fetched;
    let mut table = finished.and(read).map_err(|e| to_resume(e, fetched))?;
    drop(session);

    let share = args.split_column.is_none().then_some(args.split);
    let options = SetOptions { tidy: args.tidy, share, seed: args.seed };
    let mut set = TrainingSet::new(&mut table, fetcher.states(), &selection, options);
    if set.images.is_empty() {
        return Err(nothing_left(&set, &selection));
    }
    set.name_files(&store)?;
    let found = findings::find(&set, &table, &selection, args.tidy);
    if let Some(table) = ExportedFrom::new(&selection, args) {
        table.write(&args.out)?;
    }
    output::write(&args.out, &set, &selection, &found, &questions(&found, &described(&selection)))?;
    // What could not be read now may be there from an earlier run, and is kept for the next.
    let is_complete = set.left_out.iter().all(|row| row.reason != Reason::Unreadable);
    let removed = if is_complete { store.remove_others(&set.files())? } else { 0 };
    summary(args, &set, &found, fetched, removed, start);
    Ok(())
}

/// What tells this export's images from those of another.
fn origin(session: &Session, args: &TableArgs, selection: &Selection) -> Result<Origin> {
    let sql = "SELECT pg_catalog.concat((SELECT c.system_identifier FROM pg_catalog.pg_control_system() c), '/', d.oid) \
        FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()";
    let root = args.images_at.root.as_ref().filter(|_| selection.image_kind == ImageKind::Named);
    let root = root.map(|r| r.canonicalize().map_err(|e| Error::io("read", r, &e))).transpose()?;
    Ok(Origin {
        database: column(&session.row(sql, &[])?, 0)?,
        table: if selection.is_query() { String::new() } else { selection.from.clone() },
        image: selection.image_name.clone(),
        root: root.map_or(String::new(), |r| r.display().to_string()),
    })
}

/// The table or query, for people.
fn described(selection: &Selection) -> String {
    if selection.is_query() {
        "a query".to_owned()
    } else {
        selection.from.clone()
    }
}

fn to_resume(e: Error, fetched: usize) -> Error {
    let detail = format!("{fetched} more images are in the folder.");
    match e.kind {
        Kind::Unavailable if e.detail.is_none() => e.detail(detail).hint(
            "Run the command again: images that are there are not fetched again, rows are read anew, from a new snapshot.",
        ),
        Kind::Io if e.detail.is_none() => {
            e.detail(detail).hint("Make room if the disk is full, and run the command again: it goes on where it was.")
        }
        _ => e,
    }
}

fn nothing_left(set: &TrainingSet, selection: &Selection) -> Error {
    let error =
        Error::new(Kind::InvalidData, format!("{} has no row that can be exported", described(selection)));
    let reasons: BTreeSet<String> = set.left_out.iter().map(|row| row.why.clone()).collect();
    match reasons.into_iter().next() {
        None => error.detail("It has no rows at all, or none that this role may see."),
        Some(why) => {
            error.detail(format!("{} rows are left out, the first because {why}.", set.left_out.len()))
        }
    }
}

fn summary(
    args: &TableArgs,
    set: &TrainingSet,
    found: &[Finding],
    fetched: usize,
    removed: usize,
    start: Instant,
) {
    let [train, query, gallery] = set.split_counts();
    let instances: BTreeSet<u32> = set.images.iter().map(|i| i.instance).collect();
    let categories: BTreeSet<u32> = instances.iter().map(|&i| set.instance_category[i as usize]).collect();
    println!(
        "{} images of {} instances in {} categories: train {train}, query {query}, gallery {gallery}",
        set.images.len(),
        instances.len(),
        categories.len()
    );
    println!(
        "{fetched} images fetched in {:.1} s, {} rows left out, {removed} files of earlier runs removed",
        start.elapsed().as_secs_f64(),
        set.left_out.len()
    );
    let out = args.out.display();
    if !found.is_empty() {
        print!("\n{}\n", table_text(found));
        println!(
            "{} findings are in {out}/findings.csv, and as questions with SQL in {out}/questions.md",
            found.len()
        );
    }
    if !set.left_out.is_empty() {
        eprintln!("WARNING:  {} rows are left out; {out}/left-out.csv lists them all", set.left_out.len());
    }
    println!("wrote {out}; train with: coopembed train --data {out}");
}
