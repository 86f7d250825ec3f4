//! Makes a second shot of a photograph: the same garment, turned a little, nearer, and in other light.

use crate::data::augmentation::{apply_changes, rotated, Change};
use crate::data::builder::seeded_hash::hash_fraction;
use ::image::{imageops, RgbImage};

/// Most degrees that a shot is turned, either way.
const ROTATION: f64 = 12.0;
/// The part of the width, and of the height, that a shot shows.
const PART: [f64; 2] = [0.72, 0.96];
/// Factors of brightness and of contrast.
const BRIGHTNESS: [f64; 2] = [0.75, 1.25];
const CONTRAST: [f64; 2] = [0.85, 1.15];
/// The white balance multiplies red by 1 + w and blue by 1 - w.
const WARMTH: [f64; 2] = [-0.08, 0.08];

/// Makes the shot named `key`, on which everything random in it depends.
pub fn make(photograph: &RgbImage, key: &str) -> RgbImage {
    let random = |name: &str, [low, high]: [f64; 2]| low + (high - low) * hash_fraction(&["shot", key, name]);
    let (width, height) = (photograph.width() as usize, photograph.height() as usize);
    let degrees = random("rotation", [-ROTATION, ROTATION]) as f32;
    let turned = rotated(photograph.as_raw(), [width, height], 1.0, degrees);

    let (part_x, part_y) = (random("width", PART), random("height", PART));
    let (x, y) = (random("x", [0.0, 1.0 - part_x]), random("y", [0.0, 1.0 - part_y]));
    let pixels = |fraction: f64, of: usize| (fraction * of as f64) as u32;
    let (w, h) = (pixels(part_x, width).max(1), pixels(part_y, height).max(1));
    let mut shot = RgbImage::from_raw(photograph.width(), photograph.height(), turned)
        .map(|turned| imageops::crop_imm(&turned, pixels(x, width), pixels(y, height), w, h).to_image())
        .unwrap_or_else(|| photograph.clone());

    let light = [
        Change::Brightness(random("brightness", BRIGHTNESS) as f32),
        Change::Contrast(random("contrast", CONTRAST) as f32),
    ];
    apply_changes(&light, shot.as_flat_samples_mut().samples);
    let warmth = random("warmth", WARMTH);
    for pixel in shot.pixels_mut() {
        let scaled = |channel: u8, factor: f64| (f64::from(channel) * factor).round().min(255.0) as u8;
        pixel.0 = [scaled(pixel[0], 1.0 + warmth), pixel[1], scaled(pixel[2], 1.0 - warmth)];
    }
    shot
}
