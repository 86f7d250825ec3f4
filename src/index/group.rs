//! A group: rows encoded for searching, written and read as one stream of bytes. [`super::format`] has the layout.

use super::cell_blocks::{cell_blocks, CellBlock};
use super::encoded_rows::{CodeMetadata, EncodedRows};
use super::extent::Extent;
use super::format::{
    f32_at, nibble, set_nibble, u16_at, GroupShape, SubspaceSections, Tid, BLOCK_ROWS, DETAIL_HEADER,
};
use super::page_error::{PageError, PageResult};
use super::pages::Pages;
use super::sketch::{is_sketch_of, write_sketch};
use crate::error::Result;
use crate::memory;
use std::ops::Range;

/// Decodes the first position of each cell, and the end.
///
/// # Errors
/// [`PageError::Failed`] unless they rise from 0 to the number of rows.
pub fn parse_cell_starts(bytes: &[u8], rows: usize) -> PageResult<Vec<u16>> {
    let starts = memory::collect(bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])))?;
    let complete = starts.first() == Some(&0) && starts.last().map(|&s| usize::from(s)) == Some(rows);
    if complete && starts.is_sorted() {
        Ok(starts)
    } else {
        Err(PageError::corrupt("The cells of a group do not add up to its rows."))
    }
}

/// Decodes the smallest squared norm of a group's rows in one subspace.
///
/// # Errors
/// [`PageError::Failed`] if it is not finite.
pub fn parse_min_squared_norm(bytes: &[u8]) -> PageResult<f32> {
    let norm = bytes.first_chunk().map_or(f32::NAN, |bytes| f32::from_le_bytes(*bytes));
    if norm.is_finite() {
        Ok(norm)
    } else {
        Err(PageError::corrupt("The smallest norm of a group's rows is not finite."))
    }
}

/// Decodes the rows of positions into `out`.
///
/// # Errors
/// [`PageError::Failed`] if one is not a row of the group.
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

/// Decodes a cell block's smallest and largest radius.
pub fn parse_radii(bytes: &[u8]) -> (f32, f32) {
    (f32_at(bytes, 0), f32_at(bytes, 4))
}

/// Packs rows, at most [`MAX_GROUP_ROWS`](super::MAX_GROUP_ROWS), into the stream of a group.
///
/// # Errors
/// [`crate::error::Kind::OutOfMemory`].
pub fn encode_group(rows: &EncodedRows, cells: usize) -> Result<(GroupShape, Vec<u8>)> {
    let shape = GroupShape { layout: rows.layout, cells, rows: rows.rows() };
    let mut out = memory::filled(0, shape.size())?;
    for (row, tid) in rows.tids.iter().enumerate() {
        out[shape.tid(row)..][..Tid::SIZE].copy_from_slice(&tid.to_bytes());
    }
    for k in 0..rows.layout.subspaces() {
        encode_subspace(rows, &shape, k, &mut out)?;
    }
    Ok((shape, out))
}

