//! Decodes JPEG: [`open`] checks the markers before anything is allocated, [`OpenedJpeg::decode`] decodes strictly.
//!
//! This calls `zune-jpeg` directly in its strict mode. The `image` crate, which wraps it, fills missing or garbled parts of an
//! image with grey and inverts the colours of YCCK, both without an error. One kind of damage still goes unnoticed, as in
//! libjpeg: a truncated file to which someone has appended an end marker.

use super::decode_error::{cmyk, corrupt};
use super::flatten::OUTPUT_BYTES;
use super::jpeg_markers::{read_whole_frame, Frame};
use super::limits::{Estimate, Limits};
use crate::error::Result;
use ::image::metadata::Orientation;
use ::image::{DynamicImage, GrayImage, RgbImage};
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

const NAME: &str = "JPEG";

/// A file that has all its markers and is within the limits.
pub(super) struct OpenedJpeg<'a> {
    bytes: &'a [u8],
    frame: Frame,
    grey: bool,
    /// Memory and work of decoding, from the frame header and the scans.
    pub(super) estimate: Estimate,
}

/// Reads all markers of a file and checks it against the limits; decodes nothing.
///
/// # Errors
/// As [`decode`](super::decode()).
pub(super) fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<OpenedJpeg<'a>> {
    let frame = read_whole_frame(bytes).map_err(|reason| corrupt(NAME, reason))?;
    limits.check_dimensions(NAME, frame.width, frame.height)?;
    let grey = match frame.component_count() {
        1 => true,
        3 => false,
        4 => return Err(cmyk(NAME)),
        n => return Err(corrupt(NAME, &format!("found {n} colour components, expected 1 or 3"))),
    };
    let decoded = frame.pixels() * if grey { 1 } else { 3 };
    let converted = frame.pixels() * OUTPUT_BYTES;
    let memory = decoded + converted.max(frame.coefficient_bytes());
    let estimate = Estimate { memory, work: frame.work() };
    limits.check(NAME, (frame.width, frame.height), &estimate)?;
    Ok(OpenedJpeg { bytes, frame, grey, estimate })
}

impl OpenedJpeg<'_> {
    /// Decodes to grey or RGB, and returns the orientation in the EXIF metadata.
    ///
    /// # Errors
    /// As [`decode`](super::decode()).
    pub(super) fn decode(self, limits: &Limits) -> Result<(DynamicImage, Orientation)> {
        let Self { bytes, frame, grey, .. } = self;
        // Not strict about headers, because cameras write odd ones; strict about pixels, from the second set_options on.
        let side = limits.max_dimension as usize;
        let options = DecoderOptions::default()
            .set_max_width(side)
            .set_max_height(side)
            .set_strict_mode(false)
            // The estimate of work limits the number of scans.
            .jpeg_set_max_scans(usize::MAX)
            .jpeg_set_out_colorspace(if grey { ColorSpace::Luma } else { ColorSpace::RGB });
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(|e| corrupt(NAME, &e.to_string()))?;
        decoder.set_options(options.set_strict_mode(true));
        let same_frame = decoder.info().is_some_and(|info| {
            (u32::from(info.width), u32::from(info.height)) == (frame.width, frame.height)
                && usize::from(info.components) == frame.component_count()
        });
        if !same_frame {
            return Err(corrupt(NAME, "there is more than one frame header"));
        }
        let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
        let pixels = decoder.decode().map_err(|e| corrupt(NAME, &e.to_string()))?;
        let image = if grey {
            GrayImage::from_raw(frame.width, frame.height, pixels).map(DynamicImage::ImageLuma8)
        } else {
            RgbImage::from_raw(frame.width, frame.height, pixels).map(DynamicImage::ImageRgb8)
        };
        let image = image.ok_or_else(|| corrupt(NAME, "the pixels do not fill the frame"))?;
        Ok((image, orientation.unwrap_or(Orientation::NoTransforms)))
    }
}
