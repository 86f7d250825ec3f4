//! The exact search for queries on one subspace: opens cell blocks in the order of the bounds that their radii give, so that
//! most of the subspace's codes are never read.
//!
//! Cell blocks are opened in rounds, the nearest first, each round about half as many rows as all before it. So blocks are read
//! in the order in which they lie. Rows and blocks beyond a cutoff stay where they are: what is in the queue costs time and memory.
//! The cutoff is the bound by all bits of the [`FIRST_ROWS`]th nearest row so far, and of eight times as many once they are asked for.

use super::best_first::Strategy;
use super::cell_block_codes::{CellBlockCodes, ProductSums};
use super::lanes::{lanes_of, range_mask};
use super::nearest::NearestBounds;
use super::priority_queue::{Candidate, QueueItem};
use super::refine::{CoarseRow, RowRef};
use super::state::SearchState;
use crate::index::cell_blocks::CellBlock;
use crate::index::format::BLOCK_ROWS;
use crate::index::kernels::partition_by_cutoff;
use crate::index::page_error::PageResult;
use crate::index::pages::Pages;
use crate::memory;
use std::ops::Range;

/// The first cutoff is the bound of this many rows. Raising it costs little: blocks that have been opened keep the rest of their rows.
const FIRST_ROWS: usize = 32;
/// The first round opens blocks of about this many rows, or one in [`FIRST_ROUND_SHARE`] of all rows if these are more.
const FIRST_ROUND_ROWS: usize = 4096;
const FIRST_ROUND_SHARE: usize = 128;

/// The strategy of exact searches on one subspace.
pub struct OneSubspace {
    /// The cell blocks of all groups, as they lie.
    blocks: Vec<UnopenedBlock>,
    /// Rows and blocks beyond its cutoff stay where they are.
    nearest: NearestBounds,
    /// Whether rows have been put into the queue.
    started: bool,
    buffers: Buffers,
}

/// A cell block, or what is left of it once some of its rows are in the queue.
struct UnopenedBlock {
    /// No row that is left has a smaller bound; infinite if none is left.
    bound: f32,
    /// Rows up to this bound are in the queue, or were.
    enqueued_bound: f32,
    group: u32,
    block: CellBlock,
}

/// Memory that is kept from one round to the next.
#[derive(Default)]
struct Buffers {
    /// `[opened blocks, BLOCK_ROWS]`: error codes.
    errors: Vec<u8>,
    /// Byte ranges in the group's stream to gather next.
    ranges: Vec<Range<usize>>,
    assembled: Vec<u8>,
    /// Indexes of the blocks to open.
    opened: Vec<usize>,
    /// Rows that a round puts into the queue.
    found: Vec<CoarseRow>,
}

impl OneSubspace {
    /// A search of which nothing has been read yet.
    pub fn new() -> Self {
        Self {
            blocks: Vec::new(),
            nearest: NearestBounds::new(FIRST_ROWS),
            started: false,
            buffers: Buffers::default(),
        }
    }

