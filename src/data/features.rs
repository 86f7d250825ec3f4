//! Features of a frozen backbone: each image goes through it once, and the features are cached by the image's content.

use super::image_files::read;
use super::manifest::{ImageEntry, Manifest};
use super::progress::progress_bar;
use super::row_cache::{Key, RowCache, RowKind};
use super::view::View;
use crate::error::{Error, Kind, Result};
use crate::image::Preprocessing;
use crate::model::{load_backbone, normalize_pixels, Arch, FeatureSet, Tensors};
use candle_core::{DType, Device};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

/// Images that go through the backbone, and are written to the cache, together. An interruption loses one or two such batches.
const BATCH: usize = 32;

/// Most images that an error names.
const MAX_LISTED: usize = 20;

/// The forward pass: pixels `[batch, size, size, 3]` and the batch size to a row of numbers per image.
type Forward<'a> = dyn Fn(&[u8], usize) -> Result<Vec<f32>> + Sync + 'a;

/// A backbone with its preprocessing, as [`extract`] uses it.
pub struct Extractor<'a> {
    /// Identifies the backbone with all its weights; see [`backbone_digest`].
    pub backbone: Key,
    /// What the forward pass gives.
    pub rows: Rows,
    /// How an image becomes pixels.
    pub preprocessing: &'a Preprocessing,
    /// The forward pass of the backbone.
    pub run: &'a Forward<'a>,
}

/// What a forward pass makes of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// So many features.
    Features(FeatureSet, usize),
    /// The map after so many blocks, of so many numbers.
    Maps(usize, usize),
}

impl Rows {
    /// Numbers of an image.
    pub fn numbers(self) -> usize {
        match self {
            Self::Features(_, numbers) | Self::Maps(_, numbers) => numbers,
        }
    }

    fn kind(self) -> RowKind {
        match self {
            Self::Features(..) => RowKind::Features,
            Self::Maps(..) => RowKind::Maps,
        }
    }

    /// Tells apart what one backbone can give. (Empty for the features that were once the only ones.)
    fn context(self) -> String {
        match self {
            Self::Features(FeatureSet::Last, _) => String::new(),
            Self::Features(FeatureSet::Levels, _) => "levels".into(),
            Self::Maps(blocks, _) => format!("map after {blocks} blocks"),
        }
    }
}

/// A frozen backbone with the weights that a model directory stores: matrices in half precision. Training on these features means
/// that the server computes the same ones.
pub struct FrozenBackbone {
    /// The architecture.
    pub arch: Arch,
    /// Which features it gives.
    pub set: FeatureSet,
    /// The rounded tensors in f32, under their published names.
    pub tensors: Tensors,
    network: Box<dyn crate::model::Backbone>,
    digest: Key,
}

impl FrozenBackbone {
    /// Rounds the tensors and loads the backbone from them; it gives these features.
    ///
    /// # Errors
    /// [`Kind::InvalidModel`] if the tensors are not those of `arch`.
    pub fn new(arch: Arch, set: FeatureSet, tensors: &Tensors) -> Result<Self> {
        let tensors = half_matrices(tensors)?;
        let network = load_backbone(arch, set, &tensors, &Device::Cpu)?;
        Ok(Self { arch, set, digest: backbone_digest(arch.name(), &tensors)?, network, tensors })
    }

    /// Number of features, F.
    pub fn features(&self) -> usize {
        self.network.features()
    }

    /// The network that computes the features.
    pub fn network(&self) -> &dyn crate::model::Backbone {
        &*self.network
    }

    /// See [`backbone_digest`].
    pub fn digest(&self) -> Key {
        self.digest
    }

    /// Features `[images, F]` of a view of the given images of a manifest; see [`extract`].
    ///
    /// # Errors
    /// As [`extract`].
    pub fn extract(
        &self,
        manifest: &Manifest,
        images: &[usize],
        view: View,
        preprocessing: &Preprocessing,
        cache: Option<&Path>,
    ) -> Result<Vec<f32>> {
        let run = |pixels: &[u8], batch: usize| {
            let input = normalize_pixels(pixels, batch, preprocessing, &Device::Cpu)?;
            Ok(self.network.forward(&input)?.flatten_all()?.to_vec1()?)
        };
        let rows = Rows::Features(self.set, self.features());
        let extractor = Extractor { backbone: self.digest, rows, preprocessing, run: &run };
        extract(manifest, images, view, &extractor, cache)
    }
}