fn encode_subspace(rows: &EncodedRows, shape: &GroupShape, k: usize, out: &mut [u8]) -> Result<()> {
    let (subspaces, dimensions) = (shape.layout.subspaces(), shape.layout.dimensions());
    let n = shape.layout.subspace_dim();
    let sections = shape.sections(k);
    let metadata = |row: u16| &rows.metadata[usize::from(row) * subspaces + k];
    let codes_of = |row: u16| &rows.codes[usize::from(row) * dimensions + k * n..][..n];
    let mut order: Vec<u16> = memory::collect(0..shape.rows as u16)?;
    order.sort_unstable_by(|&a, &b| {
        let (x, y) = (metadata(a), metadata(b));
        x.cell.cmp(&y.cell).then(x.min_radius.total_cmp(&y.min_radius)).then(a.cmp(&b))
    });
    let start = |cell| order.partition_point(|&row| usize::from(metadata(row).cell) < cell) as u16;
    let starts: Vec<u16> = memory::collect((0..=shape.cells).map(start))?;
    let norm = order.iter().map(|&row| metadata(row).min_squared_norm).fold(f32::INFINITY, f32::min);
    out[sections.min_squared_norm].copy_from_slice(&norm.min(f32::MAX).to_le_bytes());
    write_all(&mut out[sections.cell_starts], starts.iter().map(|s| s.to_le_bytes()));
    let radii = cell_blocks(&starts).flat_map(|block| {
        let rows = &order[block.positions()];
        let min = rows.iter().map(|&r| metadata(r).min_radius).fold(f32::INFINITY, f32::min);
        let max = rows.iter().map(|&r| metadata(r).max_radius).fold(0.0, f32::max);
        [min.to_le_bytes(), max.to_le_bytes()]
    });
    write_all(&mut out[sections.radii], radii);
    write_all(&mut out[sections.coarse_errors], order.iter().map(|&row| [metadata(row).coarse_error]));
    write_all(&mut out[sections.rows], order.iter().map(|row| row.to_le_bytes()));
    for i in 0..shape.sample_rows() {
        let at =
            shape.sample().start + i / BLOCK_ROWS * shape.cells_of_block() + BLOCK_ROWS * k + i % BLOCK_ROWS;
        out[at] = metadata(shape.sampled_row(i) as u16).cell;
    }
    let cells_of_rows = &mut out[shape.cells_of_rows()];
    for row in 0..shape.rows {
        let block = &mut cells_of_rows[row / BLOCK_ROWS * shape.cells_of_block()..];
        let format = shape.cell_format();
        format.set_cell(&mut block[format.block_size() * k..], row % BLOCK_ROWS, metadata(row as u16).cell);
    }
    let high_nibbles = &mut out[sections.high_nibbles];
    for (position, &row) in order.iter().enumerate() {
        let block = &mut high_nibbles[position / BLOCK_ROWS * shape.block_size()..][..shape.block_size()];
        for (bytes, code) in block.chunks_exact_mut(16).zip(codes_of(row)) {
            set_nibble(bytes, position % BLOCK_ROWS, code >> 4);
        }
    }
    for (position, &row) in order.iter().enumerate() {
        let detail = &mut out[shape.detail(row.into(), k)];
        detail[..2].copy_from_slice(&(position as u16).to_le_bytes());
        detail[2] = metadata(row).fine_error;
        for (byte, pair) in detail[DETAIL_HEADER..].iter_mut().zip(codes_of(row).chunks(2)) {
            *byte = pair[0] & 15 | pair.get(1).map_or(0, |c| c << 4);
        }
    }
    if shape.sketch_size() > 0 {
        for row in 0..shape.rows {
            let CodeMetadata { cell, sketch_correction, .. } = *metadata(row as u16);
            write_sketch(&mut out[shape.sketch(row, k)], cell, sketch_correction, codes_of(row as u16));
        }
    }
    Ok(())
}

fn write_all<const N: usize>(out: &mut [u8], items: impl Iterator<Item = [u8; N]>) {
    for (to, item) in out.chunks_exact_mut(N).zip(items) {
        to.copy_from_slice(&item);
    }
}

/// Reads a group back. Radii come back as those of the row's cell block and norms as the group's smallest: both are still
/// bounds.
///
/// # Errors
/// [`PageError::Failed`] if its sections contradict each other; those of [`Pages::read`];
/// [`crate::error::Kind::OutOfMemory`].
pub fn decode_group<P: Pages + ?Sized>(
    pages: &P,
    extent: Extent,
    shape: &GroupShape,
) -> PageResult<EncodedRows> {
    let mut bytes = memory::with_capacity(shape.size())?;
    extent.copy(pages, 0..shape.size(), &mut bytes)?;
    let mut rows = EncodedRows::new(shape.layout);
    rows.tids =
        memory::collect(bytes[..shape.rows * Tid::SIZE].as_chunks().0.iter().map(|b| Tid::from_bytes(*b)))?;
    rows.codes = memory::filled(0, shape.rows * shape.layout.dimensions())?;
    rows.metadata = memory::filled(NOT_DECODED, shape.rows * shape.layout.subspaces())?;
    for k in 0..shape.layout.subspaces() {
        Subspace { bytes: &bytes, shape, k, sections: shape.sections(k) }.decode(&mut rows)?;
    }
    let sample = bytes[shape.sample()].chunks_exact(BLOCK_ROWS);
    for (i, cells) in sample.enumerate() {
        let (block, k) = (i / shape.layout.subspaces(), i % shape.layout.subspaces());
        for (lane, &cell) in cells.iter().enumerate() {
            let row = shape.sampled_row(BLOCK_ROWS * block + lane);
            if cell != rows.metadata[row * shape.layout.subspaces() + k].cell {
                return Err(PageError::corrupt(format!(
                    "The sample of a group has row {row} in another cell."
                )));
            }
        }
    }
    Ok(rows)
}

