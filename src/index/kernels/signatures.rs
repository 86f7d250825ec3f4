//! What the kernels take and return: one function pointer for each, so that a whole set is chosen at once.

use crate::index::format::BLOCK_ROWS;

/// One implementation of every kernel.
pub struct Kernels {
    /// See [`super::accumulate`].
    pub accumulate: fn(&[u8], &[u8], &mut [u32; BLOCK_ROWS]),
    /// See [`super::sums_to_lower_bounds`], for sums of squares.
    pub squares_to_lower_bounds:
        fn(&[u32; BLOCK_ROWS], SumScale<'_>, &[u8; BLOCK_ROWS], &mut [f32; BLOCK_ROWS]),
    /// See [`super::sums_to_lower_bounds`], for sums of products with this error weight.
    pub products_to_lower_bounds:
        fn(&[u32; BLOCK_ROWS], SumScale<'_>, f32, &[u8; BLOCK_ROWS], &mut [f32; BLOCK_ROWS]),
    /// See [`super::partition_by_cutoff`].
    pub partition_by_cutoff: fn(&[f32; BLOCK_ROWS], f32, f32) -> (u32, f32),
    /// See [`super::add_cells`].
    pub add_cells: fn(&[u8; BLOCK_ROWS], &[u8; 256], &mut [u16; BLOCK_ROWS]),
    /// See [`super::squared_residual`].
    pub squared_residual: fn(&[f32], &[f32], RowCodes<'_>) -> f32,
    /// See [`super::sketch_product`].
    pub sketch_product: fn(&[u8], &[[i8; 64]]) -> i32,
}

/// What table sums and error codes of one cell stand for.
#[derive(Clone, Copy)]
pub struct SumScale<'a> {
    /// The part that all rows of the cell have in common.
    pub base: f32,
    /// The squared distance that 1 in a sum stands for.
    pub step: f32,
    /// Set for sums of products: how much of the error counts against the sum.
    pub error_weight: Option<f32>,
    /// The error that each code stands for.
    pub errors: &'a [f32; 256],
}

/// The 8-bit codes of one row in one subspace, in the two places where they are stored.
#[derive(Clone, Copy)]
pub struct RowCodes<'a> {
    /// The row's low nibbles, two dimensions per byte.
    pub low_nibbles: &'a [u8],
    /// The high nibbles of all rows of its block, 16 bytes per dimension.
    pub block: &'a [u8],
    /// The row's position in the block.
    pub lane: usize,
}

impl RowCodes<'_> {
    /// The number of dimensions for which both halves are there.
    pub fn dimensions(&self) -> usize {
        (2 * self.low_nibbles.len()).min(self.block.len() / 16)
    }

    /// The code of one dimension.
    #[inline(always)]
    pub fn code(&self, dimension: usize) -> u8 {
        let low = self.low_nibbles[dimension / 2] >> (4 * (dimension % 2)) & 15;
        let high = self.block[16 * dimension + self.lane % 16] >> (4 * (self.lane / 16 % 2));
        low | high << 4
    }
}
