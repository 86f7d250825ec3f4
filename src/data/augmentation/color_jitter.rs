//! Random changes of brightness, contrast, saturation and hue, as torchvision's `ColorJitter` makes them of images in floating point.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::Rng;

/// A change of all colours of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::data) enum Change {
    /// Multiplies all channels.
    Brightness(f32),
    /// Multiplies the difference from the image's mean grey.
    Contrast(f32),
    /// Multiplies the difference from the pixel's grey.
    Saturation(f32),
    /// Adds a fraction of the colour circle.
    Hue(f32),
}

/// Draws factors in [1 - strength, 1 + strength] and a turn of hues in [-hue, hue], and the order of the changes. A strength or hue of 0
/// draws nothing.
pub(super) fn random_changes(strength: f32, hue: f32, rng: &mut StdRng) -> Vec<Change> {
    let mut changes = Vec::new();
    if strength > 0.0 {
        let kinds = [Change::Brightness, Change::Contrast, Change::Saturation];
        changes.extend(kinds.map(|change| change(rng.random_range(1.0 - strength..=1.0 + strength))));
    }
    if hue > 0.0 {
        changes.push(Change::Hue(rng.random_range(-hue..=hue)));
    }
    if changes.len() > 1 {
        changes.shuffle(rng);
    }
    changes
}

/// Makes changes of pixels `[..., 3]` one after the other, and rounds to 8 bits after the last.
pub(in crate::data) fn apply(changes: &[Change], pixels: &mut [u8]) {
    if changes.is_empty() {
        return;
    }
    let mut colors: Vec<[f32; 3]> =
        pixels.chunks_exact(3).map(|p| [p[0], p[1], p[2]].map(|c| f32::from(c) / 255.0)).collect();
    for change in changes {
        apply_one(*change, &mut colors);
    }
    for (byte, channel) in pixels.iter_mut().zip(colors.as_flattened()) {
        *byte = (channel * 255.0).round() as u8;
    }
}

fn apply_one(change: Change, colors: &mut [[f32; 3]]) {
    match change {
        Change::Brightness(factor) => colors.iter_mut().for_each(|c| *c = away_from(0.0, *c, factor)),
        Change::Contrast(factor) => {
            let mean = colors.iter().map(|c| f64::from(grey(*c))).sum::<f64>() / colors.len() as f64;
            colors.iter_mut().for_each(|c| *c = away_from(mean as f32, *c, factor));
        }
        Change::Saturation(factor) => {
            colors.iter_mut().for_each(|c| *c = away_from(grey(*c), *c, factor));
        }
        Change::Hue(turn) => colors.iter_mut().for_each(|c| *c = turned_hue(*c, turn)),
    }
}

/// The colour whose difference from `origin` is `factor` times as large, clipped to [0, 1].
fn away_from(origin: f32, color: [f32; 3], factor: f32) -> [f32; 3] {
    color.map(|c| (factor * c + (1.0 - factor) * origin).clamp(0.0, 1.0))
}

/// Luma of ITU-R BT.601.
fn grey([r, g, b]: [f32; 3]) -> f32 {
    0.2989 * r + 0.587 * g + 0.114 * b
}

/// The colour with the same saturation and value in HSV whose hue is `turn` of the colour circle further on.
fn turned_hue([r, g, b]: [f32; 3], turn: f32) -> [f32; 3] {
    let value = r.max(g).max(b);
    let range = value - r.min(g).min(b);
    if range == 0.0 {
        return [r, g, b];
    }
    let sixths = if value == r {
        (g - b) / range
    } else if value == g {
        2.0 + (b - r) / range
    } else {
        4.0 + (r - g) / range
    };
    let hue = (sixths / 6.0 + turn).rem_euclid(1.0) * 6.0;
    // Each channel is a trapezium of the hue: up, two sixths at the top, down, two sixths at the bottom.
    let channel = |top: f32| {
        let from_top = (hue - top).abs().min(6.0 - (hue - top).abs());
        value - range * (from_top - 1.0).clamp(0.0, 1.0)
    };
    [channel(0.0), channel(2.0), channel(4.0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const RGB: [[u8; 3]; 4] = [[200, 30, 90], [10, 120, 250], [128, 128, 128], [255, 240, 0]];

    fn changed(changes: &[Change]) -> Vec<[u8; 3]> {
        let mut pixels = RGB.as_flattened().to_vec();
        apply(changes, &mut pixels);
        pixels.chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect()
    }

    // torchvision 0.29.2: (adjust_brightness(torch.tensor(RGB).T.reshape(3, 1, 4) / 255, 1.3) * 255).round() and so on.
    #[test]
    fn changes_are_torchvisions() {
        for (change, expected) in [
            (Change::Brightness(1.3), [[255, 39, 117], [13, 156, 255], [166, 166, 166], [255, 255, 0]]),
            (Change::Contrast(0.6), [[173, 71, 107], [59, 125, 203], [130, 130, 130], [206, 197, 53]]),
            (Change::Contrast(1.4), [[227, 0, 73], [0, 115, 255], [126, 126, 126], [255, 255, 0]]),
            (Change::Saturation(1.5), [[255, 1, 91], [0, 129, 255], [128, 128, 128], [255, 251, 0]]),
            (Change::Saturation(0.2), [[110, 76, 88], [84, 106, 132], [128, 128, 128], [225, 222, 174]]),
            (Change::Hue(0.1), [[200, 72, 30], [44, 10, 250], [128, 128, 128], [117, 255, 0]]),
            (Change::Hue(-0.3), [[30, 56, 200], [72, 250, 10], [128, 128, 128], [255, 0, 219]]),
        ] {
            assert_eq!(changed(&[change]), expected, "{change:?}");
        }
    }

    #[test]
    fn changes_are_made_in_their_order() {
        let darker_then_even = changed(&[Change::Brightness(0.5), Change::Contrast(0.0)]);
        let even_then_darker = changed(&[Change::Contrast(0.0), Change::Brightness(0.5)]);
        assert_eq!(darker_then_even, even_then_darker);
        let clipped = changed(&[Change::Brightness(2.0), Change::Brightness(0.5)]);
        let unclipped = changed(&[Change::Brightness(0.5), Change::Brightness(2.0)]);
        assert_eq!((clipped[0], unclipped[0]), ([128, 30, 90], [200, 30, 90]));
    }

    #[test]
    fn random_changes_have_their_strength_and_every_order() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut orders = std::collections::HashSet::new();
        for _ in 0..300 {
            let changes = random_changes(0.2, 0.05, &mut rng);
            assert_eq!(changes.len(), 4);
            for change in &changes {
                let within = match *change {
                    Change::Brightness(x) | Change::Contrast(x) | Change::Saturation(x) => {
                        (0.8..=1.2).contains(&x)
                    }
                    Change::Hue(turn) => turn.abs() <= 0.05,
                };
                assert!(within, "{change:?}");
            }
            orders.insert(changes.iter().map(std::mem::discriminant).collect::<Vec<_>>());
        }
        assert_eq!(orders.len(), 24);
    }

    #[test]
    fn hues_change_only_if_asked_for() {
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(random_changes(0.0, 0.0, &mut rng), []);
        assert!(random_changes(0.3, 0.0, &mut rng).iter().all(|c| !matches!(c, Change::Hue(_))));
        assert!(matches!(random_changes(0.0, 0.1, &mut rng)[..], [Change::Hue(_)]));
    }
}
