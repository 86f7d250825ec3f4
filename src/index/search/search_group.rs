//! A group as a search sees it.

use super::prepared_query::PreparedQuery;
use crate::error::Result;
use crate::index::extent::Extent;
use crate::index::format::{GroupShape, SubspaceSections};
use crate::index::group::parse_cell_starts;
use crate::index::page_error::PageResult;
use crate::index::pages::Pages;
use crate::memory;

/// A group, and where the sections of the query's subspaces lie.
pub struct SearchGroup {
    pub extent: Extent,
    pub shape: GroupShape,
    /// `[active subspaces]`.
    pub sections: Vec<SubspaceSections>,
    /// `[active subspaces, cells + 1]`: first position of each cell, and the end. Empty until it has been read.
    pub cell_starts: Vec<Vec<u16>>,
}

impl SearchGroup {
    /// A group of which nothing has been read yet.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn new(extent: Extent, shape: GroupShape, query: &PreparedQuery) -> Result<Self> {
        let sections = memory::collect(query.active.iter().map(|subspace| shape.sections(subspace.k)))?;
        Ok(Self { extent, shape, sections, cell_starts: Vec::new() })
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
