//! A group on disk: one stream of bytes over an extent of pages.
//!
//! | section | bytes | order |
//! |---|---|---|
//! | TIDs | 6 a row | rows |
//! | cells | 16·K for each block of 32 rows, nibbles as below with subspaces for dimensions | rows |
//! | details | per row and subspace: position (2), error code (1), low nibbles (n/2) | rows |
//! | per subspace: norm | 4: what no row's squared length is below | |
//! | starts | 2 for each cell, and the end | cells |
//! | radii | 8 for each piece: distances from the centre, least and most | positions |
//! | errors | 1 a row | positions |
//! | rows | 2 a row | positions |
//! | high nibbles | 16·n for each block of 32 rows | positions |
//!
//! A *position* is a row's place in one subspace's own order, by cell and then by distance from the cell's centre. A *run*
//! is a cell's positions, a *piece* what a run has in one block. High nibbles lie dimension by dimension: 16 bytes, byte
//! i with the low half for position i of the block and the high half for position i + 16.

use super::batch::{CodeMetadata, EncodedRows};
use super::layout::Tid;
use super::pages::{Extent, PageError, PageResult, Pages};
use crate::error::Result;
use crate::memory;
use crate::space::Layout;
use std::ops::Range;

/// Rows of a block.
pub const BLOCK: usize = 32;
/// The most rows of a group: a position takes two bytes.
pub const MAX_GROUP_ROWS: usize = 65_535;

/// Where everything of a group lies in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupShape {
    /// Whose space the rows are in.
    pub layout: Layout,
    /// Cells of each subspace.
    pub cells: usize,
    /// Rows of the group.
    pub rows: usize,
}

/// Where the planes of one subspace lie.
#[derive(Debug, Clone)]
pub struct Plane {
    pub norm: Range<usize>,
    pub starts: Range<usize>,
    pub radii: Range<usize>,
    pub errors: Range<usize>,
    pub rows: Range<usize>,
    pub high: Range<usize>,
}

impl GroupShape {
    fn blocks(&self) -> usize {
        self.rows.div_ceil(BLOCK)
    }

    /// Bytes of a block of high nibbles.
    pub fn block_size(&self) -> usize {
        16 * self.layout.subspace_dim()
    }

    /// Bytes of one subspace in a row's details.
    fn detail_size(&self) -> usize {
        3 + self.layout.subspace_dim().div_ceil(2)
    }

    /// Where the TID of a row lies.
    pub fn tid(&self, row: usize) -> usize {
        row * Tid::SIZE
    }

    /// Where the cells of all rows lie.
    pub fn cells_of_rows(&self) -> Range<usize> {
        let at = (self.rows * Tid::SIZE).next_multiple_of(16);
        at..at + self.blocks() * 16 * self.layout.subspaces()
    }

    /// Where the details of a row in subspace `k` lie.
    pub fn detail(&self, row: usize, k: usize) -> Range<usize> {
        let at = self.cells_of_rows().end + (row * self.layout.subspaces() + k) * self.detail_size();
        at..at + self.detail_size()
    }

    /// Where the planes of subspace `k` lie.
    pub fn plane(&self, k: usize) -> Plane {
        let base = self.detail(self.rows, 0).start.next_multiple_of(16);
        let mut at = base + k * self.plane_size();
        let mut section = |size: usize| {
            let range = at..at + size;
            at = range.end.next_multiple_of(16);
            range
        };
        Plane {
            norm: section(4),
            starts: section(2 * (self.cells + 1)),
            radii: section(8 * (self.blocks() + self.cells)),
            errors: section(self.rows),
            rows: section(2 * self.rows),
            high: section(self.blocks() * self.block_size()),
        }
    }

    fn plane_size(&self) -> usize {
        [
            4,
            2 * (self.cells + 1),
            8 * (self.blocks() + self.cells),
            self.rows,
            2 * self.rows,
            self.blocks() * self.block_size(),
        ]
        .map(|size| size.next_multiple_of(16))
        .iter()
        .sum()
    }

    /// Bytes of the whole stream.
    pub fn size(&self) -> usize {
        self.plane(self.layout.subspaces()).norm.start
    }

    /// Pages of the whole stream.
    pub fn pages(&self) -> u32 {
        Extent::pages(self.size())
    }
}

/// What a run has in one block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece {
    /// First position.
    pub first: u16,
    /// How many.
    pub len: u8,
    /// Their cell.
    pub cell: u8,
}

impl Piece {
    /// Its positions in the group.
    pub fn positions(self) -> Range<usize> {
        self.first.into()..usize::from(self.first) + usize::from(self.len)
    }

    /// Its positions in the block.
    pub fn lanes(self) -> Range<usize> {
        let first = usize::from(self.first) % BLOCK;
        first..first + usize::from(self.len)
    }
}

/// The runs that begin at `starts` (one for each cell, and the end), cut at the borders of blocks.
pub struct Pieces<'a> {
    starts: &'a [u16],
    cell: usize,
    at: u16,
}

