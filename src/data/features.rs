//! Features of a frozen backbone: each image goes through it once, and the features are cached by the image's content.

use super::feature_cache::{FeatureCache, Key};
use super::image_files::{mirror, name_error, read};
use super::manifest::{ImageEntry, Manifest};
use super::progress::progress_bar;
use crate::error::{Error, Kind, Result};
use crate::image::{prepare, Limits, Preprocessing};
use crate::model::{load_backbone, normalize_pixels, Arch, Tensors};
use candle_core::{DType, Device};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

/// Images that go through the backbone, and are written to the cache, together. An interruption loses one or two such batches.
const BATCH: usize = 32;

/// The forward pass: pixels `[batch, size, size, 3]` and the batch size to features `[batch, F]`.
type Forward<'a> = dyn Fn(&[u8], usize) -> Result<Vec<f32>> + Sync + 'a;

/// A backbone with its preprocessing, as [`extract`] uses it.
pub struct Extractor<'a> {
    /// Identifies the backbone with all its weights; see [`backbone_digest`].
    pub backbone: Key,
    /// Features of an image, F.
    pub features: usize,
    /// How an image becomes pixels.
    pub preprocessing: &'a Preprocessing,
    /// The forward pass of the backbone.
    pub run: &'a Forward<'a>,
}

/// A frozen backbone with the weights that a model directory stores: matrices in half precision. Training on these features means
/// that the server computes the same ones.
pub struct FrozenBackbone {
    /// The architecture.
    pub arch: Arch,
    /// The rounded tensors in f32, under their published names.
    pub tensors: Tensors,
    network: Box<dyn crate::model::Backbone>,
    digest: Key,
}

impl FrozenBackbone {
    /// Rounds the tensors and loads the backbone from them.
    ///
    /// # Errors
    /// [`Kind::InvalidModel`] if the tensors are not those of `arch`.
    pub fn new(arch: Arch, tensors: &Tensors) -> Result<Self> {
        let tensors = half_matrices(tensors)?;
        let network = load_backbone(arch, &tensors, &Device::Cpu)?;
        Ok(Self { arch, digest: backbone_digest(arch.name(), &tensors)?, network, tensors })
    }

    /// Number of features, F.
    pub fn features(&self) -> usize {
        self.network.features()
    }

