//! Prepares images for a network: decodes, crops, and squashes to the input size.

use super::colour::ToSrgb;
use super::decode::decode_unconverted;
use super::limits::Limits;
use super::preprocessing::Preprocessing;
use crate::error::{Error, Kind, Result};
use crate::memory;
use ::image::{imageops, RgbImage};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use std::borrow::Cow;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// A box in pixels of the upright image: columns `x1..x2`, rows `y1..y2`, counted from 0 at the top left, the second corner
/// exclusive. Parts outside of the image are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CropBox {
    /// First column of the box.
    pub x1: i32,
    /// First row of the box.
    pub y1: i32,
    /// First column right of the box.
    pub x2: i32,
    /// First row below the box.
    pub y2: i32,
}

impl CropBox {
    /// The box of corners `[x1, y1, x2, y2]`, widened to whole pixels; `None` if it has no area, or a corner is NaN or beyond ±10⁹.
    pub fn from_corners([x1, y1, x2, y2]: [f64; 4]) -> Option<Self> {
        let is_coordinate = |c: f64| c.abs() < 1e9;
        ([x1, y1, x2, y2].into_iter().all(is_coordinate) && x1 < x2 && y1 < y2).then_some(Self {
            x1: x1.floor() as i32,
            y1: y1.floor() as i32,
            x2: x2.ceil() as i32,
            y2: y2.ceil() as i32,
        })
    }
}

/// Turns an image file into network input, `[size, size, 3]` 8-bit RGB: see [`Decoded::prepare`].
///
/// # Errors
/// Those of [`Decoded::new`] and [`Decoded::prepare`].
pub fn prepare(
    bytes: &[u8],
    crop: Option<CropBox>,
    preprocessing: &Preprocessing,
    limits: &Limits,
) -> Result<Vec<u8>> {
    Decoded::new(bytes, limits)?.prepare(crop, preprocessing)
}

/// An upright image that may not be in sRGB yet: [`Decoded::prepare`] converts what is left of it, which costs next to nothing.
pub struct Decoded {
    image: RgbImage,
    /// The conversion that is left to do.
    to_srgb: Option<ToSrgb>,
}

impl Decoded {
    /// Decodes an image file.
    ///
    /// # Errors
    /// Those of [`decode`](super::decode()).
    pub fn new(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let (image, to_srgb) = decode_unconverted(bytes, limits)?;
        Ok(Self { image, to_srgb })
    }

    /// Width and height in pixels.
    pub fn dimensions(&self) -> (u32, u32) {
        self.image.dimensions()
    }

    /// Crops and squashes the image as [`prepare_image`] does, then converts it to sRGB.
    ///
    /// # Errors
    /// Those of [`prepare_image`].
    pub fn prepare(&self, crop: Option<CropBox>, preprocessing: &Preprocessing) -> Result<Vec<u8>> {
        let pixels = prepare_image(&self.image, crop, preprocessing)?;
        let Some(to_srgb) = &self.to_srgb else { return Ok(pixels) };
        let convert = || {
            let image = RgbImage::from_raw(preprocessing.size, preprocessing.size, pixels.clone())?;
            Some(to_srgb.convert(image).into_raw())
        };
        // A profile with which the conversion panics is as a damaged one: it changes nothing.
        Ok(catch_unwind(AssertUnwindSafe(convert)).ok().flatten().unwrap_or(pixels))
    }
}

/// Crops an upright image and squashes it to `[size, size, 3]`, 8 bits each, by bilinear interpolation that is antialiased as
/// Pillow's `resize(..., Resampling.BILINEAR)` is. An image that already has the right size is returned unchanged.
///
/// # Errors
/// [`Kind::InvalidParameter`] for a box that has no pixel of the image, and for an image without pixels.
pub fn prepare_image(
    image: &RgbImage,
    crop: Option<CropBox>,
    preprocessing: &Preprocessing,
) -> Result<Vec<u8>> {
    let image = match crop {
        Some(crop) => cropped(image, crop)?,
        None => Cow::Borrowed(image),
    };
    let size = preprocessing.size;
    if image.is_empty() {
        return Err(Error::new(Kind::InvalidParameter, "an image without pixels cannot be resized"));
    }
    if image.dimensions() == (size, size) {
        return Ok(image.into_owned().into_raw());
    }
    let failed = |e: &dyn std::fmt::Display| {
        let (w, h) = image.dimensions();
        Error::new(Kind::InvalidParameter, format!("could not resize {w}x{h} pixels to {size}x{size}: {e}"))
    };
    // The resizer holds the result of its first pass, and coefficient tables of both.
    let (width, height) = image.dimensions();
    let one_pass = size as usize * width.max(height) as usize * 3;
    memory::headroom(preprocessing.pixel_bytes() + one_pass + (1 << 20))?;
    let mut pixels = vec![0; preprocessing.pixel_bytes()];
    // Views of one pixel type: with untyped ones the compiler would build the resizer for 13 pixel types.
    let source = TypedImageRef::<U8x3>::from_buffer(image.width(), image.height(), image.as_raw());
    let source = source.map_err(|e| failed(&e))?;
    let mut target = TypedImage::<U8x3>::from_buffer(size, size, &mut pixels).map_err(|e| failed(&e))?;
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize_typed(&source, &mut target, &options).map_err(|e| failed(&e))?;
    Ok(pixels)
}

/// The part of `image` in `crop`; a copy, because the resizing filter must not read past the box's edge.
fn cropped(image: &RgbImage, crop: CropBox) -> Result<Cow<'_, RgbImage>> {
    let (w, h) = image.dimensions();
    let clip = |v: i32, end: u32| u32::try_from(v).unwrap_or(0).min(end);
    let (x1, x2) = (clip(crop.x1, w), clip(crop.x2, w));
    let (y1, y2) = (clip(crop.y1, h), clip(crop.y2, h));
    if x1 >= x2 || y1 >= y2 {
        let CropBox { x1, y1, x2, y2 } = crop;
        return Err(Error::new(Kind::InvalidParameter, "the crop box has no pixel of the image")
            .detail(format!("The box is ({x1}, {y1}) to ({x2}, {y2}), and the image has {w}x{h} pixels."))
            .hint("Boxes are x1, y1, x2, y2 in pixels of the upright image, the second corner exclusive."));
    }
    if (x1, y1, x2, y2) == (0, 0, w, h) {
        return Ok(Cow::Borrowed(image));
    }
    Ok(Cow::Owned(imageops::crop_imm(image, x1, y1, x2 - x1, y2 - y1).to_image()))
}
