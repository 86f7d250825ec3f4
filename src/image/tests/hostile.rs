//! Damaged files of every format: never a panic, never an image beyond the limits, never part of an image.

use super::fixture;
use crate::error::Kind;
use crate::image::{decode, Limits};
use rand::{Rng as _, SeedableRng as _};

const FILES: [&str; 32] = [
    "jpeg_420.jpg",
    "jpeg_progressive.jpg",
    "jpeg_restart.jpg",
    "orientation_6.jpg",
    "png_palette.png",
    "png_interlaced.png",
    "orientation_png.png",
    "gif_first_frame.gif",
    "webp_lossy_alpha.webp",
    "webp_lossless.webp",
    "webp_animated.webp",
    "orientation_webp.webp",
    "bmp_palette.bmp",
    "tiff_lzw.tif",
    "tiff_associated.tif",
    "orientation_tiff.tif",
    "cmyk.jpg",
    "cases/jpeg_noninterleaved.jpg",
    "cases/tiff_jpeg_libtiff_tiled.tif",
    "cases/tiff_fillorder2_g4.tif",
    "cases/tiff_zstd.tif",
    "cases/icc_p3.png",
    "cases/webp_animated_offset.webp",
    "made/group3_2d.tif",
    "made/float_predictor_big_endian.tif",
    "made/webp_alpha.tif",
    "made/avif_422.avif",
    "made/jxl_alpha.jxl",
    "made/jxl_grey.jxl",
    "made/sixteen_bits.pgm",
    "made/png.ico",
    "made/bmp.ico",
];

const LIMITS: Limits = Limits { max_dimension: 500, max_memory: 24 << 20, max_work: 1_000_000 };

#[test]
fn a_truncated_file_is_an_error_or_the_whole_image() {
    for file in FILES {
        let bytes = fixture(file);
        let whole = decode(&bytes, &LIMITS).unwrap_or_else(|e| panic!("{file}: {}", e.report()));
        for length in 0..bytes.len() {
            match decode(&bytes[..length], &LIMITS) {
                Ok(image) => assert_eq!(image, whole, "{file} cut to {length} of {}", bytes.len()),
                Err(e) => assert_eq!(e.kind, Kind::InvalidImage, "{file} cut to {length}: {}", e.report()),
            }
        }
    }
}

/// Panics inside decoders become errors, so they would not fail this test. It shows that decoding ends, stays within memory, and
/// fails with the errors of bad input only.
#[test]
fn flipped_bytes_never_pass_the_limits() {
    let mut rng = rand::rngs::StdRng::seed_from_u64(11);
    for file in FILES {
        let bytes = fixture(file);
        for _ in 0..1_250 {
            let mut damaged = bytes.clone();
            for _ in 0..rng.random_range(1..4) {
                let at = rng.random_range(0..damaged.len());
                damaged[at] = rng.random();
            }
            match decode(&damaged, &LIMITS) {
                Ok(image) => assert!(image.width().max(image.height()) <= 500, "{file}"),
                Err(e) => assert!(
                    matches!(e.kind, Kind::InvalidImage | Kind::LimitExceeded),
                    "{file}: {}",
                    e.report()
                ),
            }
        }
    }
}
