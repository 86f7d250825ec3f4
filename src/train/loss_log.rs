//! The log of a training: the losses of each epoch as CSV.

use super::trainer::EpochLosses;
use crate::error::{Error, Kind, Result};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A CSV file with a row per epoch. Each loss is its mean over the batches of the epoch, before its λ.
pub struct LossLog {
    path: PathBuf,
    writer: csv::Writer<File>,
    /// Whether nothing has been written: the header is written with the first row, which knows the names of the losses.
    empty: bool,
}

impl LossLog {
    /// Creates the file. If a training resumes after `epochs` epochs, the rows of these epochs are kept.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn create(path: &Path, epochs: usize) -> Result<Self> {
        let kept = match epochs {
            0 => String::new(),
            // If the file is gone, the log starts with the next epoch.
            _ => std::fs::read_to_string(path).unwrap_or_default(),
        };
        let kept: String =
            kept.split_inclusive('\n').take(1 + epochs).filter(|l| l.ends_with('\n')).collect();
        let mut file = File::create(path).map_err(|e| Error::io("create", path, &e))?;
        file.write_all(kept.as_bytes()).map_err(|e| Error::io("write", path, &e))?;
        Ok(Self { path: path.to_owned(), writer: csv::Writer::from_writer(file), empty: kept.is_empty() })
    }

    /// Appends a row, and before the first one the header. The cell of a loss that took no part is empty. The validation score is the
    /// last column, if there is one.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn write(&mut self, l: &EpochLosses) -> Result<()> {
        let validation = l.validation.map(|score| ("validation".to_owned(), Some(score)));
        let parts: Vec<_> = l.parts.iter().cloned().chain(validation).collect();
        if std::mem::take(&mut self.empty) {
            let fixed = ["epoch", "learning_rate", "total"].map(str::to_owned);
            self.record(fixed.into_iter().chain(parts.iter().map(|(name, _)| name.clone())).collect())?;
        }
        let optional = |x: &Option<f64>| x.map_or(String::new(), |x| x.to_string());
        let fixed = [l.epoch.to_string(), l.learning_rate.to_string(), l.total.to_string()];
        self.record(fixed.into_iter().chain(parts.iter().map(|(_, x)| optional(x))).collect())
    }

    fn record(&mut self, row: Vec<String>) -> Result<()> {
        // Flushed after each row, so that a long training can be watched.
        let written = self.writer.write_record(row).and_then(|()| Ok(self.writer.flush()?));
        written.map_err(|e| Error::new(Kind::Io, format!("could not write \"{}\": {e}", self.path.display())))
    }
}
