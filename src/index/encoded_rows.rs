//! Encoded rows on their way into a group, or read back from one.

use super::format::{f32_at, Tid};
use crate::error::Result;
use crate::memory;
use crate::space::Layout;
use std::ops::Range;

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
    /// What the row's sketch leaves out, in units of [`super::sketch::correction_unit`]; 0 in an index without sketches.
    pub sketch_correction: i8,
    /// A lower bound of the distance from the cell's centre.
    pub min_radius: f32,
    /// An upper bound of the distance from the cell's centre.
    pub max_radius: f32,
    /// A lower bound of the row's own squared norm in this subspace.
    pub min_squared_norm: f32,
}

impl CodeMetadata {
    /// Bytes of [`CodeMetadata::to_bytes`].
    const SIZE: usize = 16;

    fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        let codes = [self.cell, self.coarse_error, self.fine_error, self.sketch_correction.cast_unsigned()];
        out[..4].copy_from_slice(&codes);
        let numbers = [self.min_radius, self.max_radius, self.min_squared_norm];
        for (bytes, number) in out[4..].chunks_exact_mut(4).zip(numbers) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        out
    }

    fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let [cell, coarse_error, fine_error, correction, ..] = *bytes;
        Self {
            cell,
            coarse_error,
            fine_error,
            sketch_correction: correction.cast_signed(),
            min_radius: f32_at(bytes, 4),
            max_radius: f32_at(bytes, 8),
            min_squared_norm: f32_at(bytes, 12),
        }
    }
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

    /// Appends some rows of `other`.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn extend(&mut self, other: &Self, rows: Range<usize>) -> Result<()> {
        let (n, k) = (self.layout.dimensions(), self.layout.subspaces());
        self.reserve(rows.len())?;
        self.tids.extend_from_slice(&other.tids[rows.clone()]);
        self.codes.extend_from_slice(&other.codes[rows.start * n..rows.end * n]);
        self.metadata.extend_from_slice(&other.metadata[rows.start * k..rows.end * k]);
        Ok(())
    }

    /// Appends the rows of `other` that VACUUM has not removed.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn extend_live(&mut self, other: &Self) -> Result<()> {
        self.reserve(other.tids.iter().filter(|tid| tid.is_live()).count())?;
        (0..other.rows())
            .filter(|&row| other.tids[row].is_live())
            .try_for_each(|row| self.extend(other, row..row + 1))
    }

    /// Bytes that a row takes in [`EncodedRows::append_bytes`].
    pub fn row_bytes(layout: Layout) -> usize {
        Tid::SIZE + layout.dimensions() + layout.subspaces() * CodeMetadata::SIZE
    }

    /// Appends all rows to `out`, one after the other: TID, codes, metadata.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn append_bytes(&self, out: &mut Vec<u8>) -> Result<()> {
        let (n, k) = (self.layout.dimensions(), self.layout.subspaces());
        memory::reserve(out, self.rows() * Self::row_bytes(self.layout))?;
        let rows = self.tids.iter().zip(self.codes.chunks_exact(n)).zip(self.metadata.chunks_exact(k));
        for ((tid, codes), metadata) in rows {
            out.extend_from_slice(&tid.to_bytes());
            out.extend_from_slice(codes);
            out.extend(metadata.iter().flat_map(|metadata| metadata.to_bytes()));
        }
        Ok(())
    }

    /// Appends the rows that [`EncodedRows::append_bytes`] made `bytes` of.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn extend_from_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let size = Self::row_bytes(self.layout);
        self.reserve(bytes.len() / size)?;
        for row in bytes.chunks_exact(size) {
            let (tid, row) = row.split_at(Tid::SIZE);
            let (codes, metadata) = row.split_at(self.layout.dimensions());
            self.tids.extend(tid.as_chunks().0.iter().map(|bytes| Tid::from_bytes(*bytes)));
            self.codes.extend_from_slice(codes);
            self.metadata.extend(metadata.as_chunks().0.iter().map(CodeMetadata::from_bytes));
        }
        Ok(())
    }
}