/// Cuts runs into pieces.
pub fn pieces(starts: &[u16]) -> Pieces<'_> {
    Pieces { starts, cell: 0, at: 0 }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    #[inline]
    fn next(&mut self) -> Option<Piece> {
        let mut end = *self.starts.get(self.cell + 1)?;
        while self.at == end {
            self.cell += 1;
            end = *self.starts.get(self.cell + 1)?;
        }
        let first = self.at;
        self.at = end.min((first | (BLOCK as u16 - 1)).saturating_add(1));
        Some(Piece { first, len: (self.at - first) as u8, cell: self.cell as u8 })
    }
}

/// Reads the starts of runs, checked: they rise from 0 to the number of rows.
pub fn parse_starts(bytes: &[u8], rows: usize) -> PageResult<Vec<u16>> {
    let starts = memory::collect(bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])))?;
    let ends = starts.first() == Some(&0) && starts.last().map(|&s| usize::from(s)) == Some(rows);
    if ends && starts.is_sorted() {
        Ok(starts)
    } else {
        Err(PageError::corrupt("The runs of a group do not add up to its rows."))
    }
}

/// Reads the least squared length of rows, checked.
pub fn parse_norm(bytes: &[u8]) -> PageResult<f32> {
    let norm = bytes.first_chunk().map_or(f32::NAN, |bytes| f32::from_le_bytes(*bytes));
    if norm.is_finite() {
        Ok(norm)
    } else {
        Err(PageError::corrupt("The length of a group's rows is no number."))
    }
}

/// Reads the rows of positions, checked: each is one of the group.
pub fn parse_rows(bytes: &[u8], rows: usize, out: &mut Vec<u16>) -> PageResult<()> {
    out.clear();
    memory::reserve(out, bytes.len() / 2)?;
    out.extend(bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])));
    if out.iter().copied().max().is_none_or(|row| usize::from(row) < rows) {
        Ok(())
    } else {
        Err(PageError::corrupt("A position of a group leads to no row."))
    }
}

/// Packs rows into a group. At most [`MAX_GROUP_ROWS`].
///
/// # Errors
/// [`crate::error::Kind::OutOfMemory`].
pub fn encode_group(batch: &EncodedRows, cells: usize) -> Result<(GroupShape, Vec<u8>)> {
    let shape = GroupShape { layout: batch.layout, cells, rows: batch.rows() };
    let mut out = memory::filled(0, shape.size())?;
    for (row, tid) in batch.tids.iter().enumerate() {
        out[shape.tid(row)..][..Tid::SIZE].copy_from_slice(&tid.to_bytes());
    }
    for k in 0..batch.layout.subspaces() {
        encode_subspace(batch, &shape, k, &mut out)?;
    }
    Ok((shape, out))
}

fn encode_subspace(batch: &EncodedRows, shape: &GroupShape, k: usize, out: &mut [u8]) -> Result<()> {
    let (subspaces, dimensions) = (shape.layout.subspaces(), shape.layout.dimensions());
    let n = shape.layout.subspace_dim();
    let plane = shape.plane(k);
    let mark = |row: u16| &batch.metadata[usize::from(row) * subspaces + k];
    let mut order: Vec<u16> = memory::collect(0..shape.rows as u16)?;
    order.sort_unstable_by(|&a, &b| {
        let (x, y) = (mark(a), mark(b));
        x.cell.cmp(&y.cell).then(x.min_radius.total_cmp(&y.min_radius)).then(a.cmp(&b))
    });
    let start = |cell| order.partition_point(|&row| usize::from(mark(row).cell) < cell) as u16;
    let starts: Vec<u16> = memory::collect((0..=shape.cells).map(start))?;
    let norm = order.iter().map(|&row| mark(row).min_squared_norm).fold(f32::INFINITY, f32::min);
    out[plane.norm].copy_from_slice(&norm.min(f32::MAX).to_le_bytes());
    write_all(&mut out[plane.starts], starts.iter().map(|s| s.to_le_bytes()));
    let radii = pieces(&starts).flat_map(|p| {
        let rows = &order[p.positions()];
        let inner = rows.iter().map(|&r| mark(r).min_radius).fold(f32::INFINITY, f32::min);
        let outer = rows.iter().map(|&r| mark(r).max_radius).fold(0.0, f32::max);
        [inner.to_le_bytes(), outer.to_le_bytes()]
    });
    write_all(&mut out[plane.radii], radii);
    write_all(&mut out[plane.errors], order.iter().map(|&row| [mark(row).coarse_error]));
    write_all(&mut out[plane.rows], order.iter().map(|row| row.to_le_bytes()));
    let cells = &mut out[shape.cells_of_rows()];
    for row in 0..shape.rows {
        let lane = row % BLOCK;
        let at = row / BLOCK * 16 * subspaces + 16 * k + lane % 16;
        cells[at] |= mark(row as u16).cell << (4 * (lane / 16));
    }
    let high = &mut out[plane.high];
    for (position, &row) in order.iter().enumerate() {
        let codes = &batch.codes[usize::from(row) * dimensions + k * n..][..n];
        let lane = position % BLOCK;
        let block = &mut high[position / BLOCK * shape.block_size()..][..shape.block_size()];
        for (bytes, code) in block.chunks_exact_mut(16).zip(codes) {
            bytes[lane % 16] |= (code >> 4) << (4 * (lane / 16));
        }
    }
    for (position, &row) in order.iter().enumerate() {
        let codes = &batch.codes[usize::from(row) * dimensions + k * n..][..n];
        let detail = &mut out[shape.detail(row.into(), k)];
        detail[..2].copy_from_slice(&(position as u16).to_le_bytes());
        detail[2] = mark(row).fine_error;
        for (byte, pair) in detail[3..].iter_mut().zip(codes.chunks(2)) {
            *byte = pair[0] & 15 | pair.get(1).map_or(0, |c| c << 4);
        }
    }
    Ok(())
}

