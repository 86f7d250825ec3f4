//! Measurements of a face: contrast, x-height, width, serifs, small capitals.

use super::attributes::SERIFS;
use super::glyph_bitmap::{GlyphBitmap, PIXELS_PER_EM};
use super::typeface::Typeface;
use crate::error::Result;

/// The measurements of one face; `None` where one cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurements {
    /// Thick stroke over thin stroke of "o".
    pub contrast: Option<f64>,
    /// Median height of x, v and z over the height of H.
    pub x_height: f64,
    /// Mean advance width of a to z over the height of H.
    pub width: f64,
    /// `serif`, `sans`, or `None` in between.
    pub serif: Option<&'static str>,
    /// Whether lower case letters look like capitals.
    pub caps: bool,
}

/// The contrast is measured only if more strokes than this are crossed in each direction.
const MIN_CROSSINGS: usize = 10;
/// A lower case letter looks like its capital if less than this share of pixels differs.
const MAX_DIFFERENCE: f64 = 0.06;
/// The side in pixels of the squares to which both are squashed for that.
const COMPARED_SIDE: usize = 48;

/// Measurements a face.
///
/// # Errors
/// [`Kind::InvalidData`](crate::error::Kind::InvalidData) if a letter is missing.
pub fn measure(typeface: &Typeface) -> Result<Measurements> {
    let height = |letter| -> Result<f64> { Ok(GlyphBitmap::of(typeface, letter)?.rows().len() as f64) };
    let capital = height('H')?;
    let small = quantile(&mut [height('x')?, height('v')?, height('z')?], 0.5).unwrap_or(0.0);
    let mut advances = 0.0;
    for letter in 'a'..='z' {
        advances += f64::from(typeface.layout_line(letter.encode_utf8(&mut [0; 4]))?.advance * PIXELS_PER_EM);
    }
    let same = |a, b| -> Result<bool> {
        Ok(GlyphBitmap::of(typeface, a)?.difference(&GlyphBitmap::of(typeface, b)?, COMPARED_SIDE)
            < MAX_DIFFERENCE)
    };
    Ok(Measurements {
        contrast: contrast(&GlyphBitmap::of(typeface, 'o')?),
        x_height: small / capital,
        width: advances / 26.0 / capital,
        serif: serif(&GlyphBitmap::of(typeface, 'h')?),
        caps: same('g', 'G')? && same('r', 'R')?,
    })
}

/// Thick over thin stroke. Thick is the median of the side strokes in the middle rows; thin is the first decile of the top and bottom
/// strokes in the middle columns.
fn contrast(o: &GlyphBitmap) -> Option<f64> {
    let between = |positions: Vec<usize>, from: f64, to: f64| {
        let mut positions: Vec<f64> = positions.into_iter().map(|p| p as f64).collect();
        let (from, to) = (quantile(&mut positions, from)?, quantile(&mut positions, to)?);
        Some(from as usize..to as usize)
    };
    let outermost = |runs: Vec<usize>| match runs.as_slice() {
        [first, .., last] => vec![*first as f64, *last as f64],
        _ => Vec::new(),
    };
    let mut side: Vec<f64> = between(o.rows(), 0.4, 0.6)?.flat_map(|y| outermost(o.row_runs(y))).collect();
    let mut top: Vec<f64> =
        between(o.columns(), 0.35, 0.65)?.flat_map(|x| outermost(o.column_runs(x))).collect();
    if side.len() <= MIN_CROSSINGS || top.len() <= MIN_CROSSINGS {
        return None;
    }
    Some(quantile(&mut side, 0.5)? / quantile(&mut top, 0.1)?.max(1.0))
}

/// Compares the foot of the first stem of "h" with its middle: a serif makes the foot wider.
fn serif(h: &GlyphBitmap) -> Option<&'static str> {
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

/// The `q`-quantile with linear interpolation; `None` without values. Sorts the values.
pub fn quantile(values: &mut [f64], q: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let at = q * (values.len().checked_sub(1)? as f64);
    let (below, above) = (values[at.floor() as usize], values[at.ceil() as usize]);
    Some(below + (above - below) * at.fract())
}
