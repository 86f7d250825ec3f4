//! Colours to sRGB: by the file's profile, its description of its colours, or, for inks without a profile, by how ink covers paper.

use super::pixels::Samples;
use crate::error::Result;
use crate::memory;
use ::image::{DynamicImage, ImageBuffer, RgbImage};
use moxcms::{
    CicpColorPrimaries, CicpProfile, ColorPrimaries, ColorProfile, DataColorSpace, Layout,
    MatrixCoefficients, ToneReprCurve, TransferCharacteristics, TransformExecutor, TransformOptions, XyY,
};
use std::sync::Arc;

/// What samples mean.
pub(super) enum ColourSpace {
    /// What everybody takes for granted.
    Srgb,
    /// An ICC profile as the file has it, which may be damaged.
    Icc(Vec<u8>),
    /// Described by numbers.
    Described(Box<ColorProfile>),
}

impl ColourSpace {
    /// Of a file that may have an ICC profile.
    pub(super) fn from_icc(profile: Option<Vec<u8>>) -> Self {
        profile.filter(|profile| !profile.is_empty()).map_or(Self::Srgb, Self::Icc)
    }

    /// By code points of ITU-T H.273, as AVIF and PNG have them. Values that are not known, or that mean brightness beyond that of
    /// paper (PQ and HLG), count as sRGB.
    pub(super) fn from_code_points(primaries: u8, transfer: u8) -> Self {
        let (Ok(color_primaries), Ok(transfer)) =
            (CicpColorPrimaries::try_from(primaries), TransferCharacteristics::try_from(transfer))
        else {
            return Self::Srgb;
        };
        use TransferCharacteristics as T;
        // Viewers show what cameras encoded for television as they show sRGB.
        let transfer_characteristics = match transfer {
            T::Bt709 | T::Bt601 | T::Bt202010bit | T::Bt202012bit | T::Iec61966 | T::Bt1361 => T::Srgb,
            T::Unspecified => T::Srgb,
            T::Smpte2084 | T::Hlg | T::Reserved => return Self::Srgb,
            other => other,
        };
        let cicp = CicpProfile {
            color_primaries,
            transfer_characteristics,
            matrix_coefficients: MatrixCoefficients::Identity,
            full_range: true,
        };
        let is_srgb = matches!(color_primaries, CicpColorPrimaries::Bt709 | CicpColorPrimaries::Unspecified)
            && matches!(transfer_characteristics, T::Srgb);
        if is_srgb {
            return Self::Srgb;
        }
        let profile = ColorProfile::new_from_cicp(cicp);
        if profile.red_trc.is_none() {
            return Self::Srgb;
        }
        Self::Described(Box::new(profile))
    }

    /// By the exponent with which samples become light, and the chromaticities of white, red, green and blue (those of sRGB where there
    /// are none).
    pub(super) fn from_gamma(gamma: Option<f32>, chromaticities: Option<[(f32, f32); 4]>) -> Self {
        let mut profile = ColorProfile::new_srgb();
        profile.cicp = None;
        if let Some([white, red, green, blue]) = chromaticities {
            let of = |(x, y)| moxcms::Chromaticity::new(x, y);
            let white = XyY { x: f64::from(white.0), y: f64::from(white.1), yb: 1.0 };
            let primaries = ColorPrimaries { red: of(red), green: of(green), blue: of(blue) };
            profile.update_rgb_colorimetry(white, primaries);
        }
        if let Some(gamma) = gamma {
            // As libpng: samples are raised so that 2.2 changes nothing, and are sRGB's then.
            const ENTRIES: usize = 4096;
            let light = |i: usize| {
                let sample = (i as f32 / (ENTRIES - 1) as f32).powf(gamma / 2.2);
                let light =
                    if sample <= 0.040_45 { sample / 12.92 } else { ((sample + 0.055) / 1.055).powf(2.4) };
                (light * 65_535.0).round() as u16
            };
            let curve = ToneReprCurve::Lut((0..ENTRIES).map(light).collect());
            profile.red_trc = Some(curve.clone());
            profile.green_trc = Some(curve.clone());
            profile.blue_trc = Some(curve);
        }
        let colorants = [profile.red_colorant, profile.green_colorant, profile.blue_colorant];
        if colorants.iter().flat_map(|c| [c.x, c.y, c.z]).all(f64::is_finite) {
            Self::Described(Box::new(profile))
        } else {
            Self::Srgb
        }
    }
}

/// A conversion of 8-bit RGB to sRGB that is still to come: once an image has been resized, few pixels are left to convert.
pub(super) struct ToSrgb(Box<ColorProfile>);

