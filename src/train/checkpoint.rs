//! Checkpoints: the state of a training on disk, so that an interrupted training can resume.
//!
//! A checkpoint is one safetensors file, replaced after every epoch: the new file is written beside the old one, flushed to disk and
//! renamed over it. If the process is killed, the disk is full or the power fails, one complete file is left, the old or the new one.

use crate::error::{Error, Kind, Result};
use crate::model::{write_tensors, Precision, TensorFile, Tensors};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const FILE: &str = "checkpoint.safetensors";
const METADATA: &str = "coopembed.checkpoint";
/// Version of the file's layout.
const VERSION: u32 = 1;

/// The state of a training after an epoch: everything that it needs to continue.
#[derive(Debug, Clone, Default)]
pub struct TrainingState {
    /// Number of finished epochs, of all stages.
    pub epochs: usize,
    /// The stage that the last of them belongs to, from 0.
    pub stage: usize,
    /// Number of epochs that had finished before that stage.
    pub stage_start: usize,
    /// The values of all parameters.
    pub parameters: Tensors,
    /// The optimiser's moments and step counts.
    pub optimizer: Tensors,
    /// The state of the feature source: running statistics of batch normalisation.
    pub source: Tensors,
    /// The moving averages of the parameters; empty if there are none.
    pub averages: Tensors,
    /// The best validation score so far, and the epoch (from 1) that had it.
    pub best: Option<(f64, usize)>,
    /// The values of parameters and feature source after that epoch.
    pub best_values: Tensors,
}

impl TrainingState {
    /// Whether the stage should stop: the last `patience` epochs did not improve the validation score.
    pub fn should_stop(&self, patience: Option<usize>) -> bool {
        match (self.best, patience) {
            (Some((_, best)), Some(patience)) => self.epochs - best >= patience,
            _ => false,
        }
    }

    /// The tensors with the prefix of their names in the file.
    fn parts(&self) -> [(&'static str, &Tensors); 5] {
        [
            ("parameter/", &self.parameters),
            ("optimizer/", &self.optimizer),
            ("source/", &self.source),
            ("average/", &self.averages),
            ("best/", &self.best_values),
        ]
    }
}

/// The metadata of a checkpoint file.
#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    training: String,
    epochs: usize,
    #[serde(default)]
    stage: usize,
    #[serde(default)]
    stage_start: usize,
    best: Option<(f64, usize)>,
}

/// The folder with the checkpoint of one training.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    /// Identifies the training, see [`Checkpoints::open`].
    training: String,
}

impl Checkpoints {
    /// Opens or creates the folder. `training` is a digest of everything that determines the course of the training; a checkpoint with
    /// another digest is refused.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn open(folder: &Path, training: String) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, &e))?;
        Ok(Self { folder: folder.to_owned(), training })
    }

    /// Whether there is a checkpoint in the folder, of whatever training.
    pub fn exist_in(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }

    fn file(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// The number of finished epochs in the checkpoint; 0 if there is none.
    ///
    /// # Errors
    /// As [`Checkpoints::read`].
    pub fn finished_epochs(&self) -> Result<usize> {
        Ok(self.read()?.map_or(0, |state| state.epochs))
    }

    /// Reads the checkpoint; `None` if there is none.
    ///
    /// # Errors
    /// [`Kind::Io`]; [`Kind::InvalidModel`] for a damaged file; [`Kind::Mismatch`] for a checkpoint of another training.
    pub fn read(&self) -> Result<Option<TrainingState>> {
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
            return Err(Error::new(
                Kind::Mismatch,
                format!("\"{}\" belongs to another training", path.display()),
            )
            .detail("Settings, data set or backbone differ from those that it was written with.")
            .hint("Train with the same options to resume, or name another folder with --checkpoint."));
        }
        let part = |prefix: &str| file.tensors_under(prefix).map_err(named);
        Ok(Some(TrainingState {
            epochs: header.epochs,
            stage: header.stage,
            stage_start: header.stage_start,
            parameters: part("parameter/")?,
            optimizer: part("optimizer/")?,
            source: part("source/")?,
            averages: part("average/")?,
            best: header.best,
            best_values: part("best/")?,
        }))
    }

    /// Replaces the checkpoint.
    ///
    /// # Errors
    /// [`Kind::Io`], for instance if the disk is full; the previous checkpoint is kept then.
    pub fn write(&self, state: &TrainingState) -> Result<()> {
        let header = Header {
            version: VERSION,
            training: self.training.clone(),
            epochs: state.epochs,
            stage: state.stage,
            stage_start: state.stage_start,
            best: state.best,
        };
        let internal = |e| Error::new(Kind::Internal, format!("could not write a checkpoint's header: {e}"));
        let header = serde_json::to_string(&header).map_err(internal)?;
        let mut all = Tensors::new();
        for (prefix, tensors) in state.parts() {
            all.extend(tensors.iter().map(|(name, t)| (format!("{prefix}{name}"), t.clone())));
        }
        let bytes = write_tensors(&all, Precision::Single, (METADATA, header))?;
        let (path, fresh) = (self.file(), self.folder.join(format!("{FILE}.new")));
        let written = replace(&path, &fresh, &bytes);
        written.map_err(|e| {
            // A partial file is useless, and would take the space that a second try needs.
            let _ = std::fs::remove_file(&fresh);
            let error = Error::io("write", &path, &e);
            match state.epochs {
                1 => error,
                epochs => error.detail(format!("The checkpoint of epoch {} is still there.", epochs - 1)),
            }
            .hint("Make room on the disk and run the same command again.")
        })
    }

    /// Adds to an error that ends the training that the last checkpoint is kept.
    pub fn note_kept_checkpoint(&self, error: Error) -> Error {
        if !self.file().exists() {
            return error;
        }
        let kept = format!("The checkpoint before it is kept: \"{}\".", self.file().display());
        let detail = error.detail.as_ref().map_or(kept.clone(), |d| format!("{d} {kept}"));
        error.detail(detail)
    }
}

/// Writes `fresh`, flushes it and renames it to `path`.
fn replace(path: &Path, fresh: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(fresh)?;
    file.write_all(bytes)?;
    // Flush before the rename: otherwise a crash could leave the new name with unwritten blocks.
    file.sync_all()?;
    std::fs::rename(fresh, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
