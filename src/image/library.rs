//! Formats that the `image` crate decodes: BMP, ICO, PNG, PNM and WebP.

use super::colour::ColourSpace;
use super::decode_error::from_image_crate;
use super::limits::{Estimate, Limits};
use super::pixels::{Opened, Pixels, Samples};
use super::recognise::Format;
use super::{exif, flatten, ico, png, webp};
use crate::error::Result;
use ::image::codecs::{bmp::BmpDecoder, ico::IcoDecoder, pnm::PnmDecoder, webp::WebPDecoder};
use ::image::metadata::Orientation;
use ::image::{DynamicImage, ImageDecoder, ImageError};
use std::io::Cursor;

/// An image behind the `image` crate's trait.
pub(super) struct OpenedLibrary<'a> {
    format: &'static str,
    decoder: Box<dyn ImageDecoder + 'a>,
    estimate: Estimate,
    orientation: Option<Orientation>,
    colours: ColourSpace,
}

/// Reads the headers and checks them against the limits.
///
/// # Errors
/// As [`decode`](super::decode()).
pub(super) fn open<'a>(format: Format, bytes: &'a [u8], limits: &Limits) -> Result<OpenedLibrary<'a>> {
    let name = format.name();
    let failed = |e: ImageError| from_image_crate(name, &e);
    let open = |decoder, estimate: &dyn Fn(u64, u64) -> Estimate| {
        OpenedLibrary::new(name, decoder, limits, estimate)
    };
    // Each closure gets the number of pixels and the bytes of one decoded pixel. See `OpenedLibrary::new`.
    match format {
        Format::Png => open_png(name, bytes, limits),
        Format::WebP => {
            webp::check(bytes, limits)?;
            let mut decoder = WebPDecoder::new(Cursor::new(webp::with_alpha(bytes)?)).map_err(failed)?;
            let exif = decoder.exif_metadata().map_err(failed)?;
            let profile = decoder.icc_profile().map_err(failed)?;
            let opened = open(Box::new(decoder), &|pixels, _| Estimate {
                memory: pixels * webp::WORKING_BYTES,
                work: pixels * webp::WORK,
                isolated: false,
            })?;
            let orientation = exif.and_then(|exif| exif::orientation(&exif));
            Ok(OpenedLibrary { orientation, colours: ColourSpace::from_icc(profile), ..opened })
        }
        Format::Ico => match ico::largest(bytes)? {
            ico::Entry::Png(png) => open_png(name, png, limits),
            ico::Entry::Bitmap(file) => {
                let decoder = IcoDecoder::new(Cursor::new(file)).map_err(failed)?;
                open(Box::new(decoder), &|pixels, _| Estimate { work: pixels, ..Estimate::default() })
            }
        },
        Format::Pnm => {
            let decoder = PnmDecoder::new(Cursor::new(bytes)).map_err(failed)?;
            // Text is parsed number by number; samples of one bit are read as bytes.
            let work = if matches!(bytes.get(1), Some(b'1'..=b'3')) { 8 } else { 1 };
            open(Box::new(decoder), &|pixels, pixel_bytes| Estimate {
                memory: pixels * pixel_bytes,
                work: pixels * work * work_per_pixel(pixel_bytes),
                isolated: false,
            })
        }
        _ => {
            let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(failed)?;
            open(Box::new(decoder), &|pixels, _| Estimate { work: pixels, ..Estimate::default() })
        }
    }
}

fn open_png<'a>(format: &'static str, bytes: &'a [u8], limits: &Limits) -> Result<OpenedLibrary<'a>> {
    let metadata = png::Metadata::read(bytes);
    let decoder = png::open(bytes, &metadata, limits)?;
    let work = if decoder.is_interlaced() { png::INTERLACED_WORK } else { 1 };
    let opened = OpenedLibrary::new(format, Box::new(decoder), limits, &|pixels, pixel_bytes| Estimate {
        work: pixels * work * work_per_pixel(pixel_bytes),
        ..Estimate::default()
    })?;
    Ok(OpenedLibrary { orientation: metadata.orientation(), colours: metadata.colours(), ..opened })
}

/// Work of a pixel by its size: 1 up to 8-bit RGBA, 2 up to 16-bit RGBA, and so on.
pub(super) fn work_per_pixel(pixel_bytes: u64) -> u64 {
    pixel_bytes.div_ceil(4)
}

impl<'a> OpenedLibrary<'a> {
    /// Checks the headers against the limits. `estimate` returns the memory that the decoder holds beside its output, and its work.
    fn new(
        format: &'static str,
        decoder: Box<dyn ImageDecoder + 'a>,
        limits: &Limits,
        estimate: &dyn Fn(u64, u64) -> Estimate,
    ) -> Result<Self> {
        let (width, height) = decoder.dimensions();
        limits.check_dimensions(format, width, height)?;
        let pixels = u64::from(width) * u64::from(height);
        let pixel_bytes = u64::from(decoder.color_type().bytes_per_pixel());
        let Estimate { memory: working, work, .. } = estimate(pixels, pixel_bytes);
        // The decoder's working memory is free again before the conversion to RGB allocates.
        let memory = (pixels * pixel_bytes).saturating_add(working.max(pixels * flatten::OUTPUT_BYTES));
        let estimate = Estimate { memory, work, isolated: false };
        limits.check(format, (width, height), &estimate)?;
        Ok(Self { format, decoder, estimate, orientation: None, colours: ColourSpace::Srgb })
    }
}

impl Opened for OpenedLibrary<'_> {
    fn estimate(&self) -> Estimate {
        self.estimate
    }

    fn decode(self: Box<Self>, limits: &Limits) -> Result<Pixels> {
        let Self { format, mut decoder, orientation, colours, .. } = *self;
        let failed = |e: ImageError| from_image_crate(format, &e);
        let mut inner = ::image::Limits::no_limits();
        inner.max_image_width = Some(limits.max_dimension);
        inner.max_image_height = Some(limits.max_dimension);
        inner.max_alloc = Some(limits.max_memory.saturating_sub(decoder.total_bytes()));
        decoder.set_limits(inner).map_err(failed)?;
        let image = DynamicImage::from_decoder(decoder).map_err(failed)?;
        Ok(Pixels { orientation, colours, ..Pixels::new(Samples::Image(image)) })
    }
}