fn write_all<const N: usize>(out: &mut [u8], items: impl Iterator<Item = [u8; N]>) {
    for (to, item) in out.chunks_exact_mut(N).zip(items) {
        to.copy_from_slice(&item);
    }
}

/// Reads a group back: the rows as they went in, but for their radii, which are those of their pieces, and lengths, which are the
/// group's least.
///
/// # Errors
/// [`PageError::Failed`] if its parts contradict each other; those of [`Pages::read`]; [`crate::error::Kind::OutOfMemory`].
pub fn decode_group<P: Pages + ?Sized>(
    pages: &P,
    extent: Extent,
    shape: &GroupShape,
) -> PageResult<EncodedRows> {
    let mut bytes = memory::with_capacity(shape.size())?;
    extent.copy(pages, 0..shape.size(), &mut bytes)?;
    unpack(&bytes, shape)
}

fn unpack(bytes: &[u8], shape: &GroupShape) -> PageResult<EncodedRows> {
    let (subspaces, dimensions, n) =
        (shape.layout.subspaces(), shape.layout.dimensions(), shape.layout.subspace_dim());
    let mut batch = EncodedRows::new(shape.layout);
    batch.tids =
        memory::collect(bytes[..shape.rows * Tid::SIZE].as_chunks().0.iter().map(|b| Tid::from_bytes(*b)))?;
    batch.codes = memory::filled(0, shape.rows * dimensions)?;
    let nothing = CodeMetadata {
        cell: 0,
        coarse_error: 0,
        fine_error: 0,
        min_radius: f32::NAN,
        max_radius: 0.0,
        min_squared_norm: 0.0,
    };
    batch.metadata = memory::filled(nothing, shape.rows * subspaces)?;
    for k in 0..subspaces {
        let plane = shape.plane(k);
        let norm = parse_norm(&bytes[plane.norm])?;
        let starts = parse_starts(&bytes[plane.starts], shape.rows)?;
        for (piece, radii) in pieces(&starts).zip(bytes[plane.radii].chunks_exact(8)) {
            let inner = f32::from_le_bytes([radii[0], radii[1], radii[2], radii[3]]);
            let outer = f32::from_le_bytes([radii[4], radii[5], radii[6], radii[7]]);
            if !(inner >= 0.0 && inner <= outer) {
                return Err(PageError::corrupt(format!(
                    "A piece of subspace {k} reaches from {inner} to {outer}."
                )));
            }
            for position in piece.positions() {
                let row = usize::from(u16::from_le_bytes([
                    bytes[plane.rows.start + 2 * position],
                    bytes[plane.rows.start + 2 * position + 1],
                ]));
                if row >= shape.rows || !batch.metadata[row * subspaces + k].min_radius.is_nan() {
                    return Err(PageError::corrupt(format!(
                        "Position {position} of subspace {k} leads to no row of its own."
                    )));
                }
                let detail = &bytes[shape.detail(row, k)];
                if usize::from(u16::from_le_bytes([detail[0], detail[1]])) != position {
                    return Err(PageError::corrupt(format!(
                        "Row {row} does not lead back to position {position} of subspace {k}."
                    )));
                }
                batch.metadata[row * subspaces + k] = CodeMetadata {
                    cell: piece.cell,
                    coarse_error: bytes[plane.errors.start + position],
                    fine_error: detail[2],
                    min_radius: inner,
                    max_radius: outer,
                    min_squared_norm: norm,
                };
                let at = shape.cells_of_rows().start + row / BLOCK * 16 * subspaces + 16 * k + row % 16;
                if bytes[at] >> (4 * (row % BLOCK / 16)) & 15 != piece.cell {
                    return Err(PageError::corrupt(format!("Row {row} is in two cells of subspace {k}.")));
                }
                let lane = position % BLOCK;
                let block = &bytes[plane.high.start + position / BLOCK * shape.block_size()..];
                for (d, code) in batch.codes[row * dimensions + k * n..][..n].iter_mut().enumerate() {
                    let high = block[16 * d + lane % 16] >> (4 * (lane / 16)) & 15;
                    let low = detail[3 + d / 2] >> (4 * (d % 2)) & 15;
                    *code = high << 4 | low;
                }
            }
        }
    }
    Ok(batch)
}
