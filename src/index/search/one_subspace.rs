//! The exact search for queries on one subspace: opens cell blocks in the order of the annulus bounds of their radii, so that
//! most of the subspace's codes are never read.
//!
//! Cell blocks are opened in rounds, the nearest first, each round about as many rows as all before it. So blocks are read
//! in the order in which they lie, and at most about twice as many as needed. Rows of opened blocks that are beyond a cutoff
//! stay where they are: what is in the queue costs time and memory.

use super::best_first::Strategy;
use super::cutoff::MIN_FIRST_ROWS;
use super::lanes::{lanes_of, range_mask};
use super::priority_queue::{Candidate, QueueItem};
use super::state::SearchState;
use crate::index::cell_blocks::{cell_blocks, CellBlock};
use crate::index::format::BLOCK_ROWS;
use crate::index::group::{parse_cell_starts, parse_min_squared_norm, parse_radii};
use crate::index::kernels::{accumulate, partition_by_cutoff, sums_to_lower_bounds};
use crate::index::page_error::PageResult;
use crate::index::pages::Pages;
use crate::memory;
use std::ops::Range;

/// The first round opens one in this many rows, and at least twice [`MIN_FIRST_ROWS`].
const FIRST_ROUND_SHARE: usize = 64;

/// The strategy of exact searches on one subspace.
pub struct OneSubspace {
    /// The cell blocks of all groups, as they lie.
    blocks: Vec<UnopenedBlock>,
    /// `[groups]`: no row of the group has a smaller squared norm in the subspace.
    min_squared_norms: Vec<f32>,
    /// Rows beyond this bound stay in their block.
    cutoff: f32,
    /// Rows that have been put into the queue.
    enqueued: usize,
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
}

impl OneSubspace {
    /// A search of which nothing has been read yet.
    pub fn new() -> Self {
        Self {
            blocks: Vec::new(),
            min_squared_norms: Vec::new(),
            cutoff: f32::INFINITY,
            enqueued: 0,
            buffers: Buffers::default(),
        }
    }

