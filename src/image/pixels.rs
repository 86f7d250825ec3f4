//! What each format's decoder is, and what it returns: samples as the file has them, and what they mean.

use super::colour::ColourSpace;
use super::decode_error::{corrupt, DAMAGED};
use super::limits::{Estimate, Limits};
use crate::error::Result;
use ::image::metadata::Orientation;
use ::image::{DynamicImage, ImageBuffer};

/// An image whose headers have been read and are within the limits.
pub(super) trait Opened {
    /// What decoding takes.
    fn estimate(&self) -> Estimate;

    /// Decodes it.
    fn decode(self: Box<Self>, limits: &Limits) -> Result<Pixels>;
}

/// Samples of a decoded image.
pub(super) enum Samples {
    /// Grey or RGB, with or without alpha.
    Image(DynamicImage),
    /// Cyan, magenta, yellow and black, `[height, width, 4]`; 255 is full ink.
    Cmyk(Vec<u8>, (u32, u32)),
}

impl Samples {
    /// 8-bit samples of one (grey) to four channels (RGB and alpha); `None` if they do not fill the image.
    pub(super) fn of_bytes(bytes: Vec<u8>, channels: usize, (width, height): (u32, u32)) -> Option<Self> {
        let image = match channels {
            1 => ImageBuffer::from_raw(width, height, bytes).map(DynamicImage::ImageLuma8),
            2 => ImageBuffer::from_raw(width, height, bytes).map(DynamicImage::ImageLumaA8),
            3 => ImageBuffer::from_raw(width, height, bytes).map(DynamicImage::ImageRgb8),
            _ => ImageBuffer::from_raw(width, height, bytes).map(DynamicImage::ImageRgba8),
        };
        image.map(Self::Image)
    }
}

/// A decoded image before it is converted to sRGB, composited and turned upright.
pub(super) struct Pixels {
    pub(super) samples: Samples,
    /// Whether alpha is already multiplied into the colours.
    pub(super) premultiplied: bool,
    pub(super) orientation: Option<Orientation>,
    pub(super) colours: ColourSpace,
}

impl Pixels {
    /// Upright sRGB.
    pub(super) fn new(samples: Samples) -> Self {
        Self { samples, premultiplied: false, orientation: None, colours: ColourSpace::Srgb }
    }

    /// 8-bit samples of one (grey), three (RGB) or four (ink) channels.
    ///
    /// # Errors
    /// [`Kind::InvalidImage`](crate::error::Kind::InvalidImage) if they do not fill the image.
    pub(super) fn from_channels(
        format: &str,
        (width, height): (u32, u32),
        channels: usize,
        samples: Vec<u8>,
    ) -> Result<Self> {
        let samples = if channels == 4 {
            let fits = samples.len() as u64 == u64::from(width) * u64::from(height) * 4;
            fits.then_some(Samples::Cmyk(samples, (width, height)))
        } else {
            Samples::of_bytes(samples, channels, (width, height))
        };
        samples.map(Self::new).ok_or_else(|| corrupt(format, DAMAGED))
    }
}
