//! What turns rows' sketches into estimates of their distances: see [`crate::index::sketch`].

use super::prepared_query::PreparedQuery;
use super::search_group::SearchGroup;
use crate::error::Result;
use crate::index::format::SKETCH_HEADER;
use crate::index::kernels::sketch_product;
use crate::index::page_error::PageResult;
use crate::index::pages::Pages;
use crate::memory;
use std::ops::Range;

/// One subspace of a query as a table that meets sketches.
pub struct SketchTable {
    /// The number of the subspace.
    pub k: usize,
    /// `[cells]`: the part of an estimate that all rows of a cell have in common, times the subspace's weight.
    pub bases: Vec<f32>,
    /// `[n]`, filled up with zeros: what the code of each dimension counts, scaled to 8 bits.
    pub weights: Vec<[i8; 64]>,
    /// What 1 in a sum of codes and weights adds to an estimate.
    pub product_scale: f32,
    /// What 1 in a correction adds to an estimate.
    pub correction_unit: f32,
}

impl SketchTable {
    /// About the weighted squared distance of the row with this sketch.
    fn estimate(&self, sketch: &[u8]) -> f32 {
        let (header, levels) = sketch.split_at(SKETCH_HEADER.min(sketch.len()));
        let [cell, correction] = *header else { return 0.0 };
        let base = self.bases.get(usize::from(cell)).copied().unwrap_or(0.0);
        base + self.product_scale * sketch_product(levels, &self.weights) as f32
            + self.correction_unit * f32::from(correction.cast_signed())
    }
}

/// Estimates distances of rows, and keeps its buffers from one call to the next.
pub struct Sketches {
    /// `[active subspaces]`.
    tables: Vec<SketchTable>,
    /// Byte ranges to gather next.
    ranges: Vec<Range<usize>>,
    buffer: Vec<u8>,
}

impl Sketches {
    /// Tables of all subspaces of a query.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn new(query: &PreparedQuery) -> Result<Self> {
        let mut tables = memory::with_capacity(query.active.len())?;
        for subspace in &query.active {
            tables.push(subspace.sketch_table()?);
        }
        Ok(Self { tables, ranges: Vec::new(), buffer: Vec::new() })
    }

    /// Calls `done` with the index of each of some rows of a group, in ascending order, and about its normalized squared distance.
    ///
    /// # Errors
    /// Those of [`Pages::read`] and of `done`; [`crate::error::Kind::OutOfMemory`].
    pub fn estimate<P: Pages + ?Sized>(
        &mut self,
        pages: &P,
        group: &SearchGroup,
        rows: impl ExactSizeIterator<Item = usize>,
        done: &mut dyn FnMut(usize, f32) -> Result<()>,
    ) -> PageResult<()> {
        let Some((first, last)) = self.tables.first().zip(self.tables.last()) else { return Ok(()) };
        let (shape, (first, last)) = (group.shape, (first.k, last.k));
        self.ranges.clear();
        memory::reserve(&mut self.ranges, rows.len())?;
        self.ranges.extend(rows.map(|row| shape.sketch(row, first).start..shape.sketch(row, last).end));
        let size = shape.sketch_size();
        group.extent.gather_whole(pages, &self.ranges, &mut self.buffer, &mut |i, bytes| {
            let of_subspace = |table: &SketchTable| {
                table.estimate(&bytes[(table.k - first) * size..(table.k - first + 1) * size])
            };
            Ok(done(i, self.tables.iter().map(of_subspace).sum())?)
        })
    }
}
