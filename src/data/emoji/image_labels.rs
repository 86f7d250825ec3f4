//! Labels measured from a rendered image: hue, aspect ratio, symmetry.

use super::render::RenderedImage;
use crate::data::builder::row::NUMBERS;

/// The measured labels of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLabels {
    /// The most common colour of visible pixels.
    pub hue: &'static str,
    /// Width over height of the visible part, from tall (1) to wide (5).
    pub aspect: &'static str,
    /// `yes` if left and right mirror each other, else `no`.
    pub symmetric: &'static str,
}

/// Thresholds of width over height between the five classes.
const ASPECT_THRESHOLDS: [f64; 4] = [0.6, 0.85, 1.18, 1.7];
/// An image is symmetric if it differs from its mirror image by less than this: the mean absolute difference of channels in `[0, 1]`.
const MAX_ASYMMETRY: f32 = 0.035;

/// Measures an image; `None` if it has no visible pixel.
pub fn measure(image: &RenderedImage) -> Option<ImageLabels> {
    let n = image.size;
    let mut colors = Vec::new();
    let (mut left, mut right, mut top, mut bottom) = (n, 0, n, 0);
    for (i, [r, g, b, alpha]) in image.premultiplied.iter().copied().enumerate() {
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
    let aspect = NUMBERS[ASPECT_THRESHOLDS.iter().filter(|t| ratio > **t).count()];
    let mut difference = 0f64;
    for y in top..=bottom {
        for x in left..=right {
            let (a, b) = (image.over_white[y * n + x], image.over_white[y * n + left + right - x]);
            for (a, b) in a.into_iter().zip(b) {
                difference += f64::from((f32::from(a) / 255.0 - f32::from(b) / 255.0).abs());
            }
        }
    }
    let mean = (difference / ((right - left + 1) * (bottom - top + 1) * 3) as f64) as f32;
    let symmetric = if mean < MAX_ASYMMETRY { "yes" } else { "no" };
    Some(ImageLabels { hue: most_common_hue(&colors), aspect, symmetric })
}

/// The name that most of the colours have; of equally common ones, the first.
fn most_common_hue(colors: &[[f32; 3]]) -> &'static str {
    most_common(colors.iter().map(|c| hue_name(*c))).map_or("grey", |(name, _)| name)
}

/// The most common of `names` with its count; of equally common ones, the first.
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

/// The name of a colour with channels in `[0, 1]`.
fn hue_name([r, g, b]: [f32; 3]) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An image of red, blue, white and (.) transparent pixels.
    fn image(lines: [&str; 8]) -> RenderedImage {
        let rgba = |c| match c {
            'r' => [255, 0, 0, 255],
            'b' => [0, 0, 255, 255],
            'w' => [255, 255, 255, 255],
            _ => [0, 0, 0, 0],
        };
        let pixels: Vec<[u8; 4]> = lines.iter().flat_map(|l| l.chars()).map(rgba).collect();
        RenderedImage {
            size: 8,
            premultiplied: pixels.iter().map(|p| [p[0], p[1], p[2], p[3] / 255].map(f32::from)).collect(),
            over_white: pixels
                .iter()
                .map(|p| if p[3] == 0 { [255; 3] } else { [p[0], p[1], p[2]] })
                .collect(),
        }
    }

    fn labels(lines: [&str; 8]) -> Option<(&str, &str, &str)> {
        measure(&image(lines)).map(|l| (l.hue, l.aspect, l.symmetric))
    }

    // Expected values: measured by the prototype in Python on the same pixels.
    #[test]
    fn a_pole_is_tall_and_a_plank_is_wide() {
        let pole =
            ["........", "...rr...", "...rr...", "...rr...", "...rr...", "...rr...", "...rr...", "........"];
        assert_eq!(labels(pole), Some(("red", "1", "yes")));
        let plank =
            ["........", "........", ".rrrrrr.", ".bbbbbb.", "........", "........", "........", "........"];
        assert_eq!(labels(plank), Some(("red", "5", "yes")), "of equally many colours, the first");
    }

    #[test]
    fn an_image_with_two_different_halves_is_not_symmetric() {
        let flag =
            ["........", "........", ".rrrbbb.", ".rrrbbb.", ".rrrbbb.", ".rrrbbb.", ".rrrrbb.", "........"];
        assert_eq!(labels(flag), Some(("red", "4", "no")));
    }

    #[test]
    fn the_most_common_colour_is_the_hue() {
        let page =
            ["........", ".wwwwww.", ".wrrrrw.", ".wwwwww.", ".wwwwww.", ".wwwwww.", ".wwwwww.", "........"];
        assert_eq!(labels(page), Some(("white", "3", "yes")));
        assert_eq!(labels(["........"; 8]), None);
    }

    // [hue_of(np.array([c], np.float32)) for c in colours]
    #[test]
    fn colours_have_the_names_of_the_prototype() {
        for (color, name) in [
            ([1.0, 0.0, 0.0], "red"),
            ([0.9, 0.05, 0.1], "red"),
            ([1.0, 0.5, 0.0], "orange"),
            ([0.9, 0.8, 0.7], "orange"),
            ([1.0, 1.0, 0.0], "yellow"),
            ([0.0, 1.0, 0.0], "green"),
            ([0.0, 1.0, 1.0], "cyan"),
            ([0.0, 0.0, 1.0], "blue"),
            ([0.5, 0.0, 1.0], "purple"),
            ([1.0, 0.0, 0.8], "pink"),
            ([1.0, 0.7, 0.75], "pink"),
            ([0.4, 0.2, 0.05], "brown"),
            ([0.1, 0.1, 0.1], "black"),
            ([0.21, 0.0, 0.0], "black"),
            ([0.5, 0.5, 0.5], "grey"),
            ([0.3, 0.3, 0.36], "grey"),
            ([1.0, 1.0, 1.0], "white"),
        ] {
            assert_eq!(hue_name(color), name, "{color:?}");
        }
    }
}
