//! The loops in which a search spends its time, with vector instructions where the processor has them.
//!
//! `unsafe` lives here because vector instructions need it; every kernel agrees with the portable one (tests).

use super::group::BLOCK;
use half::f16;
use std::sync::LazyLock;

/// For each of the 32 positions of a block: adds up the table entries that its nibbles name.
///
/// `codes` and `table` hold 16 bytes for each dimension (see [`super::group`]); `sums` grows.
pub fn accumulate(codes: &[u8], table: &[u8], sums: &mut [u32; BLOCK]) {
    (KERNELS.accumulate)(codes, table, sums);
}

/// From the sums of a block to squared distances that are not too long: `max(0, √(base + step·sum) − error)²`.
pub fn settle(sums: &[u32; BLOCK], scale: Scale<'_>, errors: &[u8; BLOCK], out: &mut [f32; BLOCK]) {
    (KERNELS.settle)(sums, scale, errors, out);
}

/// Σ (q − u·step)² over the dimensions, in single precision.
pub fn squared_residual(q: &[f32], step: &[f32], codes: &[u8]) -> f32 {
    (KERNELS.squared_residual)(q, step, codes)
}

/// Asks the processor to start loading what lies at `address`. Only a hint: nothing is read, and any address is allowed.
#[inline]
pub fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    x86::prefetch(address);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// [`prefetch`] for so many bytes.
#[inline]
pub fn prefetch_all(address: *const u8, bytes: usize) {
    (0..bytes).step_by(64).for_each(|at| prefetch(address.wrapping_add(at)));
}

/// Half-precision numbers where they lie; `None` if they do not lie on even addresses.
pub fn halves(bytes: &[u8]) -> Option<&[f16]> {
    // SAFETY: every pattern of 16 bits is a half-precision number.
    let (before, numbers, after) = unsafe { bytes.align_to::<f16>() };
    (before.is_empty() && after.is_empty()).then_some(numbers)
}

/// What sums and error codes of one cell mean.
#[derive(Clone, Copy)]
pub struct Scale<'a> {
    /// What every row of the cell has in common.
    pub base: f32,
    /// What 1 in a sum is worth.
    pub step: f32,
    /// What each error code stands for.
    pub errors: &'a [f32; 256],
}

struct Kernels {
    accumulate: fn(&[u8], &[u8], &mut [u32; BLOCK]),
    settle: fn(&[u32; BLOCK], Scale<'_>, &[u8; BLOCK], &mut [f32; BLOCK]),
    squared_residual: fn(&[f32], &[f32], &[u8]) -> f32,
}

static KERNELS: LazyLock<&Kernels> = LazyLock::new(|| {
    #[cfg(target_arch = "x86_64")]
    if x86::available() {
        return &x86::KERNELS;
    }
    &portable::KERNELS
});

mod portable {
    use super::{Kernels, Scale, BLOCK};

    pub static KERNELS: Kernels = Kernels { accumulate, settle, squared_residual };

    fn accumulate(codes: &[u8], table: &[u8], sums: &mut [u32; BLOCK]) {
        for (codes, table) in codes.chunks_exact(16).zip(table.chunks_exact(16)) {
            for (lane, code) in codes.iter().enumerate() {
                sums[lane] += u32::from(table[usize::from(code & 15)]);
                sums[lane + 16] += u32::from(table[usize::from(code >> 4)]);
            }
        }
    }

    #[inline(always)]
    pub fn settle(sums: &[u32; BLOCK], scale: Scale<'_>, errors: &[u8; BLOCK], out: &mut [f32; BLOCK]) {
        for ((out, &sum), &error) in out.iter_mut().zip(sums).zip(errors) {
            let distance = (scale.base + scale.step * sum as f32).sqrt();
            let least = (distance - scale.errors[usize::from(error)]).max(0.0);
            *out = least * least;
        }
    }

