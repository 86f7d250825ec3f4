//! The state of a training on disk, so that a process that was killed goes on where it was.
//!
//! One safetensors file, replaced as a whole after every epoch: written beside the last one, flushed to the disk, renamed over
//! it. Whatever happens on the way (kill, full disk, power) leaves a whole file, the new one or the last.

use crate::error::{Error, Kind, Result};
use crate::model::{write_tensors, Precision, TensorFile, Tensors};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const FILE: &str = "checkpoint.safetensors";
const METADATA: &str = "coopembed.checkpoint";
/// Of the file's layout.
const VERSION: u32 = 1;

/// How far a training has come, and all that it needs to go on.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Epochs done.
    pub epochs: usize,
    /// Values of what learns.
    pub parameters: Tensors,
    /// The optimiser's moments and step counts.
    pub optimizer: Tensors,
    /// The source's own state: running statistics.
    pub source: Tensors,
    /// The best validation score so far, and the epoch (from 1) that had it.
    pub best: Option<(f64, usize)>,
    /// Values of that epoch.
    pub best_values: Tensors,
}

impl Progress {
    /// Whether `patience` epochs in a row have not improved the validation score.
    pub fn stopped(&self, patience: Option<usize>) -> bool {
        match (self.best, patience) {
            (Some((_, best)), Some(patience)) => self.epochs - best >= patience,
            _ => false,
        }
    }

    fn parts(&self) -> [(&'static str, &Tensors); 4] {
        [
            ("parameter/", &self.parameters),
            ("optimizer/", &self.optimizer),
            ("source/", &self.source),
            ("best/", &self.best_values),
        ]
    }
}

/// What a file says about itself.
#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    training: String,
    epochs: usize,
    best: Option<(f64, usize)>,
}

/// A folder with the checkpoint of one training.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    training: String,
}

impl Checkpoints {
    /// Makes the folder if it is not there. `training` stands for everything that decides how the training goes: a checkpoint of
    /// another one is refused.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn open(folder: &Path, training: String) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, &e))?;
        Ok(Self { folder: folder.to_owned(), training })
    }

    fn file(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// How many epochs the last state has behind it; 0 if there is none.
    ///
    /// # Errors
    /// As [`Checkpoints::read`].
    pub fn epochs(&self) -> Result<usize> {
        Ok(self.read()?.map_or(0, |progress| progress.epochs))
    }

    /// The last state that was written, if any.
    ///
    /// # Errors
    /// [`Kind::Io`]; [`Kind::InvalidModel`] for a damaged file; [`Kind::Mismatch`] for one of another training.
    pub fn read(&self) -> Result<Option<Progress>> {
        let path = self.file();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", &path, &e)),
        };
        let named = |e: Error| Error { message: format!("\"{}\": {}", path.display(), e.message), ..e };
        let file = TensorFile::parse(&bytes).map_err(named)?;
        let header = file.metadata(METADATA).and_then(|json| serde_json::from_str::<Header>(json).ok());
        let header = header.filter(|h| h.version == VERSION).ok_or_else(|| {
            Error::new(
                Kind::InvalidModel,
                format!("\"{}\" is not a checkpoint of this version", path.display()),
            )
            .hint("Remove it to start again, or name another folder with --checkpoint.")
        })?;
        if header.training != self.training {
            return Err(Error::new(Kind::Mismatch, format!("\"{}\" is of another training", path.display()))
                .detail("Settings, data set or backbone differ from those that it was written with.")
                .hint("Train with the same options to go on, or name another folder with --checkpoint."));
        }
        let part = |prefix: &str| file.tensors_under(prefix).map_err(named);
        Ok(Some(Progress {
            epochs: header.epochs,
            parameters: part("parameter/")?,
            optimizer: part("optimizer/")?,
            source: part("source/")?,
            best: header.best,
            best_values: part("best/")?,
        }))
    }

    /// Replaces the last state by this one.
    ///
    /// # Errors
    /// [`Kind::Io`], for a full disk say; the last state is still there then.
    pub fn write(&self, progress: &Progress) -> Result<()> {
        let header = Header {
            version: VERSION,
            training: self.training.clone(),
            epochs: progress.epochs,
            best: progress.best,
        };
        let internal = |e| Error::new(Kind::Internal, format!("could not write a checkpoint's header: {e}"));
        let header = serde_json::to_string(&header).map_err(internal)?;
        let mut all = Tensors::new();
        for (prefix, tensors) in progress.parts() {
            all.extend(tensors.iter().map(|(name, t)| (format!("{prefix}{name}"), t.clone())));
        }
        let bytes = write_tensors(&all, Precision::Single, (METADATA, header))?;
        let (path, fresh) = (self.file(), self.folder.join(format!("{FILE}.new")));
        let written = replace(&path, &fresh, &bytes);
        written.map_err(|e| {
            // Half a file is of no use, and takes the room that a second try needs.
            let _ = std::fs::remove_file(&fresh);
            let error = Error::io("write", &path, &e);
            match progress.epochs {
                1 => error,
                epochs => error.detail(format!("The checkpoint of epoch {} is still there.", epochs - 1)),
            }
            .hint("Make room on the disk and run the same command again.")
        })
    }

    /// Says in an error that ends the training that what was written before can be used.
    pub fn mention(&self, error: Error) -> Error {
        if !self.file().exists() {
            return error;
        }
        let kept = format!("The checkpoint before it is kept: \"{}\".", self.file().display());
        let detail = error.detail.as_ref().map_or(kept.clone(), |d| format!("{d} {kept}"));
        error.detail(detail)
    }
}

fn replace(path: &Path, fresh: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(fresh)?;
    file.write_all(bytes)?;
    // Before the rename: or a crash could leave the new name with the old blocks.
    file.sync_all()?;
    std::fs::rename(fresh, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
