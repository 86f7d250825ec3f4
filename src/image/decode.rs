//! Decodes an image file of any supported format to an upright RGB image: recognises the format, checks the limits, and calls the
//! format's decoder. JPEG is decoded in [`super::jpeg`]; the others through the `image` crate, with the checks in the
//! file of each format.

use super::decode_error::{cmyk, corrupt, from_image_crate, SUPPORTED};
use super::limits::{Estimate, Limits};
use super::{flatten, gif, jpeg, png, tiff, webp};
use crate::error::{Error, Kind, Result};
use crate::memory;
use ::image::codecs::{bmp::BmpDecoder, gif::GifDecoder, tiff::TiffDecoder, webp::WebPDecoder};
use ::image::metadata::Orientation;
use ::image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageFormat, RgbImage};
use std::io::Cursor;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Decodes an image file to upright 8-bit RGB over white; see the [module](super) for what that means per format.
///
/// # Errors
/// [`Kind::InvalidImage`] for data that is not an image, is damaged, truncated, CMYK, or in an unsupported format or variant;
/// [`Kind::LimitExceeded`] for an image beyond `limits`; [`Kind::OutOfMemory`] if there is less memory than its headers say it
/// needs.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage> {
    open_and_then(bytes, limits, |image| {
        memory::headroom(usize::try_from(image.estimate().memory).unwrap_or(usize::MAX))?;
        image.decode(limits)
    })
}

/// What decoding an image file takes in memory and work. Reads headers only.
///
/// # Errors
/// As [`decode`], as far as headers tell.
pub fn estimate(bytes: &[u8], limits: &Limits) -> Result<Estimate> {
    open_and_then(bytes, limits, |image| Ok(image.estimate()))
}

/// Reads and checks the headers, then calls `then`; a panic in either becomes an error.
fn open_and_then<'a, T>(
    bytes: &'a [u8],
    limits: &Limits,
    then: impl FnOnce(OpenedImage<'a>) -> Result<T>,
) -> Result<T> {
    let format = recognize(bytes)?;
    memory::headroom(bytes_beside_pixels(bytes))?;
    // Decoders do panic on malicious input. No object of theirs outlives the call, so no broken state is left behind.
    catch_unwind(AssertUnwindSafe(|| then(OpenedImage::new(format, bytes, limits)?))).unwrap_or_else(
        |panic| {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Err(corrupt(name(format), &format!("the decoder gave up: {message}")))
        },
    )
}

/// Bytes that decoders may hold for a file's metadata, tables and row buffers: copies of its chunks, and 32 bytes for each byte of
/// a TIFF's directory, which is at most 1 MiB.
fn bytes_beside_pixels(bytes: &[u8]) -> usize {
    (4 << 20) + 2 * bytes.len() + 32 * bytes.len().min(1 << 20)
}

