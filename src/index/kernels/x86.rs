//! The kernels with AVX2 and AVX-512.

use super::portable;
use super::signatures::{Kernels, RowCodes, SumScale};
use crate::index::format::BLOCK_ROWS;
use crate::index::sketch::LEVELS;
use std::arch::x86_64::*;

static AVX2: Kernels = Kernels {
    accumulate,
    squares_to_lower_bounds,
    products_to_lower_bounds,
    partition_by_cutoff,
    add_cells: portable::add_cells,
    squared_residual,
    sketch_product: portable::sketch_product,
};
static AVX512: Kernels = Kernels {
    accumulate: accumulate_wide,
    partition_by_cutoff: partition_by_cutoff_wide,
    add_cells,
    squared_residual: squared_residual_wide,
    sketch_product,
    ..AVX2
};

/// The fastest kernels that this processor can run; `None` if only the portable ones.
pub fn kernels() -> Option<&'static Kernels> {
    levels().last()
}

/// All kernels that it can run, the fastest last.
pub fn levels() -> impl Iterator<Item = &'static Kernels> {
    let avx2 = is_x86_feature_detected!("avx2");
    let avx512 = avx2
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vnni");
    [(avx2, &AVX2), (avx512, &AVX512)].into_iter().filter_map(|(runs, kernels)| runs.then_some(kernels))
}

#[inline]
pub fn prefetch(address: *const u8) {
    // SAFETY: a prefetch affects nothing but the cache, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

fn accumulate(codes: &[u8], table: &[u8], sums: &mut [u32; BLOCK_ROWS]) {
    // SAFETY: called only through `AVX2` or `AVX512`, which `levels` returns where the processor has AVX2.
    unsafe { accumulate_avx2(codes, table, sums) }
}

fn accumulate_wide(codes: &[u8], table: &[u8], sums: &mut [u32; BLOCK_ROWS]) {
    // SAFETY: called only through `AVX512`, which `levels` returns where the processor has its instructions.
    unsafe { accumulate_avx512(codes, table, sums) }
}

fn squares_to_lower_bounds(
    sums: &[u32; BLOCK_ROWS],
    scale: SumScale<'_>,
    errors: &[u8; BLOCK_ROWS],
    out: &mut [f32; BLOCK_ROWS],
) {
    // SAFETY: called only through `AVX2` or `AVX512`, which `levels` returns where the processor has AVX2.
    unsafe { squares_to_lower_bounds_avx2(sums, scale, errors, out) }
}

fn products_to_lower_bounds(
    sums: &[u32; BLOCK_ROWS],
    scale: SumScale<'_>,
    error_weight: f32,
    errors: &[u8; BLOCK_ROWS],
    out: &mut [f32; BLOCK_ROWS],
) {
    // SAFETY: called only through `AVX2` or `AVX512`, which `levels` returns where the processor has AVX2.
    unsafe { products_to_lower_bounds_avx2(sums, scale, error_weight, errors, out) }
}

fn partition_by_cutoff(bounds: &[f32; BLOCK_ROWS], exclusive_min: f32, cutoff: f32) -> (u32, f32) {
    // SAFETY: called only through `AVX2` or `AVX512`, which `levels` returns where the processor has AVX2.
    unsafe { partition_by_cutoff_avx2(bounds, exclusive_min, cutoff) }
}

fn partition_by_cutoff_wide(bounds: &[f32; BLOCK_ROWS], exclusive_min: f32, cutoff: f32) -> (u32, f32) {
    // SAFETY: called only through `AVX512`, which `levels` returns where the processor has its instructions.
    unsafe { partition_by_cutoff_avx512(bounds, exclusive_min, cutoff) }
}

fn add_cells(cells: &[u8; BLOCK_ROWS], table: &[u8; 256], sums: &mut [u16; BLOCK_ROWS]) {
    // SAFETY: called only through `AVX512`, which `levels` returns where the processor has its instructions.
    unsafe { add_cells_avx512(cells, table, sums) }
}

fn squared_residual(q: &[f32], step: &[f32], codes: RowCodes<'_>) -> f32 {
    // SAFETY: called only through `AVX2` or `AVX512`, which `levels` returns where the processor has AVX2.
    unsafe { squared_residual_avx2(q, step, codes) }
}

fn squared_residual_wide(q: &[f32], step: &[f32], codes: RowCodes<'_>) -> f32 {
    // SAFETY: called only through `AVX512`, which `levels` returns where the processor has its instructions.
    unsafe { squared_residual_avx512(q, step, codes) }
}

fn sketch_product(levels: &[u8], weights: &[[i8; 64]]) -> i32 {
    // SAFETY: called only through `AVX512`, which `levels` returns where the processor has its instructions.
    unsafe { sketch_product_avx512(levels, weights) }
}

/// The most dimensions whose table entries, at most 255 each, add up within 16 bits.
const DIMENSIONS_PER_SUM: usize = 256;

#[target_feature(enable = "avx2")]
fn accumulate_avx2(codes: &[u8], table: &[u8], sums: &mut [u32; BLOCK_ROWS]) {
    let n = codes.len().min(table.len()) / 16;
    for from in (0..n).step_by(DIMENSIONS_PER_SUM) {
        let to = n.min(from + DIMENSIONS_PER_SUM);
        accumulate_within_16_bits(&codes[16 * from..16 * to], &table[16 * from..16 * to], sums);
    }
}

/// [`accumulate`] for at most [`DIMENSIONS_PER_SUM`].
///
/// Two dimensions at a time, one in each half of a register. Bytes are added up in 16-bit words: `whole` sums the even bytes
/// plus 256 times the odd ones, modulo 2^16; `odd` sums the odd ones alone.
#[target_feature(enable = "avx2")]
fn accumulate_within_16_bits(codes: &[u8], table: &[u8], sums: &mut [u32; BLOCK_ROWS]) {
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
        // SAFETY: both chunks are 32 bytes long.
        let (codes, table) =
            unsafe { (_mm256_loadu_si256(codes.as_ptr().cast()), _mm256_loadu_si256(table.as_ptr().cast())) };
        add(codes, table);
    }
    if let (Some(codes), Some(table)) = (rest.first_chunk::<16>(), table_rest.first_chunk::<16>()) {
        // SAFETY: both chunks are 16 bytes long.
        let (codes, table) =
            unsafe { (_mm_loadu_si128(codes.as_ptr().cast()), _mm_loadu_si128(table.as_ptr().cast())) };
        // The upper half of the register looks up zeros in a table of zeros.
        add(_mm256_zextsi128_si256(codes), _mm256_zextsi128_si256(table));
    }
    for half in 0..2 {
        let even = _mm256_sub_epi16(whole[half], _mm256_slli_epi16::<8>(odd[half]));
        let fold = |v| _mm_add_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
        let (even, odd) = (fold(even), fold(odd[half]));
        let mut lanes = [0u16; 16];
        // SAFETY: `lanes` has room for two registers of eight words.
        unsafe {
            _mm_storeu_si128(lanes.as_mut_ptr().cast(), _mm_unpacklo_epi16(even, odd));
            _mm_storeu_si128(lanes.as_mut_ptr().add(8).cast(), _mm_unpackhi_epi16(even, odd));
        }
        for (sum, lane) in sums[16 * half..16 * half + 16].iter_mut().zip(lanes) {
            *sum += u32::from(lane);
        }
    }
}