    #[inline(always)]
    pub fn squared_residual(q: &[f32], step: &[f32], codes: &[u8]) -> f32 {
        // Eight sums, so that a compiler may keep them in one register.
        let mut sums = [0f32; 8];
        let n = q.len().min(step.len()).min(codes.len());
        let (q, step, codes) = (&q[..n], &step[..n], &codes[..n]);
        let whole = n / 8 * 8;
        for at in (0..whole).step_by(8) {
            for lane in 0..8 {
                let d = q[at + lane] - f32::from(codes[at + lane]) * step[at + lane];
                sums[lane] += d * d;
            }
        }
        for at in whole..n {
            let d = q[at] - f32::from(codes[at]) * step[at];
            sums[at - whole] += d * d;
        }
        sums.iter().sum()
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{portable, Kernels, Scale, BLOCK};
    use std::arch::x86_64::*;

    pub static KERNELS: Kernels = Kernels { accumulate, settle, squared_residual };

    pub fn available() -> bool {
        is_x86_feature_detected!("avx2")
    }

    #[inline]
    pub fn prefetch(address: *const u8) {
        // SAFETY: a prefetch of any address at all has no effect but on the cache.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }

    fn accumulate(codes: &[u8], table: &[u8], sums: &mut [u32; BLOCK]) {
        // SAFETY: installed only where `available` is true.
        unsafe { accumulate_avx2(codes, table, sums) }
    }

    fn settle(sums: &[u32; BLOCK], scale: Scale<'_>, errors: &[u8; BLOCK], out: &mut [f32; BLOCK]) {
        // SAFETY: installed only where `available` is true.
        unsafe { settle_avx2(sums, scale, errors, out) }
    }

    fn squared_residual(q: &[f32], step: &[f32], codes: &[u8]) -> f32 {
        // SAFETY: installed only where `available` is true.
        unsafe { squared_residual_avx2(q, step, codes) }
    }

    /// So many dimensions fit into sums of 16 bits.
    const DIMENSIONS: usize = 256;

    #[target_feature(enable = "avx2")]
    fn accumulate_avx2(codes: &[u8], table: &[u8], sums: &mut [u32; BLOCK]) {
        let n = codes.len().min(table.len()) / 16;
        for from in (0..n).step_by(DIMENSIONS) {
            let to = n.min(from + DIMENSIONS);
            accumulate_some(&codes[16 * from..16 * to], &table[16 * from..16 * to], sums);
        }
    }

    /// [`accumulate`] for at most [`DIMENSIONS`].
    ///
    /// Two dimensions at a time, one in each half of a register. Sums of bytes are kept in words: `whole` has the even
    /// bytes and, 256-fold, the odd ones, modulo 2^16; `odd` has the odd ones alone.
    #[target_feature(enable = "avx2")]
    fn accumulate_some(codes: &[u8], table: &[u8], sums: &mut [u32; BLOCK]) {
        let nibble = _mm256_set1_epi8(15);
        let mut whole = [_mm256_setzero_si256(); 2];
        let mut odd = [_mm256_setzero_si256(); 2];
        let mut add = |codes: __m256i, table: __m256i| {
            let low = _mm256_and_si256(codes, nibble);
            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(codes), nibble);
            for (half, index) in [low, high].into_iter().enumerate() {
                let value = _mm256_shuffle_epi8(table, index);
                whole[half] = _mm256_add_epi16(whole[half], value);
                odd[half] = _mm256_add_epi16(odd[half], _mm256_srli_epi16::<8>(value));
            }
        };
        let (pairs, rest) = codes.as_chunks::<32>();
        let (table_pairs, table_rest) = table.as_chunks::<32>();
        for (codes, table) in pairs.iter().zip(table_pairs) {
            // SAFETY: both are 32 bytes long.
            let (codes, table) = unsafe {
                (_mm256_loadu_si256(codes.as_ptr().cast()), _mm256_loadu_si256(table.as_ptr().cast()))
            };
            add(codes, table);
        }
        if let (Some(codes), Some(table)) = (rest.first_chunk::<16>(), table_rest.first_chunk::<16>()) {
            // SAFETY: both are 16 bytes long.
            let (codes, table) =
                unsafe { (_mm_loadu_si128(codes.as_ptr().cast()), _mm_loadu_si128(table.as_ptr().cast())) };
            // The upper half looks up zeros in a table of zeros.
            add(_mm256_zextsi128_si256(codes), _mm256_zextsi128_si256(table));
        }
        for half in 0..2 {
            let even = _mm256_sub_epi16(whole[half], _mm256_slli_epi16::<8>(odd[half]));
            let fold = |v| _mm_add_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
            let (even, odd) = (fold(even), fold(odd[half]));
            let mut lanes = [0u16; 16];
            // SAFETY: room for two registers of eight words.
            unsafe {
                _mm_storeu_si128(lanes.as_mut_ptr().cast(), _mm_unpacklo_epi16(even, odd));
                _mm_storeu_si128(lanes.as_mut_ptr().add(8).cast(), _mm_unpackhi_epi16(even, odd));
            }
            for (sum, lane) in sums[16 * half..16 * half + 16].iter_mut().zip(lanes) {
                *sum += u32::from(lane);
            }
        }
    }

    #[target_feature(enable = "avx2")]
    fn settle_avx2(sums: &[u32; BLOCK], scale: Scale<'_>, errors: &[u8; BLOCK], out: &mut [f32; BLOCK]) {
        portable::settle(sums, scale, errors, out);
    }

    #[target_feature(enable = "avx2")]
    fn squared_residual_avx2(q: &[f32], step: &[f32], codes: &[u8]) -> f32 {
        portable::squared_residual(q, step, codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_kernels_of_this_processor_agree_with_the_portable_ones(
            n in 1usize..600, bytes in prop::collection::vec(any::<u8>(), 600 * 32), base in 0f32..4.0, step in 0f32..1e-2,
        ) {
            let (codes, table) = (&bytes[..16 * n], &bytes[9600..9600 + 16 * n]);
            let (mut ours, mut theirs) = ([7; BLOCK], [7; BLOCK]);
            accumulate(codes, table, &mut ours);
            (portable::KERNELS.accumulate)(codes, table, &mut theirs);
            prop_assert_eq!(ours, theirs);

            let mut table = [0.0; 256];
            table.iter_mut().enumerate().for_each(|(i, e)| *e = i as f32 / 300.0);
            let errors: &[u8; BLOCK] = bytes.first_chunk().unwrap();
            let scale = Scale { base, step, errors: &table };
            let (mut a, mut b) = ([0.0; BLOCK], [0.0; BLOCK]);
            settle(&ours, scale, errors, &mut a);
            (portable::KERNELS.settle)(&ours, scale, errors, &mut b);
            prop_assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-6 * (1.0 + b)));

            let q: Vec<f32> = bytes[..n].iter().map(|&b| f32::from(b) / 99.0).collect();
            let steps = vec![step; n];
            let (a, b) = (squared_residual(&q, &steps, codes), (portable::KERNELS.squared_residual)(&q, &steps, codes));
            prop_assert!((a - b).abs() <= 1e-4 * (1.0 + b));
        }
    }
}
