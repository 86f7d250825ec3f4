//! Finished runs on disk, one line of JSON each. A run that is stored is not repeated, whichever table needs it.

use super::figures::Figures;
use super::tables::Run;
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A run and its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinishedRun {
    /// Identifies the run, its labels and its features; see [`RunStore::key`].
    pub key: String,
    /// What was trained, the seed included.
    pub run: Run,
    /// Its figures; empty if it failed.
    pub figures: Figures,
    /// The objective that was chosen on held-out training images, if the run chose one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The duration of training and evaluation in seconds.
    pub seconds: f64,
}

/// The file with finished runs.
pub struct RunStore {
    path: PathBuf,
    file: File,
    runs: HashMap<String, FinishedRun>,
}

impl RunStore {
    /// Opens or creates the file. An incomplete last line is dropped.
    ///
    /// # Errors
    /// [`Kind::Io`]; [`Kind::InvalidData`] for a line that is not a run.
    pub fn open(path: &Path) -> Result<Self> {
        let io = |action: &'static str| move |e: std::io::Error| Error::io(action, path, &e);
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(io("read")(e)),
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut runs = HashMap::new();
        for (i, line) in text[..whole].lines().enumerate() {
            let one: FinishedRun = serde_json::from_str(line).map_err(|e| {
                Error::new(Kind::InvalidData, format!("\"{}\" is not a list of runs", path.display()))
                    .detail(format!("Line {}: {e}.", i + 1))
                    .hint("Remove the line (its run is repeated then), or name another folder with --out.")
            })?;
            runs.insert(one.key.clone(), one);
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(io("open"))?;
        file.set_len(whole as u64).map_err(io("write"))?;
        Ok(Self { path: path.to_owned(), file, runs })
    }

    /// The key of a run on the labels and features that `data` identifies.
    pub fn key(data: &str, run: &Run) -> String {
        let mut hash = Sha256::new();
        hash.update(data);
        // Serialising numbers and names cannot fail.
        hash.update(serde_json::to_vec(run).unwrap_or_default());
        hash.finalize()[..16].iter().map(|b| format!("{b:02x}")).collect()
    }

    /// A finished run by its key.
    pub fn get(&self, key: &str) -> Option<&FinishedRun> {
        self.runs.get(key)
    }

    /// Appends a finished run.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn add(&mut self, done: FinishedRun) -> Result<()> {
        let line = serde_json::to_string(&done).unwrap_or_default() + "\n";
        self.file.write_all(line.as_bytes()).map_err(|e| Error::io("write", &self.path, &e))?;
        self.runs.insert(done.key.clone(), done);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::settings::Settings;

    fn done(seed: u64) -> FinishedRun {
        let run = Run { settings: Settings { seed, ..Default::default() }, corruption: None };
        let figures = Figures::from([("attribute_map".to_owned(), 1.0 / 3.0)]);
        FinishedRun {
            key: RunStore::key("data", &run),
            run,
            figures,
            objective: None,
            failure: None,
            seconds: 1.5,
        }
    }

    #[test]
    fn complete_lines_are_kept_and_an_incomplete_one_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runs.jsonl");
        let mut store = RunStore::open(&path).unwrap();
        store.add(done(1)).unwrap();
        store.add(done(2)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 10]).unwrap();
        let mut store = RunStore::open(&path).unwrap();
        assert_eq!(store.get(&done(1).key), Some(&done(1)));
        assert_eq!(store.get(&done(2).key), None);
        store.add(done(2)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert_ne!(done(1).key, done(2).key);
        assert_ne!(RunStore::key("other data", &done(1).run), done(1).key);
    }

    #[test]
    fn a_foreign_file_is_an_error_that_names_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runs.jsonl");
        std::fs::write(&path, "{}\n").unwrap();
        let e = RunStore::open(&path).err().unwrap();
        assert!(e.detail.unwrap().starts_with("Line 1: missing field"));
    }
}
