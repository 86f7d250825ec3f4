//! A model directory on disk: `config.json`, `model.safetensors` and `README.md`.

use super::config::ModelConfig;
use super::tensor_names;
use super::tensors::{write_tensors, Precision, Tensors};
use super::trained_model::Model;
use crate::error::{Error, Kind, Result};
use crate::memory;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const CARD: &str = "README.md";

/// The longest file that is read: the limit of a PostgreSQL value.
pub const MAX_FILE_BYTES: u64 = (1 << 30) - (1 << 10);

/// Reads a model directory: the text of `config.json` and the bytes of `model.safetensors`, unchecked.
///
/// # Errors
/// [`Kind::InvalidModel`] if a file is missing, is not a regular file, is too long or not text; [`Kind::Io`] if it cannot be
/// read; [`Kind::OutOfMemory`].
pub fn read_directory(directory: &Path) -> Result<(String, Vec<u8>)> {
    if !directory.is_dir() {
        return Err(Error::new(Kind::Io, format!("there is no directory \"{}\"", directory.display()))
            .hint("A model directory is what coopembed train writes."));
    }
    let config = String::from_utf8(read_file(&directory.join(CONFIG))?).map_err(|e| {
        Error::new(Kind::InvalidModel, "config.json could not be read").detail(format!("{e}."))
    })?;
    Ok((config, read_file(&directory.join(WEIGHTS))?))
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let unusable = |detail: String| {
        Error::new(Kind::InvalidModel, format!("\"{}\" cannot be used", path.display()))
            .detail(detail)
            .hint("A model directory holds config.json, model.safetensors and README.md.")
    };
    // Before opening it: opening a pipe would wait for a writer.
    let metadata = match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(unusable("There is no such file.".into()))
        }
        other => other.map_err(|e| Error::io("read", path, &e))?,
    };
    if !metadata.is_file() {
        return Err(unusable("It is not a regular file.".into()));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(unusable(format!(
            "It has {} bytes; at most {MAX_FILE_BYTES} are possible.",
            metadata.len()
        )));
    }
    std::fs::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::OutOfMemory => memory::out_of_memory(metadata.len() as usize),
        _ => Error::io("read", path, &e),
    })
}

/// Writes a model directory, with matrices in f16 and vectors in f32, after checking that the result can be read. The directory
/// and its other files stay. Each of the three files is replaced atomically; should a crash leave new weights beside an old config,
/// [`Model::from_parts`] refuses the pair.
///
/// # Errors
/// [`Kind::InvalidModel`] for tensors that do not fit the config or f16; [`Kind::Io`].
pub fn write_directory(directory: &Path, config: &ModelConfig, tensors: &Tensors, card: &str) -> Result<()> {
    let weights = write_tensors(
        tensors,
        Precision::HalfMatrices,
        (tensor_names::CONFIG_DIGEST_KEY, tensor_names::config_digest(config)),
    )?;
    let config = config.to_json();
    Model::from_parts(&config, &weights)?;
    write_files(directory, &config, &weights, card)
}

/// Writes the three files of a model directory as they are; see [`write_directory`].
///
/// # Errors
/// [`Kind::Io`].
pub fn write_files(directory: &Path, config: &str, weights: &[u8], card: &str) -> Result<()> {
    std::fs::create_dir_all(directory).map_err(|e| Error::io("create", directory, &e))?;
    replace_files(directory, &[(WEIGHTS, weights), (CONFIG, config.as_bytes()), (CARD, card.as_bytes())])
}

/// Writes files of a directory, or replaces them atomically.
///
/// # Errors
/// [`Kind::Io`]. What does not fit on the disk leaves all files as they were.
pub fn replace_files(directory: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    let written = files
        .iter()
        .map(|(name, bytes)| Ok((TemporaryFile::write(directory, name, bytes)?, directory.join(name))));
    // Write all to disk before the first one takes its place.
    for file in written.collect::<Result<Vec<_>>>()? {
        let (temporary, path) = file;
        temporary.rename(&path)?;
    }
    Ok(())
}

/// A file under a temporary name; removed when dropped, unless it has been renamed.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn write(directory: &Path, name: &str, bytes: &[u8]) -> Result<Self> {
        let temporary = Self(directory.join(format!(".{name}.{}.tmp", std::process::id())));
        File::create(&temporary.0)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .map_err(|e| Error::io("write", &temporary.0, &e))?;
        Ok(temporary)
    }

    fn rename(self, path: &Path) -> Result<()> {
        std::fs::rename(&self.0, path).map_err(|e| Error::io("write", path, &e))
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // After a rename nothing has this name, and the error does not matter.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::architectures::Arch;
    use crate::model::synthetic;
    use candle_core::{Device, Tensor};

    #[test]
    fn what_is_written_is_read_back_and_replaced() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("models/toys");
        let (mut config, tensors) = synthetic::model(Arch::EfficientNetLite0);
        write_directory(&directory, &config, &tensors, "# Toys\n").unwrap();
        let (json, weights) = read_directory(&directory).unwrap();
        let model = Model::from_parts(&json, &weights).unwrap();
        assert_eq!(model.config(), &config);
        assert!(weights.len() < 7_500_000, "{} bytes for 3.4 million numbers in f16", weights.len());
        std::fs::write(directory.join("losses.csv"), "step\n").unwrap();
        config.licence = "MIT".into();
        write_directory(&directory, &config, &tensors, "# More toys\n").unwrap();
        assert!(read_directory(&directory).unwrap().0.contains("MIT"));
        let mut names: Vec<_> = std::fs::read_dir(&directory)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["README.md", "config.json", "losses.csv", "model.safetensors"]);
    }

    #[test]
    fn a_model_that_could_not_be_read_back_is_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let (config, mut tensors) = synthetic::model(Arch::EfficientNetLite0);
        tensors.insert("projection.weight".into(), Tensor::full(1e6f32, (8, 1280), &Device::Cpu).unwrap());
        let e = write_directory(directory.path(), &config, &tensors, "").unwrap_err();
        assert_eq!(e.detail.unwrap(), "\"projection.weight\": 10240 numbers are NaN or over 65504.");
        tensors.remove("projection.weight");
        assert!(write_directory(directory.path(), &config, &tensors, "").is_err());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_missing_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let e = read_directory(&directory.path().join("none")).unwrap_err();
        assert_eq!(e.kind, Kind::Io);
        let e = read_directory(directory.path()).unwrap_err();
        assert!(e.kind == Kind::InvalidModel && e.message.contains("config.json"), "{e:?}");
        std::fs::write(directory.path().join("config.json"), "{}").unwrap();
        let e = read_directory(directory.path()).unwrap_err();
        assert!(e.message.contains("model.safetensors") && e.hint.is_some(), "{e:?}");
        std::fs::create_dir(directory.path().join("model.safetensors")).unwrap();
        let e = read_directory(directory.path()).unwrap_err();
        assert_eq!(e.detail.unwrap(), "It is not a regular file.");
        std::fs::write(directory.path().join("config.json"), [0xff, 0xfe]).unwrap();
        assert_eq!(read_directory(directory.path()).unwrap_err().kind, Kind::InvalidModel);
    }
}
