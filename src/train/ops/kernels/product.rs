//! The inner loop of `to = A·B`: one tile of the result in registers.

use crate::model::cpu::kernels::vector::Vector;

/// Registers of a tile's row.
pub const REGISTERS: usize = 2;

/// Numbers from one row to the next of an operand A in rows, see [`ProductTile::a`]. Not a multiple of a page, so that the rows of a tile
/// do not compete for the same lines of the cache.
pub const ROW_PITCH: usize = DEPTH + 16;

/// Maximum depth of a tile. The panel of B that many tiles read then takes two thirds of a level-1 cache of 48 KiB.
pub const DEPTH: usize = 256;

/// A tile of a product, over packed operands.
#[derive(Debug, Clone, Copy)]
pub struct ProductTile {
    /// `[depth, rows]`, or, for tiles with `IN_ROWS`, `[rows, depth]` with [`ROW_PITCH`] numbers from one row to the next.
    pub a: *const f32,
    /// `[depth, REGISTERS · lanes]`, of which the first `columns` of each row count.
    pub b: *const f32,
    /// The number of products that each sum has.
    pub depth: usize,
    /// The first number of the tile in the result.
    pub to: *mut f32,
    /// Numbers from one row of the result to the next.
    pub pitch: usize,
    /// Numbers of a row that are written.
    pub columns: usize,
    /// Whether the sums are added to what the result holds.
    pub add: bool,
    /// `[rows]`, added to every number of a row; null if there is none.
    pub bias: *const f32,
    /// Laid out as the result, and added to it; null if there is none.
    pub residual: *const f32,
    /// The interval that the result is clamped to.
    pub clamp: (f32, f32),
}

/// Computes a tile of `ROWS` rows and `WIDTH` registers.
///
/// # Safety
/// The processor must have the instruction set of `V`. The pointers must be valid for what [`ProductTile`] describes, and no other
/// thread may access the part of the result that is written.
#[inline(always)]
pub unsafe fn product<V: Vector, const IN_ROWS: bool, const WIDTH: usize, const ROWS: usize>(
    t: &ProductTile,
) {
    // SAFETY: the caller guarantees the instruction set and that both operands hold `depth` rows.
    let sums = unsafe { sums::<V, IN_ROWS, WIDTH, ROWS>(t) };
    let (low, high) = t.clamp;
    for (row, sums) in sums.into_iter().enumerate() {
        for (register, mut sum) in sums.into_iter().enumerate() {
            let first = register * V::LANES;
            let count = t.columns.saturating_sub(first).min(V::LANES);
            if count == 0 {
                continue;
            }
            // SAFETY: the caller guarantees that the tile's numbers, of which `count` from `at` on are touched, are valid.
            unsafe {
                let at = row * t.pitch + first;
                if !t.bias.is_null() {
                    sum = sum.add(V::splat(*t.bias.add(row)));
                }
                if t.add {
                    sum = sum.add(V::load_some(t.to.add(at), count));
                }
                if !t.residual.is_null() {
                    sum = sum.add(V::load_some(t.residual.add(at), count));
                }
                let sum = sum.clamp(V::splat(low), V::splat(high));
                if count == V::LANES {
                    sum.store(t.to.add(at));
                } else {
                    sum.store_some(t.to.add(at), count);
                }
            }
        }
    }
}

/// The sums of a tile.
///
/// # Safety
/// As for [`product`].
#[inline(always)]
unsafe fn sums<V: Vector, const IN_ROWS: bool, const WIDTH: usize, const ROWS: usize>(
    t: &ProductTile,
) -> [[V; WIDTH]; ROWS] {
    // SAFETY: the caller guarantees the instruction set and that both operands hold `depth` rows.
    unsafe {
        let mut sums = [[V::splat(0.0); WIDTH]; ROWS];
        let (mut a, mut b) = (t.a, t.b);
        for _ in 0..t.depth {
            let columns: [V; WIDTH] = std::array::from_fn(|i| V::load(b.add(i * V::LANES)));
            for (row, sums) in sums.iter_mut().enumerate() {
                let factor = V::splat(*a.add(if IN_ROWS { row * ROW_PITCH } else { row }));
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = sum.add_product(factor, column);
                }
            }
            a = a.add(if IN_ROWS { 1 } else { ROWS });
            b = b.add(REGISTERS * V::LANES);
        }
        sums
    }
}
