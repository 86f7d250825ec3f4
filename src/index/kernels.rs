//! The loops in which a search spends its time, with vector instructions where the processor has them.
//!
//! Every kernel gives the same result as the portable one, up to rounding (tests). `unsafe` is allowed here and in
//! `kernels/x86.rs` because vector instructions need it.
#![allow(unsafe_code)]

mod portable;
mod signatures;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
mod tests;

pub use signatures::{RowCodes, SumScale};

use super::format::BLOCK_ROWS;
use half::f16;
use signatures::Kernels;
use std::sync::LazyLock;

/// The best kernels that this processor can run.
static KERNELS: LazyLock<&Kernels> = LazyLock::new(|| {
    #[cfg(target_arch = "x86_64")]
    if let Some(kernels) = x86::kernels() {
        return kernels;
    }
    &portable::KERNELS
});

/// Adds to each of the 32 `sums` of a block the table entries that the lane's nibbles select.
///
/// `codes` and `table` hold 16 bytes per dimension: the nibbles of 32 lanes (see [`super::format`]), and an entry for each
/// value of a nibble.
pub fn accumulate(codes: &[u8], table: &[u8], sums: &mut [u32; BLOCK_ROWS]) {
    (KERNELS.accumulate)(codes, table, sums);
}

/// Turns the sums of a block into lower bounds of squared distances. With `s = base + step·sum`, a sum of squares gives
/// `max(0, √s − error)²`, and a sum of products (`error_weight` is set) `max(0, s − error_weight·error)`.
pub fn sums_to_lower_bounds(
    sums: &[u32; BLOCK_ROWS],
    scale: SumScale<'_>,
    errors: &[u8; BLOCK_ROWS],
    out: &mut [f32; BLOCK_ROWS],
) {
    match scale.error_weight {
        None => (KERNELS.squares_to_lower_bounds)(sums, scale, errors, out),
        Some(error_weight) => (KERNELS.products_to_lower_bounds)(sums, scale, error_weight, errors, out),
    }
}

/// The lanes with `exclusive_min < bound <= cutoff`, as a bit mask, and the smallest bound beyond both `exclusive_min` and
/// `cutoff` (infinity if there is none). No bound may be NaN.
pub fn partition_by_cutoff(bounds: &[f32; BLOCK_ROWS], exclusive_min: f32, cutoff: f32) -> (u32, f32) {
    (KERNELS.partition_by_cutoff)(bounds, exclusive_min, cutoff)
}

/// Adds to the sums of each of the 32 rows of a block what its cell has in the table. No sum may exceed 65535.
pub fn add_cells(cells: &[u8; BLOCK_ROWS], table: &[u8; 256], sums: &mut [u16; BLOCK_ROWS]) {
    (KERNELS.add_cells)(cells, table, sums);
}

/// `Σ (q − code·step)²` over the dimensions, in single precision.
pub fn squared_residual(q: &[f32], step: &[f32], codes: RowCodes<'_>) -> f32 {
    (KERNELS.squared_residual)(q, step, codes)
}

/// `Σ LEVELS[level]·weight` over the dimensions of a sketch, four levels a byte, the first in the lowest bits ([`super::sketch`]). The weights
/// fill whole registers of 64: those beyond the levels must be 0.
pub fn sketch_product(levels: &[u8], weights: &[[i8; 64]]) -> i32 {
    (KERNELS.sketch_product)(levels, weights)
}

/// Asks the processor to load the cache line at `address`. This is only a hint: nothing is read, and any address is allowed.
#[inline]
pub fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    x86::prefetch(address);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// [`prefetch`] for `bytes` bytes from `address` on.
#[inline]
pub fn prefetch_range(address: *const u8, bytes: usize) {
    (0..bytes).step_by(64).for_each(|at| prefetch(address.wrapping_add(at)));
}

/// Reads bytes as half-precision numbers in place; `None` if they are not aligned to two bytes.
pub fn as_f16(bytes: &[u8]) -> Option<&[f16]> {
    // SAFETY: every pattern of 16 bits is a valid half-precision number.
    let (before, numbers, after) = unsafe { bytes.align_to::<f16>() };
    (before.is_empty() && after.is_empty()).then_some(numbers)
}
