//! The loops in which a search spends its time, with vector instructions where the processor has them.
//!
//! `unsafe` lives here because vector instructions need it; every kernel agrees with the portable one (tests).
#![allow(unsafe_code)]

use super::group::BLOCK;
use half::f16;
use std::sync::LazyLock;

/// For each of the 32 positions of a block: adds up the table entries that its nibbles name.
///
/// `codes` and `table` hold 16 bytes for each dimension (see [`super::group`]); `sums` grows.
pub fn accumulate(codes: &[u8], table: &[u8], sums: &mut [u32; BLOCK]) {
    (KERNELS.accumulate)(codes, table, sums);
}

/// From the sums of a block to squared distances that are not too long: with s = base + step·sum, `max(0, √s − error)²`, or where
/// `pull` is set `max(0, s − pull·error)`.
pub fn settle(sums: &[u32; BLOCK], scale: Scale<'_>, errors: &[u8; BLOCK], out: &mut [f32; BLOCK]) {
    match scale.pull {
        None => (KERNELS.settle)(sums, scale, errors, out),
        Some(pull) => (KERNELS.settle_linear)(sums, scale, pull, errors, out),
    }
}

/// Of the bounds that are above `above`: which are not above `cut`, a bit each, and the least of the others. None may be NaN.
pub fn divide(bounds: &[f32; BLOCK], above: f32, cut: f32) -> (u32, f32) {
    (KERNELS.divide)(bounds, above, cut)
}

/// Σ (q − u·step)² over the dimensions, in single precision.
pub fn squared_residual(q: &[f32], step: &[f32], codes: Codes<'_>) -> f32 {
    (KERNELS.squared_residual)(q, step, codes)
}

/// The 8-bit codes of one row in one subspace, where they lie.
#[derive(Clone, Copy)]
pub struct Codes<'a> {
    /// Low nibbles, two dimensions a byte.
    pub low: &'a [u8],
    /// The high nibbles of all rows of its block, 16 bytes a dimension.
    pub block: &'a [u8],
    /// Its place in the block.
    pub lane: usize,
}

impl Codes<'_> {
    /// For how many dimensions both halves are there.
    fn dimensions(&self) -> usize {
        (2 * self.low.len()).min(self.block.len() / 16)
    }

    #[inline(always)]
    fn code(&self, dimension: usize) -> u8 {
        let low = self.low[dimension / 2] >> (4 * (dimension % 2)) & 15;
        let high = self.block[16 * dimension + self.lane % 16] >> (4 * (self.lane / 16 % 2));
        low | high << 4
    }
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
    /// How much an error may take from the sum, if it is a sum of products.
    pub pull: Option<f32>,
    /// What each error code stands for.
    pub errors: &'a [f32; 256],
}

