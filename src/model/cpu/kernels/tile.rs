//! The inner loop of a convolution as a matrix product: a few pixels by a few registers of output channels.

use super::vector::{prefetch, Vector};

/// Numbers of a pixel that lie next to each other in packed pixels: see [`super::pack`].
pub const BLOCK: usize = 16;

/// Numbers in a line of the cache.
pub const LINE: usize = 16;

/// A tile of the product of packed pixels and a panel of weights.
#[derive(Debug, Clone, Copy)]
pub struct Tile {
    /// Packed pixels, `[blocks, PITCH, BLOCK]`.
    pub pixels: *const f32,
    /// Weights, `[depth, registers]`: a row for each number of a pixel.
    pub weights: *const f32,
    /// Blocks all of whose numbers count.
    pub full: usize,
    /// Blocks after them, of which only the first `tail` numbers count.
    pub tails: usize,
    /// See `tails`.
    pub tail: usize,
    /// The tile's first number in the map.
    pub out: *mut f32,
    /// Numbers from one pixel to the next, in `out` and `residual`.
    pub pitch: usize,
    /// Channels to write, at most as many as there are lanes.
    pub channels: usize,
    /// What the sums start with, for every lane; null to go on with what `out` holds.
    pub bias: *const f32,
    /// What is added last, laid out as `out`; may be null.
    pub residual: *const f32,
    /// Weights that will be wanted soon, and how many lines of the cache of them to ask for with each full block.
    pub soon: *const f32,
    /// See `soon`.
    pub lines: usize,
    /// The activation, once the sums are complete.
    pub clamp: Option<(f32, f32)>,
}

/// Computes a tile of `ROWS` pixels by `COLUMNS` registers; packed pixels have room for `PITCH`.
///
/// # Safety
/// The level's instructions must be there; the pointers must be good for what [`Tile`] says of them, and nobody else may use
/// the part of the map that is written.
#[inline(always)]
pub unsafe fn tile<V: Vector, const ROWS: usize, const COLUMNS: usize, const PITCH: usize>(t: &Tile) {
    // SAFETY of everything below: the caller's promise.
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
        let (mut pixels, mut weights, mut soon) = (t.pixels, t.weights, t.soon);
        for _ in 0..t.full {
            for _ in 0..t.lines {
                prefetch(soon);
                soon = soon.wrapping_add(LINE);
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

/// Adds one number of every pixel times its row of weights.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn multiply<V: Vector, const ROWS: usize, const COLUMNS: usize>(
    sums: &mut [[V; COLUMNS]; ROWS],
    pixels: *const f32,
    weights: *const f32,
) {
    // SAFETY: the caller's promise.
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