impl ToSrgb {
    /// Converts an image. A profile that cannot be used changes nothing.
    pub(super) fn convert(&self, image: RgbImage) -> RgbImage {
        by_rows8(image, &self.0, Layout::Rgb)
    }
}

/// Converts samples to sRGB, but for 8-bit RGB, whose conversion comes back to be done later if it needs one. A profile that is damaged, or that is for
/// other channels than the image has, is ignored.
///
/// # Errors
/// [`Kind::OutOfMemory`](crate::error::Kind::OutOfMemory).
pub(super) fn to_srgb(samples: Samples, space: ColourSpace) -> Result<(DynamicImage, Option<ToSrgb>)> {
    let profile = match space {
        ColourSpace::Srgb => None,
        ColourSpace::Icc(bytes) => ColorProfile::new_from_slice(&bytes).ok(),
        ColourSpace::Described(profile) => Some(*profile),
    };
    let image = match (samples, profile) {
        (Samples::Cmyk(inks, size), profile) => {
            let profile = profile.filter(|profile| profile.color_space == DataColorSpace::Cmyk);
            DynamicImage::ImageRgb8(cmyk_to_rgb(inks, size, profile.as_ref())?)
        }
        (Samples::Image(image @ DynamicImage::ImageRgb8(_)), Some(profile)) => {
            let is_needed = profile.color_space == DataColorSpace::Rgb && !is_srgb(&profile);
            return Ok((image, is_needed.then(|| ToSrgb(Box::new(profile)))));
        }
        (Samples::Image(image), Some(profile)) => image_to_srgb(image, &profile)?,
        (Samples::Image(image), None) => image,
    };
    Ok((image, None))
}

/// Inks to RGB. Without a profile, what is left of white light: `(1 - ink)(1 - black)`.
fn cmyk_to_rgb(
    inks: Vec<u8>,
    (width, height): (u32, u32),
    profile: Option<&ColorProfile>,
) -> Result<RgbImage> {
    let (pixels, _) = inks.as_chunks::<4>();
    let mut rgb = memory::filled(0, pixels.len() * 3)?;
    let transform = profile.and_then(|profile| {
        profile.create_transform_8bit(Layout::Rgba, &ColorProfile::new_srgb(), Layout::Rgb, options()).ok()
    });
    let converted = transform.is_some_and(|transform| transform.transform(&inks, &mut rgb).is_ok());
    if !converted {
        for (out, [c, m, y, k]) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
            let light = |ink: u8| {
                let product = u32::from(255 - ink) * u32::from(255 - k);
                ((product + 127) / 255) as u8
            };
            *out = [light(*c), light(*m), light(*y)];
        }
    }
    // As many pixels as the caller has checked.
    Ok(RgbImage::from_raw(width, height, rgb).unwrap_or_default())
}

fn options() -> TransformOptions {
    TransformOptions { allow_use_cicp_transfer: false, ..TransformOptions::default() }
}

/// Grey or RGB samples to sRGB by a profile for such.
fn image_to_srgb(image: DynamicImage, profile: &ColorProfile) -> Result<DynamicImage> {
    use DynamicImage as D;
    let is_grey_image = !image.color().has_color();
    let fits = match profile.color_space {
        DataColorSpace::Gray => is_grey_image,
        DataColorSpace::Rgb => true,
        _ => false,
    };
    if !fits || is_srgb(profile) {
        return Ok(image);
    }
    let is_grey_profile = profile.color_space == DataColorSpace::Gray;
    // A profile for colours applies to grey as to three equal channels.
    let image = match image {
        D::ImageLuma8(i) if !is_grey_profile => D::ImageRgb8(D::ImageLuma8(i).into_rgb8()),
        D::ImageLumaA8(i) if !is_grey_profile => D::ImageRgba8(D::ImageLumaA8(i).into_rgba8()),
        D::ImageLuma16(i) if !is_grey_profile => D::ImageRgb16(D::ImageLuma16(i).into_rgb16()),
        D::ImageLumaA16(i) if !is_grey_profile => D::ImageRgba16(D::ImageLumaA16(i).into_rgba16()),
        other => other,
    };
    Ok(match image {
        // Made of grey.
        D::ImageRgb8(i) => D::ImageRgb8(by_rows8(i, profile, Layout::Rgb)),
        D::ImageRgba8(i) => D::ImageRgba8(by_rows8(i, profile, Layout::Rgba)),
        D::ImageRgb16(i) => D::ImageRgb16(by_rows16(i, profile, Layout::Rgb)),
        D::ImageRgba16(i) => D::ImageRgba16(by_rows16(i, profile, Layout::Rgba)),
        D::ImageLuma8(i) => match grey8(profile, Layout::Gray) {
            Some(transform) => D::ImageRgb8(widened(&i, &*transform)?),
            None => D::ImageLuma8(i),
        },
        D::ImageLumaA8(i) => match grey8(profile, Layout::GrayAlpha) {
            Some(transform) => D::ImageRgba8(widened(&i, &*transform)?),
            None => D::ImageLumaA8(i),
        },
        // Float samples are linear or do not say; 16-bit grey with a profile of its own is for measurements.
        other => other,
    })
}

