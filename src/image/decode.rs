//! From the bytes of a file to an upright RGB picture.

use super::limits::{out_of_memory, Estimate, Limits};
use super::{flatten, gif, jpeg, png, tiff, webp};
use crate::error::{Error, Kind, Result};
use crate::memory;
use ::image::codecs::{bmp::BmpDecoder, gif::GifDecoder, tiff::TiffDecoder, webp::WebPDecoder};
use ::image::metadata::Orientation;
use ::image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageFormat, RgbImage};
use std::io::Cursor;
use std::panic::{catch_unwind, AssertUnwindSafe};

const SUPPORTED: &str = "Supported formats are JPEG, PNG, WebP, GIF, BMP and TIFF.";

/// Decodes an image file to upright 8-bit RGB over white; see the [module](super) for what that means per format.
///
/// # Errors
/// [`Kind::InvalidImage`] for bytes that are no image, damaged, truncated, CMYK, or in a format or variant that is not
/// supported; [`Kind::LimitExceeded`] for one that is larger than `limits`; [`Kind::OutOfMemory`] if there is not the memory that its
/// headers say it takes.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage> {
    opened(bytes, limits, |picture| {
        memory::headroom(usize::try_from(picture.estimate().memory).unwrap_or(usize::MAX))?;
        picture.decode(limits)
    })
}

/// What decoding an image file takes, by its headers alone.
///
/// # Errors
/// As [`decode`], as far as headers tell.
pub fn estimate(bytes: &[u8], limits: &Limits) -> Result<Estimate> {
    opened(bytes, limits, |picture| Ok(picture.estimate()))
}

/// Reads headers, and goes on with `then`.
fn opened<'a, T>(bytes: &'a [u8], limits: &Limits, then: impl FnOnce(Opened<'a>) -> Result<T>) -> Result<T> {
    let format = sniff(bytes)?;
    memory::headroom(beside_pixels(bytes))?;
    // Decoders do panic on malicious input. Nothing of theirs outlives the call, so nothing broken is left behind.
    catch_unwind(AssertUnwindSafe(|| then(Opened::new(format, bytes, limits)?))).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(broken(name(format), &format!("the decoder gave up: {words}")))
    })
}

/// Bytes that decoders may hold of a file's metadata, tables and row buffers: copies of its chunks, and 32 bytes for every one that a
/// TIFF's directory takes, which is 1 MiB at most.
pub(super) fn beside_pixels(bytes: &[u8]) -> usize {
    (4 << 20) + 2 * bytes.len() + 32 * bytes.len().min(1 << 20)
}

/// The format that the first bytes say, if it is one we decode.
fn sniff(bytes: &[u8]) -> Result<ImageFormat> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    if bytes.is_empty() {
        return Err(Error::new(Kind::InvalidImage, "the image is empty")
            .detail("Found 0 bytes.")
            .hint(SUPPORTED));
    }
    match ::image::guess_format(bytes) {
        Ok(format @ (Bmp | Gif | Jpeg | Png | Tiff | WebP)) => Ok(format),
        Ok(format) => {
            let name = format!("{format:?}").to_uppercase();
            Err(Error::new(Kind::InvalidImage, format!("image format {name} is not supported"))
                .hint(SUPPORTED))
        }
        Err(_) => {
            let head: String = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
            Err(Error::new(Kind::InvalidImage, "the data is not an image in a known format")
                .detail(format!("Its {} bytes begin with \\x{head}.", bytes.len()))
                .hint(SUPPORTED))
        }
    }
}

/// A file whose headers were read and are within the limits.
enum Opened<'a> {
    Jpeg(jpeg::Opened<'a>),
    Other(Other<'a>),
}

struct Other<'a> {
    name: &'static str,
    decoder: Box<dyn ImageDecoder + 'a>,
    estimate: Estimate,
    premultiplied: bool,
}

