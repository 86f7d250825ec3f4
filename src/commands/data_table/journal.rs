//! The journal of a folder: which images are in it, and which could not be decoded. A later run does not fetch these again.
//!
//! A file of JSON lines. The first says what the folder was exported from; each other one is about an image, and written once its file is in
//! place. A line that an interruption cut off is ignored.

use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

const FILE: &str = "export.jsonl";
/// Version of the file's layout.
const VERSION: u32 = 1;

/// What a folder is exported from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Number of the cluster, which no other has, and of the database.
    pub database: String,
    /// The table's name; empty for a query.
    pub table: String,
    /// The column of images.
    pub image: String,
    /// The folder that paths are relative to, if the column has paths.
    pub root: String,
}

#[derive(Serialize, Deserialize)]
struct Header {
    coopembed_export: u32,
    #[serde(flatten)]
    origin: Origin,
}

/// What is known of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// It is in the folder.
    Stored(StoredImage),
    /// It cannot be decoded.
    Undecodable(String),
}

/// An image in the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredImage {
    /// Its file, relative to the folder.
    pub path: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// Pixels of a row, upright.
    pub width: u32,
    /// Rows of pixels.
    pub height: u32,
}

#[derive(Serialize, Deserialize)]
struct Line {
    row: String,
    #[serde(flatten)]
    known: Known,
}

/// The journal of a folder that nobody else is exporting to.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    out: BufWriter<File>,
    /// Images that earlier runs have left, by their tokens.
    pub known: HashMap<String, Known>,
}

impl Journal {
    /// Opens the journal of `folder`, or begins one. Images whose files are not there any more, or not whole, are not known.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] for a folder with another set, or of another table; [`Kind::Conflict`] while another run writes to it;
    /// [`Kind::Io`].
    pub fn open(folder: &Path, origin: &Origin) -> Result<Self> {
        let path = folder.join(FILE);
        let exists = path.exists();
        if !exists && folder.join("images.csv").exists() {
            return Err(Error::new(
                Kind::InvalidParameter,
                format!("\"{}\" has an images.csv that is not from this command", folder.display()),
            )
            .hint("Choose another --out, or move the folder away."));
        }
        std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, &e))?;
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(|e| Error::io("write", &path, &e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::new(
                    Kind::Conflict,
                    format!("another run is exporting to \"{}\"", folder.display()),
                )
                .hint("Wait for it, or choose another --out."))
            }
            Err(TryLockError::Error(e)) => return Err(Error::io("lock", &path, &e)),
        }
        let mut lines = BufReader::new(&file).lines();
        let known = match lines.next().transpose().map_err(|e| Error::io("read", &path, &e))? {
            Some(header) => {
                check_origin(&path, &header, origin)?;
                known_images(folder, lines)
            }
            None => {
                let header = Header { coopembed_export: VERSION, origin: origin.clone() };
                file.write_all(line(&header)?.as_bytes()).map_err(|e| Error::io("write", &path, &e))?;
                HashMap::new()
            }
        };
        let mut journal = Self { path, out: BufWriter::new(file), known };
        if exists {
            // Ends a line that an interruption has cut off.
            journal.write("\n")?;
        }
        Ok(journal)
    }

    /// Records an image.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn record(&mut self, token: &str, known: Known) -> Result<()> {
        let line = line(&Line { row: token.to_owned(), known: known.clone() })?;
        self.known.insert(token.to_owned(), known);
        self.write(&line)
    }

    /// Passes what was recorded on to the system.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn flush(&mut self) -> Result<()> {
        self.out.flush().map_err(|e| Error::io("write", &self.path, &e))
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.out.write_all(text.as_bytes()).map_err(|e| Error::io("write", &self.path, &e))
    }
}

fn line<T: Serialize>(value: &T) -> Result<String> {
    let json = serde_json::to_string(value);
    json.map(|json| json + "\n").map_err(|e| Error::new(Kind::Internal, format!("could not write JSON: {e}")))
}