/// The format, from the first bytes.
fn recognize(bytes: &[u8]) -> Result<ImageFormat> {
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

/// An image whose headers have been read and are within the limits.
enum OpenedImage<'a> {
    Jpeg(jpeg::OpenedJpeg<'a>),
    Other(OpenedOther<'a>),
}

/// An image of any format but JPEG, behind the `image` crate's trait.
struct OpenedOther<'a> {
    format: &'static str,
    decoder: Box<dyn ImageDecoder + 'a>,
    estimate: Estimate,
    /// Whether alpha is already multiplied into the colours.
    premultiplied: bool,
}

impl<'a> OpenedImage<'a> {
    fn new(format: ImageFormat, bytes: &'a [u8], limits: &Limits) -> Result<Self> {
        if format == ImageFormat::Jpeg {
            return jpeg::open(bytes, limits).map(Self::Jpeg);
        }
        let name = name(format);
        let failed = |e: ImageError| from_image_crate(name, &e);
        let input = Cursor::new(bytes);
        let open = |decoder, estimate: &dyn Fn(u64, u64) -> Estimate| {
            OpenedOther::new(name, decoder, limits, estimate)
        };
        // Each closure gets the number of pixels and the bytes of one decoded pixel. See `OpenedOther::new`.
        let other = match format {
            ImageFormat::Png => {
                let decoder = png::open(bytes, limits)?;
                let work = if decoder.is_interlaced() { png::INTERLACED_WORK } else { 1 };
                open(Box::new(decoder), &|pixels, pixel_bytes| Estimate {
                    memory: 0,
                    work: pixels * work * work_per_pixel(pixel_bytes),
                })?
            }
            ImageFormat::WebP => {
                webp::check(bytes, limits)?;
                let decoder = WebPDecoder::new(input).map_err(failed)?;
                open(Box::new(decoder), &|pixels, _| Estimate {
                    memory: pixels * webp::WORKING_BYTES,
                    work: pixels * webp::WORK,
                })?
            }
            ImageFormat::Gif => {
                let decoder = GifDecoder::new(input).map_err(failed)?;
                let frame = gif::first_frame_pixels(bytes).unwrap_or(0);
                open(Box::new(decoder), &|pixels, _| Estimate {
                    memory: frame.max(pixels) * gif::WORKING_BYTES,
                    work: pixels + frame,
                })?
            }
            ImageFormat::Tiff => {
                let decoder = TiffDecoder::new(input).map_err(failed)?;
                let height = decoder.dimensions().1;
                let other = open(Box::new(decoder), &|pixels, pixel_bytes| {
                    let strips = tiff::strips_estimate(bytes, height, pixel_bytes);
                    // The decoder keeps the whole image once more beside its output.
                    let memory = (pixels * pixel_bytes).saturating_add(strips.memory);
                    Estimate {
                        memory,
                        work: (pixels * work_per_pixel(pixel_bytes)).saturating_add(strips.work),
                    }
                })?;
                OpenedOther { premultiplied: tiff::is_premultiplied(bytes), ..other }
            }
            _ => {
                let decoder = BmpDecoder::new(input).map_err(failed)?;
                open(Box::new(decoder), &|pixels, _| Estimate { memory: 0, work: pixels })?
            }
        };
        Ok(Self::Other(other))
    }

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

/// Work of a pixel by its size: 1 up to 8-bit RGBA, 2 up to 16-bit RGBA, and so on.
fn work_per_pixel(pixel_bytes: u64) -> u64 {
    pixel_bytes.div_ceil(4)
}

impl<'a> OpenedOther<'a> {
    /// Checks the headers against the limits. `estimate` returns the memory that the decoder holds beside its output, and its work.
    fn new(
        format: &'static str,
        decoder: Box<dyn ImageDecoder + 'a>,
        limits: &Limits,
        estimate: &dyn Fn(u64, u64) -> Estimate,
    ) -> Result<Self> {
        let (width, height) = decoder.dimensions();
        limits.check_dimensions(format, width, height)?;
        if matches!(decoder.original_color_type(), ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16) {
            return Err(cmyk(format));
        }
        let pixels = u64::from(width) * u64::from(height);
        let pixel_bytes = u64::from(decoder.color_type().bytes_per_pixel());
        let Estimate { memory: working, work } = estimate(pixels, pixel_bytes);
        // The decoder's working memory is free again before the conversion to RGB allocates.
        let memory = (pixels * pixel_bytes).saturating_add(working.max(pixels * flatten::OUTPUT_BYTES));
        let estimate = Estimate { memory, work };
        limits.check(format, (width, height), &estimate)?;
        Ok(Self { format, decoder, estimate, premultiplied: false })
    }

    fn decode(self, limits: &Limits) -> Result<RgbImage> {
        let Self { format, mut decoder, premultiplied, .. } = self;
        let failed = |e: ImageError| from_image_crate(format, &e);
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

/// Rotates and mirrors an image as its orientation tag says.
fn upright(image: RgbImage, orientation: Orientation) -> RgbImage {
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation);
    image.into_rgb8()
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
