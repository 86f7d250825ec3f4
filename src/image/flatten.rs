//! Any sample type to 8-bit RGB, with alpha composited over white.

use ::image::{DynamicImage, Rgb, RgbImage};

/// Bytes per pixel that [`over_white`] allocates.
pub(super) const OUTPUT_BYTES: u64 = 3;

/// Composites over white, exactly rounded: `c a + white (1 - a)`, or `c + white (1 - a)` for colours that are `premultiplied`.
/// 16-bit samples are composited before they are rounded to 8; float samples are clipped to [0, 1], NaN to 0.
pub(super) fn over_white(image: DynamicImage, premultiplied: bool) -> RgbImage {
    use DynamicImage as D;
    let (w, h) = (image.width(), image.height());
    let byte = |c: u8, a: u8| blend(u32::from(c), u32::from(a), 0xff, premultiplied) as u8;
    let word = |c: u16, a: u16| narrow(blend(u32::from(c), u32::from(a), 0xffff, premultiplied));
    let real = |c: f32, a: f32| {
        let (c, a) = (unit(c), unit(a));
        let over = if premultiplied { c + 1.0 - a } else { c * a + 1.0 - a };
        (unit(over) * 255.0).round() as u8
    };
    let rgb = |r, g, b| Rgb([r, g, b]);
    let grey = |l| Rgb([l, l, l]);
    match image {
        D::ImageRgb8(i) => i,
        D::ImageLuma8(i) => map(w, h, |x, y| i.get_pixel(x, y).0, |[l]| grey(l)),
        D::ImageLumaA8(i) => map(w, h, |x, y| i.get_pixel(x, y).0, |[l, a]| grey(byte(l, a))),
        D::ImageRgba8(i) => {
            map(w, h, |x, y| i.get_pixel(x, y).0, |[r, g, b, a]| rgb(byte(r, a), byte(g, a), byte(b, a)))
        }
        D::ImageLuma16(i) => map(w, h, |x, y| i.get_pixel(x, y).0, |[l]| grey(word(l, u16::MAX))),
        D::ImageLumaA16(i) => map(w, h, |x, y| i.get_pixel(x, y).0, |[l, a]| grey(word(l, a))),
        D::ImageRgb16(i) => map(w, h, |x, y| i.get_pixel(x, y).0, |p| Rgb(p.map(|c| word(c, u16::MAX)))),
        D::ImageRgba16(i) => {
            map(w, h, |x, y| i.get_pixel(x, y).0, |[r, g, b, a]| rgb(word(r, a), word(g, a), word(b, a)))
        }
        D::ImageRgb32F(i) => map(w, h, |x, y| i.get_pixel(x, y).0, |p| Rgb(p.map(|c| real(c, 1.0)))),
        D::ImageRgba32F(i) => {
            map(w, h, |x, y| i.get_pixel(x, y).0, |[r, g, b, a]| rgb(real(r, a), real(g, a), real(b, a)))
        }
        other => other.to_rgb8(),
    }
}

fn map<P>(w: u32, h: u32, from: impl Fn(u32, u32) -> P, to: impl Fn(P) -> Rgb<u8>) -> RgbImage {
    RgbImage::from_fn(w, h, |x, y| to(from(x, y)))
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
