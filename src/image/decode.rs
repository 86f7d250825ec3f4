//! Decodes an image file of any supported format to an upright RGB image: recognises the format, checks the limits, calls the
//! format's decoder, and converts what it returns.

use super::colour::ToSrgb;
use super::decode_error::{corrupt, DAMAGED};
use super::limits::{Estimate, Limits};
use super::pixels::Opened;
use super::recognise::{recognise, Format};
use super::{avif, colour, flatten, gif, jpeg, jpeg_xl, library, tiff};
use crate::error::Result;
use crate::memory;
use ::image::metadata::Orientation;
use ::image::{DynamicImage, RgbImage};
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Decodes an image file to upright 8-bit RGB over white; see the [module](super) for what that means per format.
///
/// # Errors
/// [`Kind::InvalidImage`] for data that is not an image, is damaged, truncated, or in an unsupported format or variant;
/// [`Kind::LimitExceeded`] for an image beyond `limits`; [`Kind::OutOfMemory`] if there is less memory than its headers say it
/// needs.
///
/// [`Kind::InvalidImage`]: crate::error::Kind::InvalidImage
/// [`Kind::LimitExceeded`]: crate::error::Kind::LimitExceeded
/// [`Kind::OutOfMemory`]: crate::error::Kind::OutOfMemory
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage> {
    open_and_then(bytes, limits, |image| {
        let (image, to_srgb) = unconverted(image, limits)?;
        Ok(match to_srgb {
            Some(to_srgb) => to_srgb.convert(image),
            None => image,
        })
    })
}

/// Decodes an image file as [`decode`] does, but leaves the conversion to sRGB to the caller where that can be done later.
///
/// # Errors
/// As [`decode`].
pub(super) fn decode_unconverted(bytes: &[u8], limits: &Limits) -> Result<(RgbImage, Option<ToSrgb>)> {
    open_and_then(bytes, limits, |image| unconverted(image, limits))
}

fn unconverted(image: Box<dyn Opened + '_>, limits: &Limits) -> Result<(RgbImage, Option<ToSrgb>)> {
    memory::headroom(usize::try_from(image.estimate().memory).unwrap_or(usize::MAX))?;
    let pixels = image.decode(limits)?;
    let (image, to_srgb) = colour::to_srgb(pixels.samples, pixels.colours)?;
    Ok((upright(flatten::over_white(image, pixels.premultiplied), pixels.orientation), to_srgb))
}

/// What decoding an image file takes in memory and work. Reads headers only.
///
/// # Errors
/// As [`decode`], as far as headers tell.
pub fn estimate(bytes: &[u8], limits: &Limits) -> Result<Estimate> {
    open_and_then(bytes, limits, |image| Ok(image.estimate()))
}

/// Reads and checks the headers, then calls `then`; a panic in either becomes an error.
fn open_and_then<T>(
    bytes: &[u8],
    limits: &Limits,
    then: impl FnOnce(Box<dyn Opened + '_>) -> Result<T>,
) -> Result<T> {
    let (format, bytes) = recognise(bytes)?;
    memory::headroom(bytes_beside_pixels(bytes))?;
    // Decoders do panic on malicious input. No object of theirs outlives the call, so no broken state is left behind.
    catch_unwind(AssertUnwindSafe(|| then(open(format, bytes, limits)?)))
        .unwrap_or_else(|_| Err(corrupt(format.name(), DAMAGED)))
}

/// Bytes that decoders may hold for a file's metadata, tables and row buffers: copies of its chunks, and 32 bytes for each byte of
/// a TIFF's directory, which is at most 1 MiB.
fn bytes_beside_pixels(bytes: &[u8]) -> usize {
    (4 << 20) + 2 * bytes.len() + 32 * bytes.len().min(1 << 20)
}

fn open<'a>(format: Format, bytes: &'a [u8], limits: &Limits) -> Result<Box<dyn Opened + 'a>> {
    Ok(match format {
        Format::Avif => Box::new(avif::open(bytes, limits)?),
        Format::Gif => Box::new(gif::open(bytes, limits)?),
        Format::Jpeg => Box::new(jpeg::open(bytes, limits)?),
        Format::JpegXl => Box::new(jpeg_xl::open(bytes, limits)?),
        Format::Tiff => Box::new(tiff::open(bytes, limits)?),
        other => Box::new(library::open(other, bytes, limits)?),
    })
}

/// Rotates and mirrors an image as its orientation tag says.
fn upright(image: RgbImage, orientation: Option<Orientation>) -> RgbImage {
    match orientation {
        None | Some(Orientation::NoTransforms) => image,
        Some(orientation) => {
            let mut image = DynamicImage::ImageRgb8(image);
            image.apply_orientation(orientation);
            image.into_rgb8()
        }
    }
}
