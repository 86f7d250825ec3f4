//! A group as a search sees it.

use super::prepared_query::{PreparedQuery, SubspaceQuery};
use crate::error::Result;
use crate::index::cell_blocks::{cell_blocks, CellBlock};
use crate::index::extent::Extent;
use crate::index::format::{GroupShape, SubspaceSections};
use crate::index::group::{parse_cell_starts, parse_min_squared_norm, parse_radii};
use crate::index::page_error::PageResult;
use crate::index::pages::Pages;
use crate::memory;
use std::ops::Range;

/// A group, and where the sections of the query's subspaces lie.
pub struct SearchGroup {
    pub extent: Extent,
    pub shape: GroupShape,
    /// `[active subspaces]`.
    pub sections: Vec<SubspaceSections>,
    /// `[active subspaces, cells + 1]`: first position of each cell, and the end. Empty until it has been read.
    pub cell_starts: Vec<Vec<u16>>,
    /// `[active subspaces]`: no row has a smaller squared norm there. Empty until [`SearchGroup::read_cells`] has read it.
    pub min_squared_norms: Vec<f32>,
}

/// Which squared distance of a cell block's rows is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockBound {
    /// A lower bound.
    Least,
    /// What is to be expected.
    Expected,
}

impl SearchGroup {
    /// A group of which nothing has been read yet.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn new(extent: Extent, shape: GroupShape, query: &PreparedQuery) -> Result<Self> {
        let sections = memory::collect(query.active.iter().map(|subspace| shape.sections(subspace.k)))?;
        Ok(Self { extent, shape, sections, cell_starts: Vec::new(), min_squared_norms: Vec::new() })
    }

    /// Reads the cells of the next of the query's subspaces, and adds to `blocks` what `make` makes of each cell block and the weighted
    /// squared distance that its radii give.
    ///
    /// # Errors
    /// Those of [`Pages::read`]; [`crate::index::PageError::Failed`] for cells that contradict each other.
    pub fn read_cells<P: Pages + ?Sized, T>(
        &mut self,
        pages: &P,
        subspace: &SubspaceQuery,
        bound: BlockBound,
        buffer: &mut Vec<u8>,
        blocks: &mut Vec<T>,
        mut make: impl FnMut(CellBlock, f32) -> T,
    ) -> PageResult<()> {
        let sections = &self.sections[self.min_squared_norms.len()];
        let first = sections.min_squared_norm.start;
        self.extent.copy(pages, first..sections.radii.end, buffer)?;
        let section = |section: &Range<usize>| &buffer[section.start - first..section.end - first];
        let min_squared_norm = parse_min_squared_norm(section(&sections.min_squared_norm))?;
        let starts = parse_cell_starts(section(&sections.cell_starts), self.shape.rows)?;
        memory::reserve(blocks, cell_blocks(&starts).count())?;
        let radii = section(&sections.radii).chunks_exact(8);
        blocks.extend(cell_blocks(&starts).zip(radii).map(|(block, radii)| {
            let (min, max) = parse_radii(radii);
            let cell = block.cell.into();
            let squared = match bound {
                BlockBound::Least => subspace.cell_bound(cell, min, max, min_squared_norm),
                BlockBound::Expected => subspace.expected_distance(cell, min, max, min_squared_norm),
            };
            make(block, squared * subspace.weight)
        }));
        memory::push(&mut self.min_squared_norms, min_squared_norm)?;
        Ok(memory::push(&mut self.cell_starts, starts)?)
    }

    /// Reads the cell starts, unless that has been done.
    ///
    /// # Errors
    /// Those of [`Pages::read`]; [`crate::index::PageError::Failed`] if they do not add up to the rows of the group.
    pub fn read_cell_starts<P: Pages + ?Sized>(&mut self, pages: &P, buffer: &mut Vec<u8>) -> PageResult<()> {
        if self.cell_starts.is_empty() {
            memory::reserve(&mut self.cell_starts, self.sections.len())?;
            for sections in &self.sections {
                self.extent.copy(pages, sections.cell_starts.clone(), buffer)?;
                self.cell_starts.push(parse_cell_starts(buffer, self.shape.rows)?);
            }
        }
        Ok(())
    }
}
