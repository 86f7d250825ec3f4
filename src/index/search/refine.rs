//! Refinement: bounds by all bits of the codes, for many rows at a time.
//!
//! What a row's bound needs lies on as many pages as its query has subspaces, and finding a page costs more than reading one
//! row's share of it. So rows are refined together: each page is read once for all of them, while the next one is loaded.

use super::prepared_query::{PreparedQuery, SubspaceQuery};
use super::search_group::SearchGroup;
use crate::index::format::{BLOCK_ROWS, DETAIL_HEADER};
use crate::index::kernels::RowCodes;
use crate::index::page_error::{PageError, PageResult};
use crate::index::pages::Pages;
use crate::memory;
use std::ops::Range;

/// The most rows that are refined at a time: their details are kept in memory.
pub const MAX_REFINED_ROWS: usize = 4096;

/// A row with a bound by its high nibbles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CoarseRow {
    /// The number of the group.
    pub group: u32,
    /// The row in the group.
    pub row: RowRef,
    /// Lower bound of the normalized squared distance.
    pub bound: f32,
}

/// How a search knows a row of a group: by its number, or, in a query on one subspace, by its position there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowRef {
    /// The row's number, which is the same in all subspaces.
    Number(u16),
    /// The row's position in the query's only subspace.
    Position(u16),
}

impl RowRef {
    /// The number, of whichever kind.
    pub fn number(self) -> usize {
        let (Self::Number(number) | Self::Position(number)) = self;
        number.into()
    }
}

/// Refines rows, and keeps its buffers from one call to the next.
#[derive(Default)]
pub struct Refiner {
    rows: Vec<RowSum>,
    /// Byte ranges to gather next.
    ranges: Vec<Range<usize>>,
    buffer: Vec<u8>,
    details: Details,
    positions: Vec<RowPosition>,
    /// Indices into [`Refiner::rows`]: those that have not exceeded the limit.
    left: Vec<u16>,
}

/// How much of a row's codes its bound comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refined {
    /// All subspaces.
    Wholly,
    /// Some of them, which was enough to exceed a limit.
    InPart,
}

/// What is summed up for a row.
#[derive(Clone, Copy)]
struct RowSum {
    coarse: CoarseRow,
    /// The row's number; before [`Refiner::find_rows`], its position.
    row: usize,
    sum: f32,
}

/// The details of the rows, from the first to the last subspace that counts, one row after the other.
#[derive(Default)]
struct Details {
    bytes: Vec<u8>,
    /// Bytes of one row's details.
    width: usize,
}

/// A row's position in a subspace; sorted by position.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct RowPosition {
    position: u16,
    /// Index into [`Refiner::rows`].
    index: u16,
}

impl Refiner {
    /// Refines the bounds of at most [`MAX_REFINED_ROWS`] rows, all of `group` and all known by number or all by position,
    /// and calls `done` with each row, known by its number, and its new bound, which is not below the old one. A row whose bound exceeds
    /// `limit` after some subspaces is left at that, and `done` hears that more could be known of it.
    ///
    /// # Errors
    /// Those of [`Pages::read`]; [`PageError::Failed`] if rows are not where they should be, or memory is refused.
    pub fn refine<P: Pages + ?Sized>(
        &mut self,
        pages: &P,
        query: &mut PreparedQuery,
        group: &mut SearchGroup,
        rows: &[CoarseRow],
        limit: f32,
        mut done: impl FnMut(u16, f32, Refined),
    ) -> PageResult<()> {
        group.read_cell_starts(pages, &mut self.buffer)?;
        self.rows.clear();
        memory::reserve(&mut self.rows, rows.len())?;
        self.rows.extend(rows.iter().map(|&coarse| RowSum { coarse, row: coarse.row.number(), sum: 0.0 }));
        if let Some(CoarseRow { row: RowRef::Position(_), .. }) = rows.first() {
            self.find_rows(pages, group)?;
        }
        let Some((first, last)) = query.active.first().zip(query.active.last()) else { return Ok(()) };
        self.rows.sort_unstable_by_key(|row| row.row);
        // A row's details of all subspaces lie side by side.
        let shape = group.shape;
        let span = |row: usize| shape.detail(row, first.k).start..shape.detail(row, last.k).end;
        self.read_details(pages, group, span)?;
        let origin = span(0).start;
        self.left.clear();
        memory::reserve(&mut self.left, self.rows.len())?;
        self.left.extend(0..self.rows.len() as u16);
        for &i in &query.order {
            let subspace = &mut query.active[i];
            let detail = shape.detail(0, subspace.k);
            let detail = detail.start - origin..detail.end - origin;
            self.find_positions(group, detail.start)?;
            self.add_subspace(pages, group, i, subspace, detail)?;
            let rows = &self.rows;
            self.left.retain(|&index| {
                let row = &rows[usize::from(index)];
                let is_within = row.sum <= limit;
                if !is_within {
                    done(row.row as u16, row.sum.max(row.coarse.bound), Refined::InPart);
                }
                is_within
            });
        }
        for &index in &self.left {
            let row = &self.rows[usize::from(index)];
            done(row.row as u16, row.sum.max(row.coarse.bound), Refined::Wholly);
        }
        Ok(())
    }

