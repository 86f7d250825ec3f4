//! A TIFF's samples to grey, RGB or inks: palettes, YCbCr, CIE L*a*b*, floats, and white that is zero.

use super::layout::{Colours, Layout};
use super::{damaged, Canvas};
use crate::error::Result;
use crate::image::colour::encoded;
use crate::image::decode_error::corrupt;
use crate::image::pixels::Samples;
use crate::memory;
use ::image::{DynamicImage, ImageBuffer};

/// Converts a canvas, which has the layout's colours and alpha; `map` is the palette.
///
/// # Errors
/// [`Kind::InvalidImage`](crate::error::Kind::InvalidImage) for a palette that is missing or too small;
/// [`Kind::OutOfMemory`](crate::error::Kind::OutOfMemory).
pub(super) fn convert(canvas: Canvas, layout: &Layout, map: &[u64]) -> Result<Samples> {
    let channels = layout.channels();
    let size = (layout.width, layout.height);
    match canvas {
        Canvas::Floats(samples) => {
            let words = floats_to_words(samples, channels, layout.alpha.is_some())?;
            from_words(words, layout, channels, size)
        }
        Canvas::Words(words) if layout.colours == Colours::Palette => {
            let rgb = from_palette(words.iter().map(|w| usize::from(*w)), layout, channels, map)?;
            image_of_bytes(rgb, channels + 2, size)
        }
        Canvas::Words(words) => from_words(words, layout, channels, size),
        Canvas::Bytes(bytes) => from_bytes(bytes, layout, channels, size, map),
    }
}

fn from_bytes(
    mut bytes: Vec<u8>,
    layout: &Layout,
    channels: usize,
    size: (u32, u32),
    map: &[u64],
) -> Result<Samples> {
    match layout.colours {
        Colours::Grey { white_is_zero: true } => {
            bytes.iter_mut().step_by(channels).for_each(|grey| *grey = 255 - *grey);
        }
        Colours::Palette => {
            let rgb = from_palette(bytes.iter().map(|b| usize::from(*b)), layout, channels, map)?;
            return image_of_bytes(rgb, channels + 2, size);
        }
        Colours::YCbCr if layout.compression != super::Compression::Jpeg || layout.planar => {
            for pixel in bytes.chunks_exact_mut(channels) {
                let rgb = ycbcr_to_rgb(pixel[0], pixel[1], pixel[2]);
                pixel[..3].copy_from_slice(&rgb);
            }
        }
        Colours::Lab { offset } => {
            for pixel in bytes.chunks_exact_mut(channels) {
                let difference = |sample: u8| {
                    if offset {
                        f32::from(sample) - 128.0
                    } else {
                        f32::from(sample as i8)
                    }
                };
                let lab = [f32::from(pixel[0]) * (100.0 / 255.0), difference(pixel[1]), difference(pixel[2])];
                let rgb = lab_to_srgb(lab).map(|c| (c * 255.0).round() as u8);
                pixel[..3].copy_from_slice(&rgb);
            }
        }
        Colours::Cmyk => return inks(bytes, channels, size, layout),
        _ => {}
    }
    image_of_bytes(bytes, channels, size)
}

fn from_words(mut words: Vec<u16>, layout: &Layout, channels: usize, size: (u32, u32)) -> Result<Samples> {
    match layout.colours {
        Colours::Grey { white_is_zero: true } => {
            words.iter_mut().step_by(channels).for_each(|grey| *grey = u16::MAX - *grey);
        }
        Colours::Lab { offset } => {
            for pixel in words.chunks_exact_mut(channels) {
                let difference = |sample: u16| {
                    if offset {
                        (f32::from(sample) - 32_768.0) / 256.0
                    } else {
                        f32::from(sample as i16) / 256.0
                    }
                };
                let lab =
                    [f32::from(pixel[0]) * (100.0 / 65_535.0), difference(pixel[1]), difference(pixel[2])];
                let rgb = lab_to_srgb(lab).map(|c| (c * 65_535.0).round() as u16);
                pixel[..3].copy_from_slice(&rgb);
            }
        }
        Colours::Cmyk => {
            let bytes = memory::collect(words.iter().map(|word| ((u32::from(*word) + 128) / 257) as u8))?;
            return inks(bytes, channels, size, layout);
        }
        _ => {}
    }
    image_of_words(words, channels, size)
}

/// Inks, with alpha as less of them: what is transparent shows white paper.
fn inks(mut bytes: Vec<u8>, channels: usize, size: (u32, u32), layout: &Layout) -> Result<Samples> {
    if channels == 4 {
        return Ok(Samples::Cmyk(bytes, size));
    }
    let associated = layout.alpha.is_some_and(|alpha| alpha.associated);
    let pixels = bytes.len() / channels;
    for i in 0..pixels {
        let alpha = u32::from(bytes[i * channels + 4]);
        for c in 0..4 {
            let ink = u32::from(bytes[i * channels + c]);
            bytes[i * 4 + c] = if associated { ink } else { (ink * alpha + 127) / 255 } as u8;
        }
    }
    bytes.truncate(pixels * 4);
    Ok(Samples::Cmyk(bytes, size))
}

fn image_of_bytes(bytes: Vec<u8>, channels: usize, size: (u32, u32)) -> Result<Samples> {
    Samples::of_bytes(bytes, channels, size).ok_or_else(damaged)
}

