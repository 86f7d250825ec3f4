//! PNG: checks the header before the decoder allocates rows, and decodes without reading texts.
//!
//! This calls the `png` crate directly. The `image` crate, which wraps it, keeps texts and inflates colour profiles, each up to its
//! limit, before it reports the size of the image; and it does not see metadata after the pixels.

use super::colour::ColourSpace;
use super::decode_error::{corrupt, from_image_crate};
use super::exif;
use super::limits::{Estimate, Limits};
use crate::error::Result;
use crate::memory;
use ::image::error::{DecodingError, LimitError, LimitErrorKind, ParameterError, ParameterErrorKind};
use ::image::metadata::Orientation;
use ::image::{ColorType, ImageDecoder, ImageError, ImageFormat, ImageResult};
use std::borrow::Cow;
use std::io::{Cursor, Read};

const NAME: &str = "PNG";

/// Work of a pixel of an interlaced image, whose seven passes access memory with strides.
pub(super) const INTERLACED_WORK: u64 = 2;

/// The greatest colour profile that is inflated. Those of printers are some 2 MB.
const MAX_PROFILE: u64 = 4 << 20;

/// The last chunk of every file.
const IEND: [u8; 12] = *b"\0\0\0\0IEND\xae\x42\x60\x82";

/// A PNG file whose header and metadata have been read.
pub(super) struct Decoder<'a> {
    reader: png::Reader<Cursor<Cow<'a, [u8]>>>,
    color: ColorType,
}

/// What chunks before and after the pixels say.
#[derive(Default)]
pub(super) struct Metadata<'a> {
    exif: Option<&'a [u8]>,
    /// Name, compression method, and compressed profile.
    profile: Option<&'a [u8]>,
    code_points: Option<&'a [u8]>,
    is_srgb: bool,
    gamma: Option<u32>,
    chromaticities: Option<&'a [u8]>,
    /// Where the file lacks its last chunk and has all others: the end of these.
    complete_until: Option<usize>,
}

impl<'a> Metadata<'a> {
    /// Walks all chunks of a file as far as it goes.
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        let mut found = Self::default();
        let mut at = 8;
        let mut has_pixels = false;
        while let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
            let Some(data) = bytes.get(at + 8..at + 8 + length) else { break };
            // The checksum is the decoder's business.
            if bytes.len() < at + 12 + length {
                break;
            }
            match &head[4..] {
                b"IEND" => return found,
                b"IDAT" => has_pixels = true,
                b"eXIf" => found.exif = found.exif.or(Some(data)),
                b"iCCP" => found.profile = Some(data),
                b"cICP" => found.code_points = Some(data),
                b"sRGB" => found.is_srgb = true,
                b"gAMA" => found.gamma = data.first_chunk().map(|value| u32::from_be_bytes(*value)),
                b"cHRM" => found.chromaticities = Some(data),
                _ => {}
            }
            at += 12 + length;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        found.complete_until = (has_pixels && IEND.starts_with(rest)).then_some(at);
        found
    }

    /// The orientation in EXIF metadata, wherever it is.
    pub(super) fn orientation(&self) -> Option<Orientation> {
        self.exif.and_then(exif::orientation)
    }

    /// What the samples mean: the chunk that counts is the first there is of cICP, iCCP, sRGB, and gAMA with cHRM.
    pub(super) fn colours(&self) -> ColourSpace {
        if let Some([primaries, transfer, ..]) = self.code_points {
            return ColourSpace::from_code_points(*primaries, *transfer);
        }
        if let Some(profile) = self.profile.and_then(inflated_profile) {
            return ColourSpace::Icc(profile);
        }
        // The exponent of sRGB stands for sRGB's own curve, which is near it.
        let gamma =
            self.gamma.filter(|gamma| (1_000..1_000_000).contains(gamma) && gamma.abs_diff(45_455) > 2_000);
        let chromaticities = self.chromaticities.and_then(chromaticities);
        if self.is_srgb || gamma.is_none() && chromaticities.is_none() {
            return ColourSpace::Srgb;
        }
        ColourSpace::from_gamma(gamma.map(|gamma| 100_000.0 / gamma as f32), chromaticities)
    }
}

fn inflated_profile(chunk: &[u8]) -> Option<Vec<u8>> {
    let name = chunk.iter().position(|byte| *byte == 0)?;
    let mut profile = Vec::new();
    let inflater = flate2::read::ZlibDecoder::new(chunk.get(name + 2..)?);
    inflater.take(MAX_PROFILE).read_to_end(&mut profile).ok()?;
    Some(profile)
}

/// White, red, green and blue.
fn chromaticities(chunk: &[u8]) -> Option<[(f32, f32); 4]> {
    let (numbers, _) = chunk.first_chunk::<32>()?.as_chunks::<4>();
    let number = |i: usize| u32::from_be_bytes(numbers[i]) as f32 / 100_000.0;
    let points = std::array::from_fn(|i| (number(2 * i), number(2 * i + 1)));
    points.iter().all(|(x, y)| (0.0..=1.0).contains(x) && (0.001..=1.0).contains(y)).then_some(points)
}

/// Checks the header and reads the file up to its first pixel.
///
/// # Errors
/// Those of the limits, and [`Kind::InvalidImage`](crate::error::Kind::InvalidImage) for a file that is damaged before its pixels.
pub(super) fn open<'a>(bytes: &'a [u8], metadata: &Metadata, limits: &Limits) -> Result<Decoder<'a>> {
    let memory_left = usize::try_from(check_header(bytes, limits)?).unwrap_or(usize::MAX);
    let bytes = match metadata.complete_until {
        Some(end) => {
            let mut whole = memory::with_capacity(end + IEND.len())?;
            whole.extend_from_slice(&bytes[..end]);
            whole.extend_from_slice(&IEND);
            Cow::Owned(whole)
        }
        None => Cow::Borrowed(bytes),
    };
    Decoder::new(bytes, memory_left).map_err(|e| from_image_crate(NAME, &e))
}

/// Checks the width and height in the header, and returns the memory that the limits leave to the decoder beside its output.
fn check_header(bytes: &[u8], limits: &Limits) -> Result<u64> {
    // Signature (8), length (4), "IHDR", width, height, bits, colour type.
    let header = bytes.get(..26).filter(|h| &h[12..16] == b"IHDR");
    let header = header.ok_or_else(|| corrupt(NAME, "the data ends in or before the header"))?;
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (width, height) = (number(16), number(20));
    limits.check_dimensions(NAME, width, height)?;
    // A palette or a transparent colour may add alpha.
    let channels = if matches!(header[25], 0 | 4) { 2 } else { 4 };
    let sample_bytes = if header[24] == 16 { 2 } else { 1 };
    let output = u64::from(width) * u64::from(height) * channels * sample_bytes;
    limits.check(NAME, (width, height), &Estimate { memory: output, ..Estimate::default() })?;
    Ok(limits.max_memory - output)
}

impl<'a> Decoder<'a> {
    fn new(bytes: Cow<'a, [u8]>, memory_left: usize) -> ImageResult<Self> {
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