/// Four dimensions at a time. A permutation puts the four codes of one lane side by side, so that one instruction adds up
/// their table entries. The tables of the four dimensions make one of 64 entries: a code is the lower half of the index into
/// it, and its dimension among the four the upper half.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
fn accumulate_avx512(codes: &[u8], table: &[u8], sums: &mut [u32; BLOCK_ROWS]) {
    let n = codes.len().min(table.len()) / 16 * 16;
    let side_by_side: [u8; 64] = std::array::from_fn(|i| (16 * (i % 4) + i / 4) as u8);
    // SAFETY: `side_by_side` has 64 bytes, and `sums` twice 16 numbers.
    let (side_by_side, mut low_sums, mut high_sums) = unsafe {
        (
            _mm512_loadu_epi8(side_by_side.as_ptr().cast()),
            _mm512_loadu_epi32(sums.as_ptr().cast()),
            _mm512_loadu_epi32(sums.as_ptr().add(16).cast()),
        )
    };
    let (nibble, ones) = (_mm512_set1_epi8(15), _mm512_set1_epi8(1));
    let table_offsets = _mm512_set1_epi32(0x3020_1000);
    for (codes, table) in codes[..n].chunks(64).zip(table[..n].chunks(64)) {
        let mask = lane_mask(codes.len());
        // SAFETY: the mask names as many bytes as both chunks have. The other lanes are codes of 0 that find entries of 0.
        let (codes, table) = unsafe {
            (
                _mm512_maskz_loadu_epi8(mask, codes.as_ptr().cast()),
                _mm512_maskz_loadu_epi8(mask, table.as_ptr().cast()),
            )
        };
        let codes = _mm512_permutexvar_epi8(side_by_side, codes);
        let low = _mm512_or_si512(_mm512_and_si512(codes, nibble), table_offsets);
        let high = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16::<4>(codes), nibble), table_offsets);
        low_sums = _mm512_dpbusd_epi32(low_sums, _mm512_permutexvar_epi8(low, table), ones);
        high_sums = _mm512_dpbusd_epi32(high_sums, _mm512_permutexvar_epi8(high, table), ones);
    }
    // SAFETY: `sums` has room for twice 16 numbers.
    unsafe {
        _mm512_storeu_epi32(sums.as_mut_ptr().cast(), low_sums);
        _mm512_storeu_epi32(sums.as_mut_ptr().add(16).cast(), high_sums);
    }
}

