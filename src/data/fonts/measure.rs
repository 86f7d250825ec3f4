//! What a face looks like, measured from its outlines.

use super::ink::{Ink, SIZE};
use super::typeface::Typeface;
use super::vocabulary::SERIFS;
use crate::error::Result;

/// The measures of one face; what cannot be told is absent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measures {
    /// Thick stroke of "o" over its thin stroke.
    pub contrast: Option<f64>,
    /// Height of x, v and z (the median) over that of H.
    pub x_height: f64,
    /// Mean advance of a to z over the height of H.
    pub width: f64,
    /// `serif`, `sans`, or nothing where it is in between.
    pub serif: Option<&'static str>,
    /// Whether lower case is drawn as capitals.
    pub caps: bool,
}

/// An "o" with fewer rows or columns than this that cut two strokes is none to measure on.
const MIN_CUTS: usize = 10;
/// Lower case and capital of one letter that differ in less than this share of pixels are one drawing.
const SAME_LETTER: f64 = 0.06;
/// The side to which letters are squashed for that.
const COMPARED_SIDE: usize = 48;

/// Measures a face.
///
/// # Errors
/// [`Kind::InvalidData`](crate::error::Kind::InvalidData) if a letter is missing.
pub fn measure(typeface: &Typeface) -> Result<Measures> {
    let height = |letter| -> Result<f64> { Ok(Ink::of(typeface, letter)?.rows().len() as f64) };
    let capital = height('H')?;
    let small = quantile(&mut [height('x')?, height('v')?, height('z')?], 0.5).unwrap_or(0.0);
    let mut advances = 0.0;
    for letter in 'a'..='z' {
        advances += f64::from(typeface.set(letter.encode_utf8(&mut [0; 4]))?.advance * SIZE);
    }
    let same = |a, b| -> Result<bool> {
        Ok(Ink::of(typeface, a)?.difference(&Ink::of(typeface, b)?, COMPARED_SIDE) < SAME_LETTER)
    };
    Ok(Measures {
        contrast: contrast(&Ink::of(typeface, 'o')?),
        x_height: small / capital,
        width: advances / 26.0 / capital,
        serif: serif(&Ink::of(typeface, 'h')?),
        caps: same('g', 'G')? && same('r', 'R')?,
    })
}

/// Thick: the median of the side strokes near the middle rows. Thin: the thinnest of the top and bottom strokes near the
/// middle columns, but for a tenth.
fn contrast(o: &Ink) -> Option<f64> {
    let within = |places: Vec<usize>, from: f64, to: f64| {
        let mut places: Vec<f64> = places.into_iter().map(|p| p as f64).collect();
        let (from, to) = (quantile(&mut places, from)?, quantile(&mut places, to)?);
        Some(from as usize..to as usize)
    };
    let outer = |runs: Vec<usize>| match runs.as_slice() {
        [first, .., last] => vec![*first as f64, *last as f64],
        _ => Vec::new(),
    };
    let mut side: Vec<f64> = within(o.rows(), 0.4, 0.6)?.flat_map(|y| outer(o.row_runs(y))).collect();
    let mut top: Vec<f64> = within(o.columns(), 0.35, 0.65)?.flat_map(|x| outer(o.column_runs(x))).collect();
    if side.len() <= MIN_CUTS || top.len() <= MIN_CUTS {
        return None;
    }
    Some(quantile(&mut side, 0.5)? / quantile(&mut top, 0.1)?.max(1.0))
}

/// The foot of the first stem of "h" against its middle: feet are wider.
fn serif(h: &Ink) -> Option<&'static str> {
    let rows = h.rows();
    let (&top, &bottom) = (rows.first()?, rows.last()?);
    let up = |share: f64| bottom - (share * (bottom - top) as f64) as usize;
    let stem = |rows: std::ops::Range<usize>| {
        let mut widths: Vec<f64> =
            rows.filter_map(|y| h.row_runs(y).first().map(|width| *width as f64)).collect();
        quantile(&mut widths, 0.5)
    };
    let foot = stem(up(0.035).min(bottom.saturating_sub(2))..bottom)?;
    match foot / stem(up(0.32)..up(0.22))? {
        wide if wide >= 1.3 => Some(SERIFS[0]),
        even if (0.85..=1.12).contains(&even) => Some(SERIFS[1]),
        _ => None,
    }
}

/// The `q`-quantile, linear between the values, which are sorted; nothing if there are none.
pub fn quantile(values: &mut [f64], q: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let at = q * (values.len().checked_sub(1)? as f64);
    let (below, above) = (values[at.floor() as usize], values[at.ceil() as usize]);
    Some(below + (above - below) * at.fract())
}
