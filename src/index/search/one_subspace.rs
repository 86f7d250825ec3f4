//! The search for queries on one subspace: opens cell blocks in the order of the bounds that their radii give, so that most of the
//! subspace's codes are never read. A search at a recall opens them in the order of what is to be expected of their rows, and leaves the
//! others as soon as [`Places`] say so.
//!
//! Cell blocks are opened in rounds, the nearest first, each round about half as many rows as all before it. So blocks are read
//! in the order in which they lie. Rows and blocks beyond a cutoff stay where they are: what is in the queue costs time and memory.
//! The cutoff is the bound by all bits of the [`FIRST_ROWS`]th nearest row so far, and of eight times as many once they are asked for.

use super::best_first::Strategy;
use super::cell_block_codes::{CellBlockCodes, ProductSums};
use super::lanes::{lanes_of, range_mask};
use super::nearest::NearestBounds;
use super::places::Places;
use super::priority_queue::{Candidate, QueueItem};
use super::refine::{CoarseRow, RowRef};
use super::search_group::BlockBound;
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
/// The same in a search at a recall, which sees by these rows whether it has found the nearest: fewer tell less.
const FIRST_RECALL_ROWS: usize = 128;
/// The first round opens blocks of about this many rows, or one in [`FIRST_ROUND_SHARE`] of all rows if these are more.
const FIRST_ROUND_ROWS: usize = 4096;
const FIRST_ROUND_SHARE: usize = 128;

/// The strategy of searches on one subspace.
pub struct OneSubspace {
    /// The cell blocks of all groups, as they lie.
    blocks: Vec<UnopenedBlock>,
    /// Rows and blocks beyond its cutoff stay where they are.
    nearest: NearestBounds,
    /// The places at which rows came in a search at a recall.
    places: Option<Places>,
    /// Whether rows have been put into the queue.
    started: bool,
    buffers: Buffers,
}

/// A cell block, or what is left of it once some of its rows are in the queue.
struct UnopenedBlock {
    /// No row that is left has a smaller bound; infinite if none is left. In a search at a recall, what is to be expected of the rows until the
    /// block is opened, and infinite from then on.
    bound: f32,
    /// In a search at a recall, no row that is left in an opened block has a smaller bound.
    rest: f32,
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
    /// An exact search, or one at a recall, of which nothing has been read yet.
    pub fn new(recall: Option<f64>) -> Self {
        let rows = if recall.is_some() { FIRST_RECALL_ROWS } else { FIRST_ROWS };
        Self {
            blocks: Vec::new(),
            nearest: NearestBounds::new(rows),
            places: recall.map(|recall| Places::new(rows, recall)),
            started: false,
            buffers: Buffers::default(),
        }
    }

    /// Whether it is no search at a recall.
    pub fn is_exact(&self) -> bool {
        self.places.is_none()
    }

    /// Lists the cell blocks of a group with their bounds.
    fn list_blocks<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        number: u32,
    ) -> PageResult<()> {
        let (group, subspace) = (&mut state.groups[number as usize], &state.query.active[0]);
        let bound = if self.places.is_some() { BlockBound::Expected } else { BlockBound::Least };
        let (buffer, blocks) = (&mut self.buffers.assembled, &mut self.blocks);
        group.read_cells(pages, subspace, bound, buffer, blocks, |block, bound| UnopenedBlock {
            bound,
            rest: f32::INFINITY,
            enqueued_bound: f32::NEG_INFINITY,
            group: number,
            block,
        })
    }

    /// The smallest bound of a block that has rows left; `None` if there is none.
    fn least_bound(&self) -> Option<f32> {
        let bounds = self.blocks.iter().map(|unopened| unopened.bound);
        bounds.reduce(f32::min).filter(|bound| bound.is_finite())
    }

    /// Puts one item into the queue for all unopened blocks, with the smallest of their bounds.
    fn enqueue_unopened(&self, state: &mut SearchState) -> PageResult<()> {
        if let Some(bound) = self.least_bound() {
            // What is to be expected of rows is no bound, and must not end a search that has a limit.
            let bound = if self.places.is_some() { 0.0 } else { bound };
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
        if self.places.is_some() {
            return Ok(match rank < sample.len() {
                true => sample.select_nth_unstable_by(rank, f32::total_cmp).1.max(least),
                false => f32::INFINITY,
            });
        }
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
        let (stats, cutoff, is_exact) = (&mut state.stats, self.nearest.cutoff(), self.places.is_none());
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
                let bound = if is_exact { bounds[lane].max(unopened.bound) } else { bounds[lane] };
                let position = (unopened.block.block() * BLOCK_ROWS + lane) as u16;
                found.push(CoarseRow { group: number, row: RowRef::Position(position), bound });
            }
            if unopened.enqueued_bound == f32::NEG_INFINITY {
                stats.bounded += u64::from(unopened.block.len);
            }
            if is_exact {
                unopened.bound = next_bound.max(unopened.bound);
            } else {
                (unopened.bound, unopened.rest) = (f32::INFINITY, next_bound);
            }
            unopened.enqueued_bound = cutoff;
            Ok(())
        })
    }
}

