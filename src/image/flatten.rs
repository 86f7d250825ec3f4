//! Any sample type to 8-bit RGB, with alpha composited over white.

use ::image::{DynamicImage, RgbImage};

/// Bytes per pixel that [`over_white`] allocates.
pub(super) const OUTPUT_BYTES: u64 = 3;

/// Composites over white, exactly rounded: `c a + white (1 - a)`, or `c + white (1 - a)` for colours that are `premultiplied`.
/// 16-bit samples are composited before they are rounded to 8; float samples are clipped to [0, 1], NaN to 0.
pub(super) fn over_white(image: DynamicImage, premultiplied: bool) -> RgbImage {
    use DynamicImage as D;
    let size = (image.width(), image.height());
    let byte = |c: u8, a: u8| blend(u32::from(c), u32::from(a), 0xff, premultiplied) as u8;
    let word = |c: u16, a: u16| narrow(blend(u32::from(c), u32::from(a), 0xffff, premultiplied));
    let real = |c: f32, a: f32| {
        let (c, a) = (unit(c), unit(a));
        let over = if premultiplied { c + 1.0 - a } else { c * a + 1.0 - a };
        (unit(over) * 255.0).round() as u8
    };
    match image {
        D::ImageRgb8(i) => i,
        D::ImageLuma8(i) => map(size, &i, |[l]| [l; 3]),
        D::ImageLumaA8(i) => map(size, &i, |[l, a]| [byte(l, a); 3]),
        D::ImageRgba8(i) => map(size, &i, |[r, g, b, a]| [r, g, b].map(|c| byte(c, a))),
        D::ImageLuma16(i) => map(size, &i, |[l]| [word(l, u16::MAX); 3]),
        D::ImageLumaA16(i) => map(size, &i, |[l, a]| [word(l, a); 3]),
        D::ImageRgb16(i) => map(size, &i, |p: [u16; 3]| p.map(|c| word(c, u16::MAX))),
        D::ImageRgba16(i) => map(size, &i, |[r, g, b, a]| [r, g, b].map(|c| word(c, a))),
        D::ImageRgb32F(i) => map(size, &i, |p: [f32; 3]| p.map(|c| real(c, 1.0))),
        D::ImageRgba32F(i) => map(size, &i, |[r, g, b, a]| [r, g, b].map(|c| real(c, a))),
        other => other.to_rgb8(),
    }
}

/// Pixels of `N` samples to RGB, without asking for each where it lies.
fn map<T: Copy, const N: usize>(
    (width, height): (u32, u32),
    samples: &[T],
    rgb: impl Fn([T; N]) -> [u8; 3],
) -> RgbImage {
    let mut image = RgbImage::new(width, height);
    let (pixels, _) = samples.as_chunks::<N>();
    let (into, _) = image.as_chunks_mut::<3>();
    into.iter_mut().zip(pixels).for_each(|(into, pixel)| *into = rgb(*pixel));
    image
}

/// One channel over white, where `white` is also full alpha; u32 holds 65535 squared.
fn blend(c: u32, a: u32, white: u32, premultiplied: bool) -> u32 {
    if premultiplied {
        return (c + white - a).min(white);
    }
    (c * a + white * (white - a) + white / 2) / white
}

/// 16 bits to 8, rounded: 65535 is 255 times 257.
fn narrow(c: u32) -> u8 {
    ((c + 128) / 257) as u8
}

fn unit(c: f32) -> f32 {
    if c.is_nan() {
        0.0
    } else {
        c.clamp(0.0, 1.0)
    }
}
