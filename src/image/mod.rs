//! Bytes to pixels: decode under limits, turn upright, composite over white, crop, resize. One implementation for
//! training and serving, so that a model sees in the server exactly what it saw when it learned.
//!
//! - **Formats**: JPEG, PNG, WebP, GIF, BMP and TIFF, told apart by their content. Of an animation, the first frame.
//! - **Orientation** is applied (EXIF in JPEG, PNG and WebP, the tag in TIFF): pixels are as a viewer shows them.
//! - **Alpha** is composited over white; premultiplied TIFF is recognised. Grey becomes three equal channels.
//! - **Depth**: 16-bit samples are rounded to 8; float samples are taken as [0, 1] and clipped.
//! - **Colour profiles** (ICC, PNG `gAMA` and `cHRM`) are ignored: samples are taken as sRGB. CMYK needs a profile to mean
//!   a colour and is refused.
//! - **Truncated files** are errors, never half-grey pictures.
//!
//! Decoders run on bytes that anyone may have made: sizes are read from the headers and checked before any pixel is
//! allocated, memory and work are bounded by [`Limits`], memory that is not there is an error, and a panic inside a decoder becomes an [`Error`](super::error::Error). No
//! panic hook is installed; whichever is there may print or log its line.

mod decode;
mod flatten;
mod gif;
mod jpeg;
mod limits;
mod png;
mod preprocessing;
mod resize;
mod tiff;
mod webp;

#[cfg(test)]
mod tests;

pub use decode::{decode, estimate};
pub use limits::{Estimate, Limits, MEGAPIXEL};
pub use preprocessing::Preprocessing;
pub use resize::{prepare_image, CropBox};

use super::error::Result;

/// Bytes of an image file to `[size, size, 3]` 8-bit RGB for a network: [`decode`], then [`prepare_image`].
///
/// # Errors
/// Those of [`decode`] and [`prepare_image`].
pub fn prepare(
    bytes: &[u8],
    crop: Option<CropBox>,
    preprocessing: &Preprocessing,
    limits: &Limits,
) -> Result<Vec<u8>> {
    prepare_image(&decode(bytes, limits)?, crop, preprocessing)
}
