//! Attributes that only the picture tells: its hue, its aspect ratio, whether it is symmetric.

use super::render::Picture;
use super::vocabulary::NUMBERS;

/// What one designer's picture of an emoji looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The colour of most visible pixels.
    pub hue: &'static str,
    /// Width to height of what is visible, from tall (1) to wide (5).
    pub aspect: &'static str,
    /// Whether left and right mirror each other.
    pub symmetric: &'static str,
}

/// Width to height from which on the next wider class begins.
const ASPECTS: [f64; 4] = [0.6, 0.85, 1.18, 1.7];
/// Mean absolute difference of a channel in `[0, 1]` between a picture and its mirror image, below which the picture
/// is called symmetric.
const ASYMMETRY: f32 = 0.035;

/// Measures `picture`; nothing if it has no visible pixel.
pub fn look(picture: &Picture) -> Option<Look> {
    let n = picture.size;
    let mut colors = Vec::new();
    let (mut left, mut right, mut top, mut bottom) = (n, 0, n, 0);
    for (i, [r, g, b, alpha]) in picture.premultiplied.iter().copied().enumerate() {
        if alpha <= 0.5 {
            continue;
        }
        let (x, y) = (i % n, i / n);
        (left, right, top, bottom) = (left.min(x), right.max(x), top.min(y), bottom.max(y));
        colors.push([r, g, b].map(|c| (c.clamp(0.0, 255.0) / alpha.max(1e-3) / 255.0).clamp(0.0, 1.0)));
    }
    if colors.is_empty() {
        return None;
    }
    let ratio = (right - left + 1) as f64 / (bottom - top + 1) as f64;
    let aspect = NUMBERS[ASPECTS.iter().filter(|t| ratio > **t).count()];
    let mut difference = 0f64;
    for y in top..=bottom {
        for x in left..=right {
            let (a, b) = (picture.over_white[y * n + x], picture.over_white[y * n + left + right - x]);
            for (a, b) in a.into_iter().zip(b) {
                difference += f64::from((f32::from(a) / 255.0 - f32::from(b) / 255.0).abs());
            }
        }
    }
    let mean = (difference / ((right - left + 1) * (bottom - top + 1) * 3) as f64) as f32;
    let symmetric = if mean < ASYMMETRY { "yes" } else { "no" };
    Some(Look { hue: dominant(&colors), aspect, symmetric })
}

/// The name that most colours have; of equally many, the one that comes first.
fn dominant(colors: &[[f32; 3]]) -> &'static str {
    most_common(colors.iter().map(|c| hue(*c))).map_or("grey", |(name, _)| name)
}

/// The most frequent of `names` with its count; of equally frequent ones, the one that comes first.
pub fn most_common(names: impl Iterator<Item = &'static str>) -> Option<(&'static str, usize)> {
    let mut counts: Vec<(&'static str, usize)> = Vec::new();
    for name in names {
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, n)) => *n += 1,
            None => counts.push((name, 1)),
        }
    }
    let most = counts.iter().map(|(_, n)| *n).max()?;
    counts.into_iter().find(|(_, n)| *n == most)
}

/// The name of a colour, channels in `[0, 1]`.
fn hue([r, g, b]: [f32; 3]) -> &'static str {
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    let range = max - min;
    if max < 0.22 {
        return "black";
    }
    let saturation = range / max.max(1e-6);
    if saturation < 0.18 || range < 0.06 {
        return if max > 0.88 { "white" } else { "grey" };
    }
    let sixth = range.max(1e-6);
    let sextant = if max == r {
        ((g - b) / sixth).rem_euclid(6.0)
    } else if max == g {
        (b - r) / sixth + 2.0
    } else {
        (r - g) / sixth + 4.0
    };
    let degrees = sextant * 60.0;
    if !(20.0..330.0).contains(&degrees) && saturation < 0.5 && max > 0.8 {
        return "pink";
    }
    if (8.0..46.0).contains(&degrees) && max < 0.68 {
        return "brown";
    }
    const UP_TO: [(f32, &str); 8] = [
        (14.0, "red"),
        (40.0, "orange"),
        (66.0, "yellow"),
        (165.0, "green"),
        (196.0, "cyan"),
        (256.0, "blue"),
        (296.0, "purple"),
        (346.0, "pink"),
    ];
    UP_TO.iter().find(|(limit, _)| degrees < *limit).map_or("red", |(_, name)| name)
}