/// Rounds tensors as a model directory stores them: those of two or more dimensions to half precision. The result is in f32.
///
/// # Errors
/// If a tensor has a type that cannot be converted to f32.
pub fn half_matrices(tensors: &Tensors) -> Result<Tensors> {
    let round = |(name, t): (&String, &candle_core::Tensor)| {
        let t = if t.rank() > 1 { t.to_dtype(DType::F16)? } else { t.clone() };
        Ok((name.clone(), t.to_dtype(DType::F32)?))
    };
    tensors.iter().map(round).collect()
}

/// SHA-256 over a backbone's architecture, and the names, shapes and f32 values of its tensors.
///
/// # Errors
/// If a tensor has a type that cannot be converted to f32.
pub fn backbone_digest(arch: &str, tensors: &Tensors) -> Result<Key> {
    let mut hash = Sha256::new();
    hash.update(arch);
    for (name, tensor) in tensors {
        hash.update(format!("\n{name} {:?}\n", tensor.dims()));
        let numbers: Vec<f32> = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        numbers.iter().for_each(|x| hash.update(x.to_le_bytes()));
    }
    Ok(hash.finalize().into())
}

/// The default folder of the cache, `coopembed/features` in the user's cache folder.
///
/// # Errors
/// [`Kind::InvalidParameter`] if neither `XDG_CACHE_HOME` nor `HOME` is set.
pub fn default_cache() -> Result<PathBuf> {
    let folder_in = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = folder_in("XDG_CACHE_HOME").or_else(|| Some(folder_in("HOME")?.join(".cache")));
    base.map(|base| base.join("coopembed/features")).ok_or_else(|| {
        Error::new(Kind::InvalidParameter, "there is no folder for the feature cache")
            .detail("Neither XDG_CACHE_HOME nor HOME is set.")
            .hint("Name a folder with --cache.")
    })
}

/// Computes the features `[images, F]` of a view of the given images of a manifest. Features that are in the folder `cache` are not
/// computed again; without one nothing is kept.
///
/// Decoding and the backbone run at the same time. The result does not depend on where an earlier run was interrupted: the list of
/// images fixes the batches, and each is computed as a whole.
///
/// # Errors
/// Those of decoding, with the file's name; [`Kind::Io`]; [`Kind::InvalidModel`] if a feature is not finite.
pub fn extract(
    manifest: &Manifest,
    images: &[usize],
    view: View,
    extractor: &Extractor<'_>,
    cache: Option<&Path>,
) -> Result<Vec<f32>> {
    let entries: Vec<&ImageEntry> = images.iter().map(|&i| &manifest.images[i]).collect();
    let Some(folder) = cache else {
        let batches: Vec<_> = entries.chunks(BATCH).collect();
        let mut all = Vec::with_capacity(images.len() * extractor.rows.numbers());
        compute(manifest, &batches, view, extractor, &mut |_, rows| {
            all.extend(rows);
            Ok(())
        })?;
        return Ok(all);
    };
    let mut cache = extractor.open_cache(folder)?;
    let keys = fill_cache(manifest, images, view, extractor, &mut cache)?;
    let mut all = vec![0.0; images.len() * extractor.rows.numbers()];
    for (key, row) in keys.iter().zip(all.chunks_exact_mut(extractor.rows.numbers())) {
        cache.read(key, row)?;
    }
    Ok(all)
}

impl Extractor<'_> {
    /// Opens the cache of the rows.
    ///
    /// # Errors
    /// As [`RowCache::open`].
    pub fn open_cache(&self, folder: &Path) -> Result<RowCache> {
        RowCache::open(folder, &context(self), self.rows.kind(), self.rows.numbers())
    }
}

