//! The inner loop of a linear layer: a few rows of inputs by a few registers of outputs.
//!
//! With one image at a time a linear layer does little else than read its weights, so they may be in half precision: half the memory
//! to read, and the conversion to single precision is exact.

use super::vector::Vector;
use half::f16;

/// How a weight is stored.
pub trait Weight: Copy {
    /// Reads a register of weights as single-precision numbers.
    ///
    /// # Safety
    /// The processor must have the instruction set of `V`, and `V::LANES` weights must be readable.
    unsafe fn load<V: Vector>(from: *const Self) -> V;
}

impl Weight for f32 {
    #[inline(always)]
    unsafe fn load<V: Vector>(from: *const Self) -> V {
        // SAFETY: the caller upholds the same contract.
        unsafe { V::load(from) }
    }
}

impl Weight for f16 {
    #[inline(always)]
    unsafe fn load<V: Vector>(from: *const Self) -> V {
        // SAFETY: the caller upholds the same contract.
        unsafe { V::load_half(from) }
    }
}

/// What the loop reads and writes.
#[derive(Debug)]
pub struct LinearTile<W> {
    /// Rows of inputs, `[ROWS, inputs]`.
    pub rows: *const f32,
    /// Numbers in a row of inputs.
    pub inputs: usize,
    /// A panel of weights, `[inputs, COLUMNS registers]`.
    pub weights: *const W,
    /// What the sums start with, one number per lane.
    pub bias: *const f32,
    /// Where the first output is written.
    pub out: *mut f32,
    /// Numbers from one row of outputs to the next.
    pub pitch: usize,
    /// Outputs to write; may be fewer than the lanes of all registers.
    pub outputs: usize,
}

/// Computes `ROWS` rows of outputs. Each output sums up its products in the order of the inputs, however many rows there are.
///
/// # Safety
/// The processor must have the instruction set of `V`. The pointers must be valid for what [`LinearTile`] describes, and no other
/// thread may access the outputs.
#[inline(always)]
pub unsafe fn linear<V: Vector, W: Weight, const ROWS: usize, const COLUMNS: usize>(t: &LinearTile<W>) {
    // SAFETY: the caller guarantees the instruction set and pointers that are valid for all that `LinearTile` describes: `inputs` numbers
    // of each row, as many times COLUMNS registers of weights, and ROWS x `outputs` numbers of output.
    unsafe {
        let mut sums = [[V::splat(0.0); COLUMNS]; ROWS];
        for column in 0..COLUMNS {
            let bias = V::load(t.bias.add(column * V::LANES));
            sums.iter_mut().for_each(|sums| sums[column] = bias);
        }
        let mut weights = t.weights;
        for input in 0..t.inputs {
            let mut panel = [V::splat(0.0); COLUMNS];
            for (column, w) in panel.iter_mut().enumerate() {
                *w = W::load(weights.add(column * V::LANES));
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                let x = V::splat(*t.rows.add(row * t.inputs + input));
                for (sum, w) in sums.iter_mut().zip(panel) {
                    *sum = sum.add_product(x, w);
                }
            }
            weights = weights.add(COLUMNS * V::LANES);
        }
        for (row, sums) in sums.iter().enumerate() {
            for (column, sum) in sums.iter().enumerate() {
                let first = column * V::LANES;
                let to = t.out.add(row * t.pitch + first);
                match t.outputs.saturating_sub(first) {
                    count if count >= V::LANES => sum.store(to),
                    count => sum.store_some(to, count),
                }
            }
        }
    }
}