fn image_of_words(words: Vec<u16>, channels: usize, (width, height): (u32, u32)) -> Result<Samples> {
    let image = match channels {
        1 => ImageBuffer::from_raw(width, height, words).map(DynamicImage::ImageLuma16),
        2 => ImageBuffer::from_raw(width, height, words).map(DynamicImage::ImageLumaA16),
        3 => ImageBuffer::from_raw(width, height, words).map(DynamicImage::ImageRgb16),
        _ => ImageBuffer::from_raw(width, height, words).map(DynamicImage::ImageRgba16),
    };
    image.map(Samples::Image).ok_or_else(damaged)
}

/// Floats to 16 bits. Files do not say what white is: 1, or 255 or 65,535 if more than half of what is not black is beyond the
/// one before. A few samples beyond are highlights, and clipped.
fn floats_to_words(samples: Vec<f32>, channels: usize, has_alpha: bool) -> Result<Vec<u16>> {
    let colours = channels - usize::from(has_alpha);
    let beyond = |limit: f32| {
        let colours = samples.chunks_exact(channels).flat_map(|pixel| &pixel[..colours]);
        let (mut light, mut beyond) = (0usize, 0usize);
        for sample in colours.filter(|sample| **sample > 0.0) {
            light += 1;
            beyond += usize::from(*sample > limit);
        }
        2 * beyond > light
    };
    let white = match (beyond(2.0), beyond(510.0)) {
        (false, _) => 1.0,
        (_, false) => 255.0,
        _ => 65_535.0,
    };
    let alpha_white = samples.chunks_exact(channels).map(|pixel| pixel[channels - 1]).fold(0.0f32, f32::max);
    let alpha_white = if alpha_white <= 1.0 { 1.0 } else { white };
    let word = |sample: f32, white: f32| {
        // NaN becomes 0 by the conversion.
        ((sample / white).clamp(0.0, 1.0) * 65_535.0).round() as u16
    };
    memory::collect(samples.iter().enumerate().map(|(i, sample)| {
        let is_alpha = has_alpha && i % channels == colours;
        word(*sample, if is_alpha { alpha_white } else { white })
    }))
}

/// Palette indices, and alpha where there is one, to RGB. Palettes of old writers have 8 bits instead of 16.
fn from_palette(
    samples: impl ExactSizeIterator<Item = usize>,
    layout: &Layout,
    channels: usize,
    map: &[u64],
) -> Result<Vec<u8>> {
    let entries = 1usize << layout.bits;
    if map.len() < 3 * entries {
        return Err(corrupt(super::NAME, "its palette is missing or too small"));
    }
    let shift = if map.iter().all(|value| *value < 256) { 0 } else { 8 };
    let mut out = memory::with_capacity(samples.len() / channels * (channels + 2))?;
    for (i, sample) in samples.enumerate() {
        if i % channels == 0 {
            let colour = |plane: usize| (map[plane * entries + sample.min(entries - 1)] >> shift) as u8;
            out.extend([colour(0), colour(1), colour(2)]);
        } else {
            out.push(sample as u8);
        }
    }
    Ok(out)
}

/// Full-range YCbCr of ITU-R BT.601, as in JPEG.
fn ycbcr_to_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    [y + 1.402 * cr, y - 0.344_14 * cb - 0.714_14 * cr, y + 1.772 * cb]
        .map(|c| c.round().clamp(0.0, 255.0) as u8)
}

/// Copies a chunk of subsampled YCbCr into the canvas: groups of lumas, each followed by its two differences.
pub(super) fn place_subsampled(
    bytes: &[u8],
    row_bytes: usize,
    layout: &Layout,
    (left, top, rows): (u32, u32, u32),
    canvas: &mut [u8],
) {
    let (across, down) = layout.subsampling;
    let channels = layout.channels();
    let group = (across * down) as usize + 2;
    for y in 0..rows {
        let row = &bytes[(y / down) as usize * row_bytes..][..row_bytes];
        for x in 0..layout.chunk.0.min(layout.width - left) {
            let group = &row[(x / across) as usize * group..][..group];
            let luma = group[(y % down * across + x % across) as usize];
            let at = ((top + y) as usize * layout.width as usize + (left + x) as usize) * channels;
            canvas[at..at + 3].copy_from_slice(&[luma, group[group.len() - 2], group[group.len() - 1]]);
        }
    }
}

/// CIE L*a*b* (D50) to sRGB in [0, 1].
fn lab_to_srgb([l, a, b]: [f32; 3]) -> [f32; 3] {
    let y = (l + 16.0) / 116.0;
    let light = |t: f32| if t > 6.0 / 29.0 { t * t * t } else { (t - 4.0 / 29.0) * (108.0 / 841.0) };
    // The white point of ICC's connection space.
    let xyz = [0.964_2 * light(y + a / 500.0), light(y), 0.824_9 * light(y - b / 200.0)];
    // D50 to D65 by Bradford, then to linear sRGB.
    const MATRIX: [[f32; 3]; 3] = [
        [3.134_136, -1.617_386, -0.490_662],
        [-0.978_795, 1.916_254, 0.033_443],
        [0.071_955, -0.228_977, 1.405_386],
    ];
    MATRIX.map(|row| {
        let linear = row[0] * xyz[0] + row[1] * xyz[1] + row[2] * xyz[2];
        encoded(linear).clamp(0.0, 1.0)
    })
}
