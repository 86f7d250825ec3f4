//! The inputs of several commands: data sets, backbones, and the folder of cached features.

use crate::data::features::default_cache;
use crate::data::manifest::{Manifest, ReadingArgs};
use crate::error::{Error, Kind, Result};
use crate::model::{import_backbone, read_backbone, Arch, Tensors};
use std::path::{Path, PathBuf};

/// Reads a data set and prints its warnings to standard error.
///
/// # Errors
/// Those of [`ReadingArgs::read`].
pub fn read_manifest(folder: &Path, reading: &ReadingArgs) -> Result<Manifest> {
    let manifest = reading.read(folder)?;
    manifest.warnings.iter().for_each(|w| eprintln!("WARNING:  {w}"));
    Ok(manifest)
}

/// The folder of cached features: the one given, or the default.
///
/// # Errors
/// Those of [`default_cache`].
pub fn cache_folder(named: Option<&PathBuf>) -> Result<PathBuf> {
    named.map_or_else(default_cache, |n| Ok(n.clone()))
}

/// Reads a backbone: a file from import-backbone, or a PyTorch checkpoint of the architecture `arch`.
///
/// # Errors
/// Those of reading and importing.
pub fn read_backbone_file(file: &Path, arch: Option<&str>) -> Result<(Arch, Tensors)> {
    let bytes = match arch {
        Some(name) => import_backbone(file, name.parse()?)?,
        None => std::fs::read(file).map_err(|e| Error::io("read", file, &e))?,
    };
    read_backbone(&bytes).map_err(|e| match (arch, e.kind) {
        (None, Kind::InvalidModel) => {
            e.hint("Name the backbone with --arch, or convert the file with import-backbone first.")
        }
        _ => e,
    })
}