struct Kernels {
    accumulate: fn(&[u8], &[u8], &mut [u32; BLOCK]),
    settle: fn(&[u32; BLOCK], Scale<'_>, &[u8; BLOCK], &mut [f32; BLOCK]),
    settle_linear: fn(&[u32; BLOCK], Scale<'_>, f32, &[u8; BLOCK], &mut [f32; BLOCK]),
    divide: fn(&[f32; BLOCK], f32, f32) -> (u32, f32),
    squared_residual: fn(&[f32], &[f32], Codes<'_>) -> f32,
}

static KERNELS: LazyLock<&Kernels> = LazyLock::new(|| {
    #[cfg(target_arch = "x86_64")]
    if let Some(kernels) = x86::kernels() {
        return kernels;
    }
    &portable::KERNELS
});

mod portable {
    use super::{Codes, Kernels, Scale, BLOCK};

    pub static KERNELS: Kernels = Kernels { accumulate, settle, settle_linear, divide, squared_residual };

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
    pub fn settle_linear(
        sums: &[u32; BLOCK],
        scale: Scale<'_>,
        pull: f32,
        errors: &[u8; BLOCK],
        out: &mut [f32; BLOCK],
    ) {
        for ((out, &sum), &error) in out.iter_mut().zip(sums).zip(errors) {
            *out = (scale.base + scale.step * sum as f32 - pull * scale.errors[usize::from(error)]).max(0.0);
        }
    }

    #[inline(always)]
    pub fn divide(bounds: &[f32; BLOCK], above: f32, cut: f32) -> (u32, f32) {
        // Sums of bits and eight least ones, so that a compiler may do eight at a time.
        let (mut near, mut least) = (0, [f32::INFINITY; 8]);
        for (at, bounds) in bounds.chunks_exact(8).enumerate() {
            let mut bits = 0;
            for (lane, (&bound, least)) in bounds.iter().zip(&mut least).enumerate() {
                let is_near = bound > above && bound <= cut;
                bits |= u32::from(is_near) << lane;
                let beyond = if bound > above && bound > cut { bound } else { f32::INFINITY };
                *least = if beyond < *least { beyond } else { *least };
            }
            near |= bits << (8 * at);
        }
        (near, least.into_iter().fold(f32::INFINITY, f32::min))
    }

    #[inline(always)]
    pub fn squared_residual(q: &[f32], step: &[f32], codes: Codes<'_>) -> f32 {
        // Eight sums, so that a compiler may keep them in one register.
        let mut sums = [0f32; 8];
        let n = q.len().min(step.len()).min(codes.dimensions());
        let (q, step) = (&q[..n], &step[..n]);
        let whole = n / 8 * 8;
        for at in (0..whole).step_by(8) {
            let code: [u8; 8] = std::array::from_fn(|i| codes.code(at + i));
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
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{portable, Codes, Kernels, Scale, BLOCK};
    use std::arch::x86_64::*;

    static AVX2: Kernels = Kernels { accumulate, settle, settle_linear, divide, squared_residual };
    static AVX512: Kernels = Kernels {
        accumulate: accumulate_wide,
        divide: divide_wide,
        squared_residual: squared_residual_wide,
        ..AVX2
    };

    /// The best that this processor can run.
    pub fn kernels() -> Option<&'static Kernels> {
        levels().last()
    }

    /// All that it can run.
    pub fn levels() -> impl Iterator<Item = &'static Kernels> {
        let avx2 = is_x86_feature_detected!("avx2");
        let avx512 = avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512vnni");
        [(avx2, &AVX2), (avx512, &AVX512)].into_iter().filter_map(|(runs, kernels)| runs.then_some(kernels))
    }

    #[inline]
    pub fn prefetch(address: *const u8) {
        // SAFETY: a prefetch of any address at all has no effect but on the cache.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }

    fn accumulate(codes: &[u8], table: &[u8], sums: &mut [u32; BLOCK]) {
        // SAFETY: installed only where `levels` found AVX2.
        unsafe { accumulate_avx2(codes, table, sums) }
    }

    fn accumulate_wide(codes: &[u8], table: &[u8], sums: &mut [u32; BLOCK]) {
        // SAFETY: installed only where `levels` found its instructions.
        unsafe { accumulate_avx512(codes, table, sums) }
    }

    fn settle(sums: &[u32; BLOCK], scale: Scale<'_>, errors: &[u8; BLOCK], out: &mut [f32; BLOCK]) {
        // SAFETY: installed only where `levels` found AVX2.
        unsafe { settle_avx2(sums, scale, errors, out) }
    }

    fn settle_linear(
        sums: &[u32; BLOCK],
        scale: Scale<'_>,
        pull: f32,
        errors: &[u8; BLOCK],
        out: &mut [f32; BLOCK],
    ) {
        // SAFETY: installed only where `levels` found AVX2.
        unsafe { settle_linear_avx2(sums, scale, pull, errors, out) }
    }

    fn divide(bounds: &[f32; BLOCK], above: f32, cut: f32) -> (u32, f32) {
        // SAFETY: installed only where `levels` found AVX2.
        unsafe { divide_avx2(bounds, above, cut) }
    }

    fn divide_wide(bounds: &[f32; BLOCK], above: f32, cut: f32) -> (u32, f32) {
        // SAFETY: installed only where `levels` found its instructions.
        unsafe { divide_avx512(bounds, above, cut) }
    }

    fn squared_residual(q: &[f32], step: &[f32], codes: Codes<'_>) -> f32 {
        // SAFETY: installed only where `levels` found AVX2.
        unsafe { squared_residual_avx2(q, step, codes) }
    }

    fn squared_residual_wide(q: &[f32], step: &[f32], codes: Codes<'_>) -> f32 {
        // SAFETY: installed only where `levels` found its instructions.
        unsafe { squared_residual_avx512(q, step, codes) }
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

    /// Four dimensions at a time. What the four have for one position comes to lie side by side, so that one instruction adds it up;
    /// a code's place among the four is then the upper half of its index into their 64 table entries.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
    fn accumulate_avx512(codes: &[u8], table: &[u8], sums: &mut [u32; BLOCK]) {
        let n = codes.len().min(table.len()) / 16 * 16;
        let side_by_side: [u8; 64] = std::array::from_fn(|i| (16 * (i % 4) + i / 4) as u8);
        // SAFETY: 64 bytes, and room for twice 16 numbers.
        let (side_by_side, mut low_sums, mut high_sums) = unsafe {
            (
                _mm512_loadu_epi8(side_by_side.as_ptr().cast()),
                _mm512_loadu_epi32(sums.as_ptr().cast()),
                _mm512_loadu_epi32(sums.as_ptr().add(16).cast()),
            )
        };
        let (nibble, ones) = (_mm512_set1_epi8(15), _mm512_set1_epi8(1));
        let place = _mm512_set1_epi32(0x3020_1000);
        for (codes, table) in codes[..n].chunks(64).zip(table[..n].chunks(64)) {
            let mask = first(codes.len());
            // SAFETY: as many bytes as the mask names are there. Beyond, codes of 0 find entries of 0.
            let (codes, table) = unsafe {
                (
                    _mm512_maskz_loadu_epi8(mask, codes.as_ptr().cast()),
                    _mm512_maskz_loadu_epi8(mask, table.as_ptr().cast()),
                )
            };
            let codes = _mm512_permutexvar_epi8(side_by_side, codes);
            let low = _mm512_or_si512(_mm512_and_si512(codes, nibble), place);
            let high = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16::<4>(codes), nibble), place);
            low_sums = _mm512_dpbusd_epi32(low_sums, _mm512_permutexvar_epi8(low, table), ones);
            high_sums = _mm512_dpbusd_epi32(high_sums, _mm512_permutexvar_epi8(high, table), ones);
        }
        // SAFETY: as above.
        unsafe {
            _mm512_storeu_epi32(sums.as_mut_ptr().cast(), low_sums);
            _mm512_storeu_epi32(sums.as_mut_ptr().add(16).cast(), high_sums);
        }
    }

    #[target_feature(enable = "avx2")]
    fn settle_avx2(sums: &[u32; BLOCK], scale: Scale<'_>, errors: &[u8; BLOCK], out: &mut [f32; BLOCK]) {
        portable::settle(sums, scale, errors, out);
    }

    #[target_feature(enable = "avx2")]
    fn settle_linear_avx2(
        sums: &[u32; BLOCK],
        scale: Scale<'_>,
        pull: f32,
        errors: &[u8; BLOCK],
        out: &mut [f32; BLOCK],
    ) {
        portable::settle_linear(sums, scale, pull, errors, out);
    }

    #[target_feature(enable = "avx2")]
    fn divide_avx2(bounds: &[f32; BLOCK], above: f32, cut: f32) -> (u32, f32) {
        let (above, cut) = (_mm256_set1_ps(above), _mm256_set1_ps(cut));
        let none = _mm256_set1_ps(f32::INFINITY);
        let (mut near, mut least) = (0, none);
        for (at, bounds) in bounds.as_chunks::<8>().0.iter().enumerate() {
            // SAFETY: eight numbers.
            let bounds = unsafe { _mm256_loadu_ps(bounds.as_ptr()) };
            let new = _mm256_cmp_ps::<_CMP_GT_OQ>(bounds, above);
            let beyond = _mm256_cmp_ps::<_CMP_GT_OQ>(bounds, cut);
            near |= (_mm256_movemask_ps(_mm256_andnot_ps(beyond, new)) as u32) << (8 * at);
            least = _mm256_min_ps(least, _mm256_blendv_ps(none, bounds, _mm256_and_ps(new, beyond)));
        }
        let mut lanes = [0.0; 8];
        // SAFETY: room for eight numbers.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), least) };
        (near, lanes.into_iter().fold(f32::INFINITY, f32::min))
    }

    #[target_feature(enable = "avx512f")]
    fn divide_avx512(bounds: &[f32; BLOCK], above: f32, cut: f32) -> (u32, f32) {
        let (above, cut) = (_mm512_set1_ps(above), _mm512_set1_ps(cut));
        let (mut near, mut least) = (0, _mm512_set1_ps(f32::INFINITY));
        for (at, bounds) in bounds.as_chunks::<16>().0.iter().enumerate() {
            // SAFETY: sixteen numbers.
            let bounds = unsafe { _mm512_loadu_ps(bounds.as_ptr()) };
            let new = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(bounds, above);
            let beyond = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(bounds, cut);
            near |= u32::from(new & !beyond) << (16 * at);
            least = _mm512_mask_min_ps(least, new & beyond, least, bounds);
        }
        (near, _mm512_reduce_min_ps(least))
    }

    #[target_feature(enable = "avx2")]
    fn squared_residual_avx2(q: &[f32], step: &[f32], codes: Codes<'_>) -> f32 {
        portable::squared_residual(q, step, codes)
    }

    /// 64 dimensions at a time: a permutation of bytes takes the row's four out of each register of its block.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn squared_residual_avx512(q: &[f32], step: &[f32], codes: Codes<'_>) -> f32 {
        let n = q.len().min(step.len()).min(codes.dimensions());
        let nibble = _mm512_set1_epi8(15);
        // The lane's byte and those 16, 32 and 48 after it, over and over. Added up here: LLVM 22 never ends when it is
        // left to add two such registers.
        let places = _mm512_set1_epi32(0x3020_1000 + 0x0101_0101 * (codes.lane % 16) as i32);
        let mut sums = _mm512_setzero_ps();
        for from in (0..n).step_by(64) {
            let count = (n - from).min(64);
            let block = &codes.block[16 * from..16 * (from + count)];
            let low = &codes.low[from / 2..(from + count).div_ceil(2)];
            let mut high = _mm512_setzero_si512();
            for (i, bytes) in block.chunks(64).enumerate() {
                // SAFETY: as many bytes as the mask names are there.
                let bytes = unsafe { _mm512_maskz_loadu_epi8(first(bytes.len()), bytes.as_ptr().cast()) };
                high = _mm512_mask_permutexvar_epi8(high, 15 << (4 * i), places, bytes);
            }
            if codes.lane < 16 {
                high = _mm512_slli_epi16::<4>(_mm512_and_si512(high, nibble));
            }
            // SAFETY: as many bytes as the mask names are there.
            let low = unsafe { _mm512_maskz_loadu_epi8(first(low.len()), low.as_ptr().cast()) };
            let pairs = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(low));
            let low = _mm512_or_si512(pairs, _mm512_slli_epi16::<4>(pairs));
            let code = _mm512_or_si512(_mm512_and_si512(low, nibble), _mm512_andnot_si512(nibble, high));
            let quarters = [
                _mm512_castsi512_si128(code),
                _mm512_extracti32x4_epi32::<1>(code),
                _mm512_extracti32x4_epi32::<2>(code),
                _mm512_extracti32x4_epi32::<3>(code),
            ];
            for (i, code) in quarters.into_iter().enumerate().take(count.div_ceil(16)) {
                let at = from + 16 * i;
                let mask = first(n - at) as u16;
                let code = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(code));
                // SAFETY: as many numbers as the mask names are there.
                let (q, step) = unsafe {
                    (
                        _mm512_maskz_loadu_ps(mask, q.as_ptr().add(at)),
                        _mm512_maskz_loadu_ps(mask, step.as_ptr().add(at)),
                    )
                };
                // Where q and the step are 0, so is the difference.
                let d = _mm512_fnmadd_ps(code, step, q);
                sums = _mm512_fmadd_ps(d, d, sums);
            }
        }
        _mm512_reduce_add_ps(sums)
    }

