//! The losses of each epoch as CSV.

use super::trainer::EpochLosses;
use crate::error::{Error, Kind, Result};
use std::fs::File;
use std::path::{Path, PathBuf};

/// A CSV file that grows by a row per epoch; every term is its mean over the epoch's batches, before its λ.
pub struct LossLog {
    path: PathBuf,
    writer: csv::Writer<File>,
}

impl LossLog {
    /// Creates the file and writes its header.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn create<'a>(path: &Path, attributes: impl Iterator<Item = &'a str>) -> Result<Self> {
        let file = File::create(path).map_err(|e| Error::io("create", path, &e))?;
        let mut log = Self { path: path.to_owned(), writer: csv::Writer::from_writer(file) };
        let fixed = ["epoch", "learning_rate", "total", "instance", "category", "norm", "order"];
        let attributes = attributes.map(|a| format!("attribute:{a}"));
        log.record(fixed.iter().map(|s| (*s).to_owned()).chain(attributes).collect())?;
        Ok(log)
    }

    /// Writes a row; a term that took no part is empty.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn write(&mut self, l: &EpochLosses) -> Result<()> {
        let optional = |x: &Option<f64>| x.map_or(String::new(), |x| x.to_string());
        let numbers = [l.learning_rate, l.total, l.instance, l.category, l.regularization];
        let mut row = vec![l.epoch.to_string()];
        row.extend(numbers.iter().map(f64::to_string));
        row.push(optional(&l.order));
        row.extend(l.attributes.iter().map(optional));
        self.record(row)
    }

    fn record(&mut self, row: Vec<String>) -> Result<()> {
        // Flushed each time, so that a long training can be watched.
        let written = self.writer.write_record(row).and_then(|()| Ok(self.writer.flush()?));
        written.map_err(|e| Error::new(Kind::Io, format!("could not write \"{}\": {e}", self.path.display())))
    }
}
