//! Random changes to the images that training sees.
//!
//! | file | what is in it |
//! |---|---|
//! | `color_jitter` | brightness, contrast, saturation and hue |
//! | `rotation` | rotation about the centre |

mod color_jitter;
mod rotation;

pub(super) use color_jitter::{apply as apply_changes, Change};
pub(super) use rotation::rotated;

use crate::image::CropBox;
use rand::rngs::StdRng;
use rand::Rng;
use serde::{Deserialize, Serialize};

/// Random changes to the images that training sees; the default changes nothing. Images are cropped, mirrored, rotated and then jittered.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Augmentation {
    /// Mirror an image with probability 1/2, unless it must not be mirrored
    /// ([`ImageEntry::mirror`](super::manifest::ImageEntry::mirror)).
    pub flip: bool,
    /// Use a random part of it: the range of the part's area, as fractions of the whole (0 < low <= high <= 1). The part is by up to a
    /// third wider or taller than the whole in proportion, and is squashed to the network's input like the whole.
    pub crop: Option<[f32; 2]>,
    /// Rotate by a random angle of up to this many degrees, either way (0 to 180). Outside of the image its edge is repeated.
    pub rotate: f32,
    /// Multiply brightness, contrast and saturation by random factors in [1 - jitter, 1 + jitter] (0 to 1), in random order.
    pub jitter: f32,
    /// Turn hues by a random part of the colour circle, up to this (0 to 0.5) either way. It makes labels of colours wrong.
    pub jitter_hue: f32,
}

/// The range of areas of random crops if none is named.
pub const CROP_AREA: [f32; 2] = [0.2, 1.0];

impl Augmentation {
    /// A random part of a box of pixels, if images are cropped.
    pub(super) fn random_part(&self, whole: CropBox, rng: &mut StdRng) -> Option<CropBox> {
        self.crop.map(|area| random_crop(whole, area, rng))
    }

    /// Rotates and jitters pixels `[size, size, 3]` of a picture that was `aspect` times as wide as tall before it was squashed.
    pub(super) fn change_pixels(&self, pixels: &mut Vec<u8>, size: usize, aspect: f32, rng: &mut StdRng) {
        if self.rotate > 0.0 {
            let degrees = rng.random_range(-self.rotate..=self.rotate);
            *pixels = rotated(pixels, [size, size], aspect, degrees);
        }
        let changes = color_jitter::random_changes(self.jitter, self.jitter_hue, rng);
        apply_changes(&changes, pixels);
    }
}

/// A random part of a box, chosen as torchvision's `RandomResizedCrop(scale=area)` does, but for the ratio of its sides: that is drawn as
/// a multiple of the box's own, because images are squashed for retrieval too. Both are the same for square images.
fn random_crop(whole: CropBox, area: [f32; 2], rng: &mut StdRng) -> CropBox {
    let (width, height) = (f64::from(whole.x2 - whole.x1), f64::from(whole.y2 - whole.y1));
    let [low, high] = area.map(f64::from);
    for _ in 0..10 {
        let area = width * height * rng.random_range(low..=high);
        let ratio = width / height * rng.random_range((3f64 / 4.0).ln()..=(4f64 / 3.0).ln()).exp();
        let (w, h) = ((area * ratio).sqrt().round(), (area / ratio).sqrt().round());
        if w >= 1.0 && h >= 1.0 && w <= width && h <= height {
            let x1 = whole.x1 + rng.random_range(0..=(width - w) as i32);
            let y1 = whole.y1 + rng.random_range(0..=(height - h) as i32);
            return CropBox { x1, y1, x2: x1 + w as i32, y2: y1 + h as i32 };
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn random_crops_lie_within_the_box_and_are_not_small() {
        let whole = CropBox { x1: 10, y1: 20, x2: 110, y2: 80 };
        let mut rng = StdRng::seed_from_u64(0);
        for _ in 0..200 {
            let p = random_crop(whole, CROP_AREA, &mut rng);
            assert!(p.x1 >= 10 && p.y1 >= 20 && p.x2 <= 110 && p.y2 <= 80, "{p:?}");
            assert!((p.x2 - p.x1) * (p.y2 - p.y1) >= 1150, "{p:?}");
        }
    }

    #[test]
    fn areas_and_proportions_of_crops_are_in_their_ranges() {
        let whole = CropBox { x1: 0, y1: 0, x2: 1000, y2: 4000 };
        let mut rng = StdRng::seed_from_u64(0);
        let (mut sum, mut widest, mut tallest) = (0.0, 0f64, f64::MAX);
        for _ in 0..500 {
            let p = random_crop(whole, [0.3, 0.5], &mut rng);
            let (w, h) = (f64::from(p.x2 - p.x1) / 1000.0, f64::from(p.y2 - p.y1) / 4000.0);
            assert!((0.299..0.501).contains(&(w * h)), "{p:?}");
            (sum, widest, tallest) = (sum + w * h, widest.max(w / h), tallest.min(w / h));
        }
        assert!((sum / 500.0 - 0.4).abs() < 0.01, "{sum}");
        assert!(widest < 1.335 && widest > 1.3 && tallest > 0.748 && tallest < 0.77, "{widest} {tallest}");
    }

    /// Crops of square images are what they were when the range of areas was fixed (version 0.3.0).
    #[test]
    fn crops_of_square_images_follow_from_the_seed() {
        let whole = CropBox { x1: 0, y1: 0, x2: 200, y2: 200 };
        let mut rng = StdRng::seed_from_u64(3);
        let crops: Vec<CropBox> = (0..3).map(|_| random_crop(whole, CROP_AREA, &mut rng)).collect();
        let text: Vec<[i32; 4]> = crops.iter().map(|c| [c.x1, c.y1, c.x2, c.y2]).collect();
        assert_eq!(text, [[14, 16, 115, 126], [9, 16, 146, 175], [1, 32, 146, 166]]);
    }

    #[test]
    fn without_augmentation_nothing_changes_and_no_random_number_is_drawn() {
        let mut pixels: Vec<u8> = (0..48).collect();
        let (mut rng, untouched) = (StdRng::seed_from_u64(0), StdRng::seed_from_u64(0));
        let whole = CropBox { x1: 0, y1: 0, x2: 4, y2: 4 };
        assert_eq!(Augmentation::default().random_part(whole, &mut rng), None);
        Augmentation::default().change_pixels(&mut pixels, 4, 1.0, &mut rng);
        assert_eq!((pixels, rng), ((0..48).collect(), untouched));
    }
}
