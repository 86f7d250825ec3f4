//! A type specimen: two words in a face, as a small grey picture.

use super::mersenne::Mersenne;
use super::typeface::{Line, Typeface};
use crate::error::{Error, Kind, Result};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::png::{CompressionType, FilterType as PngFilter, PngEncoder};
use image::ImageEncoder;
use resvg::tiny_skia::{FillRule, Mask, Transform};

/// Drawn at this multiple of the size and then resized by Lanczos.
const OVERSAMPLING: u32 = 2;
/// At most this share of the side is text, in width and in height.
const FILLED: f64 = 0.88;
/// From one base line to the next, in heights of a line.
const LEADING: f64 = 1.12;
/// Pixels per em at which lines are measured before their size is known.
const MEASURED: f64 = 100.0;

/// Two lines with their common measures, in pixels at [`MEASURED`] pixels per em.
struct Block {
    lines: [Line; 2],
    width: f64,
    ascent: f64,
    descent: f64,
}

impl Block {
    fn set(typeface: &Typeface, words: [&str; 2]) -> Result<Self> {
        let lines = [typeface.set(words[0])?, typeface.set(words[1])?];
        let most = |of: &dyn Fn(&Line) -> f32| f64::from(of(&lines[0]).max(of(&lines[1]))) * MEASURED;
        let top = |l: &Line| l.ink.as_ref().map_or(0.0, |(_, b)| -b.top());
        let bottom = |l: &Line| l.ink.as_ref().map_or(0.0, |(_, b)| b.bottom());
        let (width, ascent, descent) = (most(&|l| l.advance), most(&top), most(&bottom));
        if width <= 0.0 || ascent + descent <= 0.0 {
            return Err(Error::new(
                Kind::InvalidData,
                format!("the font draws nothing for \"{}\"", words[0]),
            ));
        }
        Ok(Self { lines, width, ascent: ascent.ceil(), descent: descent.ceil() })
    }
}

/// Draws two words below each other as a PNG of `size` by `size` grey pixels. Their size and place, a slight turn, the tones of
/// ink and paper, and whether it is light on dark, are drawn from `seed`.
///
/// # Errors
/// Those of setting the words.
pub fn draw(typeface: &Typeface, words: [&str; 2], size: u32, seed: u64) -> Result<Vec<u8>> {
    let mut random = Mersenne::new(seed);
    let side = f64::from(size * OVERSAMPLING);
    let block = Block::set(typeface, words)?;
    let height = block.ascent + block.descent;
    let fitted = (side * FILLED / block.width).min(side * FILLED / (height * 2.15));
    let factor = fitted * random.uniform(0.8, 1.0);
    let (lead, line) = (height * factor * LEADING, height * factor);
    let (free_x, free_y) = (side * 0.96 - block.width * factor, side * 0.96 - (lead + line));
    let x = random.uniform(0.04, 0.96) * free_x.max(0.0) + side * 0.02;
    let y = random.uniform(0.0, 1.0) * free_y.max(0.0) + side * 0.02;
    let turn = random.uniform(-3.0, 3.0);

    let pixels_per_em = (MEASURED * factor).floor() as f32;
    let no_size = || Error::new(Kind::InvalidParameter, "the picture has no size");
    let mut mask = Mask::new(size * OVERSAMPLING, size * OVERSAMPLING).ok_or_else(no_size)?;
    // Degrees count anticlockwise in the specification, clockwise where y grows downwards.
    let turned = Transform::from_rotate_at(-turn as f32, side as f32 / 2.0, side as f32 / 2.0);
    for (i, set) in block.lines.iter().enumerate() {
        let base = y + block.ascent * factor + i as f64 * lead;
        let place = Transform::from_row(pixels_per_em, 0.0, 0.0, pixels_per_em, x as f32, base as f32);
        if let Some((path, _)) = &set.ink {
            mask.fill_path(path, FillRule::Winding, true, place.post_concat(turned));
        }
    }
    let (ink, paper) = (random.uniform(0.0, 0.25), random.uniform(0.85, 1.0));
    let inverted = random.random() < 0.15;
    let tone = |grey: u8| {
        let tone = ink as f32 + f32::from(grey) / 255.0 * (paper - ink) as f32;
        let tone = if inverted { 1.0 - tone } else { tone };
        (tone.clamp(0.0, 1.0) * 255.0).round_ties_even() as u8
    };
    let grey: Vec<u8> = resized(&mask, size)?.into_iter().map(tone).collect();
    png(&grey, size)
}

/// `[size * size]` of paper (255) and ink (0) from a mask of the ink.
fn resized(mask: &Mask, size: u32) -> Result<Vec<u8>> {
    let internal = |e: &dyn std::fmt::Display| Error::new(Kind::Internal, format!("could not resize: {e}"));
    let paper: Vec<U8> = mask.data().iter().map(|c| U8::new(255 - c)).collect();
    let from = TypedImageRef::new(mask.width(), mask.height(), &paper).map_err(|e| internal(&e))?;
    let mut to = TypedImage::<U8>::new(size, size);
    let lanczos = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    Resizer::new().resize_typed(&from, &mut to, &lanczos).map_err(|e| internal(&e))?;
    Ok(to.pixels().iter().map(|p| p.0).collect())
}

fn png(grey: &[u8], size: u32) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    PngEncoder::new_with_quality(&mut out, CompressionType::Best, PngFilter::Adaptive)
        .write_image(grey, size, size, image::ExtendedColorType::L8)
        .map_err(|e| Error::new(Kind::Internal, format!("could not write a PNG: {e}")))?;
    Ok(out)
}
