//! Identifies a training, so that a checkpoint only resumes the training that it belongs to.

use crate::data::features::{backbone_digest, FrozenBackbone};
use crate::data::manifest::{Manifest, Split};
use crate::error::{Error, Kind, Result};
use crate::image::Preprocessing;
use crate::train::settings::{Schedule, Settings};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// A digest of everything that determines the course of a training, except when it ends: with a constant schedule (of the last stage) the number
/// of epochs, and in any case the patience, may change when a training resumes. `fold` has the images that a calibration fold holds out.
///
/// # Errors
/// [`Kind::Internal`] if the settings cannot be serialised.
pub fn training_digest(
    settings: &Settings,
    preprocessing: &Preprocessing,
    manifest: &Manifest,
    backbone: &FrozenBackbone,
    fold: Option<&[usize]>,
) -> Result<String> {
    let mut settings = settings.clone();
    if settings.schedule == Schedule::Constant {
        settings.epochs = 0;
    }
    if let Some(last) = settings.stages.last_mut().filter(|stage| stage.schedule == Schedule::Constant) {
        last.epochs = 0;
    }
    settings.patience = None;
    let internal = |e| Error::new(Kind::Internal, format!("settings cannot be written: {e}"));
    let mut hash = Sha256::new();
    hash.update(serde_json::to_string(&settings).map_err(internal)?);
    hash.update(format!("\n{preprocessing:?}\n"));
    hash.update(backbone_digest(backbone.arch.name(), &backbone.tensors)?);
    for i in manifest.split(Split::Train) {
        hash.update(format!("\n{:?}", manifest.images[i]));
    }
    hash.update(format!("\n{:?}", manifest.attributes));
    // Groups decide which images are held out. They only matter if one of them has several instances.
    let groups: BTreeSet<u32> = manifest.instance_group.iter().copied().collect();
    if groups.len() < manifest.instance_group.len() {
        hash.update(format!("\n{:?}", manifest.instance_group));
    }
    if let Some(held_out) = fold {
        hash.update(format!("\nwithout {held_out:?}"));
    }
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}