    /// Features `[images, F]` of the given images of a manifest, mirrored if `flip`; see [`extract`].
    ///
    /// # Errors
    /// As [`extract`].
    pub fn extract(
        &self,
        manifest: &Manifest,
        images: &[usize],
        flip: bool,
        preprocessing: &Preprocessing,
        cache: &Path,
    ) -> Result<Vec<f32>> {
        let run = |pixels: &[u8], batch: usize| {
            let input = normalize_pixels(pixels, batch, preprocessing, &Device::Cpu)?;
            Ok(self.network.forward(&input)?.flatten_all()?.to_vec1()?)
        };
        let (backbone, features) = (self.digest, self.features());
        let extractor = Extractor { backbone, features, preprocessing, run: &run };
        extract(manifest, images, flip, &extractor, cache)
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

/// Computes the features `[images, F]` of the given images of a manifest, mirrored if `flip`. Features that are in the folder
/// `cache` are not computed again.
///
/// Decoding and the backbone run at the same time. The result does not depend on where an earlier run was interrupted: the list of
/// images fixes the batches, and each is computed as a whole.
///
/// # Errors
/// Those of decoding, with the file's name; [`Kind::Io`]; [`Kind::InvalidModel`] if a feature is not finite.
pub fn extract(
    manifest: &Manifest,
    images: &[usize],
    flip: bool,
    extractor: &Extractor<'_>,
    cache: &Path,
) -> Result<Vec<f32>> {
    let mut cache = FeatureCache::open(cache, &context(extractor), extractor.features)?;
    let entries: Vec<&ImageEntry> = images.iter().map(|&i| &manifest.images[i]).collect();
    let keys = entries
        .par_iter()
        .map(|image| key(&read(manifest, image)?, image, flip))
        .collect::<Result<Vec<Key>>>()?;
    let progress = progress_bar(if flip { "mirrored features" } else { "features" }, images.len());
    let pixel_bytes = extractor.preprocessing.pixel_bytes();
    let is_cached = |cache: &FeatureCache, keys: &[Key]| keys.iter().all(|k| cache.contains(k));
    let pending: Vec<(&[&ImageEntry], &[Key])> =
        entries.chunks(BATCH).zip(keys.chunks(BATCH)).filter(|(_, keys)| !is_cached(&cache, keys)).collect();
    progress.inc((images.len() - pending.iter().map(|(e, _)| e.len()).sum::<usize>()) as u64);

    std::thread::scope(|scope| {
        // One decoded batch waits while the backbone works on another.
        let (sender, receiver) = sync_channel::<Result<Vec<u8>>>(1);
        let batches: Vec<&[&ImageEntry]> = pending.iter().map(|(entries, _)| *entries).collect();
        scope.spawn(move || {
            for batch in batches {
                let decoded = decode_batch(manifest, batch, flip, extractor.preprocessing);
                // The receiver is gone if the backbone has failed.
                if sender.send(decoded).is_err() {
                    return;
                }
            }
        });
        for ((batch, keys), decoded) in pending.iter().zip(receiver) {
            let decoded = decoded?;
            let rows = (extractor.run)(&decoded, decoded.len() / pixel_bytes)?;
            if rows.len() != batch.len() * extractor.features || !rows.iter().all(|x| x.is_finite()) {
                return Err(Error::new(Kind::InvalidModel, "the backbone's features are not finite numbers")
                    .hint("Its weights are damaged; import them again."));
            }
            cache.append(keys.iter().zip(rows.chunks_exact(extractor.features)))?;
            progress.inc(batch.len() as u64);
        }
        Ok(())
    })?;
    progress.finish_and_clear();

    let mut all = vec![0.0; images.len() * extractor.features];
    for (key, row) in keys.iter().zip(all.chunks_exact_mut(extractor.features)) {
        cache.read(key, row)?;
    }
    Ok(all)
}

/// Identifies everything but the image that features depend on; names the cache's file.
fn context(extractor: &Extractor<'_>) -> Key {
    let p = extractor.preprocessing;
    let numbers = p.mean.iter().chain(&p.std).flat_map(|x| x.to_le_bytes());
    let mut hash = Sha256::new();
    hash.update(b"coopembed features 1\n");
    hash.update(extractor.backbone);
    hash.update(p.size.to_le_bytes());
    hash.update(numbers.collect::<Vec<u8>>());
    hash.finalize().into()
}

/// Identifies an image as the backbone sees it: its content, its crop box, and whether it is mirrored.
fn key(bytes: &[u8], image: &ImageEntry, flip: bool) -> Result<Key> {
    let mut hash = Sha256::new();
    hash.update(Sha256::digest(bytes));
    hash.update(format!("{:?} {flip}", image.crop));
    Ok(hash.finalize().into())
}

/// The pixels `[batch, size, size, 3]` of a batch.
fn decode_batch(
    manifest: &Manifest,
    batch: &[&ImageEntry],
    flip: bool,
    preprocessing: &Preprocessing,
) -> Result<Vec<u8>> {
    let prepared = batch.par_iter().map(|image| {
        let bytes = read(manifest, image)?;
        let mut pixels = prepare(&bytes, image.crop, preprocessing, &Limits::default())
            .map_err(|e| name_error(image, e))?;
        if flip {
            mirror(&mut pixels, preprocessing.size as usize);
        }
        Ok(pixels)
    });
    Ok(prepared.collect::<Result<Vec<_>>>()?.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const IMAGES: usize = 80;

    /// 80 images of 16 x 16 pixels, two of them equal.
    fn set() -> (tempfile::TempDir, Manifest) {
        let dir = tempfile::tempdir().unwrap();
        let mut csv = "path,instance,category,split,x1,y1,x2,y2,a\n".to_owned();
        for i in 0..IMAGES {
            let shade = |x: u32, y: u32| [(i % 79 * 3) as u8, (x * 16) as u8, (y * 16) as u8];
            let image = image::RgbImage::from_fn(16, 16, |x, y| image::Rgb(shade(x, y)));
            image.save(dir.path().join(format!("{i}.png"))).unwrap();
            let crop = if i == 5 { "2,2,9,9" } else { ",,," };
            csv.push_str(&format!("{i}.png,i,c,train,{crop},v\n"));
        }
        std::fs::write(dir.path().join("images.csv"), csv).unwrap();
        let manifest = Manifest::read(dir.path()).unwrap();
        (dir, manifest)
    }

    /// Extracts the means of the left and of the right half as features. Also returns how many images went through the
    /// "backbone", which fails after `limit` of them.
    fn features(manifest: &Manifest, flip: bool, cache: &Path, limit: usize) -> (Result<Vec<f32>>, usize) {
        let counted = AtomicUsize::new(0);
        let run = |pixels: &[u8], batch: usize| {
            if counted.fetch_add(batch, Ordering::SeqCst) + batch > limit {
                return Err(Error::new(Kind::Unavailable, "interrupted"));
            }
            let half = |image: &[u8], x: usize| {
                let of = image.chunks_exact(3).enumerate().filter(|(i, _)| i % 8 / 4 == x);
                of.map(|(_, p)| f32::from(p[1]) + f32::from(p[0]) / 1000.0).sum::<f32>() / 32.0
            };
            let images = pixels.chunks_exact(8 * 8 * 3);
            Ok(images.flat_map(|i| [half(i, 0), half(i, 1)]).collect())
        };
        let preprocessing = Preprocessing::imagenet(8);
        let extractor =
            Extractor { backbone: [1; 32], features: 2, preprocessing: &preprocessing, run: &run };
        let images: Vec<usize> = (0..manifest.images.len()).collect();
        let result = extract(manifest, &images, flip, &extractor, cache);
        (result, counted.into_inner())
    }

    #[test]
    fn features_are_computed_once() {
        let (dir, manifest) = set();
        let cache = dir.path().join("cache");
        let (first, computed) = features(&manifest, false, &cache, usize::MAX);
        assert_eq!(computed, IMAGES);
        let (second, computed) = features(&manifest, false, &cache, 0);
        assert_eq!((first.unwrap(), computed), (second.unwrap(), 0));
    }

    #[test]
    fn an_interrupted_run_resumes() {
        let (dir, manifest) = set();
        let (cache, other) = (dir.path().join("cache"), dir.path().join("other"));
        let (interrupted, _) = features(&manifest, false, &cache, 2 * BATCH);
        assert_eq!(interrupted.unwrap_err().message, "interrupted");
        let (resumed, computed) = features(&manifest, false, &cache, usize::MAX);
        assert_eq!(computed, IMAGES - 2 * BATCH);
        assert_eq!(resumed.unwrap(), features(&manifest, false, &other, usize::MAX).0.unwrap());
    }

    #[test]
    fn mirrored_images_are_cached_separately() {
        let (dir, manifest) = set();
        let cache = dir.path().join("cache");
        let plain = features(&manifest, false, &cache, usize::MAX).0.unwrap();
        let (mirrored, computed) = features(&manifest, true, &cache, usize::MAX);
        assert_eq!(computed, IMAGES);
        for (p, m) in plain.chunks_exact(2).zip(mirrored.unwrap().chunks_exact(2)) {
            assert!((p[0] - m[1]).abs() < 1e-3 && (p[1] - m[0]).abs() < 1e-3 && p[0] < p[1]);
        }
    }

    #[test]
    fn a_crop_changes_features_and_equal_files_share_them() {
        let (dir, manifest) = set();
        let all = features(&manifest, false, &dir.path().join("cache"), usize::MAX).0.unwrap();
        assert_eq!(all[0..2], all[158..160]); // 0 and 79
        assert!((all[11] - all[9]).abs() > 20.0); // 5 is cropped, 4 is not
    }

    #[test]
    fn an_image_that_cannot_be_decoded_is_named() {
        let (dir, manifest) = set();
        std::fs::write(dir.path().join("40.png"), b"not an image").unwrap();
        let e = features(&manifest, false, &dir.path().join("cache"), usize::MAX).0.unwrap_err();
        assert_eq!(e.kind, Kind::InvalidImage);
        assert!(e.message.starts_with("\"40.png\": "), "{}", e.message);
    }
}
