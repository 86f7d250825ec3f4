//! Every format and sample type, compared with Pillow's result for the same file.

use super::{decoded, difference, encoded, fixture};
use crate::image::{decode, Limits};
use ::image::{DynamicImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, Rgba};

/// Decodes fixtures and compares with Pillow's `NAME.expected.png`, to at most `tolerance` in any sample.
fn agrees_with_pillow(files: &[&str], tolerance: u8) {
    for file in files {
        let (stem, _) = file.rsplit_once('.').unwrap();
        let expected = decoded(&fixture(&format!("{stem}.expected.png"))).unwrap();
        let found = decoded(&fixture(file)).unwrap_or_else(|e| panic!("{file}: {}", e.report()));
        assert_eq!(found.dimensions(), expected.dimensions(), "{file}");
        let (greatest, mean) = difference(&found, &expected);
        assert!(greatest <= tolerance, "{file}: differs by up to {greatest}, {mean:.3} on average");
    }
}

#[test]
fn lossless_files_are_decoded_exactly() {
    agrees_with_pillow(
        &[
            "png_1bit.png",
            "png_interlaced.png",
            "webp_lossless.webp",
            "bmp_24.bmp",
            "bmp_palette.bmp",
            "bmp_1bit.bmp",
            "tiff_lzw.tif",
            "tiff_deflate.tif",
            "tiff_packbits_grey.tif",
            "tiff_1bit.tif",
            "tiff_white_is_zero.tif",
            "tiff_unspecified.tif",
        ],
        0,
    );
}

/// Variants that no common tool of today writes by default; `made.py` in the folder says how each was made. AVIF rounds on its way to
/// 8 bits, profiles and alpha in steps.
#[test]
fn every_variant_of_a_format_has_the_pixels_that_were_drawn() {
    let folder = format!("{}/tests/fixtures/images/made", env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(file) = name.strip_suffix(".expected.png") else { continue };
        let expected = decoded(&fixture(&format!("made/{name}"))).unwrap();
        let found =
            decoded(&fixture(&format!("made/{file}"))).unwrap_or_else(|e| panic!("{file}: {}", e.report()));
        assert_eq!(found.dimensions(), expected.dimensions(), "{file}");
        let (greatest, mean) = difference(&found, &expected);
        let tolerance = if file.ends_with(".avif") { 3 } else { 2 };
        assert!(greatest <= tolerance, "{file}: differs by up to {greatest}, {mean:.3} on average");
        seen += 1;
    }
    assert_eq!(seen, 31);
}

/// Pillow rounds the composite in two steps.
#[test]
fn alpha_is_composited_over_white() {
    agrees_with_pillow(
        &[
            "png_rgba.png",
            "png_grey_alpha.png",
            "png_palette.png",
            "png_palette_key.png",
            "tiff_rgba.tif",
            "tiff_associated.tif",
        ],
        1,
    );
}

#[test]
fn the_first_frame_of_an_animation_is_decoded() {
    agrees_with_pillow(&["gif_first_frame.gif", "webp_animated.webp"], 1);
}

/// To the bit: Pillow decodes with libjpeg.
#[test]
fn jpegs_of_all_common_encodings_are_decoded() {
    agrees_with_pillow(
        &[
            "jpeg_420.jpg",
            "jpeg_422.jpg",
            "jpeg_444.jpg",
            "jpeg_progressive.jpg",
            "jpeg_grey.jpg",
            "jpeg_restart.jpg",
            "jpeg_adobe_rgb.jpg",
        ],
        0,
    );
}

#[test]
fn lossy_webp_is_decoded() {
    agrees_with_pillow(&["webp_lossy.webp", "webp_lossy_alpha.webp"], 3);
}

#[test]
fn every_orientation_is_turned_upright() {
    agrees_with_pillow(&["orientation_png.png", "orientation_webp.webp", "orientation_tiff.tif"], 0);
    let upright = decoded(&fixture("orientation.expected.png")).unwrap();
    for orientation in 1..=8 {
        let found = decoded(&fixture(&format!("orientation_{orientation}.jpg"))).unwrap();
        assert_eq!(found.dimensions(), (32, 16), "orientation {orientation}");
        assert!(difference(&found, &upright).0 <= 3, "orientation {orientation}");
    }
}

/// By hand: 32896 is 128 x 257; 32700 / 257 = 127.24; half of black over white is 127.5, which rounds up.
#[test]
fn sixteen_bit_samples_are_rounded_to_eight() {
    let rgb = ImageBuffer::from_pixel(3, 2, Rgb([32896u16, 32700, 65535]));
    let grey = ImageBuffer::from_pixel(3, 2, Luma([32700u16]));
    let rgba = ImageBuffer::from_pixel(3, 2, Rgba([0u16, 65535, 32896, 32768]));
    let grey_alpha = ImageBuffer::from_pixel(3, 2, LumaA([0u16, 16384]));
    let cases: [(DynamicImage, [u8; 3]); 4] = [
        (rgb.into(), [128, 127, 255]),
        (grey.into(), [127; 3]),
        (rgba.into(), [127, 255, 191]),
        (grey_alpha.into(), [191; 3]),
    ];
    for (image, expected) in cases {
        let found = decoded(&encoded(&image, ImageFormat::Png)).unwrap();
        assert!(found.pixels().all(|p| p.0 == expected), "{:?}: {:?}", image.color(), found.get_pixel(0, 0));
    }
}

#[test]
fn float_samples_are_clipped_to_one() {
    let rgb = ImageBuffer::from_pixel(2, 2, Rgb([0.5f32, -3.0, 7.0]));
    let found = decoded(&encoded(&rgb.into(), ImageFormat::Tiff)).unwrap();
    assert_eq!(found.get_pixel(1, 1).0, [128, 0, 255]);
    let nan = ImageBuffer::from_pixel(2, 2, Rgba([f32::NAN, 0.0, 1.0, 0.5]));
    let found = decoded(&encoded(&nan.into(), ImageFormat::Tiff)).unwrap();
    // Half is 32768 of 65535.
    assert_eq!(found.get_pixel(1, 1).0, [127, 127, 255]);
    // Most of a picture beyond 2, or 510, has another white.
    for white in [255.0, 65_535.0] {
        let rgb = ImageBuffer::from_pixel(2, 2, Rgb([0.2 * white, 0.6 * white, white]));
        let found = decoded(&encoded(&rgb.into(), ImageFormat::Tiff)).unwrap();
        assert_eq!(found.get_pixel(1, 1).0, [51, 153, 255]);
    }
}

#[test]
fn a_fully_transparent_image_is_white() {
    let clear = ImageBuffer::from_pixel(5, 4, Rgba([10u8, 20, 30, 0]));
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Tiff] {
        let found = decoded(&encoded(&clear.clone().into(), format)).unwrap();
        assert!(found.iter().all(|c| *c == 255), "{format:?}");
    }
}

/// The gif crate has a limit of its own, 50 MB a frame, which must not apply before ours.
#[test]
fn large_images_within_the_limits_are_decoded() {
    for format in [ImageFormat::Gif, ImageFormat::Bmp] {
        let large = DynamicImage::new_rgba8(5000, 3000);
        let found = decode(&encoded(&large, format), &Limits::default());
        assert_eq!(found.unwrap().dimensions(), (5000, 3000), "{format:?}");
    }
}
