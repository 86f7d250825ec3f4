//! Bounds sharpened with all bits, many rows at a time.
//!
//! What a row's bound needs lies on as many pages as its query has subspaces. Finding a page costs more than reading a row's
//! share of it, so rows are taken together, and each page is read once for all of them, the next one being loaded meanwhile.

use super::frontier::Item;
use super::group::{parse_starts, GroupShape, Plane, BLOCK};
use super::kernels::Codes;
use super::pages::{Extent, PageError, PageResult, Pages};
use super::prepared::{Active, Prepared};
use crate::memory;
use std::ops::Range;

/// The most rows at a time: what they need is kept in memory.
pub const MOST: usize = 4096;

/// A group, as far as the query needs it.
pub struct Group {
    pub extent: Extent,
    pub shape: GroupShape,
    /// `[active]`.
    pub planes: Vec<Plane>,
    /// `[active, cells + 1]`, read when needed.
    pub starts: Vec<Vec<u16>>,
    /// What no row's squared length is below: `[1]` for a query on one subspace.
    pub norms: Vec<f32>,
    /// Rows up to this bound are in the frontier, or were.
    pub above: f32,
}

/// What is kept from one batch to the next so as not to be allocated again.
#[derive(Default)]
pub struct Refiner {
    rows: Vec<Row>,
    ranges: Vec<Range<usize>>,
    bytes: Vec<u8>,
    details: Details,
    places: Vec<Place>,
}

/// Rows' details, all of one width.
#[derive(Default)]
struct Details {
    bytes: Vec<u8>,
    width: usize,
}

/// A row's position in a subspace; in the order of positions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    position: u16,
    row: u16,
}

/// A row on its way. For a query on one subspace the item names its position, otherwise the row.
#[derive(Clone, Copy)]
struct Row {
    item: Item,
    row: usize,
    sum: f32,
}

impl Refiner {
    /// Sharpens the bounds of `items`, [`MOST`] at most and all of one group, and gives `done` each with its row. Of the indexes
    /// of items, `number` keeps what is not their kind.
    ///
    /// # Errors
    /// Those of [`Pages::read`]; [`PageError::Failed`] if rows are not where they should be, or memory is refused.
    pub fn refine<P: Pages + ?Sized>(
        &mut self,
        pages: &P,
        query: &mut Prepared,
        group: &mut Group,
        items: &[Item],
        number: impl Fn(Item) -> usize,
        done: &mut dyn FnMut(Item, usize),
    ) -> PageResult<()> {
        group.read_starts(pages, &mut self.bytes)?;
        self.rows.clear();
        memory::reserve(&mut self.rows, items.len())?;
        self.rows.extend(items.iter().map(|&item| Row { item, row: number(item), sum: 0.0 }));
        let single = query.active.len() == 1;
        if single {
            self.find_rows(pages, group)?;
        }
        let Some((first, last)) = query.active.first().zip(query.active.last()) else { return Ok(()) };
        // Details of all subspaces lie together; read from the first to the last that counts.
        let shape = group.shape;
        let span = |row: usize| shape.detail(row, first.k).start..shape.detail(row, last.k).end;
        let (origin, width) = (span(0).start, span(0).len());
        self.rows.sort_unstable_by_key(|row| row.row);
        self.ranges.clear();
        memory::reserve(&mut self.ranges, items.len())?;
        self.ranges.extend(self.rows.iter().map(|row| span(row.row)));
        self.details.width = width;
        let details = &mut self.details.bytes;
        details.clear();
        memory::reserve(details, self.rows.len() * width)?;
        details.resize(self.rows.len() * width, 0);
        group.extent.gather(pages, &self.ranges, &mut |i, from, bytes| {
            details[i * width + from..][..bytes.len()].copy_from_slice(bytes);
            Ok(())
        })?;
        for (i, active) in query.active.iter_mut().enumerate() {
            let detail = shape.detail(0, active.k);
            let detail = detail.start - origin..detail.end - origin;
            self.find_places(group, detail.start)?;
            let named = |place: &Place| number(self.rows[usize::from(place.row)].item);
            if single && self.places.iter().any(|place| usize::from(place.position) != named(place)) {
                return Err(misplaced(group));
            }
            self.add_subspace(pages, group, i, active, detail)?;
        }
        for row in &self.rows {
            done(Item { bound: row.sum.max(row.item.bound), ..row.item }, row.row);
        }
        Ok(())
    }