    /// Lists the cell blocks of a group with their annulus bounds.
    fn list_blocks<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        number: u32,
    ) -> PageResult<()> {
        let group = &mut state.groups[number as usize];
        let (sections, subspace) = (&group.sections[0], &state.query.active[0]);
        let (first, bytes) = (sections.min_squared_norm.start, &mut self.buffers.assembled);
        group.extent.copy(pages, first..sections.radii.end, bytes)?;
        memory::push(&mut self.min_squared_norms, parse_min_squared_norm(bytes)?)?;
        let section = |section: &Range<usize>| &bytes[section.start - first..section.end - first];
        let starts = parse_cell_starts(section(&sections.cell_starts), group.shape.rows)?;
        memory::reserve(&mut self.blocks, cell_blocks(&starts).count())?;
        for (block, radii) in cell_blocks(&starts).zip(section(&sections.radii).chunks_exact(8)) {
            let (min_radius, max_radius) = parse_radii(radii);
            let bound = subspace.annulus_bound(block.cell.into(), min_radius, max_radius) * subspace.weight;
            self.blocks.push(UnopenedBlock {
                bound,
                enqueued_bound: f32::NEG_INFINITY,
                group: number,
                block,
            });
        }
        Ok(memory::push(&mut group.cell_starts, starts)?)
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
        // Blocks that may hold a row nearer than the next candidate have to be opened in any case.
        let next = state.queue.peek_bound()?.unwrap_or(f32::NEG_INFINITY);
        Ok(if rank < sample.len() {
            let limit = *sample.select_nth_unstable_by(rank, f32::total_cmp).1;
            limit.max(least).max(next).min(self.cutoff)
        } else {
            self.cutoff
        })
    }

    /// Bounds the rows of those blocks of one group that are not beyond `limit`, and puts rows up to the cutoff into the
    /// queue; their bounds also into `enqueued_bounds`, if there is one. `blocks` are all blocks of the group.
    fn open_blocks<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        blocks: &mut [UnopenedBlock],
        limit: f32,
        mut enqueued_bounds: Option<&mut Vec<f32>>,
    ) -> PageResult<()> {
        let Buffers { errors, ranges, assembled, opened } = &mut self.buffers;
        opened.clear();
        memory::reserve(opened, blocks.len())?;
        opened.extend((0..blocks.len()).filter(|&i| blocks[i].bound <= limit && blocks[i].bound.is_finite()));
        let Some(number) = opened.first().map(|&i| blocks[i].group) else { return Ok(()) };
        let group = &state.groups[number as usize];
        let (sections, subspace) = (&group.sections[0], &mut state.query.active[0]);
        errors.clear();
        memory::reserve(errors, opened.len() * BLOCK_ROWS)?;
        errors.resize(opened.len() * BLOCK_ROWS, 0);
        state.queue.reserve(opened.len() * BLOCK_ROWS)?;
        if let Some(bounds) = &mut enqueued_bounds {
            memory::reserve(bounds, opened.len() * BLOCK_ROWS)?;
        }
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
        let (queue, stats, cutoff, enqueued) =
            (&mut state.queue, &mut state.stats, self.cutoff, &mut self.enqueued);
        let min_squared_norm = self.min_squared_norms[number as usize];
        group.extent.gather_whole(pages, ranges, assembled, &mut |n, codes| {
            let unopened = &mut blocks[opened[n]];
            let lanes = unopened.block.lanes();
            let (table, scale) = subspace.lookup_table(unopened.block.cell.into(), min_squared_norm)?;
            let mut sums = [0; BLOCK_ROWS];
            accumulate(codes, table, &mut sums);
            let mut squares = [0.0; BLOCK_ROWS];
            let errors = errors[n * BLOCK_ROWS..].first_chunk().unwrap_or(&[0; BLOCK_ROWS]);
            sums_to_lower_bounds(&sums, scale, errors, &mut squares);
            let mut bounds = [f32::INFINITY; BLOCK_ROWS];
            for (bound, square) in bounds[lanes.clone()].iter_mut().zip(&squares[lanes.clone()]) {
                *bound = square * subspace.weight;
            }
            let (mask, next_bound) = partition_by_cutoff(&bounds, unopened.enqueued_bound, cutoff);
            for lane in lanes_of(mask & range_mask(lanes)) {
                let bound = bounds[lane].max(unopened.bound);
                let position = (unopened.block.block() * BLOCK_ROWS + lane) as u16;
                let candidate = Candidate::CoarsePosition { position, group: number };
                queue.push(QueueItem { bound, candidate });
                *enqueued += 1;
                if let Some(bounds) = &mut enqueued_bounds {
                    bounds.push(bound);
                }
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
        let rows = state.grouped_rows();
        let first_round = (2 * MIN_FIRST_ROWS).max(rows / FIRST_ROUND_SHARE);
        // A round that goes beyond the cutoff chooses the next one, and so does the first.
        let chooses_cutoff = self.enqueued == 0 || bound > self.cutoff;
        let seen = if chooses_cutoff { self.enqueued } else { state.stats.bounded as usize };
        if chooses_cutoff {
            self.cutoff = f32::INFINITY;
        }
        let limit = self.round_limit(state, bound, first_round.max(seen))?;
        let (before, mut enqueued_bounds) = (self.enqueued, Vec::new());
        let mut blocks = std::mem::take(&mut self.blocks);
        for of_group in blocks.chunk_by_mut(|a, b| a.group == b.group) {
            let bounds = chooses_cutoff.then_some(&mut enqueued_bounds);
            self.open_blocks(state, pages, of_group, limit, bounds)?;
        }
        self.blocks = blocks;
        if chooses_cutoff && !enqueued_bounds.is_empty() {
            // As if all other rows were like those of this round, which are the nearest: no more will pass than expected.
            let share = if before == 0 { 1.0 / 16.0 } else { (8 * self.enqueued) as f64 / rows as f64 };
            let rank = (enqueued_bounds.len() as f64 * share) as usize;
            if rank < enqueued_bounds.len() {
                self.cutoff = *enqueued_bounds.select_nth_unstable_by(rank, f32::total_cmp).1;
            }
        }
        self.enqueue_unopened(state)
    }
}
