//! A large letter as black and white pixels, on which strokes can be measured.

use super::typeface::Typeface;
use crate::error::{Error, Kind, Result};
use resvg::tiny_skia::{FillRule, Mask, Transform};

/// Resolution of a letter, in pixels per em.
pub const PIXELS_PER_EM: f32 = 400.0;
/// White pixels around the letter.
const MARGIN: i32 = 4;

/// A letter as pixels; the bitmap covers its outline and its advance width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlyphBitmap {
    width: usize,
    /// `[height * width]`; true where the outline covers at least half of the pixel.
    black: Vec<bool>,
}

impl GlyphBitmap {
    /// Draws a letter; the baseline is between two rows of pixels.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] if the font has no such letter.
    pub fn of(typeface: &Typeface, letter: char) -> Result<Self> {
        let line = typeface.layout_line(letter.encode_utf8(&mut [0; 4]))?;
        let missing = || Error::new(Kind::InvalidData, format!("the font has no letter \"{letter}\""));
        let (path, bounds) = line.outline.ok_or_else(missing)?;
        let (left, right) = (
            (bounds.left() * PIXELS_PER_EM).floor().min(0.0),
            (bounds.right().max(line.advance) * PIXELS_PER_EM).ceil(),
        );
        let (top, bottom) =
            ((bounds.top() * PIXELS_PER_EM).floor(), (bounds.bottom() * PIXELS_PER_EM).ceil());
        let side = |from: f32, to: f32| u32::try_from((to - from) as i32 + 2 * MARGIN).unwrap_or(0);
        let mut mask = Mask::new(side(left, right), side(top, bottom)).ok_or_else(missing)?;
        let margin = MARGIN as f32;
        let position =
            Transform::from_row(PIXELS_PER_EM, 0.0, 0.0, PIXELS_PER_EM, margin - left, margin - top);
        mask.fill_path(&path, FillRule::Winding, true, position);
        Ok(Self { width: mask.width() as usize, black: mask.data().iter().map(|c| *c > 127).collect() })
    }

    fn height(&self) -> usize {
        self.black.len() / self.width
    }

    fn at(&self, x: usize, y: usize) -> bool {
        self.black[y * self.width + x]
    }

    /// The rows with black pixels, from the top.
    pub fn rows(&self) -> Vec<usize> {
        (0..self.height()).filter(|y| (0..self.width).any(|x| self.at(x, *y))).collect()
    }

    /// The columns with black pixels, from the left.
    pub fn columns(&self) -> Vec<usize> {
        (0..self.width).filter(|x| (0..self.height()).any(|y| self.at(*x, y))).collect()
    }

    /// Lengths of the runs of black in row `y`, from the left.
    pub fn row_runs(&self, y: usize) -> Vec<usize> {
        run_lengths((0..self.width).map(|x| self.at(x, y)))
    }

    /// Lengths of the runs of black in column `x`, from the top.
    pub fn column_runs(&self, x: usize) -> Vec<usize> {
        run_lengths((0..self.height()).map(|y| self.at(x, y)))
    }

    /// The share of pixels that differ between two letters, each squashed to a square of `side` pixels.
    pub fn difference(&self, other: &Self, side: usize) -> f64 {
        let nearest = |i: usize, of: usize| ((i as f64 + 0.5) * of as f64 / side as f64) as usize;
        let sample = |b: &Self, x, y| b.at(nearest(x, b.width), nearest(y, b.height()));
        let pixels = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
        pixels.filter(|&(x, y)| sample(self, x, y) != sample(other, x, y)).count() as f64
            / (side * side) as f64
    }
}

/// Lengths of the runs of black in a line of pixels.
fn run_lengths(line: impl Iterator<Item = bool>) -> Vec<usize> {
    let (mut out, mut length) = (Vec::new(), 0);
    for black in line.chain([false]) {
        if black {
            length += 1;
        } else if length > 0 {
            out.push(length);
            length = 0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bitmap(lines: &[&str]) -> GlyphBitmap {
        let black = lines.iter().flat_map(|l| l.chars()).map(|c| c == '#').collect();
        GlyphBitmap { width: lines[0].len(), black }
    }

    #[test]
    fn runs_of_black_are_measured_along_rows_and_columns() {
        let letter = bitmap(&["......", ".##.#.", ".#..#.", "......"]);
        assert_eq!((letter.rows(), letter.columns()), (vec![1, 2], vec![1, 2, 4]));
        assert_eq!((letter.row_runs(1), letter.row_runs(0)), (vec![2, 1], vec![]));
        assert_eq!((letter.column_runs(1), letter.column_runs(4)), (vec![2], vec![2]));
    }

    #[test]
    fn letters_are_compared_at_one_size() {
        let (small, large) = (bitmap(&["#.", ".."]), bitmap(&["##..", "##..", "....", "...."]));
        assert_eq!(small.difference(&large, 4), 0.0);
        assert_eq!(small.difference(&bitmap(&["..", ".."]), 4), 0.25);
    }
}
