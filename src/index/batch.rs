//! Rows on their way into a group.

use super::layout::Tid;
use crate::error::Result;
use crate::memory;
use crate::space::Layout;

/// Encoded rows, in the order in which they came.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedRows {
    /// Whose space they are in.
    pub layout: Layout,
    /// `[rows]`.
    pub tids: Vec<Tid>,
    /// `[rows, K·n]`, 8 bits each.
    pub codes: Vec<u8>,
    /// `[rows, K]`.
    pub metadata: Vec<CodeMetadata>,
}

/// What goes with a row's codes in one subspace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CodeMetadata {
    /// The cell.
    pub cell: u8,
    /// Code of the error that the high nibbles leave.
    pub coarse_error: u8,
    /// Code of the error that all bits leave.
    pub fine_error: u8,
    /// The distance from the centre is at least this.
    pub min_radius: f32,
    /// And at most this.
    pub max_radius: f32,
    /// The squared length of the row itself is at least this.
    pub min_squared_norm: f32,
}

impl EncodedRows {
    /// No rows.
    pub fn new(layout: Layout) -> Self {
        Self { layout, tids: Vec::new(), codes: Vec::new(), metadata: Vec::new() }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.tids.len()
    }

    /// Bytes of memory that a row takes here, and again as much when it is written.
    pub fn row_memory(layout: Layout) -> usize {
        Tid::SIZE + layout.dimensions() + layout.subspaces() * size_of::<CodeMetadata>()
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.tids.clear();
        self.codes.clear();
        self.metadata.clear();
    }

    /// Makes room for so many more rows.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn reserve(&mut self, rows: usize) -> Result<()> {
        memory::reserve(&mut self.tids, rows)?;
        memory::reserve(&mut self.codes, rows * self.layout.dimensions())?;
        memory::reserve(&mut self.metadata, rows * self.layout.subspaces())
    }

    /// Adds the rows of another one that are still there.
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
