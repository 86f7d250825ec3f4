//! One large letter as black and white pixels, to measure strokes on.

use super::typeface::Typeface;
use crate::error::{Error, Kind, Result};
use resvg::tiny_skia::{FillRule, Mask, Transform};

/// Pixels per em at which letters are measured.
pub const SIZE: f32 = 400.0;
/// White pixels around the letter.
const MARGIN: i32 = 4;

/// A letter in the frame of its ink and its advance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ink {
    width: usize,
    /// `[height * width]`; true where at least half of the pixel is covered.
    black: Vec<bool>,
}

impl Ink {
    /// Draws a letter; the base line is between two rows of pixels.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] if the font has no such letter.
    pub fn of(typeface: &Typeface, letter: char) -> Result<Self> {
        let line = typeface.set(letter.encode_utf8(&mut [0; 4]))?;
        let missing = || Error::new(Kind::InvalidData, format!("the font has no letter \"{letter}\""));
        let (path, bounds) = line.ink.ok_or_else(missing)?;
        let (left, right) =
            ((bounds.left() * SIZE).floor().min(0.0), (bounds.right().max(line.advance) * SIZE).ceil());
        let (top, bottom) = ((bounds.top() * SIZE).floor(), (bounds.bottom() * SIZE).ceil());
        let side = |from: f32, to: f32| u32::try_from((to - from) as i32 + 2 * MARGIN).unwrap_or(0);
        let mut mask = Mask::new(side(left, right), side(top, bottom)).ok_or_else(missing)?;
        let margin = MARGIN as f32;
        let place = Transform::from_row(SIZE, 0.0, 0.0, SIZE, margin - left, margin - top);
        mask.fill_path(&path, FillRule::Winding, true, place);
        Ok(Self { width: mask.width() as usize, black: mask.data().iter().map(|c| *c > 127).collect() })
    }

    fn height(&self) -> usize {
        self.black.len() / self.width
    }

    fn at(&self, x: usize, y: usize) -> bool {
        self.black[y * self.width + x]
    }

    /// The rows that have ink, from the top.
    pub fn rows(&self) -> Vec<usize> {
        (0..self.height()).filter(|y| (0..self.width).any(|x| self.at(x, *y))).collect()
    }

    /// The columns that have ink, from the left.
    pub fn columns(&self) -> Vec<usize> {
        (0..self.width).filter(|x| (0..self.height()).any(|y| self.at(*x, y))).collect()
    }

    /// Lengths of the runs of black in row `y`, from the left.
    pub fn row_runs(&self, y: usize) -> Vec<usize> {
        runs((0..self.width).map(|x| self.at(x, y)))
    }

    /// Lengths of the runs of black in column `x`, from the top.
    pub fn column_runs(&self, x: usize) -> Vec<usize> {
        runs((0..self.height()).map(|y| self.at(x, y)))
    }

    /// The share of pixels that differ when both letters are squashed to a square of `side` pixels.
    pub fn difference(&self, other: &Self, side: usize) -> f64 {
        let nearest = |i: usize, of: usize| ((i as f64 + 0.5) * of as f64 / side as f64) as usize;
        let of = |ink: &Self, x, y| ink.at(nearest(x, ink.width), nearest(y, ink.height()));
        let pixels = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
        pixels.filter(|&(x, y)| of(self, x, y) != of(other, x, y)).count() as f64 / (side * side) as f64
    }
}

fn runs(line: impl Iterator<Item = bool>) -> Vec<usize> {
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

    fn ink(lines: &[&str]) -> Ink {
        let black = lines.iter().flat_map(|l| l.chars()).map(|c| c == '#').collect();
        Ink { width: lines[0].len(), black }
    }

    #[test]
    fn runs_of_black_are_measured_along_rows_and_columns() {
        let letter = ink(&["......", ".##.#.", ".#..#.", "......"]);
        assert_eq!((letter.rows(), letter.columns()), (vec![1, 2], vec![1, 2, 4]));
        assert_eq!((letter.row_runs(1), letter.row_runs(0)), (vec![2, 1], vec![]));
        assert_eq!((letter.column_runs(1), letter.column_runs(4)), (vec![2], vec![2]));
    }

    #[test]
    fn letters_are_compared_at_one_size() {
        let (small, large) = (ink(&["#.", ".."]), ink(&["##..", "##..", "....", "...."]));
        assert_eq!(small.difference(&large, 4), 0.0);
        assert_eq!(small.difference(&ink(&["..", ".."]), 4), 0.25);
    }
}