#[target_feature(enable = "avx2")]
fn squares_to_lower_bounds_avx2(
    sums: &[u32; BLOCK_ROWS],
    scale: SumScale<'_>,
    errors: &[u8; BLOCK_ROWS],
    out: &mut [f32; BLOCK_ROWS],
) {
    portable::squares_to_lower_bounds(sums, scale, errors, out);
}

#[target_feature(enable = "avx2")]
fn products_to_lower_bounds_avx2(
    sums: &[u32; BLOCK_ROWS],
    scale: SumScale<'_>,
    error_weight: f32,
    errors: &[u8; BLOCK_ROWS],
    out: &mut [f32; BLOCK_ROWS],
) {
    portable::products_to_lower_bounds(sums, scale, error_weight, errors, out);
}

#[target_feature(enable = "avx2")]
fn partition_by_cutoff_avx2(bounds: &[f32; BLOCK_ROWS], exclusive_min: f32, cutoff: f32) -> (u32, f32) {
    let (exclusive_min, cutoff) = (_mm256_set1_ps(exclusive_min), _mm256_set1_ps(cutoff));
    let infinity = _mm256_set1_ps(f32::INFINITY);
    let (mut mask, mut next_bound) = (0, infinity);
    for (at, bounds) in bounds.as_chunks::<8>().0.iter().enumerate() {
        // SAFETY: the chunk has eight numbers.
        let bounds = unsafe { _mm256_loadu_ps(bounds.as_ptr()) };
        let new = _mm256_cmp_ps::<_CMP_GT_OQ>(bounds, exclusive_min);
        let beyond = _mm256_cmp_ps::<_CMP_GT_OQ>(bounds, cutoff);
        mask |= (_mm256_movemask_ps(_mm256_andnot_ps(beyond, new)) as u32) << (8 * at);
        next_bound =
            _mm256_min_ps(next_bound, _mm256_blendv_ps(infinity, bounds, _mm256_and_ps(new, beyond)));
    }
    let mut lanes = [0.0; 8];
    // SAFETY: `lanes` has room for eight numbers.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), next_bound) };
    (mask, lanes.into_iter().fold(f32::INFINITY, f32::min))
}

#[target_feature(enable = "avx512f")]
fn partition_by_cutoff_avx512(bounds: &[f32; BLOCK_ROWS], exclusive_min: f32, cutoff: f32) -> (u32, f32) {
    let (exclusive_min, cutoff) = (_mm512_set1_ps(exclusive_min), _mm512_set1_ps(cutoff));
    let (mut mask, mut next_bound) = (0, _mm512_set1_ps(f32::INFINITY));
    for (at, bounds) in bounds.as_chunks::<16>().0.iter().enumerate() {
        // SAFETY: the chunk has sixteen numbers.
        let bounds = unsafe { _mm512_loadu_ps(bounds.as_ptr()) };
        let new = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(bounds, exclusive_min);
        let beyond = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(bounds, cutoff);
        mask |= u32::from(new & !beyond) << (16 * at);
        next_bound = _mm512_mask_min_ps(next_bound, new & beyond, next_bound, bounds);
    }
    (mask, _mm512_reduce_min_ps(next_bound))
}

/// A register holds a quarter of a table: its upper two bits say which quarter has a cell's entry.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn add_cells_avx512(cells: &[u8; BLOCK_ROWS], table: &[u8; 256], sums: &mut [u16; BLOCK_ROWS]) {
    // SAFETY: `cells` has 32 bytes.
    let cells = unsafe { _mm512_castsi256_si512(_mm256_loadu_si256(cells.as_ptr().cast())) };
    let in_upper_half = _mm512_movepi8_mask(cells);
    // SAFETY: the table has four times 64 bytes.
    let quarter = |i: usize| unsafe { _mm512_loadu_epi8(table.as_ptr().add(64 * i).cast()) };
    let lower = _mm512_permutex2var_epi8(quarter(0), cells, quarter(1));
    let upper = _mm512_permutex2var_epi8(quarter(2), cells, quarter(3));
    let found = _mm512_mask_blend_epi8(in_upper_half, lower, upper);
    let found = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(found));
    // SAFETY: `sums` has 32 numbers of two bytes.
    unsafe {
        let sum = _mm512_add_epi16(_mm512_loadu_epi16(sums.as_ptr().cast()), found);
        _mm512_storeu_epi16(sums.as_mut_ptr().cast(), sum);
    }
}

