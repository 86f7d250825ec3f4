//! The exact search for queries on several subspaces: opens groups in the order of the bounds that their cell blocks give, and
//! in a group bounds rows by their cell blocks and then by their high nibbles, one subspace after the other, for as long as some of
//! them can be among the nearest.
//!
//! What "among the nearest" means is a cutoff: the bound by all bits of the [`FIRST_ROWS`]th nearest row so far, which falls from
//! group to group. Rows beyond it stay in their group as unopened rows. If they are asked for, the cutoff is raised to that of
//! eight times as many rows, and groups are opened again.
//!
//! A row's bound only grows, subspace by subspace, and codes are read only of cell blocks with a row that is still within the
//! cutoff. So a row whose codes have been left out somewhere is beyond the cutoff, and whether a row has passed a cutoff is the
//! same whenever its group is opened again, if the same numbers are added up in the same order: another order may change the last
//! bit of a sum.

use super::best_first::Strategy;
use super::block_scan::scan_blocks;
use super::cell_block_codes::{CellBlockCodes, ProductSums};
use super::lanes::{lanes_of, range_mask};
use super::nearest::NearestBounds;
use super::prepared_query::SubspaceQuery;
use super::priority_queue::{Candidate, QueueItem};
use super::refine::{CoarseRow, RowRef};
use super::search_group::BlockBound;
use super::state::SearchState;
use crate::error::Result;
use crate::index::cell_blocks::{cell_blocks, CellBlock};
use crate::index::format::BLOCK_ROWS;
use crate::index::group::parse_rows;
use crate::index::kernels::partition_by_cutoff;
use crate::index::page_error::PageResult;
use crate::index::pages::Pages;
use crate::memory;
use std::ops::Range;

/// The first cutoff is the bound of this many rows: more than most queries return.
const FIRST_ROWS: usize = 128;
/// Blocks are looked at one by one, for whether one of their rows is within the cutoff, if that is so for no more than one row
/// in this many of the group.
const SPARSE: usize = 16;

/// The strategy of exact searches on several subspaces.
pub struct SeveralSubspaces {
    /// The order of the active subspaces in all groups but the first that was opened, which has the query's: those first whose codes have added
    /// most to the bounds of the first group.
    order: Vec<usize>,
    /// Whether groups that are opened from now on add up the bounds of cell blocks before they read codes.
    cells_first: bool,
    /// Of all groups and active subspaces: weighted lower bounds of the rows of each cell block.
    cell_bounds: Vec<f32>,
    /// `[groups, active subspaces]`: which of them are theirs.
    cells: Vec<Range<usize>>,
    nearest: NearestBounds,
    /// `[groups]`: rows with bounds up to this one are in the queue, or were.
    enqueued_bounds: Vec<f32>,
    /// `[groups]`: [`SeveralSubspaces::cells_first`] when the group was first opened.
    opened: Vec<Option<bool>>,
    /// The group that was opened first.
    first_group: Option<u32>,
    buffers: Buffers,
}

/// Memory that is kept from one group to the next.
#[derive(Default)]
struct Buffers {
    /// `[positions]`: the coarse error codes of one subspace.
    errors: Vec<u8>,
    /// `[active subspaces, positions]`: the row of each position.
    rows: Vec<Vec<u16>>,
    /// `[rows of the group, rounded up to whole blocks]`: bounds, as far as they have been added up.
    bounds: Vec<f32>,
    /// Cell blocks to read one by one, each with its bound.
    sparse: Vec<(CellBlock, f32)>,
    /// Byte ranges in the group's stream to gather next.
    ranges: Vec<Range<usize>>,
    assembled: Vec<u8>,
    /// Rows that are within the cutoff.
    found: Vec<CoarseRow>,
}

