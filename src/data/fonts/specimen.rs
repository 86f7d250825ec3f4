//! Draws a type specimen: two words in a face, as a small grey image.

use super::python_random::PythonRandom;
use super::typeface::{Line, Typeface};
use crate::error::{Error, Kind, Result};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::png::{CompressionType, FilterType as PngFilter, PngEncoder};
use image::ImageEncoder;
use resvg::tiny_skia::{FillRule, Mask, Transform};

/// Text is drawn at this multiple of the size, and then resized with Lanczos.
const OVERSAMPLING: u32 = 2;
/// The text takes at most this share of the image's side, in width and in height.
const MAX_FILL: f64 = 0.88;
/// Distance between baselines, in heights of a line.
const LEADING: f64 = 1.12;
/// Pixels per em at which lines are measured, before their size in the image is chosen.
const MEASURING_SIZE: f64 = 100.0;

/// Two lines, and the greatest width, ascent and descent of both, in pixels at [`MEASURING_SIZE`] pixels per em.
struct Block {
    lines: [Line; 2],
    width: f64,
    ascent: f64,
    descent: f64,
}

impl Block {
    fn layout(typeface: &Typeface, words: [&str; 2]) -> Result<Self> {
        let lines = [typeface.layout_line(words[0])?, typeface.layout_line(words[1])?];
        let greatest =
            |of: &dyn Fn(&Line) -> f32| f64::from(of(&lines[0]).max(of(&lines[1]))) * MEASURING_SIZE;
        let top = |l: &Line| l.outline.as_ref().map_or(0.0, |(_, b)| -b.top());
        let bottom = |l: &Line| l.outline.as_ref().map_or(0.0, |(_, b)| b.bottom());
        let (width, ascent, descent) = (greatest(&|l| l.advance), greatest(&top), greatest(&bottom));
        if width <= 0.0 || ascent + descent <= 0.0 {
            return Err(Error::new(
                Kind::InvalidData,
                format!("the font draws nothing for \"{}\"", words[0]),
            ));
        }
        Ok(Self { lines, width, ascent: ascent.ceil(), descent: descent.ceil() })
    }
}

/// Draws two words, one below the other, as a PNG of `size` by `size` grey pixels. `seed` decides their size and position, a slight
/// rotation, the tones of ink and paper, and whether the text is light on dark.
///
/// # Errors
/// Those of [`Typeface::layout_line`]; [`Kind::InvalidData`] if the words have no outline.
pub fn draw(typeface: &Typeface, words: [&str; 2], size: u32, seed: u64) -> Result<Vec<u8>> {
    let mut random = PythonRandom::new(seed);
    let side = f64::from(size * OVERSAMPLING);
    let block = Block::layout(typeface, words)?;
    let height = block.ascent + block.descent;
    let fitted = (side * MAX_FILL / block.width).min(side * MAX_FILL / (height * 2.15));
    let factor = fitted * random.uniform(0.8, 1.0);
    let (lead, line_height) = (height * factor * LEADING, height * factor);
    let (free_x, free_y) = (side * 0.96 - block.width * factor, side * 0.96 - (lead + line_height));
    let x = random.uniform(0.04, 0.96) * free_x.max(0.0) + side * 0.02;
    let y = random.uniform(0.0, 1.0) * free_y.max(0.0) + side * 0.02;
    let rotation = random.uniform(-3.0, 3.0);

    let pixels_per_em = (MEASURING_SIZE * factor).floor() as f32;
    let no_size = || Error::new(Kind::InvalidParameter, "the image has no size");
    let mut mask = Mask::new(size * OVERSAMPLING, size * OVERSAMPLING).ok_or_else(no_size)?;
    // The prototype counts degrees anticlockwise; here y grows downwards, so the sign changes.
    let rotate = Transform::from_rotate_at(-rotation as f32, side as f32 / 2.0, side as f32 / 2.0);
    for (i, line) in block.lines.iter().enumerate() {
        let baseline = y + block.ascent * factor + i as f64 * lead;
        let position = Transform::from_row(pixels_per_em, 0.0, 0.0, pixels_per_em, x as f32, baseline as f32);
        if let Some((path, _)) = &line.outline {
            mask.fill_path(path, FillRule::Winding, true, position.post_concat(rotate));
        }
    }
    let (ink, paper) = (random.uniform(0.0, 0.25), random.uniform(0.85, 1.0));
    let inverted = random.random() < 0.15;
    let shade = |grey: u8| {
        let tone = ink as f32 + f32::from(grey) / 255.0 * (paper - ink) as f32;
        let tone = if inverted { 1.0 - tone } else { tone };
        (tone.clamp(0.0, 1.0) * 255.0).round_ties_even() as u8
    };
    let grey: Vec<u8> = resize(&mask, size)?.into_iter().map(shade).collect();
    png(&grey, size)
}

/// Resizes a mask of the ink to `[size * size]` pixels from ink (0) to paper (255).
fn resize(mask: &Mask, size: u32) -> Result<Vec<u8>> {
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