/// Reads single rows of groups back, as [`decode_group`] does.
#[derive(Default)]
pub struct RowReader {
    /// A group's stream, of which only the parts of one row are there. It is as long as that of the largest group so far.
    bytes: Vec<u8>,
    /// One part, on its way there.
    part: Vec<u8>,
}

impl RowReader {
    /// Reads the row of this number.
    ///
    /// # Errors
    /// As [`decode_group`].
    pub fn read<P: Pages + ?Sized>(
        &mut self,
        pages: &P,
        extent: Extent,
        shape: &GroupShape,
        row: usize,
    ) -> PageResult<EncodedRows> {
        let missing = shape.size().saturating_sub(self.bytes.len());
        memory::reserve(&mut self.bytes, missing)?;
        self.bytes.resize(self.bytes.len() + missing, 0);
        let layout = shape.layout;
        let mut out = EncodedRows::new(layout);
        memory::push(&mut out.tids, Tid::from_bytes(extent.array(pages, shape.tid(row))?))?;
        out.codes = memory::filled(0, layout.dimensions())?;
        let cells = shape.cells_of_rows().start + row / BLOCK_ROWS * shape.cells_of_block();
        self.copy(pages, extent, cells..cells + shape.cells_of_block())?;
        let last = layout.subspaces() - 1;
        self.copy(pages, extent, shape.detail(row, 0).start..shape.detail(row, last).end)?;
        self.copy(pages, extent, shape.sketch(row, 0).start..shape.sketch(row, last).end)?;
        for k in 0..layout.subspaces() {
            let sections = shape.sections(k);
            let position = usize::from(u16_at(&self.bytes, shape.detail(row, k).start));
            if position >= shape.rows {
                return Err(PageError::corrupt(format!("Row {row} leads to no position of subspace {k}.")));
            }
            let block = sections.high_nibbles.start + position / BLOCK_ROWS * shape.block_size();
            let at = |section: &Range<usize>, size: usize| {
                section.start + size * position..section.start + size * (position + 1)
            };
            for part in [
                sections.min_squared_norm.start..sections.radii.end,
                at(&sections.coarse_errors, 1),
                at(&sections.rows, 2),
                block..block + shape.block_size(),
            ] {
                self.copy(pages, extent, part)?;
            }
            let subspace = Subspace { bytes: &self.bytes, shape, k, sections };
            let codes = &mut out.codes[layout.range(k)];
            let mut metadata = None;
            subspace.cell_blocks(&mut |block, of_block| {
                if block.positions().contains(&position) {
                    metadata = Some(subspace.decode_position(position, row, of_block, codes)?);
                }
                Ok(())
            })?;
            let lost = || PageError::corrupt(format!("Position {position} of subspace {k} is in no cell."));
            memory::push(&mut out.metadata, metadata.ok_or_else(lost)?)?;
        }
        Ok(out)
    }

    /// Copies a part of the stream to its place.
    fn copy<P: Pages + ?Sized>(&mut self, pages: &P, extent: Extent, part: Range<usize>) -> PageResult<()> {
        extent.copy(pages, part.clone(), &mut self.part)?;
        self.bytes[part].copy_from_slice(&self.part);
        Ok(())
    }
}

/// Metadata of rows that no position has led to yet: its radius is NaN.
const NOT_DECODED: CodeMetadata = CodeMetadata {
    cell: 0,
    coarse_error: 0,
    fine_error: 0,
    sketch_correction: 0,
    min_radius: f32::NAN,
    max_radius: 0.0,
    min_squared_norm: 0.0,
};