impl SeveralSubspaces {
    /// A search over the groups of `state`.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn new(state: &SearchState) -> Result<Self> {
        let active = &state.query.active;
        Ok(Self {
            order: memory::copied(&state.query.order)?,
            cells_first: true,
            cells: memory::with_capacity(state.groups.len() * active.len())?,
            cell_bounds: Vec::new(),
            nearest: NearestBounds::new(FIRST_ROWS),
            enqueued_bounds: memory::filled(f32::NEG_INFINITY, state.groups.len())?,
            opened: memory::filled(None, state.groups.len())?,
            first_group: None,
            buffers: Buffers { rows: memory::filled(Vec::new(), active.len())?, ..Buffers::default() },
        })
    }

    /// Bounds the rows of the next group by its cell blocks. Returns the smallest bound, or what is below it, and about the mean.
    fn bound_group<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        number: u32,
    ) -> PageResult<(f32, f32)> {
        let group = &mut state.groups[number as usize];
        let (mut bound, mut mean) = (0.0, 0.0);
        for subspace in &state.query.active {
            let start = self.cell_bounds.len();
            let (mut least, mut sum) = (f32::INFINITY, 0.0);
            let (buffer, blocks) = (&mut self.buffers.assembled, &mut self.cell_bounds);
            group.read_cells(pages, subspace, BlockBound::Least, buffer, blocks, |block, bound| {
                least = least.min(bound);
                sum += bound * f32::from(block.len);
                bound
            })?;
            (bound, mean) = (bound + least, mean + sum / group.shape.rows as f32);
            self.cells.push(start..self.cell_bounds.len());
        }
        Ok((bound, mean))
    }

    /// Bounds a group's rows, one subspace after the other. Stops when no row is within the cutoff any more.
    fn bound_rows<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        number: u32,
    ) -> PageResult<()> {
        let is_first = self.first_group.is_none();
        let first_group = *self.first_group.get_or_insert(number);
        let cells_first = *self.opened[number as usize].get_or_insert(self.cells_first);
        let order = if number == first_group { &state.query.order } else { &self.order };
        let Buffers { errors, rows: row_of, bounds, sparse, ranges, assembled, .. } = &mut self.buffers;
        let (group, active) = (&state.groups[number as usize], &mut state.query.active);
        let (rows, size) = (group.shape.rows, group.shape.block_size());
        let cells = &self.cells[number as usize * active.len()..][..active.len()];
        let cutoff = self.nearest.cutoff();
        bounds.clear();
        memory::reserve(bounds, rows.next_multiple_of(BLOCK_ROWS))?;
        bounds.resize(rows.next_multiple_of(BLOCK_ROWS), 0.0);
        for &i in order {
            let (sections, row_of) = (&group.sections[i], &mut row_of[i]);
            group.extent.copy(pages, sections.rows.clone(), assembled)?;
            parse_rows(assembled, rows, row_of)?;
            if cells_first {
                let cell_bounds = &self.cell_bounds[cells[i].clone()];
                for (block, &bound) in cell_blocks(&group.cell_starts[i]).zip(cell_bounds) {
                    row_of[block.positions()].iter().for_each(|&row| bounds[usize::from(row)] += bound);
                }
            }
        }
        let mut gains: Vec<(f32, usize)> = memory::with_capacity(order.len())?;
        for (done, &i) in order.iter().enumerate() {
            let within = bounds[..rows].iter().map(|&bound| u32::from(bound <= cutoff)).sum::<u32>() as usize;
            if done == 0 && cutoff < f32::INFINITY && within > rows / 4 * 3 {
                self.cells_first = false;
            }
            if within == 0 {
                break;
            }
            let (subspace, sections, row_of) = (&mut active[i], &group.sections[i], &row_of[i]);
            let min_squared_norm = group.min_squared_norms[i];
            group.extent.copy(pages, sections.coarse_errors.clone(), errors)?;
            let mut products = ProductSums::default();
            let mut add = |block: CellBlock, bound: f32, codes: &[u8], bounds: &mut [f32]| {
                let (errors, rows) = (&errors[block.positions()], &row_of[block.positions()]);
                let known = if cells_first { bound } else { 0.0 };
                let least = bound - known;
                let codes = CellBlockCodes { block, codes, errors, min_squared_norm };
                add_cell_block(subspace, &codes, &mut products, known, least, rows, bounds)
            };
            let before: f32 = if is_first { bounds[..rows].iter().sum() } else { 0.0 };
            let cell_bounds = &self.cell_bounds[cells[i].clone()];
            let mut blocks = cell_blocks(&group.cell_starts[i]).zip(cell_bounds.iter().copied()).peekable();
            if within > rows / SPARSE {
                let range = sections.high_nibbles.clone();
                scan_blocks(pages, group.extent, range, size, &mut |number, codes| {
                    while let Some((block, bound)) = blocks.next_if(|(block, _)| block.block() == number) {
                        add(block, bound, codes, bounds)?;
                    }
                    Ok(())
                })?;
            } else {
                sparse.clear();
                memory::reserve(sparse, cell_bounds.len())?;
                for (block, bound) in blocks {
                    let rows = &row_of[block.positions()];
                    let added = if cells_first { 0.0 } else { bound };
                    if rows.iter().any(|&row| bounds[usize::from(row)] + added <= cutoff) {
                        sparse.push((block, bound));
                    } else if !cells_first {
                        rows.iter().for_each(|&row| bounds[usize::from(row)] += bound);
                    }
                }
                ranges.clear();
                memory::reserve(ranges, sparse.len())?;
                ranges.extend(sparse.iter().map(|(block, _)| {
                    let at = sections.high_nibbles.start + block.block() * size;
                    at..at + size
                }));
                group.extent.gather_whole(pages, ranges, assembled, &mut |i, codes| {
                    let (block, bound) = sparse[i];
                    Ok(add(block, bound, codes, bounds)?)
                })?;
            }
            if is_first {
                gains.push((bounds[..rows].iter().sum::<f32>() - before, i));
            }
        }
        if is_first && gains.len() == order.len() {
            gains.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
            self.order.clear();
            self.order.extend(gains.iter().map(|&(_, i)| i));
        }
        Ok(())
    }

    /// Puts those rows of a group into the queue that are within the cutoff and not there yet, after [`Self::bound_rows`]; all
    /// others, as unopened rows. No row that is not in the queue yet is nearer than `bound`.
    fn enqueue_rows<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        number: u32,
        bound: f32,
    ) -> PageResult<()> {
        let rows = state.groups[number as usize].shape.rows;
        let (passed, cutoff) = (self.enqueued_bounds[number as usize], self.nearest.cutoff());
        let Buffers { bounds, found, .. } = &mut self.buffers;
        // Lanes of the last block that have no row are beyond every cutoff.
        bounds[rows..].fill(f32::INFINITY);
        found.clear();
        let mut next_bound = f32::INFINITY;
        for (block, of_block) in bounds.as_chunks::<BLOCK_ROWS>().0.iter().enumerate() {
            let (mask, beyond) = partition_by_cutoff(of_block, passed, cutoff);
            next_bound = next_bound.min(beyond);
            let first = block * BLOCK_ROWS;
            let mask = mask & range_mask(0..BLOCK_ROWS.min(rows - first));
            memory::reserve(found, mask.count_ones() as usize)?;
            found.extend(lanes_of(mask).map(|lane| CoarseRow {
                group: number,
                row: RowRef::Number((first + lane) as u16),
                bound: of_block[lane].max(bound),
            }));
        }
        // The nearest of them lower the cutoff, and others are beyond it then.
        let refined = self.nearest.refine_nearest(state, pages, found)?;
        let passed = passed.max(refined).max(self.nearest.cutoff()).max(bound);
        state.queue.reserve(found.len() + 1)?;
        for row in found.drain(..) {
            if row.bound <= passed {
                state.queue.push(row.into());
            } else {
                next_bound = next_bound.min(row.bound);
            }
        }
        self.enqueued_bounds[number as usize] = passed;
        if next_bound < f32::INFINITY {
            state.queue.push(unopened(number, next_bound.max(bound)));
        }
        Ok(())
    }
}

