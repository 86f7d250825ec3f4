//! The inner loop of a dense convolution as a matrix product: a tile of a few pixels by a few registers of output channels.

use super::vector::{prefetch, Vector};

/// Numbers of a block: so many numbers of a pixel lie next to each other in packed pixels, see [`super::pack`].
pub const BLOCK: usize = 16;

/// Numbers in a cache line.
pub const LINE: usize = 16;

/// A tile of the product of packed pixels and a panel of weights.
#[derive(Debug, Clone, Copy)]
pub struct Tile {
    /// Packed pixels, `[blocks, PITCH, BLOCK]`.
    pub pixels: *const f32,
    /// Weights, `[depth, registers]`: one row for each number of a pixel.
    pub weights: *const f32,
    /// Full blocks.
    pub full: usize,
    /// Partial blocks after them, of which only the first `tail` numbers count.
    pub tails: usize,
    /// Numbers that count in a partial block.
    pub tail: usize,
    /// Where the tile's first number is written.
    pub out: *mut f32,
    /// Numbers from one pixel to the next, in `out` and `residual`.
    pub pitch: usize,
    /// Channels to write; may be fewer than the lanes of all registers.
    pub channels: usize,
    /// What the sums start with, one number per lane; null to continue with the sums in `out`.
    pub bias: *const f32,
    /// The shortcut, laid out as `out`; null if there is none.
    pub residual: *const f32,
    /// Weights to prefetch for the next product.
    pub prefetched: *const f32,
    /// Cache lines to prefetch from `prefetched` with each full block.
    pub lines: usize,
    /// The interval that the activation clamps to; `None` until the sums are complete.
    pub clamp: Option<(f32, f32)>,
}

/// Computes a tile of `ROWS` pixels by `COLUMNS` registers. Packed blocks are `PITCH` pixels apart.
///
/// # Safety
/// The processor must have the instruction set of `V`. The pointers must be valid for what [`Tile`] describes, and no other
/// thread may access the part of the map that is written.
#[inline(always)]
pub unsafe fn tile<V: Vector, const ROWS: usize, const COLUMNS: usize, const PITCH: usize>(t: &Tile) {
    // SAFETY: the caller guarantees the instruction set and pointers that are valid for all that `Tile` describes: every load and
    // store below stays within `full + tails` blocks of pixels, their weights, and ROWS x `channels` numbers of output and shortcut.
    unsafe {
        let last = t.channels - (COLUMNS - 1) * V::LANES;
        let whole = last == V::LANES;
        let mut sums = [[V::splat(0.0); COLUMNS]; ROWS];
        for (row, sums) in sums.iter_mut().enumerate() {
            for (column, sum) in sums.iter_mut().enumerate() {
                *sum = if !t.bias.is_null() {
                    V::load(t.bias.add(column * V::LANES))
                } else {
                    let from = t.out.add(row * t.pitch + column * V::LANES);
                    if whole || column + 1 < COLUMNS {
                        V::load(from)
                    } else {
                        V::load_some(from, last)
                    }
                };
            }
        }
        for row in 0..ROWS {
            for column in 0..COLUMNS {
                let at = row * t.pitch + column * V::LANES;
                prefetch(t.out.wrapping_add(at));
                if !t.residual.is_null() {
                    prefetch(t.residual.wrapping_add(at));
                }
            }
        }
        let (mut pixels, mut weights, mut prefetched) = (t.pixels, t.weights, t.prefetched);
        for _ in 0..t.full {
            for _ in 0..t.lines {
                prefetch(prefetched);
                prefetched = prefetched.wrapping_add(LINE);
            }
            for step in 0..BLOCK / 4 {
                for k in 0..4 {
                    multiply::<V, ROWS, COLUMNS>(&mut sums, pixels.add(step * 4 + k), weights);
                    weights = weights.add(COLUMNS * V::LANES);
                }
            }
            pixels = pixels.add(PITCH * BLOCK);
        }
        for _ in 0..t.tails {
            for k in 0..t.tail {
                multiply::<V, ROWS, COLUMNS>(&mut sums, pixels.add(k), weights);
                weights = weights.add(COLUMNS * V::LANES);
            }
            pixels = pixels.add(PITCH * BLOCK);
        }
        if let Some((low, high)) = t.clamp {
            let (low, high) = (V::splat(low), V::splat(high));
            for (row, sums) in sums.iter_mut().enumerate() {
                for (column, sum) in sums.iter_mut().enumerate() {
                    if !t.residual.is_null() {
                        let from = t.residual.add(row * t.pitch + column * V::LANES);
                        let more = if whole || column + 1 < COLUMNS {
                            V::load(from)
                        } else {
                            V::load_some(from, last)
                        };
                        *sum = sum.add(more);
                    }
                    *sum = sum.clamp(low, high);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            for (column, sum) in sums.iter().enumerate() {
                let to = t.out.add(row * t.pitch + column * V::LANES);
                if whole || column + 1 < COLUMNS {
                    sum.store(to)
                } else {
                    sum.store_some(to, last)
                }
            }
        }
    }
}

/// Multiplies one number of every pixel with its row of weights, and adds the products to the sums.
///
/// # Safety
/// As for [`tile`]; `pixels` and `weights` point at one number of each pixel and its row of weights.
#[inline(always)]
unsafe fn multiply<V: Vector, const ROWS: usize, const COLUMNS: usize>(
    sums: &mut [[V; COLUMNS]; ROWS],
    pixels: *const f32,
    weights: *const f32,
) {
    // SAFETY: the caller guarantees the instruction set, COLUMNS registers of weights, and ROWS pixels a block apart.
    unsafe {
        let mut row = [V::splat(0.0); COLUMNS];
        for (column, w) in row.iter_mut().enumerate() {
            *w = V::load(weights.add(column * V::LANES));
        }
        for (pixel, sums) in sums.iter_mut().enumerate() {
            let x = V::splat(*pixels.add(pixel * BLOCK));
            for (sum, w) in sums.iter_mut().zip(row) {
                *sum = sum.add_product(x, w);
            }
        }
    }
}
