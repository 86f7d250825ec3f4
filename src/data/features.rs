//! Features of a frozen backbone: each image once, remembered by content.

use super::feature_cache::{FeatureCache, Key};
use super::manifest::{ImageEntry, Manifest};
use crate::error::{Error, Kind, Result};
use crate::image::{prepare, Limits, Preprocessing};
use crate::model::{load_backbone, normalize_pixels, Arch, Tensors};
use candle_core::{DType, Device};
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

/// Images that go through the backbone together and are written together: an interruption loses at most a few of these.
const BATCH: usize = 32;

/// Prepared pixels `[batch, size, size, 3]` and their number to features `[batch, F]`.
type Run<'a> = dyn Fn(&[u8], usize) -> Result<Vec<f32>> + Sync + 'a;

/// A way from pixels to features.
pub struct Extractor<'a> {
    /// Stands for the backbone and all its weights.
    pub backbone: Key,
    /// F.
    pub features: usize,
    /// From bytes to pixels.
    pub preprocessing: &'a Preprocessing,
    /// The backbone.
    pub run: &'a Run<'a>,
}

/// A backbone as it will ship: its matrices rounded to half precision, so that what is learned on its features holds in
/// serving.
pub struct FrozenBackbone {
    /// Which it is.
    pub arch: Arch,
    /// Its rounded tensors in f32, under their published names.
    pub tensors: Tensors,
    network: Box<dyn crate::model::Backbone>,
    digest: Key,
}

impl FrozenBackbone {
    /// Rounds and loads.
    ///
    /// # Errors
    /// [`Kind::InvalidModel`] if the tensors are not those of `arch`.
    pub fn new(arch: Arch, tensors: &Tensors) -> Result<Self> {
        let tensors = half_matrices(tensors)?;
        let network = load_backbone(arch, &tensors, &Device::Cpu)?;
        Ok(Self { arch, digest: backbone_digest(arch.name(), &tensors)?, network, tensors })
    }

    /// F.
    pub fn features(&self) -> usize {
        self.network.features()
    }

    /// Features `[images, F]` of some images of a manifest (mirrored, if `flip`).
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

/// Tensors as a model directory holds them: those of two and more dimensions rounded to half precision, in f32.
///
/// # Errors
/// If a tensor is not of numbers.
pub fn half_matrices(tensors: &Tensors) -> Result<Tensors> {
    let round = |(name, t): (&String, &candle_core::Tensor)| {
        let t = if t.rank() > 1 { t.to_dtype(DType::F16)? } else { t.clone() };
        Ok((name.clone(), t.to_dtype(DType::F32)?))
    };
    tensors.iter().map(round).collect()
}

/// SHA-256 over a backbone's name, and its tensors' names, shapes and f32 numbers.
///
/// # Errors
/// If a tensor is not of numbers.
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

/// `coopembed/features` in the user's cache folder.
///
/// # Errors
/// [`Kind::InvalidParameter`] if the environment names none.
pub fn default_cache() -> Result<PathBuf> {
    let from = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = from("XDG_CACHE_HOME").or_else(|| Some(from("HOME")?.join(".cache")));
    base.map(|base| base.join("coopembed/features")).ok_or_else(|| {
        Error::new(Kind::InvalidParameter, "there is no place for the feature cache")
            .detail("Neither XDG_CACHE_HOME nor HOME is set.")
            .hint("Name a folder with --cache.")
    })
}

/// A progress bar that says `what` is being done; silent where standard error is no terminal.
pub fn bar(what: &'static str, length: usize) -> ProgressBar {
    let bar = ProgressBar::new(length as u64);
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {eta} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(what);
    bar
}

/// Features `[images, F]` of some images of a manifest, mirrored if `flip`; what `cache` has is not computed again.
///
/// Decoding and the backbone overlap. A row never depends on where an earlier run was interrupted: batches are fixed by the
/// list of images, and are computed whole or not at all.
///
/// # Errors
/// Those of decoding, naming the file; [`Kind::Io`]; [`Kind::InvalidModel`] if a feature is not finite.
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
    let progress = bar(if flip { "mirrored features" } else { "features" }, images.len());
    let pixels = extractor.preprocessing.pixel_bytes();
    let done = |cache: &FeatureCache, keys: &[Key]| keys.iter().all(|k| cache.contains(k));
    let pending: Vec<(&[&ImageEntry], &[Key])> =
        entries.chunks(BATCH).zip(keys.chunks(BATCH)).filter(|(_, keys)| !done(&cache, keys)).collect();
    progress.inc((images.len() - pending.iter().map(|(e, _)| e.len()).sum::<usize>()) as u64);