/// One subspace of a group that is being decoded.
struct Subspace<'a> {
    /// The whole stream of the group, or as much of it as is needed.
    bytes: &'a [u8],
    shape: &'a GroupShape,
    k: usize,
    sections: SubspaceSections,
}

impl Subspace<'_> {
    fn decode(&self, out: &mut EncodedRows) -> PageResult<()> {
        let Self { bytes, shape, k, sections } = self;
        let (subspaces, dimensions) = (shape.layout.subspaces(), shape.layout.dimensions());
        let range = shape.layout.range(*k);
        self.cell_blocks(&mut |block, metadata| {
            for position in block.positions() {
                let row = usize::from(u16_at(bytes, sections.rows.start + 2 * position));
                if row >= shape.rows || !out.metadata[row * subspaces + k].min_radius.is_nan() {
                    return Err(PageError::corrupt(format!(
                        "Position {position} of subspace {k} leads to no row of its own."
                    )));
                }
                let codes = &mut out.codes[row * dimensions..][range.clone()];
                out.metadata[row * subspaces + k] = self.decode_position(position, row, metadata, codes)?;
            }
            Ok(())
        })
    }

    /// Calls `visit` with each cell block and the metadata that its rows share.
    fn cell_blocks(
        &self,
        visit: &mut dyn FnMut(CellBlock, CodeMetadata) -> PageResult<()>,
    ) -> PageResult<()> {
        let section = |range: &Range<usize>| &self.bytes[range.clone()];
        let min_squared_norm = parse_min_squared_norm(section(&self.sections.min_squared_norm))?;
        let starts = parse_cell_starts(section(&self.sections.cell_starts), self.shape.rows)?;
        for (block, radii) in cell_blocks(&starts).zip(section(&self.sections.radii).chunks_exact(8)) {
            let (min_radius, max_radius) = parse_radii(radii);
            if !(min_radius >= 0.0 && min_radius <= max_radius) {
                return Err(PageError::corrupt(format!(
                    "A cell block of subspace {} reaches from {min_radius} to {max_radius}.",
                    self.k
                )));
            }
            let cell = block.cell;
            visit(block, CodeMetadata { cell, min_radius, max_radius, min_squared_norm, ..NOT_DECODED })?;
        }
        Ok(())
    }

    /// Decodes the `codes` `[n]` of the row at a position. Returns its metadata: that of its cell block and its error codes.
    fn decode_position(
        &self,
        position: usize,
        row: usize,
        of_block: CodeMetadata,
        codes: &mut [u8],
    ) -> PageResult<CodeMetadata> {
        let Self { bytes, shape, k, sections } = self;
        let detail = &bytes[shape.detail(row, *k)];
        if usize::from(u16_at(detail, 0)) != position
            || usize::from(u16_at(bytes, sections.rows.start + 2 * position)) != row
        {
            return Err(PageError::corrupt(format!(
                "Row {row} and position {position} of subspace {k} do not lead to each other."
            )));
        }
        let cells = &bytes[shape.cells_of_rows().start + row / BLOCK_ROWS * shape.cells_of_block()..];
        let format = shape.cell_format();
        let cell = format.cell(&cells[format.block_size() * k..], row % BLOCK_ROWS);
        if cell != of_block.cell {
            return Err(PageError::corrupt(format!("Row {row} is in two cells of subspace {k}.")));
        }
        let block = &bytes[sections.high_nibbles.start + position / BLOCK_ROWS * shape.block_size()..];
        for (d, code) in codes.iter_mut().enumerate() {
            let high = nibble(&block[16 * d..], position % BLOCK_ROWS);
            let low = detail[DETAIL_HEADER + d / 2] >> (4 * (d % 2)) & 15;
            *code = high << 4 | low;
        }
        let mut sketch_correction = 0;
        if let sketch @ [_, correction, ..] = &bytes[shape.sketch(row, *k)] {
            sketch_correction = correction.cast_signed();
            if !is_sketch_of(sketch, cell, codes) {
                return Err(PageError::corrupt(format!(
                    "The sketch of row {row} in subspace {k} is not that of its codes."
                )));
            }
        }
        let coarse_error = bytes[sections.coarse_errors.start + position];
        Ok(CodeMetadata { coarse_error, fine_error: detail[2], sketch_correction, ..of_block })
    }
}
