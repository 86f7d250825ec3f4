//! The exact search for queries on several subspaces: bounds every row of every group by its high nibbles at once, adding up
//! over the subspaces, and keeps those beyond a cutoff out of the queue.

use super::best_first::Strategy;
use super::block_scan::scan_blocks;
use super::cutoff::{Cutoff, MIN_FIRST_ROWS};
use super::prepared_query::SubspaceQuery;
use super::state::SearchState;
use crate::error::Result;
use crate::index::cell_blocks::{cell_blocks, CellBlock};
use crate::index::format::BLOCK_ROWS;
use crate::index::group::{parse_cell_starts, parse_min_squared_norm, parse_rows};
use crate::index::kernels::{accumulate, sums_to_lower_bounds};
use crate::index::page_error::PageResult;
use crate::index::pages::Pages;
use crate::memory;
use std::ops::Range;

/// One in this many rows of all groups passes the first cutoff, and at least [`MIN_FIRST_ROWS`].
const FIRST_SHARE: usize = 32;

/// The strategy of exact searches on several subspaces.
pub struct SeveralSubspaces {
    cutoff: Cutoff,
    /// The sections of one subspace before its high nibbles.
    sections: Vec<u8>,
    /// The row of each position.
    rows: Vec<u16>,
}

impl SeveralSubspaces {
    /// A search over the groups of `state`.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn new(state: &SearchState) -> Result<Self> {
        let rows = state.grouped_rows();
        let first_rows = MIN_FIRST_ROWS.max(rows / FIRST_SHARE);
        let cutoff = Cutoff::new(state.groups.len(), rows, first_rows)?;
        Ok(Self { cutoff, sections: Vec::new(), rows: Vec::new() })
    }

    /// Bounds every row of a group, and puts those into the queue that the cutoff lets pass and that are not there yet.
    fn enqueue_group<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        group: u32,
    ) -> PageResult<()> {
        self.bound_rows(state, pages, group)?;
        let rows = state.groups[group as usize].shape.rows;
        Ok(self.cutoff.enqueue_below_cutoff(&mut state.queue, group, rows)?)
    }

    fn bound_rows<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        group: u32,
    ) -> PageResult<()> {
        let group = &mut state.groups[group as usize];
        let bounds = self.cutoff.zero_bounds(group.shape.rows)?;
        let first_time = group.cell_starts.len() < state.query.active.len();
        for (subspace, sections) in state.query.active.iter_mut().zip(&group.sections) {
            let first = sections.min_squared_norm.start;
            group.extent.copy(pages, first..sections.rows.end, &mut self.sections)?;
            let bytes = |section: &Range<usize>| &self.sections[section.start - first..section.end - first];
            let min_squared_norm = parse_min_squared_norm(bytes(&sections.min_squared_norm))?;
            let starts = parse_cell_starts(bytes(&sections.cell_starts), group.shape.rows)?;
            parse_rows(bytes(&sections.rows), group.shape.rows, &mut self.rows)?;
            let errors = bytes(&sections.coarse_errors);
            let mut blocks = cell_blocks(&starts).peekable();
            let (range, size) = (sections.high_nibbles.clone(), group.shape.block_size());
            scan_blocks(pages, group.extent, range, size, &mut |number, codes| {
                while let Some(block) = blocks.next_if(|block| block.block() == number) {
                    let positions = block.positions();
                    let (errors, rows) = (&errors[positions.clone()], &self.rows[positions]);
                    add_cell_block(subspace, block, min_squared_norm, codes, errors, rows, bounds)?;
                }
                Ok(())
            })?;
            if first_time {
                memory::push(&mut group.cell_starts, starts)?;
            }
        }
        if first_time {
            state.stats.bounded += group.shape.rows as u64;
        }
        Ok(())
    }
}

impl Strategy for SeveralSubspaces {
    fn start<P: Pages + ?Sized>(&mut self, state: &mut SearchState, pages: &P) -> PageResult<()> {
        (0..state.groups.len() as u32).try_for_each(|group| self.enqueue_group(state, pages, group))
    }

    fn open<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        group: u32,
        bound: f32,
    ) -> PageResult<()> {
        self.cutoff.raise(bound);
        self.enqueue_group(state, pages, group)
    }
}

/// Adds one subspace's bounds to `bounds` `[rows of the group]`, for the rows of a cell block. `codes` are those of its whole
/// block; `errors` and `rows` belong to its positions.
fn add_cell_block(
    subspace: &mut SubspaceQuery,
    block: CellBlock,
    min_squared_norm: f32,
    codes: &[u8],
    errors: &[u8],
    rows: &[u16],
    bounds: &mut [f32],
) -> Result<()> {
    let weight = subspace.weight;
    let (table, scale) = subspace.lookup_table(block.cell.into(), min_squared_norm)?;
    let mut block_errors = [0; BLOCK_ROWS];
    block_errors[block.lanes()].copy_from_slice(errors);
    let mut sums = [0; BLOCK_ROWS];
    accumulate(codes, table, &mut sums);
    let mut squares = [0.0; BLOCK_ROWS];
    sums_to_lower_bounds(&sums, scale, &block_errors, &mut squares);
    for (&square, &row) in squares[block.lanes()].iter().zip(rows) {
        bounds[usize::from(row)] += square * weight;
    }
    Ok(())
}