fn check_origin(path: &Path, header: &str, origin: &Origin) -> Result<()> {
    let found: Header = serde_json::from_str(header).map_err(|_| {
        Error::new(Kind::InvalidData, format!("\"{}\" is not a journal of an export", path.display()))
            .hint("Choose another --out, or move the folder away.")
    })?;
    if found.coopembed_export == VERSION && found.origin == *origin {
        return Ok(());
    }
    let describe = |o: &Origin| {
        let of = if o.table.is_empty() { "a query" } else { &o.table };
        let root = if o.root.is_empty() { String::new() } else { format!(" below {}", o.root) };
        format!("column {} of {of}{root} in database {}", o.image, o.database)
    };
    Err(Error::new(Kind::InvalidParameter, "the folder has another export")
        .detail(format!("It is of {}; now {} is asked for.", describe(&found.origin), describe(origin)))
        .hint("Choose another --out, or move the folder away. Labels and split may change between runs, the images' origin may not."))
}

fn known_images(
    folder: &Path,
    lines: impl Iterator<Item = std::io::Result<String>>,
) -> HashMap<String, Known> {
    let lines = lines.map_while(std::result::Result::ok);
    let parsed = lines.filter_map(|text| serde_json::from_str::<Line>(&text).ok());
    let is_whole = |known: &Known| match known {
        Known::Stored(image) => {
            std::fs::metadata(folder.join(&image.path)).is_ok_and(|m| m.len() == image.bytes)
        }
        Known::Undecodable(_) => true,
    };
    parsed.filter(|line| is_whole(&line.known)).map(|line| (line.row, line.known)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            database: "1/2".into(),
            table: "public.t".into(),
            image: "photo".into(),
            root: String::new(),
        }
    }

    fn stored(path: &str) -> Known {
        Known::Stored(StoredImage { path: path.into(), bytes: 3, width: 1, height: 1 })
    }

    #[test]
    fn a_later_run_knows_what_is_there_and_ignores_a_line_that_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path(), &origin()).unwrap();
        for (token, path) in [("a", "a.png"), ("b", "b.png"), ("gone", "gone.png"), ("cut", "cut.png")] {
            journal.record(token, stored(path)).unwrap();
        }
        journal.record("html", Known::Undecodable("a web page".into())).unwrap();
        drop(journal);
        for (path, bytes) in [("a.png", "123"), ("b.png", "123"), ("cut.png", "12")] {
            std::fs::write(folder.path().join(path), bytes).unwrap();
        }
        let path = folder.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text + "{\"row\":\"half").unwrap();
        for _ in 0..2 {
            let mut journal = Journal::open(folder.path(), &origin()).unwrap();
            let mut known: Vec<&String> = journal.known.keys().collect();
            known.sort();
            assert_eq!(known, ["a", "b", "html"]);
            journal.record("a", stored("a.png")).unwrap();
        }
    }

    #[test]
    fn a_folder_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        drop(Journal::open(folder.path(), &origin()).unwrap());
        let other = Origin { table: "public.u".into(), ..origin() };
        let e = Journal::open(folder.path(), &other).unwrap_err();
        assert!(e.detail.unwrap().contains("of public.t in database 1/2; now column photo of public.u"));
        std::fs::write(folder.path().join(FILE), "x\n").unwrap();
        assert_eq!(Journal::open(folder.path(), &origin()).unwrap_err().kind, Kind::InvalidData);
        std::fs::remove_file(folder.path().join(FILE)).unwrap();
        std::fs::write(folder.path().join("images.csv"), "path\n").unwrap();
        assert_eq!(Journal::open(folder.path(), &origin()).unwrap_err().kind, Kind::InvalidParameter);
    }

    #[test]
    fn two_runs_do_not_write_to_one_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = Journal::open(folder.path(), &origin()).unwrap();
        assert_eq!(Journal::open(folder.path(), &origin()).unwrap_err().kind, Kind::Conflict);
        drop(first);
        Journal::open(folder.path(), &origin()).unwrap();
    }
}
