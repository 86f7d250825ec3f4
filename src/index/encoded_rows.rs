//! Encoded rows on their way into a group, or read back from one.

use super::format::Tid;
use crate::error::Result;
use crate::memory;
use crate::space::Layout;

/// Encoded rows, in the order in which they were added.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedRows {
    /// The space of the rows.
    pub layout: Layout,
    /// `[rows]`: where each row lies in the table.
    pub tids: Vec<Tid>,
    /// `[rows, K·n]`, 8 bits each.
    pub codes: Vec<u8>,
    /// `[rows, K]`: what goes with the codes of each subspace.
    pub metadata: Vec<CodeMetadata>,
}

/// What a search needs to know of a row in one subspace besides its codes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CodeMetadata {
    /// The cell whose centre is nearest.
    pub cell: u8,
    /// Code of the error that remains after the high nibbles, at least as large as the error.
    pub coarse_error: u8,
    /// Code of the error that remains after all 8 bits, at least as large as the error.
    pub fine_error: u8,
    /// A lower bound of the distance from the cell's centre.
    pub min_radius: f32,
    /// An upper bound of the distance from the cell's centre.
    pub max_radius: f32,
    /// A lower bound of the row's own squared norm in this subspace.
    pub min_squared_norm: f32,
}

impl EncodedRows {
    /// An empty batch for rows of this space.
    pub fn new(layout: Layout) -> Self {
        Self { layout, tids: Vec::new(), codes: Vec::new(), metadata: Vec::new() }
    }

    /// The number of rows, including removed ones.
    pub fn rows(&self) -> usize {
        self.tids.len()
    }

    /// Bytes of memory that a row takes here. Writing the rows as a group takes as much again.
    pub fn row_memory(layout: Layout) -> usize {
        Tid::SIZE + layout.dimensions() + layout.subspaces() * size_of::<CodeMetadata>()
    }

    /// Removes all rows and keeps the memory.
    pub fn clear(&mut self) {
        self.tids.clear();
        self.codes.clear();
        self.metadata.clear();
    }

    /// Makes room for `rows` more rows.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn reserve(&mut self, rows: usize) -> Result<()> {
        memory::reserve(&mut self.tids, rows)?;
        memory::reserve(&mut self.codes, rows * self.layout.dimensions())?;
        memory::reserve(&mut self.metadata, rows * self.layout.subspaces())
    }

    /// Appends the rows of `other` that VACUUM has not removed.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn extend_live(&mut self, other: &Self) -> Result<()> {
        let (n, k) = (self.layout.dimensions(), self.layout.subspaces());
        self.reserve(other.tids.iter().filter(|tid| tid.is_live()).count())?;
        for (row, tid) in other.tids.iter().enumerate().filter(|(_, tid)| tid.is_live()) {
            self.tids.push(*tid);
            self.codes.extend_from_slice(&other.codes[row * n..(row + 1) * n]);
            self.metadata.extend_from_slice(&other.metadata[row * k..(row + 1) * k]);
        }
        Ok(())
    }
}
