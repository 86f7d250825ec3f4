//! From the high nibbles of a cell block to lower bounds of its rows.

use super::prepared_query::SubspaceQuery;
use crate::error::Result;
use crate::index::cell_blocks::CellBlock;
use crate::index::format::BLOCK_ROWS;
use crate::index::kernels::{accumulate, sums_to_lower_bounds};

/// A cell block and its codes.
pub struct CellBlockCodes<'a> {
    pub block: CellBlock,
    /// The high nibbles of its whole block.
    pub codes: &'a [u8],
    /// Its own error codes.
    pub errors: &'a [u8],
    /// No row's squared norm is below it.
    pub min_squared_norm: f32,
}

/// The sums of products of the block that was last read: their table is the same for all cells. For one subspace of one group.
#[derive(Default)]
pub struct ProductSums {
    block: Option<usize>,
    sums: [u32; BLOCK_ROWS],
}

impl CellBlockCodes<'_> {
    /// Lower bounds of the squared distances in the subspace, by lane; those of lanes outside of the cell block mean nothing.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    #[inline]
    pub fn lower_bounds(
        &self,
        subspace: &mut SubspaceQuery,
        products: &mut ProductSums,
    ) -> Result<[f32; BLOCK_ROWS]> {
        let (table, scale) = subspace.lookup_table(self.block.cell.into(), self.min_squared_norm)?;
        let mut errors = [0; BLOCK_ROWS];
        errors[self.block.lanes()].copy_from_slice(self.errors);
        let mut squares = [0; BLOCK_ROWS];
        let sums = if scale.error_weight.is_some() {
            let number = self.block.block();
            if products.block != Some(number) {
                *products = ProductSums { block: Some(number), sums: [0; BLOCK_ROWS] };
                accumulate(self.codes, table, &mut products.sums);
            }
            &products.sums
        } else {
            accumulate(self.codes, table, &mut squares);
            &squares
        };
        let mut bounds = [0.0; BLOCK_ROWS];
        sums_to_lower_bounds(sums, scale, &errors, &mut bounds);
        Ok(bounds)
    }
}
