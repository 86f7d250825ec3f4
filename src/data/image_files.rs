//! Reading the files of a manifest's images, and what every way to prepare them shares.

use super::manifest::{ImageEntry, Manifest};
use crate::error::{Error, Result};

/// The bytes of an image's file.
pub(super) fn read(manifest: &Manifest, image: &ImageEntry) -> Result<Vec<u8>> {
    let path = manifest.file(image);
    std::fs::read(&path).map_err(|e| Error::io("read", &path, &e))
}

/// Puts the path of the image before an error's message.
pub(super) fn name_error(image: &ImageEntry, e: Error) -> Error {
    Error { message: format!("\"{}\": {}", image.path, e.message), ..e }
}

/// Swaps left and right in pixels `[size, size, 3]`.
pub(super) fn mirror(pixels: &mut [u8], size: usize) {
    for row in pixels.chunks_exact_mut(size * 3) {
        for x in 0..size / 2 {
            for c in 0..3 {
                row.swap(x * 3 + c, (size - 1 - x) * 3 + c);
            }
        }
    }
}
