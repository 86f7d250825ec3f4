//! Shades of the named colours, in linear light.

use super::rng::Rng;
use crate::data::garments::vocabulary::Colour;

/// A colour in linear light, each channel in `0.0..=1.0`.
pub type Rgb = [f32; 3];

/// A colour given as `0xRRGGBB` in sRGB.
pub fn hex(code: u32) -> Rgb {
    [16, 8, 0].map(|shift| linear(((code >> shift) & 0xff) as f32 / 255.0))
}

/// sRGB value to linear light.
pub fn linear(value: f32) -> f32 {
    if value <= 0.04045 {
        value / 12.92
    } else {
        ((value + 0.055) / 1.055).powf(2.4)
    }
}

/// Linear light to an sRGB value.
pub fn encoded(value: f32) -> f32 {
    if value <= 0.003_130_8 {
        value * 12.92
    } else {
        1.055 * value.powf(1.0 / 2.4) - 0.055
    }
}

/// The colour at `t` of the way from `a` to `b`.
pub fn blend(a: Rgb, b: Rgb, t: f32) -> Rgb {
    std::array::from_fn(|k| a[k] + (b[k] - a[k]) * t)
}

/// Every channel times `factor`.
pub fn dim(colour: Rgb, factor: f32) -> Rgb {
    colour.map(|channel| channel * factor)
}

/// Perceived lightness of a colour, in `0.0..=1.0`.
pub fn lightness(colour: Rgb) -> f32 {
    encoded(0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2])
}

/// The typical shades of a colour's name, most typical first.
pub fn shades(colour: Colour) -> &'static [u32] {
    match colour {
        Colour::White => &[0xf2f1ee, 0xf6f5f3, 0xeeede9],
        Colour::Black => &[0x222223, 0x2b2a2a, 0x1d1d1d],
        Colour::Grey => &[0x787a7e, 0x86888b, 0x5e6065, 0x929395],
        Colour::Blue => &[0x2f5aa8, 0x24427e, 0x5c8fcb, 0x3a74c4, 0x7fa9d6],
        Colour::Red => &[0xc0272d, 0xa81f2b, 0xd23a36, 0x8f1d2a],
        Colour::Pink => &[0xe79ab5, 0xf0b7c8, 0xdf6f98, 0xeba6a9],
        Colour::Green => &[0x3c8a4c, 0x5d6b3c, 0x2f6b4f, 0x7fae5a, 0x55a07e],
        Colour::Multi => &[0xd8584b, 0x3f7fb8, 0xe2a93b, 0x4f9a68],
        Colour::Brown => &[0x5c4232, 0x6e4e3a, 0x4a362b, 0x7a583f],
        Colour::Beige => &[0xc9b595, 0xbfa988, 0xd6c5a8],
        Colour::Purple => &[0x75489a, 0x8e6bb3, 0x5b3a78],
        Colour::Yellow => &[0xeccb3f, 0xf0d76a, 0xe0b428],
        Colour::Orange => &[0xe5782a, 0xee8f3f, 0xd9651f],
    }
}

/// One shade of a named colour, slightly varied.
pub fn shade(colour: Colour, rng: &mut Rng) -> Rgb {
    let list = shades(colour);
    let base = hex(list[rng.below(list.len())]);
    let gain = rng.range(0.9, 1.08);
    // Dyes are duller than the colours on a screen.
    let grey = lightness(base).powf(2.2);
    blend(base, [grey; 3], rng.range(0.02, 0.16)).map(|c| (c * gain * rng.range(0.96, 1.04)).min(0.9))
}

/// A colour for prints and trims that stands out from `base`.
pub fn contrast(base: Rgb, rng: &mut Rng) -> Rgb {
    const INKS: [u32; 14] = [
        0xf4f2ec, 0x1d1d22, 0xc93a3a, 0x25406f, 0xe8c24a, 0x3f8a5a, 0xe58aa8, 0x6aa5d8, 0xe0803a, 0x7b559c,
        0xf4f2ec, 0x1d1d22, 0x8a2f3c, 0xdfd2b8,
    ];
    let far = |ink: &Rgb| (lightness(*ink) - lightness(base)).abs() > 0.28;
    let mut ink = hex(rng.pick(INKS));
    for _ in 0..12 {
        if far(&ink) {
            break;
        }
        ink = hex(rng.pick(INKS));
    }
    ink
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_is_the_inverse_of_decoding() {
        for i in 0..=255 {
            let value = i as f32 / 255.0;
            assert!((encoded(linear(value)) - value).abs() < 1e-4);
        }
    }

    #[test]
    fn contrasting_inks_can_be_told_from_the_cloth() {
        for &colour in Colour::ALL {
            for seed in 0..20 {
                let mut rng = Rng::new(seed, 0);
                let base = shade(colour, &mut rng);
                assert!((lightness(contrast(base, &mut rng)) - lightness(base)).abs() > 0.2);
            }
        }
    }
}