/// Computes the rows of the given images that the cache lacks; returns the keys of all.
///
/// # Errors
/// As [`extract`].
pub fn fill_cache(
    manifest: &Manifest,
    images: &[usize],
    view: View,
    extractor: &Extractor<'_>,
    cache: &mut RowCache,
) -> Result<Vec<Key>> {
    let entries: Vec<&ImageEntry> = images.iter().map(|&i| &manifest.images[i]).collect();
    let keys: Vec<Result<Key>> =
        entries.par_iter().map(|image| key(&read(manifest, image)?, image, view)).collect();
    let (keys, unread): (Vec<_>, Vec<_>) = keys.into_iter().partition(Result::is_ok);
    all_failures(unread.into_iter().filter_map(Result::err).collect())?;
    let keys: Vec<Key> = keys.into_iter().filter_map(Result::ok).collect();
    let is_cached = |keys: &[Key]| keys.iter().all(|k| cache.contains(k));
    let pending: Vec<(&[&ImageEntry], &[Key])> =
        entries.chunks(BATCH).zip(keys.chunks(BATCH)).filter(|(_, keys)| !is_cached(keys)).collect();
    let batches: Vec<_> = pending.iter().map(|(entries, _)| *entries).collect();
    compute(manifest, &batches, view, extractor, &mut |batch, rows| {
        cache.append(pending[batch].1.iter().zip(rows.chunks_exact(extractor.rows.numbers())))
    })?;
    Ok(keys)
}

/// Passes the rows of each batch of images to `take`, with the number of the batch.
fn compute(
    manifest: &Manifest,
    batches: &[&[&ImageEntry]],
    view: View,
    extractor: &Extractor<'_>,
    take: &mut dyn FnMut(usize, Vec<f32>) -> Result<()>,
) -> Result<()> {
    if batches.is_empty() {
        return Ok(());
    }
    let progress = progress_bar(view.progress_label(), batches.iter().map(|b| b.len()).sum());
    let pixel_bytes = extractor.preprocessing.pixel_bytes();
    std::thread::scope(|scope| {
        // One decoded batch waits while the backbone works on another.
        let (sender, receiver) = sync_channel::<std::result::Result<Vec<u8>, Vec<Error>>>(1);
        scope.spawn(move || {
            for batch in batches {
                let decoded = view.pixels_of(manifest, batch, extractor.preprocessing);
                // The receiver is gone if the backbone has failed.
                if sender.send(decoded).is_err() {
                    return;
                }
            }
        });
        let mut failed = Vec::new();
        for ((number, batch), decoded) in batches.iter().enumerate().zip(receiver) {
            let decoded = match decoded {
                Ok(decoded) if failed.is_empty() => decoded,
                // The others are only decoded, so that one error names all images that cannot be.
                Ok(_) => continue,
                Err(errors) => {
                    failed.extend(errors);
                    continue;
                }
            };
            let rows = (extractor.run)(&decoded, decoded.len() / pixel_bytes)?;
            if rows.len() != batch.len() * extractor.rows.numbers() || !rows.iter().all(|x| x.is_finite()) {
                return Err(Error::new(Kind::InvalidModel, "the backbone's features are not finite numbers")
                    .hint("Its weights are damaged; import them again."));
            }
            take(number, rows)?;
            progress.inc(batch.len() as u64);
        }
        all_failures(failed)
    })?;
    progress.finish_and_clear();
    Ok(())
}

/// One error for all images that could not be read or decoded.
fn all_failures(mut failed: Vec<Error>) -> Result<()> {
    match failed.len() {
        0 => Ok(()),
        1 => Err(failed.swap_remove(0)),
        count => {
            let mut lines: Vec<String> = failed.iter().take(MAX_LISTED).map(|e| e.message.clone()).collect();
            if count > MAX_LISTED {
                lines.push(format!("... and {} more", count - MAX_LISTED));
            }
            Err(Error::new(Kind::InvalidImage, format!("{count} images cannot be used"))
                .detail(lines.join("\n         "))
                .hint("Replace these files, or remove their rows from the list of images."))
        }
    }
}

/// Identifies everything but the image that features depend on; names the cache's file.
fn context(extractor: &Extractor<'_>) -> Key {
    let p = extractor.preprocessing;
    let numbers = p.mean.iter().chain(&p.std).flat_map(|x| x.to_le_bytes());
    let mut hash = Sha256::new();
    hash.update(b"coopembed features 1\n");
    hash.update(extractor.backbone);
    hash.update(extractor.rows.context());
    hash.update(p.size.to_le_bytes());
    hash.update(numbers.collect::<Vec<u8>>());
    hash.finalize().into()
}

/// Identifies an image as the backbone sees it: its content, its crop box, and the view.
fn key(bytes: &[u8], image: &ImageEntry, view: View) -> Result<Key> {
    let mut hash = Sha256::new();
    hash.update(Sha256::digest(bytes));
    hash.update(format!("{:?} {}", image.crop, view.key(image)));
    Ok(hash.finalize().into())
}

#[cfg(test)]
mod tests;
