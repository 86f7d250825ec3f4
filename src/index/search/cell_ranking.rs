//! Ranks rows by their cells alone: those first that are most likely among the nearest.
//!
//! In one subspace, let a row lie in a cell whose centre is at the squared distance δ² from the target, and whose rows are around the centre
//! with the mean square ρ (its spread), as of a normal distribution in d dimensions. How likely a sum of such squared distances, each with its
//! weight w, is as small as T has Chernoff's bound `min over s of e^(sT) · Π E[e^(−s·w·‖x − q‖²)]`. With `τ = 2s/d`, its logarithm is, up to
//! what all rows have in common, −d/2 times the sum of
//!
//! ```text
//! τwδ² / (1 + τwρ) + ln(1 + τwρ)
//! ```
//!
//! A sum over cells, and so a row's rank is a sum of table entries. The *tilt* τ depends on T, the distance of the nearest rows, which shows
//! as the search goes on. If it is as large as distances usually are, τ is small and ranks are expected distances, `δ² + ρ`; if rows that are
//! nearly equal to the query exist, τ is large, and the density of a cell at the target counts.

use super::block_scan::scan_blocks;
use super::prepared_query::{PreparedQuery, SubspaceQuery};
use super::search_group::SearchGroup;
use crate::error::Result;
use crate::index::format::BLOCK_ROWS;
use crate::index::kernels::add_cells;
use crate::index::page_error::PageResult;
use crate::index::pages::Pages;
use crate::memory;
use std::ops::Range;

/// A cell that makes a row less likely by this many powers of e than the best cell does is as bad as any other.
const MAX_LOSS: f64 = 60.0;

/// Tables that meet rows' cells.
pub struct CellRanking {
    /// `[active subspaces]`: the number of the subspace, and what each cell adds to a rank.
    tables: Vec<(usize, [u8; 256])>,
    tilt: f64,
}

impl CellRanking {
    /// Ranks for this query, if the nearest rows are at this normalized squared distance, or at about half of what their cells let expect.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn new(query: &PreparedQuery, nearest: Option<f32>) -> Result<Self> {
        let tilt = tilt(query, nearest.map(f64::from))?;
        let mut losses: Vec<Vec<f64>> = memory::with_capacity(query.active.len())?;
        let (mut widest, mut sum) = (0f64, 0f64);
        for subspace in &query.active {
            let loss = |(centre, spread): (f64, f64)| {
                let widened = 1.0 + tilt * spread;
                tilt * centre / widened + widened.ln()
            };
            let mut of_cells: Vec<f64> = memory::collect(subspace.cells().map(loss))?;
            let least = of_cells.iter().copied().fold(f64::INFINITY, f64::min);
            let most = 2.0 * MAX_LOSS / subspace.dimensions() as f64;
            of_cells.iter_mut().for_each(|loss| *loss = (*loss - least).min(most));
            let largest = of_cells.iter().copied().fold(0.0, f64::max);
            (widest, sum) = (widest.max(largest), sum + largest);
            losses.push(of_cells);
        }
        // Entries fit into a byte, and their sums into two.
        let step = (widest / 255.0).max(sum / 65535.0).max(1e-30);
        let mut tables = memory::with_capacity(losses.len())?;
        for (subspace, of_cells) in query.active.iter().zip(losses) {
            let mut table = [0; 256];
            for (entry, loss) in table.iter_mut().zip(of_cells) {
                *entry = (loss / step) as u8;
            }
            tables.push((subspace.k, table));
        }
        Ok(Self { tables, tilt })
    }

    /// How well this ranking still suits nearest rows at another distance: the factor between the tilts.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn misfit(&self, query: &PreparedQuery, nearest: f32) -> Result<f64> {
        let other = tilt(query, Some(nearest.into()))?;
        Ok((other / self.tilt).max(self.tilt / other))
    }

    /// Ranks rows by a section of cells: `[rows]`, in whole blocks.
    ///
    /// # Errors
    /// Those of [`Pages::read`]; [`crate::error::Kind::OutOfMemory`].
    pub fn rank<P: Pages + ?Sized>(
        &self,
        pages: &P,
        group: &SearchGroup,
        section: Range<usize>,
        ranks: &mut Vec<f32>,
    ) -> PageResult<()> {
        let size = group.shape.cells_of_block();
        // An index of an old format has nibbles in place of bytes.
        let has_nibbles = size < BLOCK_ROWS * group.shape.layout.subspaces();
        ranks.clear();
        memory::reserve(ranks, section.len() / size * BLOCK_ROWS)?;
        scan_blocks(pages, group.extent, section, size, &mut |_, cells| {
            let mut sums = [0; BLOCK_ROWS];
            for (k, table) in &self.tables {
                if has_nibbles {
                    let nibbles = &cells.as_chunks::<{ BLOCK_ROWS / 2 }>().0[*k];
                    let (mut of_rows, low) = ([0; BLOCK_ROWS], nibbles.map(|pair| pair & 15));
                    of_rows[..BLOCK_ROWS / 2].copy_from_slice(&low);
                    of_rows[BLOCK_ROWS / 2..].copy_from_slice(&nibbles.map(|pair| pair >> 4));
                    add_cells(&of_rows, table, &mut sums);
                } else {
                    add_cells(&cells.as_chunks().0[*k], table, &mut sums);
                }
            }
            ranks.extend(sums.map(f32::from));
            Ok(())
        })
    }
}

/// The tilt with which rows of the best cells are expected at this squared distance.
fn tilt(query: &PreparedQuery, squared: Option<f64>) -> Result<f64> {
    let expected_sum = |(centre, spread): &(f64, f64)| centre + spread;
    let best = |subspace: &SubspaceQuery| {
        subspace.cells().min_by(|a, b| expected_sum(a).total_cmp(&expected_sum(b))).unwrap_or_default()
    };
    let best: Vec<(f64, f64)> = memory::collect(query.active.iter().map(best))?;
    let spread = best.iter().map(|(_, spread)| spread).sum::<f64>() / best.len().max(1) as f64;
    let all = best.iter().map(expected_sum).sum::<f64>();
    if spread <= 1e-6 * all || spread <= 0.0 {
        // Cells without a spread, as in an index of an old format: by their centres.
        return Ok(LOWEST_TILT / all.max(1e-30));
    }
    // The derivative of the sum by s: the mean of distances that are weighed by e^(−s·distance). It falls as the tilt grows.
    let expected = |tilt: f64| {
        let of_subspace = |&(centre, spread): &(f64, f64)| {
            let widened = 1.0 + tilt * spread;
            centre / (widened * widened) + spread / widened
        };
        best.iter().map(of_subspace).sum::<f64>()
    };
    let squared = squared.unwrap_or(0.5 * all);
    let (mut low, mut high) = ((LOWEST_TILT / spread).ln(), (HIGHEST_TILT / spread).ln());
    for _ in 0..30 {
        let middle = 0.5 * (low + high);
        if expected(middle.exp()) > squared {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(low.exp())
}

/// Tilts are between these, in units of one over the mean spread.
const LOWEST_TILT: f64 = 0.05;
const HIGHEST_TILT: f64 = 100.0;
