//! PNG: checks the header before the decoder allocates rows, and decodes without reading texts and colour profiles.
//!
//! This calls the `png` crate directly. The `image` crate, which wraps it, keeps texts and inflates colour profiles, each up to its
//! limit, before it reports the size of the image.

use super::decode_error::{corrupt, from_image_crate};
use super::limits::{Estimate, Limits};
use crate::error::Result;
use ::image::error::{DecodingError, LimitError, LimitErrorKind, ParameterError, ParameterErrorKind};
use ::image::{ColorType, ImageDecoder, ImageError, ImageFormat, ImageResult};
use std::io::Cursor;

const NAME: &str = "PNG";

/// Work of a pixel of an interlaced image, whose seven passes access memory with strides.
pub(super) const INTERLACED_WORK: u64 = 2;

/// A PNG file whose header and metadata have been read.
pub(super) struct Decoder<'a> {
    reader: png::Reader<Cursor<&'a [u8]>>,
    color: ColorType,
}

/// Checks the header and reads the file up to its first pixel.
///
/// # Errors
/// Those of the limits, and [`Kind::InvalidImage`](crate::error::Kind::InvalidImage) for a file that is damaged before its pixels.
pub(super) fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Decoder<'a>> {
    let memory_left = usize::try_from(check_header(bytes, limits)?).unwrap_or(usize::MAX);
    Decoder::new(bytes, memory_left).map_err(|e| from_image_crate(NAME, &e))
}

/// Checks the width and height in the header, and returns the memory that the limits leave to the decoder beside its output.
fn check_header(bytes: &[u8], limits: &Limits) -> Result<u64> {
    // Signature (8), length (4), "IHDR", width, height, bits, colour type.
    let header = bytes.get(..26).filter(|h| &h[12..16] == b"IHDR");
    let header = header.ok_or_else(|| corrupt(NAME, "the file ends in or before its header"))?;
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (width, height) = (number(16), number(20));
    limits.check_dimensions(NAME, width, height)?;
    // A palette or a transparent colour may add alpha.
    let channels = if matches!(header[25], 0 | 4) { 2 } else { 4 };
    let sample_bytes = if header[24] == 16 { 2 } else { 1 };
    let output = u64::from(width) * u64::from(height) * channels * sample_bytes;
    limits.check(NAME, (width, height), &Estimate { memory: output, work: 0 })?;
    Ok(limits.max_memory - output)
}

impl<'a> Decoder<'a> {
    fn new(bytes: &'a [u8], memory_left: usize) -> ImageResult<Self> {
        let limits = png::Limits { bytes: memory_left };
        let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        // Expands palettes to colours, and fewer than 8 bits to 8.
        decoder.set_transformations(png::Transformations::EXPAND);
        let reader = decoder.read_info().map_err(failed)?;
        use png::{BitDepth::Eight, BitDepth::Sixteen, ColorType as C};
        let color = match reader.output_color_type() {
            (C::Grayscale, Eight) => ColorType::L8,
            (C::Grayscale, Sixteen) => ColorType::L16,
            (C::GrayscaleAlpha, Eight) => ColorType::La8,
            (C::GrayscaleAlpha, Sixteen) => ColorType::La16,
            (C::Rgb, Eight) => ColorType::Rgb8,
            (C::Rgb, Sixteen) => ColorType::Rgb16,
            (C::Rgba, Eight) => ColorType::Rgba8,
            (C::Rgba, Sixteen) => ColorType::Rgba16,
            (color, bits) => {
                let reason = format!("{color:?} of {bits:?} bits after expansion");
                return Err(ImageError::Parameter(ParameterError::from_kind(ParameterErrorKind::Generic(
                    reason,
                ))));
            }
        };
        Ok(Self { reader, color })
    }

    /// Whether the image is stored in seven passes.
    pub(super) fn is_interlaced(&self) -> bool {
        self.reader.info().interlaced
    }
}

impl ImageDecoder for Decoder<'_> {
    fn dimensions(&self) -> (u32, u32) {
        self.reader.info().size()
    }

    fn color_type(&self) -> ColorType {
        self.color
    }

    fn exif_metadata(&mut self) -> ImageResult<Option<Vec<u8>>> {
        Ok(self.reader.info().exif_metadata.as_ref().map(|exif| exif.to_vec()))
    }

    fn read_image(mut self, pixels: &mut [u8]) -> ImageResult<()> {
        self.reader.next_frame(pixels).map_err(failed)?;
        if matches!(self.color, ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16) {
            let (samples, _) = pixels.as_chunks_mut::<2>();
            samples.iter_mut().for_each(|sample| *sample = u16::from_be_bytes(*sample).to_ne_bytes());
        }
        Ok(())
    }

    fn read_image_boxed(self: Box<Self>, pixels: &mut [u8]) -> ImageResult<()> {
        (*self).read_image(pixels)
    }
}

fn failed(e: png::DecodingError) -> ImageError {
    match e {
        png::DecodingError::IoError(e) => ImageError::IoError(e),
        e @ png::DecodingError::Parameter(_) => {
            ImageError::Parameter(ParameterError::from_kind(ParameterErrorKind::Generic(e.to_string())))
        }
        png::DecodingError::LimitsExceeded => {
            ImageError::Limits(LimitError::from_kind(LimitErrorKind::InsufficientMemory))
        }
        e => ImageError::Decoding(DecodingError::new(ImageFormat::Png.into(), e)),
    }
}