    /// One subspace: from positions to rows.
    fn find_rows<P: Pages + ?Sized>(&mut self, pages: &P, group: &Group) -> PageResult<()> {
        self.rows.sort_unstable_by_key(|row| row.row);
        self.ranges.clear();
        memory::reserve(&mut self.ranges, self.rows.len())?;
        let start = group.planes[0].rows.start;
        self.ranges.extend(self.rows.iter().map(|row| start + 2 * row.row..start + 2 * row.row + 2));
        let bytes = &mut self.bytes;
        bytes.clear();
        memory::reserve(bytes, 2 * self.rows.len())?;
        bytes.resize(2 * self.rows.len(), 0);
        group.extent.gather(pages, &self.ranges, &mut |i, from, piece| {
            bytes[2 * i + from..][..piece.len()].copy_from_slice(piece);
            Ok(())
        })?;
        for (row, bytes) in self.rows.iter_mut().zip(self.bytes.chunks_exact(2)) {
            row.row = u16::from_le_bytes([bytes[0], bytes[1]]).into();
            if row.row >= group.shape.rows {
                return Err(misplaced(group));
            }
        }
        Ok(())
    }

    /// The positions of rows in one subspace, whose details begin at `at` in each row's.
    fn find_places(&mut self, group: &Group, at: usize) -> PageResult<()> {
        self.places.clear();
        memory::reserve(&mut self.places, self.rows.len())?;
        for (row, details) in self.details.bytes.chunks_exact(self.details.width).enumerate() {
            let position = u16::from_le_bytes([details[at], details[at + 1]]);
            if usize::from(position) >= group.shape.rows {
                return Err(misplaced(group));
            }
            self.places.push(Place { position, row: row as u16 });
        }
        self.places.sort_unstable();
        Ok(())
    }

    /// Adds what active subspace `i` says of each row; `detail` is its part of a row's details.
    fn add_subspace<P: Pages + ?Sized>(
        &mut self,
        pages: &P,
        group: &Group,
        i: usize,
        active: &mut Active,
        detail: Range<usize>,
    ) -> PageResult<()> {
        let (start, size) = (group.planes[i].high.start, group.shape.block_size());
        self.ranges.clear();
        self.ranges.extend(self.places.iter().map(|place| {
            let at = start + usize::from(place.position) / BLOCK * size;
            at..at + size
        }));
        let (places, rows, details) = (&self.places, &mut self.rows, &self.details);
        let starts = &group.starts[i];
        group.extent.gather_whole(pages, &self.ranges, &mut self.bytes, &mut |i, block| {
            let place = places[i];
            let row = usize::from(place.row);
            let detail = &details.bytes[row * details.width..][detail.clone()];
            let cell = starts.partition_point(|&start| start <= place.position) - 1;
            let codes = Codes { low: &detail[3..], block, lane: usize::from(place.position) % BLOCK };
            rows[row].sum += active.refined(cell, codes, detail[2])? * active.weight;
            Ok(())
        })
    }
}

impl Group {
    /// Reads where runs begin, unless that has been done.
    fn read_starts<P: Pages + ?Sized>(&mut self, pages: &P, bytes: &mut Vec<u8>) -> PageResult<()> {
        if self.starts.is_empty() {
            memory::reserve(&mut self.starts, self.planes.len())?;
            for plane in &self.planes {
                self.extent.copy(pages, plane.starts.clone(), bytes)?;
                self.starts.push(parse_starts(bytes, self.shape.rows)?);
            }
        }
        Ok(())
    }
}

fn misplaced(group: &Group) -> PageError {
    PageError::corrupt(format!(
        "A row of the group at block {} is not where it should be.",
        group.extent.first
    ))
}