type Transform<T> = Arc<dyn TransformExecutor<T> + Send + Sync>;

fn grey8(profile: &ColorProfile, layout: Layout) -> Option<Transform<u8>> {
    let to = if layout == Layout::Gray { Layout::Rgb } else { Layout::Rgba };
    profile.create_transform_8bit(layout, &ColorProfile::new_srgb(), to, options()).ok()
}

/// An image with more channels than `source`, which is 8-bit grey.
fn widened<P, Q>(
    source: &ImageBuffer<P, Vec<u8>>,
    transform: &dyn TransformExecutor<u8>,
) -> Result<ImageBuffer<Q, Vec<u8>>>
where
    P: ::image::Pixel<Subpixel = u8>,
    Q: ::image::Pixel<Subpixel = u8>,
{
    let (width, height) = source.dimensions();
    let samples = width as usize * height as usize * usize::from(Q::CHANNEL_COUNT);
    let mut target = memory::filled(0, samples)?;
    // Sizes agree, which is the only thing that can be wrong.
    let _ = transform.transform(source.as_raw(), &mut target);
    Ok(ImageBuffer::from_raw(width, height, target).unwrap_or_else(|| ImageBuffer::new(0, 0)))
}

fn by_rows8<P>(
    image: ImageBuffer<P, Vec<u8>>,
    profile: &ColorProfile,
    layout: Layout,
) -> ImageBuffer<P, Vec<u8>>
where
    P: ::image::Pixel<Subpixel = u8>,
{
    match profile.create_transform_8bit(layout, &ColorProfile::new_srgb(), layout, options()) {
        Ok(transform) => in_place(image, &*transform),
        Err(_) => image,
    }
}

fn by_rows16<P>(
    image: ImageBuffer<P, Vec<u16>>,
    profile: &ColorProfile,
    layout: Layout,
) -> ImageBuffer<P, Vec<u16>>
where
    P: ::image::Pixel<Subpixel = u16>,
{
    match profile.create_transform_16bit(layout, &ColorProfile::new_srgb(), layout, options()) {
        Ok(transform) => in_place(image, &*transform),
        Err(_) => image,
    }
}

/// Transforms an image row by row through a copy of the row, which stays in the cache.
fn in_place<P, T>(
    mut image: ImageBuffer<P, Vec<T>>,
    transform: &dyn TransformExecutor<T>,
) -> ImageBuffer<P, Vec<T>>
where
    P: ::image::Pixel<Subpixel = T>,
    T: ::image::Primitive + Default,
{
    let row = image.width() as usize * usize::from(P::CHANNEL_COUNT);
    if row == 0 {
        return image;
    }
    let mut copy = vec![T::default(); row];
    for pixels in image.chunks_exact_mut(row) {
        copy.copy_from_slice(pixels);
        if transform.transform(&copy, pixels).is_err() {
            pixels.copy_from_slice(&copy);
        }
    }
    image
}

/// Whether a profile means sRGB, which most do, in many wordings: by its primaries and curves, without computing a transform.
fn is_srgb(profile: &ColorProfile) -> bool {
    let is_srgb_curve = |curve: &Option<ToneReprCurve>| {
        let curve = curve.as_ref();
        // Half a step of eight bits where curves are steepest.
        (0..=32).map(|i| i as f32 / 32.0).all(|x| {
            let light = curve.and_then(|curve| light_of(curve, x));
            light.is_some_and(|light| (encoded(light) - x).abs() < 0.004)
        })
    };
    if profile.color_space == DataColorSpace::Gray {
        return is_srgb_curve(&profile.gray_trc);
    }
    let srgb = ColorProfile::new_srgb();
    let primaries = |p: &ColorProfile| [p.red_colorant, p.green_colorant, p.blue_colorant];
    let is_near = |(a, b): (moxcms::Xyzd, moxcms::Xyzd)| {
        [a.x - b.x, a.y - b.y, a.z - b.z].iter().all(|difference| difference.abs() < 0.002)
    };
    let has_table = profile.lut_a_to_b_perceptual.is_some() || profile.lut_a_to_b_colorimetric.is_some();
    !has_table
        && primaries(profile).into_iter().zip(primaries(&srgb)).all(is_near)
        && [&profile.red_trc, &profile.green_trc, &profile.blue_trc].into_iter().all(is_srgb_curve)
}