    /// A mask of the first `count` places, or all.
    fn first(count: usize) -> u64 {
        u64::MAX >> (64 - count.clamp(1, 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All kernels that this processor can run.
    fn levels() -> Vec<&'static Kernels> {
        #[cfg(target_arch = "x86_64")]
        return x86::levels().collect();
        #[cfg(not(target_arch = "x86_64"))]
        Vec::new()
    }

    proptest! {
        #[test]
        fn the_kernels_of_this_processor_agree_with_the_portable_ones(
            n in 1usize..600, bytes in prop::collection::vec(any::<u8>(), 600 * 32), base in 0f32..4.0, step in 0f32..1e-2,
            lane in 0..BLOCK,
        ) {
            let (codes, table) = (&bytes[..16 * n], &bytes[9600..9600 + 16 * n]);
            let mut table_of_errors = [0.0; 256];
            table_of_errors.iter_mut().enumerate().for_each(|(i, e)| *e = i as f32 / 300.0);
            let errors: &[u8; BLOCK] = bytes.first_chunk().unwrap();
            let scale = Scale { base, step, pull: None, errors: &table_of_errors };
            let q: Vec<f32> = bytes[..n].iter().map(|&b| f32::from(b) / 99.0).collect();
            let steps: Vec<f32> = bytes[n..2 * n].iter().map(|&b| step * f32::from(b)).collect();
            let row = Codes { low: &bytes[7..7 + n.div_ceil(2)], block: codes, lane };
            for kernels in levels() {
                let (mut ours, mut theirs) = ([7; BLOCK], [7; BLOCK]);
                (kernels.accumulate)(codes, table, &mut ours);
                (portable::KERNELS.accumulate)(codes, table, &mut theirs);
                prop_assert_eq!(ours, theirs);

                let (mut a, mut b) = ([0.0; BLOCK], [0.0; BLOCK]);
                (kernels.settle)(&ours, scale, errors, &mut a);
                (portable::KERNELS.settle)(&ours, scale, errors, &mut b);
                prop_assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-6 * (1.0 + b)));

                (kernels.settle_linear)(&ours, scale, base, errors, &mut a);
                (portable::KERNELS.settle_linear)(&ours, scale, base, errors, &mut b);
                prop_assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * (1.0 + b)));

                let (above, cut) = (b[lane], b[(lane + n) % BLOCK]);
                for (above, cut) in [(above, cut), (f32::NEG_INFINITY, cut), (above, f32::INFINITY)] {
                    let new = |&&bound: &&f32| bound > above;
                    let near = b.iter().enumerate().filter(|(_, bound)| new(bound) && **bound <= cut);
                    let near = near.map(|(lane, _)| 1 << lane).sum::<u32>();
                    let least = b.iter().filter(new).filter(|&&bound| bound > cut).fold(f32::INFINITY, |a, b| a.min(*b));
                    prop_assert_eq!((kernels.divide)(&b, above, cut), (near, least));
                    prop_assert_eq!((portable::KERNELS.divide)(&b, above, cut), (near, least));
                }

                let a = (kernels.squared_residual)(&q, &steps, row);
                let b = (portable::KERNELS.squared_residual)(&q, &steps, row);
                prop_assert!((a - b).abs() <= 1e-4 * (1.0 + b), "{} {}", a, b);
            }
        }
    }
}
