//! Any sample type to 8-bit RGB, with alpha composited over white.

use ::image::{DynamicImage, RgbImage};

/// Bytes per pixel that [`over_white`] allocates.
pub(super) const OUTPUT_BYTES: u64 = 3;

/// Composites over white, exactly rounded: `c a + white (1 - a)`, or `c + white (1 - a)` for colours that are `premultiplied`.
/// 16-bit samples are composited before they are rounded to 8; float samples are clipped to [0, 1], NaN to 0.
pub(super) fn over_white(image: DynamicImage, premultiplied: bool) -> RgbImage {
    use DynamicImage as D;
    let size = (image.width(), image.height());
    let over8 = |c: u8, a: u8| blend(u32::from(c), u32::from(a), 0xff, premultiplied) as u8;
    let over16 = |c: u16, a: u16| narrow(blend(u32::from(c), u32::from(a), 0xffff, premultiplied));
    let over_float = |c: f32, a: f32| {
        let (c, a) = (unit(c), unit(a));
        let over = if premultiplied { c + 1.0 - a } else { c * a + 1.0 - a };
        (unit(over) * 255.0).round() as u8
    };
    match image {
        D::ImageRgb8(i) => i,
        D::ImageLuma8(i) => map_pixels(size, &i, |[l]| [l; 3]),
        D::ImageLumaA8(i) => map_pixels(size, &i, |[l, a]| [over8(l, a); 3]),
        D::ImageRgba8(i) => map_pixels(size, &i, |[r, g, b, a]| [r, g, b].map(|c| over8(c, a))),
        D::ImageLuma16(i) => map_pixels(size, &i, |[l]| [over16(l, u16::MAX); 3]),
        D::ImageLumaA16(i) => map_pixels(size, &i, |[l, a]| [over16(l, a); 3]),
        D::ImageRgb16(i) => map_pixels(size, &i, |p: [u16; 3]| p.map(|c| over16(c, u16::MAX))),
        D::ImageRgba16(i) => map_pixels(size, &i, |[r, g, b, a]| [r, g, b].map(|c| over16(c, a))),
        D::ImageRgb32F(i) => map_pixels(size, &i, |p: [f32; 3]| p.map(|c| over_float(c, 1.0))),
        D::ImageRgba32F(i) => map_pixels(size, &i, |[r, g, b, a]| [r, g, b].map(|c| over_float(c, a))),
        other => other.to_rgb8(),
    }
}

/// Maps pixels of `N` samples to RGB, over whole slices rather than by coordinates.
fn map_pixels<T: Copy, const N: usize>(
    (width, height): (u32, u32),
    samples: &[T],
    rgb: impl Fn([T; N]) -> [u8; 3],
) -> RgbImage {
    let mut image = RgbImage::new(width, height);
    let (pixels, _) = samples.as_chunks::<N>();
    let (rgb_pixels, _) = image.as_chunks_mut::<3>();
    rgb_pixels.iter_mut().zip(pixels).for_each(|(out, pixel)| *out = rgb(*pixel));
    image
}

/// Composites one channel over white. `white` is the greatest sample, which is also full alpha: at most 65535, whose square fits
/// u32.
fn blend(c: u32, a: u32, white: u32, premultiplied: bool) -> u32 {
    if premultiplied {
        return (c + white - a).min(white);
    }
    (c * a + white * (white - a) + white / 2) / white
}

/// 16 bits to 8, rounded; 65535 is 255 times 257.
fn narrow(c: u32) -> u8 {
    ((c + 128) / 257) as u8
}

/// Clips to [0, 1]; NaN becomes 0.
fn unit(c: f32) -> f32 {
    if c.is_nan() {
        0.0
    } else {
        c.clamp(0.0, 1.0)
    }
}