    /// In a query on one subspace: from positions to row numbers.
    fn find_rows<P: Pages + ?Sized>(&mut self, pages: &P, group: &SearchGroup) -> PageResult<()> {
        self.rows.sort_unstable_by_key(|row| row.row);
        self.ranges.clear();
        memory::reserve(&mut self.ranges, self.rows.len())?;
        let start = group.sections[0].rows.start;
        self.ranges.extend(self.rows.iter().map(|row| start + 2 * row.row..start + 2 * row.row + 2));
        let buffer = &mut self.buffer;
        buffer.clear();
        memory::reserve(buffer, 2 * self.rows.len())?;
        buffer.resize(2 * self.rows.len(), 0);
        group.extent.gather(pages, &self.ranges, &mut |i, from, bytes| {
            buffer[2 * i + from..][..bytes.len()].copy_from_slice(bytes);
            Ok(())
        })?;
        for (row, bytes) in self.rows.iter_mut().zip(self.buffer.chunks_exact(2)) {
            row.row = u16::from_le_bytes([bytes[0], bytes[1]]).into();
            if row.row >= group.shape.rows {
                return Err(misplaced(group));
            }
        }
        Ok(())
    }

    /// Reads the byte range `span` of each row.
    fn read_details<P: Pages + ?Sized>(
        &mut self,
        pages: &P,
        group: &SearchGroup,
        span: impl Fn(usize) -> Range<usize>,
    ) -> PageResult<()> {
        self.ranges.clear();
        memory::reserve(&mut self.ranges, self.rows.len())?;
        self.ranges.extend(self.rows.iter().map(|row| span(row.row)));
        let width = span(0).len();
        self.details.width = width;
        let details = &mut self.details.bytes;
        details.clear();
        memory::reserve(details, self.rows.len() * width)?;
        details.resize(self.rows.len() * width, 0);
        group.extent.gather(pages, &self.ranges, &mut |i, from, bytes| {
            details[i * width + from..][..bytes.len()].copy_from_slice(bytes);
            Ok(())
        })
    }

    /// Sorts the rows by their position in the subspace whose detail begins at byte `at` of each row's details.
    fn find_positions(&mut self, group: &SearchGroup, at: usize) -> PageResult<()> {
        self.positions.clear();
        memory::reserve(&mut self.positions, self.rows.len())?;
        for &index in &self.left {
            let row = &self.rows[usize::from(index)];
            let details = &self.details.bytes[usize::from(index) * self.details.width..];
            let position = u16::from_le_bytes([details[at], details[at + 1]]);
            let found = match row.coarse.row {
                RowRef::Number(_) => usize::from(position) < group.shape.rows,
                RowRef::Position(known) => position == known,
            };
            if !found {
                return Err(misplaced(group));
            }
            self.positions.push(RowPosition { position, index });
        }
        self.positions.sort_unstable();
        Ok(())
    }

    /// Adds to the sum of each row what active subspace `i` contributes; `detail` is its part of a row's details.
    fn add_subspace<P: Pages + ?Sized>(
        &mut self,
        pages: &P,
        group: &SearchGroup,
        i: usize,
        subspace: &mut SubspaceQuery,
        detail: Range<usize>,
    ) -> PageResult<()> {
        let (start, size) = (group.sections[i].high_nibbles.start, group.shape.block_size());
        self.ranges.clear();
        self.ranges.extend(self.positions.iter().map(|row| {
            let at = start + usize::from(row.position) / BLOCK_ROWS * size;
            at..at + size
        }));
        let (positions, rows, details) = (&self.positions, &mut self.rows, &self.details);
        let starts = &group.cell_starts[i];
        group.extent.gather_whole(pages, &self.ranges, &mut self.buffer, &mut |i, block| {
            let RowPosition { position, index } = positions[i];
            let index = usize::from(index);
            let detail = &details.bytes[index * details.width..][detail.clone()];
            let cell = starts.partition_point(|&start| start <= position) - 1;
            let lane = usize::from(position) % BLOCK_ROWS;
            let codes = RowCodes { low_nibbles: &detail[DETAIL_HEADER..], block, lane };
            rows[index].sum += subspace.fine_bound(cell, codes, detail[2])? * subspace.weight;
            Ok(())
        })
    }
}

fn misplaced(group: &SearchGroup) -> PageError {
    PageError::corrupt(format!(
        "A row of the group at block {} is not where it should be.",
        group.extent.first
    ))
}