impl<'a> Opened<'a> {
    fn new(format: ImageFormat, bytes: &'a [u8], limits: &Limits) -> Result<Self> {
        if format == ImageFormat::Jpeg {
            return jpeg::open(bytes, limits).map(Self::Jpeg);
        }
        let name = name(format);
        let failed = |e: ImageError| translate(name, &e);
        let input = Cursor::new(bytes);
        let with =
            |decoder, estimate: &dyn Fn(u64, u64) -> Estimate| Other::new(name, decoder, limits, estimate);
        // Estimates are of pixels, and of the bytes that one has in the decoder's output.
        let other = match format {
            ImageFormat::Png => {
                let decoder = png::open(bytes, limits)?;
                let passes = if decoder.is_interlaced() { png::INTERLACED } else { 1 };
                with(Box::new(decoder), &|pixels, decoded| Estimate {
                    memory: 0,
                    work: pixels * passes * wide(decoded),
                })?
            }
            ImageFormat::WebP => {
                webp::check(bytes, limits)?;
                let decoder = WebPDecoder::new(input).map_err(failed)?;
                with(Box::new(decoder), &|pixels, _| Estimate {
                    memory: pixels * webp::WORKING_BYTES,
                    work: pixels * webp::WORK,
                })?
            }
            ImageFormat::Gif => {
                let decoder = GifDecoder::new(input).map_err(failed)?;
                let frame = gif::first_frame(bytes).unwrap_or(0);
                with(Box::new(decoder), &|pixels, _| Estimate {
                    memory: frame.max(pixels) * gif::FRAME_BYTES,
                    work: pixels + frame,
                })?
            }
            ImageFormat::Tiff => {
                let decoder = TiffDecoder::new(input).map_err(failed)?;
                let height = decoder.dimensions().1;
                let other = with(Box::new(decoder), &|pixels, decoded| {
                    let beside = tiff::beside_the_picture(bytes, height, decoded);
                    // The decoder keeps the whole picture once more beside its output.
                    let memory = (pixels * decoded).saturating_add(beside.memory);
                    Estimate { memory, work: (pixels * wide(decoded)).saturating_add(beside.work) }
                })?;
                Other { premultiplied: tiff::is_premultiplied(bytes), ..other }
            }
            _ => {
                let decoder = BmpDecoder::new(input).map_err(failed)?;
                with(Box::new(decoder), &|pixels, _| Estimate { memory: 0, work: pixels })?
            }
        };
        Ok(Self::Other(other))
    }

    /// What the headers say.
    fn estimate(&self) -> Estimate {
        match self {
            Self::Jpeg(jpeg) => jpeg.estimate,
            Self::Other(other) => other.estimate,
        }
    }

    fn decode(self, limits: &Limits) -> Result<RgbImage> {
        match self {
            Self::Jpeg(jpeg) => {
                let (image, orientation) = jpeg.decode(limits)?;
                Ok(upright(flatten::over_white(image, false), orientation))
            }
            Self::Other(other) => other.decode(limits),
        }
    }
}

/// Work of a pixel that has so many bytes: one up to 8-bit RGBA, two up to its 16-bit form.
fn wide(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}

impl<'a> Other<'a> {
    /// Checks what the headers say. `estimate` has what the decoder holds beside its output, and its work.
    fn new(
        name: &'static str,
        decoder: Box<dyn ImageDecoder + 'a>,
        limits: &Limits,
        estimate: &dyn Fn(u64, u64) -> Estimate,
    ) -> Result<Self> {
        let (width, height) = decoder.dimensions();
        limits.check_dimensions(name, width, height)?;
        if matches!(decoder.original_color_type(), ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16) {
            return Err(cmyk(name));
        }
        let pixels = u64::from(width) * u64::from(height);
        let decoded = u64::from(decoder.color_type().bytes_per_pixel());
        let Estimate { memory: beside, work } = estimate(pixels, decoded);
        let memory = (pixels * decoded).saturating_add(beside.max(pixels * flatten::OUTPUT_BYTES));
        let estimate = Estimate { memory, work };
        limits.check(name, (width, height), &estimate)?;
        Ok(Self { name, decoder, estimate, premultiplied: false })
    }

    fn decode(self, limits: &Limits) -> Result<RgbImage> {
        let Self { name, mut decoder, premultiplied, .. } = self;
        let failed = |e: ImageError| translate(name, &e);
        let mut inner = ::image::Limits::no_limits();
        inner.max_image_width = Some(limits.max_dimension);
        inner.max_image_height = Some(limits.max_dimension);
        inner.max_alloc = Some(limits.max_memory.saturating_sub(decoder.total_bytes()));
        decoder.set_limits(inner).map_err(failed)?;
        let orientation = decoder.orientation().map_err(failed)?;
        let image = DynamicImage::from_decoder(decoder).map_err(failed)?;
        Ok(upright(flatten::over_white(image, premultiplied), orientation))
    }
}

fn upright(image: RgbImage, orientation: Orientation) -> RgbImage {
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation);
    image.into_rgb8()
}

/// The error of a decoder of `image`'s kind.
pub(super) fn translate(name: &str, e: &ImageError) -> Error {
    match e {
        ImageError::Limits(_) => out_of_memory(name),
        e => broken(name, &e.to_string()),
    }
}

/// The error of bytes that begin like an image and do not go on like one; `words` are the decoder's.
pub(super) fn broken(name: &str, words: &str) -> Error {
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let words: String = words.trim_end_matches('.').chars().take(300).collect();
    Error::new(Kind::InvalidImage, format!("could not decode the {name} image"))
        .detail(format!("The {name} decoder says: {words}."))
        .hint(format!("The file may be damaged, truncated or of a rare variant. {SUPPORTED}"))
}

/// The error of four-colour printing inks, whose colours only their profile knows.
pub(super) fn cmyk(name: &str) -> Error {
    Error::new(Kind::InvalidImage, format!("CMYK {name} images are not supported"))
        .detail("The image has four colour components (CMYK or YCCK), and 1 or 3 were expected.")
        .hint("Convert it to RGB (sRGB) first.")
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Tiff => "TIFF",
        _ => "BMP",
    }
}
