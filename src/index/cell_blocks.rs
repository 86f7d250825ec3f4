//! Cell blocks: positions of one subspace that share a cell and a block, the unit that a search bounds at a time.

use super::format::BLOCK_ROWS;
use std::ops::Range;

/// The positions that one cell has in one block of [`BLOCK_ROWS`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellBlock {
    /// First position in the group.
    pub first: u16,
    /// Number of positions, 1 to [`BLOCK_ROWS`].
    pub len: u8,
    /// The cell of all its positions.
    pub cell: u8,
}

impl CellBlock {
    /// Its positions in the group.
    pub fn positions(self) -> Range<usize> {
        self.first.into()..usize::from(self.first) + usize::from(self.len)
    }

    /// The number of its block in the group.
    pub fn block(self) -> usize {
        usize::from(self.first) / BLOCK_ROWS
    }

    /// Its positions in the block.
    pub fn lanes(self) -> Range<usize> {
        let first = usize::from(self.first) % BLOCK_ROWS;
        first..first + usize::from(self.len)
    }
}

/// Iterates over the cell blocks of a subspace, in the order of positions.
pub struct CellBlocks<'a> {
    starts: &'a [u16],
    cell: usize,
    at: u16,
}

/// Cuts cells at the borders of blocks. `starts` are the first position of each cell, and the end.
pub fn cell_blocks(starts: &[u16]) -> CellBlocks<'_> {
    CellBlocks { starts, cell: 0, at: 0 }
}

impl Iterator for CellBlocks<'_> {
    type Item = CellBlock;

    #[inline]
    fn next(&mut self) -> Option<CellBlock> {
        let mut end = *self.starts.get(self.cell + 1)?;
        while self.at == end {
            self.cell += 1;
            end = *self.starts.get(self.cell + 1)?;
        }
        let first = self.at;
        self.at = end.min((first | (BLOCK_ROWS as u16 - 1)).saturating_add(1));
        Some(CellBlock { first, len: (self.at - first) as u8, cell: self.cell as u8 })
    }
}
