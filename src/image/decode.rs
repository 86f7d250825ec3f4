//! From the bytes of a file to an upright RGB picture.

use super::limits::{out_of_memory, Limits};
use super::{flatten, jpeg, png, tiff, webp};
use crate::error::{Error, Kind, Result};
use ::image::codecs::{
    bmp::BmpDecoder, gif::GifDecoder, png::PngDecoder, tiff::TiffDecoder, webp::WebPDecoder,
};
use ::image::metadata::Orientation;
use ::image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageFormat, RgbImage};
use std::io::Cursor;
use std::panic::{catch_unwind, AssertUnwindSafe};

const SUPPORTED: &str = "Supported formats are JPEG, PNG, WebP, GIF, BMP and TIFF.";

/// Decodes an image file to upright 8-bit RGB over white; see the [module](super) for what that means per format.
///
/// # Errors
/// [`Kind::InvalidImage`] for bytes that are no image, damaged, truncated, CMYK, or in a format or variant that is not
/// supported; [`Kind::LimitExceeded`] for one that is larger than `limits`.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage> {
    let format = sniff(bytes)?;
    // Decoders do panic on malicious input. Nothing of theirs outlives the call, so nothing broken is left behind.
    catch_unwind(AssertUnwindSafe(|| decode_as(format, bytes, limits))).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(broken(name(format), &format!("the decoder gave up: {words}")))
    })
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

fn decode_as(format: ImageFormat, bytes: &[u8], limits: &Limits) -> Result<RgbImage> {
    if format == ImageFormat::Jpeg {
        let (image, orientation) = jpeg::decode(bytes, limits)?;
        return Ok(upright(flatten::over_white(image, false), orientation));
    }
    let name = name(format);
    let failed = |e: ImageError| translate(name, &e);
    let input = Cursor::new(bytes);
    match format {
        ImageFormat::Png => {
            let allowance = png::allowance(bytes, limits)?;
            let mut inner = ::image::Limits::no_limits();
            inner.max_alloc = Some(allowance);
            let decoder = PngDecoder::with_limits(input, inner).map_err(failed)?;
            read(name, decoder, limits, |_| 0, false)
        }
        ImageFormat::WebP => {
            webp::check(bytes, limits)?;
            let decoder = WebPDecoder::new(input).map_err(failed)?;
            read(name, decoder, limits, |_| webp::WORKING_BYTES, false)
        }
        // Indices of the frame, and its colours where it does not fill the canvas.
        ImageFormat::Gif => read(name, GifDecoder::new(input).map_err(failed)?, limits, |_| 5, false),
        ImageFormat::Tiff => {
            let decoder = TiffDecoder::new(input).map_err(failed)?;
            // The decoder keeps the whole picture once more beside its output.
            read(name, decoder, limits, |decoded| decoded, tiff::is_premultiplied(bytes))
        }
        _ => read(name, BmpDecoder::new(input).map_err(failed)?, limits, |_| 0, false),
    }
}

/// Checks the header's size, then reads pixels. `working` is how many bytes per pixel the decoder itself holds, given those
/// of its output.
fn read<'a>(
    name: &str,
    mut decoder: impl ImageDecoder + 'a,
    limits: &Limits,
    working: impl Fn(u64) -> u64,
    premultiplied: bool,
) -> Result<RgbImage> {
    let failed = |e: ImageError| translate(name, &e);
    let (width, height) = decoder.dimensions();
    limits.check_dimensions(name, width, height)?;
    if matches!(decoder.original_color_type(), ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16) {
        return Err(cmyk(name));
    }
    let pixels = u64::from(width) * u64::from(height);
    let decoded = u64::from(decoder.color_type().bytes_per_pixel());
    let working = working(decoded).max(flatten::OUTPUT_BYTES);
    limits.check_memory(name, (width, height), pixels.saturating_mul(decoded + working))?;

    let mut inner = ::image::Limits::no_limits();
    inner.max_image_width = Some(limits.max_dimension);
    inner.max_image_height = Some(limits.max_dimension);
    inner.max_alloc = Some(limits.max_memory - pixels * decoded);
    decoder.set_limits(inner).map_err(failed)?;
    let orientation = decoder.orientation().map_err(failed)?;
    let image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    Ok(upright(flatten::over_white(image, premultiplied), orientation))
}

fn upright(image: RgbImage, orientation: Orientation) -> RgbImage {
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation);
    image.into_rgb8()
}

fn translate(name: &str, e: &ImageError) -> Error {
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
