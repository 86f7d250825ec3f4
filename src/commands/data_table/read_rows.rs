//! Reads all rows from one snapshot, and has their images fetched on the way.

use super::fetch::{in_one_line, Fetcher, ImageState, Wanted};
use super::rows::{ImageValue, SentImage, Table};
use super::selection::{ImageKind, Selection};
use crate::connection::{column, Parameter, Session};
use crate::data::progress::progress_bar;
use crate::error::{Error, Kind, Result};
use indicatif::ProgressBar;
use std::collections::HashMap;
use tokio_postgres::types::Type;

/// Reads the rows in the transaction that is open, ends it, and has their images fetched. Those that are not in the database are fetched
/// after it, so that no snapshot is held meanwhile.
///
/// # Errors
/// Those of the server, and of writing images.
pub fn read_rows(
    session: &Session,
    selection: &Selection,
    max_bytes: u64,
    fetcher: &mut Fetcher,
) -> Result<Table> {
    let total = selection.row_count(session)?.unwrap_or(0);
    let bar = progress_bar("exporting", total as usize);
    let known: Vec<String> = fetcher.known_tokens().into_iter().map(str::to_owned).collect();
    let mut reading = Reading { fetcher, numbers: HashMap::new(), later: Vec::new(), max_bytes };
    let mut table = Table::new(selection.attributes.len());
    let unneeded: &[String] = if selection.image_kind == ImageKind::Bytes { &known } else { &[] };
    let parameters: [Parameter<'_>; 1] = [(&unneeded, Type::TEXT_ARRAY)];
    let statement = selection.statement(!unneeded.is_empty(), max_bytes);
    let mut rows = session.stream(&statement, &parameters)?;
    while let Some(row) = rows.next_row()? {
        table.add(&row, selection, &mut |image| reading.number(image))?;
        bar.inc(1);
    }
    drop(rows);
    let Reading { fetcher, numbers, later, .. } = reading;
    if selection.image_kind != ImageKind::Bytes {
        table.image_names = numbers.into_iter().map(|(name, number)| (number, name)).collect();
    }
    bar.set_length(later.len() as u64);
    bar.set_position(0);
    match selection.image_kind {
        ImageKind::Named => {
            session.execute("COMMIT")?;
            for number in later {
                let name = table.image_names.get(&number).cloned().unwrap_or_default();
                fetcher.fetch_as(number, Wanted::Name(name))?;
                bar.inc(1);
            }
        }
        ImageKind::LargeObject => read_large_objects(session, &later, &table, max_bytes, fetcher, &bar)?,
        ImageKind::Bytes => session.execute("COMMIT")?,
    }
    bar.finish_and_clear();
    Ok(table)
}

/// The images of the rows so far.
struct Reading<'a> {
    fetcher: &'a mut Fetcher,
    /// Numbers of images by their tokens: several rows may have one path, URL or large object.
    numbers: HashMap<String, usize>,
    /// Images that are to be fetched once all rows are here.
    later: Vec<usize>,
    max_bytes: u64,
}

impl Reading<'_> {
    /// The number of a row's image, which is fetched if it is new.
    fn number(&mut self, SentImage { token, value }: SentImage) -> Result<usize> {
        if let Some(&number) = token.as_ref().and_then(|token| self.numbers.get(token)) {
            return Ok(number);
        }
        let known = token.as_deref().and_then(|token| self.fetcher.known(token));
        let number = match (known, value) {
            (Some(number), _) => number,
            (None, ImageValue::Bytes(bytes)) => self.fetcher.fetch(token.clone(), Wanted::Bytes(bytes))?,
            (None, ImageValue::NotSent(size)) => {
                self.fetcher.add(too_large(size as u64, self.max_bytes), None)
            }
            (None, ImageValue::Elsewhere) => {
                let number = self.fetcher.add(ImageState::UnderWay, token.clone());
                self.later.push(number);
                number
            }
        };
        if let Some(token) = token {
            self.numbers.insert(token, number);
        }
        Ok(number)
    }
}

fn too_large(bytes: u64, max_bytes: u64) -> ImageState {
    let why = format!("it has {bytes} bytes; the limit is {} MB, which --max-size raises", max_bytes >> 20);
    ImageState::TooLarge(why)
}

/// Reads large objects, in the same snapshot, and ends the transaction. One that is not there, or that this role may not read, does not end
/// the run.
fn read_large_objects(
    session: &Session,
    wanted: &[usize],
    table: &Table,
    max_bytes: u64,
    fetcher: &mut Fetcher,
    bar: &ProgressBar,
) -> Result<()> {
    for &number in wanted {
        let oid = table.image_names.get(&number).map_or("", String::as_str);
        session.execute("SAVEPOINT large_object")?;
        match large_object(session, oid, max_bytes) {
            Ok(bytes) if bytes.len() as u64 > max_bytes => {
                let megabytes = max_bytes >> 20;
                let why =
                    format!("large object {oid} is larger than {megabytes} MB, the limit of --max-size");
                fetcher.set(number, ImageState::TooLarge(why));
            }
            Ok(bytes) => fetcher.fetch_as(number, Wanted::Bytes(bytes))?,
            Err(e) if e.kind == Kind::Unavailable => return Err(e),
            Err(e) => fetcher.set(number, ImageState::Unreadable(in_one_line(&e))),
        }
        session.execute("ROLLBACK TO SAVEPOINT large_object; RELEASE SAVEPOINT large_object")?;
        bar.inc(1);
    }
    session.execute("COMMIT")
}

/// The first bytes of a large object: one more than are allowed.
fn large_object(session: &Session, oid: &str, max_bytes: u64) -> Result<Vec<u8>> {
    let length = i32::try_from(max_bytes + 1).unwrap_or(i32::MAX);
    let parameters: [Parameter<'_>; 2] = [(&oid, Type::TEXT), (&length, Type::INT4)];
    let row = session.row("SELECT pg_catalog.lo_get($1::pg_catalog.oid, 0, $2)", &parameters)?;
    column(&row, 0).map_err(|e| Error { kind: Kind::InvalidData, ..e })
}