impl OneSubspace {
    /// Opens blocks of about `rows` rows, the nearest of which is at `least`.
    fn open_round<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        least: f32,
        rows: usize,
    ) -> PageResult<()> {
        let limit = self.round_limit(state, least, rows)?;
        let mut blocks = std::mem::take(&mut self.blocks);
        for of_group in blocks.chunk_by_mut(|a, b| a.group == b.group) {
            self.open_blocks(state, pages, of_group, limit)?;
        }
        self.blocks = blocks;
        self.started = true;
        Ok(())
    }

    /// Puts the rows that a round has found into the queue, and lowers the cutoff by the nearest.
    fn enqueue_found<P: Pages + ?Sized>(&mut self, state: &mut SearchState, pages: &P) -> PageResult<()> {
        self.nearest.refine_nearest(state, pages, &mut self.buffers.found)?;
        state.queue.reserve(self.buffers.found.len())?;
        for row in self.buffers.found.drain(..) {
            state.queue.push(row.into());
        }
        Ok(())
    }

    /// Opens blocks until the nearest rows are likely to have been found: the first, or eight times as many as before.
    fn open_enough<P: Pages + ?Sized>(&mut self, state: &mut SearchState, pages: &P) -> PageResult<()> {
        if self.started {
            self.nearest.want_more();
            self.places.iter_mut().for_each(Places::want_more);
            for block in &mut self.blocks {
                (block.bound, block.rest) = (block.bound.min(block.rest), f32::INFINITY);
            }
        }
        let mut is_enough = false;
        while let Some(least) = self.least_bound().filter(|_| !is_enough) {
            let before = state.stats.bounded;
            self.open_round(state, pages, least, FIRST_ROUND_ROWS.max(before as usize / 2))?;
            if let Some(places) = &mut self.places {
                let place = places.advance((state.stats.bounded - before) as usize);
                self.buffers.found.iter().try_for_each(|row| places.push(row.bound, place, 0.0))?;
                is_enough = places.are_enough();
            }
            self.enqueue_found(state, pages)?;
        }
        if self.blocks.iter().any(|block| block.bound.min(block.rest) < f32::INFINITY) {
            let bound = self.nearest.cutoff();
            state.queue.reserve(1)?;
            state.queue.push(QueueItem { bound, candidate: Candidate::Unopened { group: ALL_GROUPS } });
        }
        Ok(())
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
        if self.places.is_some() {
            return self.open_enough(state, pages);
        }
        if bound > self.nearest.cutoff() {
            self.nearest.want_more();
        }
        let rows = FIRST_ROUND_ROWS
            .max(state.grouped_rows() / FIRST_ROUND_SHARE)
            .max(state.stats.bounded as usize / 2);
        self.open_round(state, pages, bound, rows)?;
        self.enqueue_found(state, pages)?;
        self.enqueue_unopened(state)
    }
}
