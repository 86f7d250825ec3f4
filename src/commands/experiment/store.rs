//! Runs that are done, a line of JSON each: a run that is there is not run again, in whichever table it comes up.

use super::figures::Figures;
use super::tables::Run;
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A run and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Stands for the run, and for labels and features.
    pub key: String,
    /// What it was.
    pub run: Run,
    /// What it reached, or...
    pub figures: Figures,
    /// ...why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// How long training and evaluation took.
    pub seconds: f64,
}

/// The file.
pub struct Store {
    path: PathBuf,
    file: File,
    done: HashMap<String, Done>,
}

impl Store {
    /// Opens or makes a file. A last line that was cut off is dropped.
    ///
    /// # Errors
    /// [`Kind::Io`]; [`Kind::InvalidData`] for a line that is something else.
    pub fn open(path: &Path) -> Result<Self> {
        let io = |action: &'static str| move |e: std::io::Error| Error::io(action, path, &e);
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(io("read")(e)),
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut done = HashMap::new();
        for (i, line) in text[..whole].lines().enumerate() {
            let one: Done = serde_json::from_str(line).map_err(|e| {
                Error::new(Kind::InvalidData, format!("\"{}\" is not a list of runs", path.display()))
                    .detail(format!("Line {}: {e}.", i + 1))
                    .hint("Remove the line (its run is repeated then), or name another folder with --out.")
            })?;
            done.insert(one.key.clone(), one);
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(io("open"))?;
        file.set_len(whole as u64).map_err(io("write"))?;
        Ok(Self { path: path.to_owned(), file, done })
    }

    /// The name of a run on labels and features that `data` stands for.
    pub fn key(data: &str, run: &Run) -> String {
        let mut hash = Sha256::new();
        hash.update(data);
        // Serialising numbers and names cannot fail.
        hash.update(serde_json::to_vec(run).unwrap_or_default());
        hash.finalize()[..16].iter().map(|b| format!("{b:02x}")).collect()
    }

    /// A run that is done.
    pub fn get(&self, key: &str) -> Option<&Done> {
        self.done.get(key)
    }

    /// Writes a run down.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn add(&mut self, done: Done) -> Result<()> {
        let line = serde_json::to_string(&done).unwrap_or_default() + "\n";
        self.file.write_all(line.as_bytes()).map_err(|e| Error::io("write", &self.path, &e))?;
        self.done.insert(done.key.clone(), done);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::settings::Settings;

    fn done(seed: u64) -> Done {
        let run = Run { settings: Settings { seed, ..Default::default() }, corruption: None };
        let figures = Figures::from([("attribute_map".to_owned(), 1.0 / 3.0)]);
        Done { key: Store::key("data", &run), run, figures, failure: None, seconds: 1.5 }
    }

    #[test]
    fn whole_lines_are_kept_and_a_torn_one_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runs.jsonl");
        let mut store = Store::open(&path).unwrap();
        store.add(done(1)).unwrap();
        store.add(done(2)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 10]).unwrap();
        let mut store = Store::open(&path).unwrap();
        assert_eq!(store.get(&done(1).key), Some(&done(1)));
        assert_eq!(store.get(&done(2).key), None);
        store.add(done(2)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert_ne!(done(1).key, done(2).key);
        assert_ne!(Store::key("other data", &done(1).run), done(1).key);
    }

    #[test]
    fn a_foreign_file_is_an_error_that_names_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runs.jsonl");
        std::fs::write(&path, "{}\n").unwrap();
        let e = Store::open(&path).err().unwrap();
        assert!(e.detail.unwrap().starts_with("Line 1: missing field"));
    }
}