    std::thread::scope(|scope| {
        // One batch waits decoded while the backbone works on another.
        let (sender, receiver) = sync_channel::<Result<Vec<u8>>>(1);
        let batches: Vec<&[&ImageEntry]> = pending.iter().map(|(entries, _)| *entries).collect();
        scope.spawn(move || {
            for batch in batches {
                let decoded = decode(manifest, batch, flip, extractor.preprocessing);
                // The receiver is gone when the other side has failed.
                if sender.send(decoded).is_err() {
                    return;
                }
            }
        });
        for ((batch, keys), decoded) in pending.iter().zip(receiver) {
            let decoded = decoded?;
            let rows = (extractor.run)(&decoded, decoded.len() / pixels)?;
            if rows.len() != batch.len() * extractor.features || !rows.iter().all(|x| x.is_finite()) {
                return Err(Error::new(Kind::InvalidModel, "the backbone's features are not finite numbers")
                    .hint("Its weights are not what they should be; import them again."));
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

/// An error in one image, with its name.
pub(super) fn named(image: &ImageEntry, e: Error) -> Error {
    Error { message: format!("\"{}\": {}", image.path, e.message), ..e }
}

/// The bytes of an image's file.
pub(super) fn read(manifest: &Manifest, image: &ImageEntry) -> Result<Vec<u8>> {
    let path = manifest.file(image);
    std::fs::read(&path).map_err(|e| Error::io("read", &path, &e))
}

/// What decides features apart from the image.
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

fn key(bytes: &[u8], image: &ImageEntry, flip: bool) -> Result<Key> {
    let mut hash = Sha256::new();
    hash.update(Sha256::digest(bytes));
    hash.update(format!("{:?} {flip}", image.crop));
    Ok(hash.finalize().into())
}

/// `[batch, size, size, 3]`.
fn decode(
    manifest: &Manifest,
    batch: &[&ImageEntry],
    flip: bool,
    preprocessing: &Preprocessing,
) -> Result<Vec<u8>> {
    let prepared = batch.par_iter().map(|image| {
        let bytes = read(manifest, image)?;
        let mut pixels =
            prepare(&bytes, image.crop, preprocessing, &Limits::default()).map_err(|e| named(image, e))?;
        if flip {
            mirror(&mut pixels, preprocessing.size as usize);
        }
        Ok(pixels)
    });
    Ok(prepared.collect::<Result<Vec<_>>>()?.concat())
}

/// Swaps left and right of `[size, size, 3]`.
pub(super) fn mirror(pixels: &mut [u8], size: usize) {
    for row in pixels.chunks_exact_mut(size * 3) {
        for x in 0..size / 2 {
            for c in 0..3 {
                row.swap(x * 3 + c, (size - 1 - x) * 3 + c);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const IMAGES: usize = 80;

    /// 80 pictures of 16 px, two alike.
    fn set() -> (tempfile::TempDir, Manifest) {
        let dir = tempfile::tempdir().unwrap();
        let mut csv = "path,instance,category,split,x1,y1,x2,y2,a\n".to_owned();
        for i in 0..IMAGES {
            let shade = |x: u32, y: u32| [(i % 79 * 3) as u8, (x * 16) as u8, (y * 16) as u8];
            let picture = image::RgbImage::from_fn(16, 16, |x, y| image::Rgb(shade(x, y)));
            picture.save(dir.path().join(format!("{i}.png"))).unwrap();
            let crop = if i == 5 { "2,2,9,9" } else { ",,," };
            csv.push_str(&format!("{i}.png,i,c,train,{crop},v\n"));
        }
        std::fs::write(dir.path().join("images.csv"), csv).unwrap();
        let manifest = Manifest::read(dir.path()).unwrap();
        (dir, manifest)
    }

    /// Means of the left and of the right half; counts its images, and fails after `limit` of them.
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
    fn an_interrupted_run_goes_on_where_it_was() {
        let (dir, manifest) = set();
        let (cache, other) = (dir.path().join("cache"), dir.path().join("other"));
        let (interrupted, _) = features(&manifest, false, &cache, 2 * BATCH);
        assert_eq!(interrupted.unwrap_err().message, "interrupted");
        let (resumed, computed) = features(&manifest, false, &cache, usize::MAX);
        assert_eq!(computed, IMAGES - 2 * BATCH);
        assert_eq!(resumed.unwrap(), features(&manifest, false, &other, usize::MAX).0.unwrap());
    }

    #[test]
    fn mirrored_images_have_features_of_their_own() {
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
        std::fs::write(dir.path().join("40.png"), b"no picture").unwrap();
        let e = features(&manifest, false, &dir.path().join("cache"), usize::MAX).0.unwrap_err();
        assert_eq!(e.kind, Kind::InvalidImage);
        assert!(e.message.starts_with("\"40.png\": "), "{}", e.message);
    }
}