impl Strategy for SeveralSubspaces {
    fn start<P: Pages + ?Sized>(&mut self, state: &mut SearchState, pages: &P) -> PageResult<()> {
        let mut nearest: Option<(f32, u32, f32)> = None;
        state.queue.reserve(state.groups.len())?;
        for group in 0..state.groups.len() as u32 {
            let (bound, mean) = self.bound_group(state, pages, group)?;
            // The group that seems to be nearest is opened at once: it sets a cutoff for the others.
            if nearest.is_none_or(|(least, ..)| mean < least) {
                let former = nearest.replace((mean, group, bound));
                let Some((_, former, former_bound)) = former else { continue };
                state.queue.push(unopened(former, former_bound));
                continue;
            }
            state.queue.push(unopened(group, bound));
        }
        match nearest {
            Some((_, group, bound)) => self.open(state, pages, group, bound),
            None => Ok(()),
        }
    }

    fn open<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        group: u32,
        bound: f32,
    ) -> PageResult<()> {
        if bound > self.nearest.cutoff() {
            self.nearest.want_more();
        }
        if self.opened[group as usize].is_none() {
            state.stats.bounded += state.groups[group as usize].shape.rows as u64;
        }
        self.bound_rows(state, pages, group)?;
        self.enqueue_rows(state, pages, group, bound)
    }
}

/// Rows of a group that are not in the queue one by one, all of at least this bound.
fn unopened(group: u32, bound: f32) -> QueueItem {
    QueueItem { bound, candidate: Candidate::Unopened { group } }
}

/// Adds one subspace's bounds to `bounds` `[rows of the group]` for the rows of a cell block: what the codes say beyond `known`, which
/// has been added already, and at least `least`. `rows` belong to its positions.
fn add_cell_block(
    subspace: &mut SubspaceQuery,
    codes: &CellBlockCodes<'_>,
    products: &mut ProductSums,
    known: f32,
    least: f32,
    rows: &[u16],
    bounds: &mut [f32],
) -> Result<()> {
    let weight = subspace.weight;
    let squares = codes.lower_bounds(subspace, products)?;
    for (&square, &row) in squares[codes.block.lanes()].iter().zip(rows) {
        bounds[usize::from(row)] += (square * weight - known).max(least);
    }
    Ok(())
}
