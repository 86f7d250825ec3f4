//! Tests of decoding and resizing against Pillow, of refusals, and of estimates.

mod bad_input;
mod cases;
mod estimates;
mod formats;
// The crate for random numbers is a dependency of this feature only.
#[cfg(feature = "cli")]
mod hostile;
mod resizing;

use super::{decode, Limits};
use crate::error::Result;
use ::image::RgbImage;

/// A file of `tests/fixtures/images`; the README there says how each was made.
fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/images/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn decoded(bytes: &[u8]) -> Result<RgbImage> {
    decode(bytes, &Limits::default())
}

/// The greatest and the mean absolute difference of two images' samples.
fn difference(a: &[u8], b: &[u8]) -> (u8, f64) {
    assert_eq!(a.len(), b.len());
    let each = || a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    (each().max().unwrap_or(0), each().map(f64::from).sum::<f64>() / a.len() as f64)
}

/// `image` as a file in `format`.
fn encoded(image: &::image::DynamicImage, format: ::image::ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}
