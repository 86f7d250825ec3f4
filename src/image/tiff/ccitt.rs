//! CCITT compression: modified Huffman (T.4 without line ends), group 3 (T.4) and group 4 (T.6). The tables of codes are the `fax`
//! crate's, whose own decoders do not have the first and take only one-dimensional group 3.

use super::{damaged, Compression};
use crate::error::Result;
use fax::maps::{black, mode, white, Mode};
use fax::{BitReader, ByteReader};
use std::convert::Infallible;

/// Flag in T4Options: rows may refer to the row above.
const TWO_DIMENSIONAL: u64 = 1;

/// Where a row changes its colour, beginning with white.
type Changes = Vec<u32>;

struct Rows<I: Iterator<Item = std::result::Result<u8, Infallible>>> {
    bits: ByteReader<I>,
    width: u32,
}

/// Decodes rows of `width` pixels into bits, the first in the highest place and 1 for black, each row from a new byte on. `out` has
/// as many rows as are wanted.
///
/// # Errors
/// [`Kind::InvalidImage`](crate::error::Kind::InvalidImage) for codes that do not exist and for rows that are missing.
pub(super) fn decode(
    data: impl Iterator<Item = u8>,
    compression: Compression,
    options: u64,
    width: u32,
    out: &mut [u8],
) -> Result<()> {
    // The tables look further ahead than the last code is long.
    let Ok(bits) = ByteReader::new(data.chain([0; 2]).map(Ok));
    let mut rows = Rows { bits, width };
    let mut above: Changes = Vec::new();
    let mut row: Changes = Vec::new();
    for out in out.chunks_exact_mut((width as usize).div_ceil(8)) {
        row.clear();
        match compression {
            Compression::ModifiedHuffman => {
                rows.one_dimensional(&mut row).ok_or_else(damaged)?;
                rows.align();
            }
            Compression::Group3 => {
                let has_line_end = rows.skip_line_end();
                let refers =
                    options & TWO_DIMENSIONAL != 0 && has_line_end && !rows.bit().ok_or_else(damaged)?;
                if refers {
                    rows.two_dimensional(&above, &mut row).ok_or_else(damaged)?;
                } else {
                    rows.one_dimensional(&mut row).ok_or_else(damaged)?;
                }
            }
            _ => rows.two_dimensional(&above, &mut row).ok_or_else(damaged)?,
        }
        blacken(&row, width, out);
        std::mem::swap(&mut above, &mut row);
    }
    Ok(())
}

/// Sets the bits of black runs: from each change at an even place to the next.
fn blacken(row: &[u32], width: u32, out: &mut [u8]) {
    out.fill(0);
    for run in row.chunks(2) {
        let end = run.get(1).copied().unwrap_or(width).min(width);
        for x in run[0]..end {
            out[x as usize / 8] |= 0x80 >> (x % 8);
        }
    }
}

impl<I: Iterator<Item = std::result::Result<u8, Infallible>>> Rows<I> {
    fn bit(&mut self) -> Option<bool> {
        let bit = self.bits.peek(1)?;
        let Ok(()) = self.bits.consume(1);
        Some(bit == 1)
    }

    /// Skips to the next byte.
    fn align(&mut self) {
        let Ok(()) = self.bits.consume(self.bits.bits_to_byte_boundary());
    }

    /// Skips eleven or more zeros and a one, if they are next.
    fn skip_line_end(&mut self) -> bool {
        if self.bits.peek(11) != Some(0) {
            return false;
        }
        while self.bit() == Some(false) {}
        true
    }

    /// The length of a run: codes up to one of less than 64.
    fn run(&mut self, is_black: bool) -> Option<u32> {
        let mut total = 0u32;
        loop {
            let part = if is_black { black::decode(&mut self.bits) } else { white::decode(&mut self.bits) }?;
            total = total.checked_add(u32::from(part)).filter(|total| *total <= self.width)?;
            if part < 64 {
                return Some(total);
            }
        }
    }

    fn one_dimensional(&mut self, row: &mut Changes) -> Option<()> {
        let (mut at, mut is_black) = (0, false);
        while at < self.width {
            at += self.run(is_black)?;
            if at > self.width {
                return None;
            }
            row.push(at);
            is_black = !is_black;
        }
        Some(())
    }

    /// A row by its differences from the one above (T.6, 2.2).
    fn two_dimensional(&mut self, above: &[u32], row: &mut Changes) -> Option<()> {
        let width = i64::from(self.width);
        let (mut at, mut is_black) = (-1i64, false);
        // The first change above that may matter: `at` only grows, but for a code to the left.
        let mut from = 0;
        while at < width {
            while from > 0 && i64::from(above[from - 1]) > at {
                from -= 1;
            }
            while above.get(from).is_some_and(|change| i64::from(*change) <= at) {
                from += 1;
            }
            let opposite = from + usize::from(from % 2 != usize::from(is_black));
            let change = |i: usize| above.get(i).map_or(width, |change| i64::from(*change));
            match mode::decode(&mut self.bits)? {
                Mode::Pass => at = change(opposite + 1),
                Mode::Vertical(delta) => {
                    let to = change(opposite) + i64::from(delta);
                    if to < at.max(0) || to > width {
                        return None;
                    }
                    row.push(u32::try_from(to).ok()?);
                    at = to;
                    is_black = !is_black;
                }
                Mode::Horizontal => {
                    let first = at.max(0) + i64::from(self.run(is_black)?);
                    let second = first + i64::from(self.run(!is_black)?);
                    if second > width {
                        return None;
                    }
                    row.push(u32::try_from(first).ok()?);
                    row.push(u32::try_from(second).ok()?);
                    at = second;
                }
                Mode::Extension | Mode::EOF => return None,
            }
            // A row has at most as many changes as pixels, and one that never advances is damaged.
            if row.len() > self.width as usize + 2 {
                return None;
            }
        }
        Some(())
    }
}