/// sRGB's sample for light, both in [0, 1].
pub(super) fn encoded(light: f32) -> f32 {
    if light <= 0.003_130_8 {
        12.92 * light
    } else {
        1.055 * light.powf(1.0 / 2.4) - 0.055
    }
}

/// The light of a sample by a profile's curve (ICC.1, 10.6 and 10.18).
fn light_of(curve: &ToneReprCurve, x: f32) -> Option<f32> {
    match curve {
        ToneReprCurve::Lut(table) => match table[..] {
            [] => Some(x),
            [gamma] => Some(x.powf(f32::from(gamma) / 256.0)),
            _ => {
                let at = x * (table.len() - 1) as f32;
                let (low, high) =
                    (*table.get(at as usize)?, *table.get((at as usize + 1).min(table.len() - 1))?);
                Some((f32::from(low) + (f32::from(high) - f32::from(low)) * at.fract()) / 65_535.0)
            }
        },
        ToneReprCurve::Parametric(parameters) => Some(match parameters[..] {
            [g] => x.powf(g),
            [g, a, b] => {
                if x >= -b / a {
                    (a * x + b).powf(g)
                } else {
                    0.0
                }
            }
            [g, a, b, c] => {
                if x >= -b / a {
                    (a * x + b).powf(g) + c
                } else {
                    c
                }
            }
            [g, a, b, c, d] => {
                if x >= d {
                    (a * x + b).powf(g)
                } else {
                    c * x
                }
            }
            [g, a, b, c, d, e, f] => {
                if x >= d {
                    (a * x + b).powf(g) + e
                } else {
                    c * x + f
                }
            }
            _ => return None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_of_srgb_are_known_and_others_are_not() {
        assert!(is_srgb(&ColorProfile::new_srgb()));
        let of_table = |curve: fn(f32) -> f32| {
            let table = (0..1024).map(|i| (curve(i as f32 / 1023.0) * 65_535.0).round() as u16).collect();
            let curve = Some(ToneReprCurve::Lut(table));
            let mut profile = ColorProfile::new_srgb();
            (profile.red_trc, profile.green_trc, profile.blue_trc) = (curve.clone(), curve.clone(), curve);
            profile
        };
        let srgb = |x: f32| if x <= 0.040_45 { x / 12.92 } else { ((x + 0.055) / 1.055).powf(2.4) };
        assert!(is_srgb(&of_table(srgb)));
        assert!(!is_srgb(&of_table(|x| x.powf(1.8))));
        assert!(!is_srgb(&of_table(|x| x)));
        for other in
            [ColorProfile::new_display_p3(), ColorProfile::new_adobe_rgb(), ColorProfile::new_pro_photo_rgb()]
        {
            assert!(!is_srgb(&other));
        }
        assert!(!is_srgb(&ColorProfile::new_gray_with_gamma(1.0)));
    }

    #[test]
    fn a_damaged_profile_is_as_none() {
        let image = DynamicImage::new_rgb8(3, 2);
        let bytes = ColorProfile::new_display_p3().encode().unwrap();
        for length in [0, 1, 100, 128, bytes.len() / 2] {
            let space = ColourSpace::from_icc(Some(bytes[..length].to_vec()));
            let (same, conversion) = to_srgb(Samples::Image(image.clone()), space).unwrap();
            assert!(same == image && conversion.is_none());
        }
    }

    /// Green of Display P3 is beyond sRGB; a grey is the same in both.
    #[test]
    fn samples_are_converted_and_alpha_is_not() {
        let profile = ColorProfile::new_display_p3().encode().unwrap();
        let image = ::image::RgbaImage::from_fn(2, 1, |x, _| {
            ::image::Rgba(if x == 0 { [0, 200, 0, 77] } else { [90, 90, 90, 255] })
        });
        let found = to_srgb(Samples::Image(image.into()), ColourSpace::from_icc(Some(profile)))
            .unwrap()
            .0
            .into_rgba8();
        let ([r, g, b, a], grey) = (found.get_pixel(0, 0).0, found.get_pixel(1, 0).0);
        assert!(r == 0 && (203..=208).contains(&g) && b == 0 && a == 77, "{r} {g} {b} {a}");
        assert!(grey[..3].iter().all(|c| c.abs_diff(90) <= 1), "{grey:?}");
    }
}
