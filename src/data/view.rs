//! A way to look at an image in training: as it is, or changed.

use super::augmentation::Augmentation;
use super::image_files::{mirror, name_error, read};
use super::manifest::{ImageEntry, Manifest};
use crate::error::{Error, Result};
use crate::image::{prepare, CropBox, Decoded, Limits, Preprocessing};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

/// A version of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum View {
    /// The image as it is, as retrieval sees it.
    Plain,
    /// Left and right swapped, unless the image must not be mirrored ([`ImageEntry::mirror`]): then it is plain.
    Mirrored,
    /// Changed at random: the same each time for the same image, seed and number.
    Augmented(Augmentation, u64, usize),
}

impl View {
    /// The pixels `[size, size, 3]` of an image.
    ///
    /// # Errors
    /// Those of reading and decoding, with the file's name.
    pub fn pixels(self, manifest: &Manifest, image: &ImageEntry, to: &Preprocessing) -> Result<Vec<u8>> {
        if let Self::Augmented(augmentation, seed, number) = self {
            let mut rng = StdRng::seed_from_u64(seed_of(&image.path, seed, number));
            return augmented(manifest, image, to, &augmentation, &mut rng);
        }
        let bytes = read(manifest, image)?;
        let mut pixels =
            prepare(&bytes, image.crop, to, &Limits::default()).map_err(|e| name_error(image, e))?;
        if self == Self::Mirrored && image.mirror {
            mirror(&mut pixels, to.size as usize);
        }
        Ok(pixels)
    }

    /// The pixels `[batch, size, size, 3]` of several images, one after the other.
    ///
    /// # Errors
    /// All that [`View::pixels`] gives.
    pub fn pixels_of(
        self,
        manifest: &Manifest,
        batch: &[&ImageEntry],
        to: &Preprocessing,
    ) -> std::result::Result<Vec<u8>, Vec<Error>> {
        let prepared: Vec<Result<Vec<u8>>> =
            batch.par_iter().map(|image| self.pixels(manifest, image, to)).collect();
        let (mut pixels, mut failed) = (Vec::with_capacity(prepared.len()), Vec::new());
        for image in prepared {
            match image {
                Ok(image) => pixels.push(image),
                Err(e) => failed.push(e),
            }
        }
        if failed.is_empty() {
            Ok(pixels.concat())
        } else {
            Err(failed)
        }
    }

    /// Tells the views of an image apart in a cache.
    pub fn key(self, image: &ImageEntry) -> String {
        match self {
            Self::Plain => "false".into(),
            Self::Mirrored => image.mirror.to_string(),
            // The random changes depend on the path.
            Self::Augmented(augmentation, seed, number) => {
                format!("{augmentation:?} {seed} {number} {} {}", image.mirror, image.path)
            }
        }
    }

    /// What a progress bar says while images are looked at this way.
    pub fn progress_label(self) -> &'static str {
        match self {
            Self::Plain => "features",
            Self::Mirrored => "mirrored features",
            Self::Augmented(..) => "augmented features",
        }
    }
}

/// A seed for each image, whatever its place in the set.
fn seed_of(path: &str, seed: u64, number: usize) -> u64 {
    let digest = Sha256::digest(format!("{seed} {number} {path}"));
    digest.iter().take(8).fold(0, |all, &byte| all << 8 | u64::from(byte))
}

/// The pixels `[size, size, 3]` of an image with random changes.
///
/// # Errors
/// As [`View::pixels`].
pub(super) fn augmented(
    manifest: &Manifest,
    image: &ImageEntry,
    to: &Preprocessing,
    augmentation: &Augmentation,
    rng: &mut StdRng,
) -> Result<Vec<u8>> {
    // Drawn for every image, so that one that must not be mirrored is otherwise changed as it would be.
    let flip = augmentation.flip && rng.random::<bool>() && image.mirror;
    let (size, mut aspect) = (to.size as usize, 1.0);
    let bytes = read(manifest, image)?;
    let mut part_of = || {
        let decoded = Decoded::new(&bytes, &Limits::default())?;
        let (width, height) = decoded.dimensions();
        let (width, height) = (width as i32, height as i32);
        let whole = CropBox { x1: 0, y1: 0, x2: width, y2: height };
        let inside = image.crop.map_or(whole, |c| CropBox {
            x1: c.x1.max(0),
            y1: c.y1.max(0),
            x2: c.x2.min(width),
            y2: c.y2.min(height),
        });
        // Decoded::prepare reports a box without pixels.
        let usable = inside.x1 < inside.x2 && inside.y1 < inside.y2;
        let part = if usable { augmentation.random_part(inside, rng) } else { None };
        if usable {
            let seen = part.unwrap_or(inside);
            aspect = (seen.x2 - seen.x1) as f32 / (seen.y2 - seen.y1) as f32;
        }
        decoded.prepare(part.or(image.crop), to)
    };
    let mut pixels = part_of().map_err(|e| name_error(image, e))?;
    if flip {
        mirror(&mut pixels, size);
    }
    augmentation.change_pixels(&mut pixels, size, aspect, rng);
    Ok(pixels)
}
