//! The kernels in plain Rust: for processors without the vector instructions, and as the reference that tests compare with.
//! Some are written so that the compiler vectorizes them when a caller enables the instructions.

use super::signatures::{Kernels, RowCodes, SumScale};
use crate::index::format::BLOCK_ROWS;
use crate::index::sketch::LEVELS;

pub static KERNELS: Kernels = Kernels {
    accumulate,
    squares_to_lower_bounds,
    products_to_lower_bounds,
    partition_by_cutoff,
    add_cells,
    squared_residual,
    sketch_product,
};

fn accumulate(codes: &[u8], table: &[u8], sums: &mut [u32; BLOCK_ROWS]) {
    for (codes, table) in codes.chunks_exact(16).zip(table.chunks_exact(16)) {
        for (lane, code) in codes.iter().enumerate() {
            sums[lane] += u32::from(table[usize::from(code & 15)]);
            sums[lane + 16] += u32::from(table[usize::from(code >> 4)]);
        }
    }
}

#[inline(always)]
pub fn squares_to_lower_bounds(
    sums: &[u32; BLOCK_ROWS],
    scale: SumScale<'_>,
    errors: &[u8; BLOCK_ROWS],
    out: &mut [f32; BLOCK_ROWS],
) {
    for ((out, &sum), &error) in out.iter_mut().zip(sums).zip(errors) {
        let distance = (scale.base + scale.step * sum as f32).sqrt();
        let bound = (distance - scale.errors[usize::from(error)]).max(0.0);
        *out = bound * bound;
    }
}

#[inline(always)]
pub fn products_to_lower_bounds(
    sums: &[u32; BLOCK_ROWS],
    scale: SumScale<'_>,
    error_weight: f32,
    errors: &[u8; BLOCK_ROWS],
    out: &mut [f32; BLOCK_ROWS],
) {
    for ((out, &sum), &error) in out.iter_mut().zip(sums).zip(errors) {
        let error = error_weight * scale.errors[usize::from(error)];
        *out = (scale.base + scale.step * sum as f32 - error).max(0.0);
    }
}

fn partition_by_cutoff(bounds: &[f32; BLOCK_ROWS], exclusive_min: f32, cutoff: f32) -> (u32, f32) {
    // Bits are summed and eight minima kept, so that the compiler can do eight lanes at a time.
    let (mut mask, mut next_bounds) = (0, [f32::INFINITY; 8]);
    for (at, bounds) in bounds.chunks_exact(8).enumerate() {
        let mut bits = 0;
        for (lane, (&bound, next_bound)) in bounds.iter().zip(&mut next_bounds).enumerate() {
            let is_within = bound > exclusive_min && bound <= cutoff;
            bits |= u32::from(is_within) << lane;
            let beyond = if bound > exclusive_min && bound > cutoff { bound } else { f32::INFINITY };
            *next_bound = if beyond < *next_bound { beyond } else { *next_bound };
        }
        mask |= bits << (8 * at);
    }
    (mask, next_bounds.into_iter().fold(f32::INFINITY, f32::min))
}

pub fn add_cells(cells: &[u8; BLOCK_ROWS], table: &[u8; 256], sums: &mut [u16; BLOCK_ROWS]) {
    for (sum, &cell) in sums.iter_mut().zip(cells) {
        *sum += u16::from(table[usize::from(cell)]);
    }
}

#[inline(always)]
pub fn squared_residual(q: &[f32], step: &[f32], codes: RowCodes<'_>) -> f32 {
    // Eight sums, so that the compiler can keep them in one register.
    let mut sums = [0f32; 8];
    let n = q.len().min(step.len()).min(codes.dimensions());
    let (q, step) = (&q[..n], &step[..n]);
    let whole = n / 8 * 8;
    for at in (0..whole).step_by(8) {
        // A loop and not `array::from_fn`: its closure is not inlined into callers with other instructions.
        let mut code = [0; 8];
        for (i, code) in code.iter_mut().enumerate() {
            *code = codes.code(at + i);
        }
        for lane in 0..8 {
            let d = q[at + lane] - f32::from(code[lane]) * step[at + lane];
            sums[lane] += d * d;
        }
    }
    for at in whole..n {
        let d = q[at] - f32::from(codes.code(at)) * step[at];
        sums[at - whole] += d * d;
    }
    sums.iter().sum()
}

#[inline(always)]
pub fn sketch_product(levels: &[u8], weights: &[[i8; 64]]) -> i32 {
    let mut sum = 0;
    for (levels, weights) in levels.iter().zip(weights.as_flattened().as_chunks::<4>().0) {
        for (i, &weight) in weights.iter().enumerate() {
            sum += i32::from(LEVELS[usize::from(levels >> (2 * i) & 3)]) * i32::from(weight);
        }
    }
    sum
}