#[target_feature(enable = "avx2")]
fn squared_residual_avx2(q: &[f32], step: &[f32], codes: RowCodes<'_>) -> f32 {
    portable::squared_residual(q, step, codes)
}

/// 64 dimensions at a time: each register of the block holds four dimensions of 32 rows, from which a permutation of bytes
/// picks those of one row.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn squared_residual_avx512(q: &[f32], step: &[f32], codes: RowCodes<'_>) -> f32 {
    let n = q.len().min(step.len()).min(codes.dimensions());
    let nibble = _mm512_set1_epi8(15);
    // The lane's byte and those 16, 32 and 48 bytes after it, over and over. The sum is computed in plain integers because
    // LLVM 22 does not terminate when it has to add two such registers.
    let lane_bytes = _mm512_set1_epi32(0x3020_1000 + 0x0101_0101 * (codes.lane % 16) as i32);
    let mut sums = _mm512_setzero_ps();
    for from in (0..n).step_by(64) {
        let count = (n - from).min(64);
        let block = &codes.block[16 * from..16 * (from + count)];
        let low = &codes.low_nibbles[from / 2..(from + count).div_ceil(2)];
        let mut high = _mm512_setzero_si512();
        for (i, bytes) in block.chunks(64).enumerate() {
            // SAFETY: the mask names as many bytes as the slice has.
            let bytes = unsafe { _mm512_maskz_loadu_epi8(lane_mask(bytes.len()), bytes.as_ptr().cast()) };
            high = _mm512_mask_permutexvar_epi8(high, 15 << (4 * i), lane_bytes, bytes);
        }
        if codes.lane < 16 {
            high = _mm512_slli_epi16::<4>(_mm512_and_si512(high, nibble));
        }
        // SAFETY: the mask names as many bytes as the slice has.
        let low = unsafe { _mm512_maskz_loadu_epi8(lane_mask(low.len()), low.as_ptr().cast()) };
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
            let mask = lane_mask(n - at) as u16;
            let code = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(code));
            // SAFETY: the mask names no number at or beyond n, and both slices have n.
            let (q, step) = unsafe {
                (
                    _mm512_maskz_loadu_ps(mask, q.as_ptr().add(at)),
                    _mm512_maskz_loadu_ps(mask, step.as_ptr().add(at)),
                )
            };
            // Masked lanes have q = 0 and step = 0, and so add nothing.
            let d = _mm512_fnmadd_ps(code, step, q);
            sums = _mm512_fmadd_ps(d, d, sums);
        }
    }
    _mm512_reduce_add_ps(sums)
}

/// 64 dimensions at a time: each word of 64 bits gets two bytes of levels, of which one instruction makes eight.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
fn sketch_product_avx512(levels: &[u8], weights: &[[i8; 64]]) -> i32 {
    let shifts = _mm512_set1_epi64(0x0e0c_0a08_0604_0200);
    let codes = _mm512_set1_epi32(i32::from_le_bytes(LEVELS));
    let mut sums = _mm512_setzero_si512();
    for (levels, weights) in levels.chunks(16).zip(weights) {
        // SAFETY: the mask names as many bytes as the chunk has, and the weights are 64 bytes.
        let (levels, weights) = unsafe {
            (
                _mm_maskz_loadu_epi8(lane_mask(levels.len()) as u16, levels.as_ptr().cast()),
                _mm512_loadu_epi8(weights.as_ptr()),
            )
        };
        let levels = _mm512_multishift_epi64_epi8(shifts, _mm512_cvtepu16_epi64(levels));
        let codes = _mm512_shuffle_epi8(codes, _mm512_and_si512(levels, _mm512_set1_epi8(3)));
        sums = _mm512_dpbusd_epi32(sums, codes, weights);
    }
    _mm512_reduce_add_epi32(sums)
}

/// A mask of the first `count` lane_bytes, or all.
fn lane_mask(count: usize) -> u64 {
    u64::MAX >> (64 - count.clamp(1, 64))
}