    /// Lists the cell blocks of a group with their bounds.
    fn list_blocks<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        number: u32,
    ) -> PageResult<()> {
        let (group, subspace) = (&mut state.groups[number as usize], &state.query.active[0]);
        group.bound_cells(pages, subspace, &mut self.buffers.assembled, &mut self.blocks, |block, bound| {
            UnopenedBlock { bound, enqueued_bound: f32::NEG_INFINITY, group: number, block }
        })
    }

    /// Puts one item into the queue for all unopened blocks, with the smallest of their bounds.
    fn enqueue_unopened(&self, state: &mut SearchState) -> PageResult<()> {
        let bounds = self.blocks.iter().map(|unopened| unopened.bound);
        if let Some(bound) = bounds.reduce(f32::min).filter(|bound| bound.is_finite()) {
            state.queue.reserve(1)?;
            state.queue.push(QueueItem { bound, candidate: Candidate::Unopened { group: ALL_GROUPS } });
        }
        Ok(())
    }

    /// The bound up to which this round opens blocks. `least` is the smallest bound of a block.
    fn round_limit(&self, state: &mut SearchState, least: f32, rows: usize) -> PageResult<f32> {
        let step = self.blocks.len().div_ceil(4096);
        let mut sample: Vec<f32> =
            memory::collect(self.blocks.iter().step_by(step).map(|unopened| unopened.bound))?;
        let rank = rows / BLOCK_ROWS / step;
        // Blocks that may hold a row nearer than the next candidate have to be opened in any case. Before there are rows of groups
        // among the candidates, that would be the nearest row of the tail, however far it is.
        let next = match self.started {
            false => f32::NEG_INFINITY,
            true => state.queue.peek_bound()?.unwrap_or(f32::NEG_INFINITY),
        };
        let cutoff = self.nearest.cutoff();
        Ok(if rank < sample.len() {
            let limit = *sample.select_nth_unstable_by(rank, f32::total_cmp).1;
            limit.max(least).max(next).min(cutoff)
        } else {
            cutoff
        })
    }

    /// Bounds the rows of those blocks of one group that are not beyond `limit`, and adds rows up to the cutoff to those found.
    /// `blocks` are all blocks of the group.
    fn open_blocks<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        blocks: &mut [UnopenedBlock],
        limit: f32,
    ) -> PageResult<()> {
        let Buffers { errors, ranges, assembled, opened, found } = &mut self.buffers;
        opened.clear();
        memory::reserve(opened, blocks.len())?;
        opened.extend((0..blocks.len()).filter(|&i| blocks[i].bound <= limit && blocks[i].bound.is_finite()));
        let Some(number) = opened.first().map(|&i| blocks[i].group) else { return Ok(()) };
        let group = &state.groups[number as usize];
        let (sections, subspace) = (&group.sections[0], &mut state.query.active[0]);
        errors.clear();
        memory::reserve(errors, opened.len() * BLOCK_ROWS)?;
        errors.resize(opened.len() * BLOCK_ROWS, 0);
        memory::reserve(found, opened.len() * BLOCK_ROWS)?;
        ranges.clear();
        memory::reserve(ranges, opened.len())?;
        ranges.extend(opened.iter().map(|&i| {
            let positions = blocks[i].block.positions();
            sections.coarse_errors.start + positions.start..sections.coarse_errors.start + positions.end
        }));
        group.extent.gather(pages, ranges, &mut |n, from, bytes| {
            let first = blocks[opened[n]].block.lanes().start;
            errors[n * BLOCK_ROWS + first + from..][..bytes.len()].copy_from_slice(bytes);
            Ok(())
        })?;
        let size = group.shape.block_size();
        ranges.clear();
        ranges.extend(opened.iter().map(|&i| {
            let at = sections.high_nibbles.start + blocks[i].block.block() * size;
            at..at + size
        }));
        let (stats, cutoff) = (&mut state.stats, self.nearest.cutoff());
        let min_squared_norm = group.min_squared_norms[0];
        let mut products = ProductSums::default();
        group.extent.gather_whole(pages, ranges, assembled, &mut |n, codes| {
            let unopened = &mut blocks[opened[n]];
            let lanes = unopened.block.lanes();
            let errors = &errors[n * BLOCK_ROWS..][lanes.clone()];
            let codes = CellBlockCodes { block: unopened.block, codes, errors, min_squared_norm };
            let squares = codes.lower_bounds(subspace, &mut products)?;
            let mut bounds = [f32::INFINITY; BLOCK_ROWS];
            for (bound, square) in bounds[lanes.clone()].iter_mut().zip(&squares[lanes.clone()]) {
                *bound = square * subspace.weight;
            }
            let (mask, next_bound) = partition_by_cutoff(&bounds, unopened.enqueued_bound, cutoff);
            for lane in lanes_of(mask & range_mask(lanes)) {
                let bound = bounds[lane].max(unopened.bound);
                let position = (unopened.block.block() * BLOCK_ROWS + lane) as u16;
                found.push(CoarseRow { group: number, row: RowRef::Position(position), bound });
            }
            if unopened.enqueued_bound == f32::NEG_INFINITY {
                stats.bounded += u64::from(unopened.block.len);
            }
            unopened.bound = next_bound.max(unopened.bound);
            unopened.enqueued_bound = cutoff;
            Ok(())
        })
    }
}

/// Unopened blocks of all groups are one item of the queue, which names no group.
const ALL_GROUPS: u32 = 0;

impl Strategy for OneSubspace {
    fn start<P: Pages + ?Sized>(&mut self, state: &mut SearchState, pages: &P) -> PageResult<()> {
        (0..state.groups.len() as u32).try_for_each(|group| self.list_blocks(state, pages, group))?;
        self.enqueue_unopened(state)
    }

    /// Opens one round of cell blocks; `bound` is the smallest bound of a block.
    fn open<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        _all_groups: u32,
        bound: f32,
    ) -> PageResult<()> {
        if bound > self.nearest.cutoff() {
            self.nearest.want_more();
        }
        let rows = FIRST_ROUND_ROWS
            .max(state.grouped_rows() / FIRST_ROUND_SHARE)
            .max(state.stats.bounded as usize / 2);
        let limit = self.round_limit(state, bound, rows)?;
        let mut blocks = std::mem::take(&mut self.blocks);
        for of_group in blocks.chunk_by_mut(|a, b| a.group == b.group) {
            self.open_blocks(state, pages, of_group, limit)?;
        }
        self.blocks = blocks;
        self.started = true;
        self.nearest.refine_nearest(state, pages, &mut self.buffers.found)?;
        state.queue.reserve(self.buffers.found.len())?;
        for row in self.buffers.found.drain(..) {
            state.queue.push(row.into());
        }
        self.enqueue_unopened(state)
    }
}
