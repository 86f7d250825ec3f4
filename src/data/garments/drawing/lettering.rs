//! Words in block letters made of strokes.

use super::layer::Drawing;
use super::outline::{Curve, Point};
use super::palette::Rgb;
use super::rng::Rng;

/// Words that turn up on clothes; every letter is one that [`strokes`] can draw.
const WORDS: [&str; 20] = [
    "OCEAN", "NORTH", "CITY", "WAVES", "SMILE", "HELLO", "ROCK", "LOVE", "SURF", "TRAIL", "RETRO", "FOREST",
    "HAPPY", "ALOHA", "SUNNY", "LAKE", "COAST", "HIKER", "DREAM", "1987",
];

/// The strokes of a letter in a box of width and height 1; an unknown letter is a dash.
fn strokes(letter: char) -> &'static [&'static [Point]] {
    match letter {
        'A' => &[&[[0.0, 1.0], [0.5, 0.0], [1.0, 1.0]], &[[0.2, 0.66], [0.8, 0.66]]],
        'C' => &[&[
            [1.0, 0.15],
            [0.8, 0.0],
            [0.2, 0.0],
            [0.0, 0.2],
            [0.0, 0.8],
            [0.2, 1.0],
            [0.8, 1.0],
            [1.0, 0.85],
        ]],
        'D' => &[&[[0.0, 0.0], [0.6, 0.0], [1.0, 0.3], [1.0, 0.7], [0.6, 1.0], [0.0, 1.0], [0.0, 0.0]]],
        'E' => &[&[[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [1.0, 1.0]], &[[0.0, 0.5], [0.8, 0.5]]],
        'F' => &[&[[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]], &[[0.0, 0.5], [0.8, 0.5]]],
        'H' => &[&[[0.0, 0.0], [0.0, 1.0]], &[[1.0, 0.0], [1.0, 1.0]], &[[0.0, 0.5], [1.0, 0.5]]],
        'I' => &[&[[0.5, 0.0], [0.5, 1.0]]],
        'K' => &[&[[0.0, 0.0], [0.0, 1.0]], &[[1.0, 0.0], [0.05, 0.55], [1.0, 1.0]]],
        'L' => &[&[[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]],
        'M' => &[&[[0.0, 1.0], [0.0, 0.0], [0.5, 0.6], [1.0, 0.0], [1.0, 1.0]]],
        'N' => &[&[[0.0, 1.0], [0.0, 0.0], [1.0, 1.0], [1.0, 0.0]]],
        'O' => &[&[
            [0.25, 0.0],
            [0.75, 0.0],
            [1.0, 0.25],
            [1.0, 0.75],
            [0.75, 1.0],
            [0.25, 1.0],
            [0.0, 0.75],
            [0.0, 0.25],
            [0.25, 0.0],
        ]],
        'P' => &[&[[0.0, 1.0], [0.0, 0.0], [0.8, 0.0], [1.0, 0.15], [1.0, 0.4], [0.8, 0.55], [0.0, 0.55]]],
        'R' => &[
            &[[0.0, 1.0], [0.0, 0.0], [0.8, 0.0], [1.0, 0.15], [1.0, 0.4], [0.8, 0.55], [0.0, 0.55]],
            &[[0.5, 0.55], [1.0, 1.0]],
        ],
        'S' => &[&[
            [1.0, 0.1],
            [0.8, 0.0],
            [0.2, 0.0],
            [0.0, 0.15],
            [0.0, 0.35],
            [0.2, 0.5],
            [0.8, 0.5],
            [1.0, 0.65],
            [1.0, 0.85],
            [0.8, 1.0],
            [0.2, 1.0],
            [0.0, 0.9],
        ]],
        'T' => &[&[[0.0, 0.0], [1.0, 0.0]], &[[0.5, 0.0], [0.5, 1.0]]],
        'U' => &[&[[0.0, 0.0], [0.0, 0.8], [0.2, 1.0], [0.8, 1.0], [1.0, 0.8], [1.0, 0.0]]],
        'V' => &[&[[0.0, 0.0], [0.5, 1.0], [1.0, 0.0]]],
        'W' => &[&[[0.0, 0.0], [0.25, 1.0], [0.5, 0.35], [0.75, 1.0], [1.0, 0.0]]],
        'Y' => &[&[[0.0, 0.0], [0.5, 0.5], [1.0, 0.0]], &[[0.5, 0.5], [0.5, 1.0]]],
        '1' => &[&[[0.2, 0.2], [0.55, 0.0], [0.55, 1.0]]],
        '7' => &[&[[0.0, 0.0], [1.0, 0.0], [0.4, 1.0]]],
        '8' => &[
            &[[0.2, 0.0], [0.8, 0.0], [0.95, 0.25], [0.8, 0.48], [0.2, 0.48], [0.05, 0.25], [0.2, 0.0]],
            &[[0.2, 0.48], [0.8, 0.48], [1.0, 0.75], [0.8, 1.0], [0.2, 1.0], [0.0, 0.75], [0.2, 0.48]],
        ],
        '9' => &[&[
            [1.0, 0.5],
            [0.2, 0.5],
            [0.0, 0.35],
            [0.0, 0.12],
            [0.2, 0.0],
            [0.8, 0.0],
            [1.0, 0.15],
            [1.0, 0.6],
            [0.6, 1.0],
        ]],
        _ => &[&[[0.2, 0.5], [0.8, 0.5]]],
    }
}

/// A word from the list.
pub fn word(rng: &mut Rng) -> &'static str {
    rng.pick(WORDS)
}

/// Draws a word around `centre`, `width` cm wide; `arch` lifts its middle, in cm.
pub fn letters(drawing: &mut Drawing, word: &str, centre: Point, width: f32, arch: f32, ink: Rgb) {
    let count = word.chars().count().max(1) as f32;
    let pitch = width / count;
    let (wide, tall) = (pitch * 0.66, pitch * 1.05);
    for (i, letter) in word.chars().enumerate() {
        let left = centre[0] - width / 2.0 + pitch * (i as f32 + 0.17);
        let off = (i as f32 + 0.5) / count - 0.5;
        let top = centre[1] - tall / 2.0 - arch * (1.0 - 4.0 * off * off);
        let curves = strokes(letter)
            .iter()
            .map(|stroke| {
                Curve::lines(stroke)
                    .map(|[x, y]| [left + x * wide, top + y * tall + arch * off * 2.0 * (x - 0.5) * 0.5])
            })
            .collect();
        drawing.lines(curves, pitch * 0.24, ink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_of_every_word_can_be_drawn() {
        let unknown = strokes('?');
        for word in WORDS {
            assert!(word.chars().all(|letter| strokes(letter) != unknown), "{word}");
        }
    }
}
