//! The inverse DCT of [`super::kernels`] with AVX2: the same sums on the same 32-bit numbers, eight at a time.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

/// As [`super::kernels::inverse_dct`].
#[target_feature(enable = "avx2")]
pub(super) fn inverse_dct(blocks: &[[i16; 64]], quantisation: &[u16; 64], out: &mut [u8], stride: usize) {
    let (factors, _) = quantisation.as_chunks::<8>();
    let factors: [__m256i; 8] =
        std::array::from_fn(|y| _mm256_cvtepu16_epi32(load(&factors[y].map(|factor| factor as i16))));
    for (i, block) in blocks.iter().enumerate() {
        let (rows, _) = block.as_chunks::<8>();
        let rows: [__m128i; 8] = std::array::from_fn(|y| load(&rows[y]));
        let mut any = _mm_srli_si128::<2>(rows[0]);
        for row in &rows[1..] {
            any = _mm_or_si128(any, *row);
        }
        if _mm_testz_si128(any, any) == 1 {
            let level = i32::from(block[0]).wrapping_mul(i32::from(quantisation[0]));
            let sample = ((level.wrapping_mul(4).wrapping_add(16) >> 5) + 128).clamp(0, 255) as u8;
            for y in 0..8 {
                out[y * stride + 8 * i..][..8].fill(sample);
            }
            continue;
        }
        let coefficients: [__m256i; 8] =
            std::array::from_fn(|y| _mm256_mullo_epi32(_mm256_cvtepi16_epi32(rows[y]), factors[y]));
        let samples = transposed(pass::<18>(transposed(pass::<11>(coefficients))));
        let middle = _mm256_set1_epi16(128);
        for half in 0..2 {
            let rows = &samples[4 * half..];
            // To 16 bits, to bytes; packing works within halves of a register.
            let first = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(rows[0], rows[1]));
            let second = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(rows[2], rows[3]));
            let bytes =
                _mm256_packus_epi16(_mm256_adds_epi16(first, middle), _mm256_adds_epi16(second, middle));
            let rows = [
                _mm256_extract_epi64::<0>(bytes),
                _mm256_extract_epi64::<2>(bytes),
                _mm256_extract_epi64::<1>(bytes),
                _mm256_extract_epi64::<3>(bytes),
            ];
            for (y, row) in rows.iter().enumerate() {
                out[(4 * half + y) * stride + 8 * i..][..8].copy_from_slice(&row.to_le_bytes());
            }
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(numbers: &[i16; 8]) -> __m128i {
    // SAFETY: eight 16-bit numbers are 128 bits, and the load needs no alignment.
    unsafe { _mm_loadu_si128(numbers.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn mul(a: __m256i, by: i32) -> __m256i {
    _mm256_mullo_epi32(a, _mm256_set1_epi32(by))
}

/// One pass over eight columns.
#[target_feature(enable = "avx2")]
#[inline]
fn pass<const SHIFT: i32>(c: [__m256i; 8]) -> [__m256i; 8] {
    let (add, sub) = (_mm256_add_epi32, _mm256_sub_epi32);
    let z = mul(add(c[2], c[6]), 4_433);
    let (even2, even3) = (sub(z, mul(c[6], 15_137)), add(z, mul(c[2], 6_270)));
    let rounding = _mm256_set1_epi32(1 << (SHIFT - 1));
    let even0 = add(_mm256_slli_epi32::<13>(add(c[0], c[4])), rounding);
    let even1 = add(_mm256_slli_epi32::<13>(sub(c[0], c[4])), rounding);
    let even = [add(even0, even3), add(even1, even2), sub(even1, even2), sub(even0, even3)];

    let (a, b) = (add(c[7], c[3]), add(c[5], c[1]));
    let z5 = mul(add(a, b), 9_633);
    let z1 = mul(add(c[7], c[1]), -7_373);
    let z2 = mul(add(c[5], c[3]), -20_995);
    let z3 = add(mul(a, -16_069), z5);
    let z4 = add(mul(b, -3_196), z5);
    let odd = [
        add(mul(c[1], 12_299), add(z1, z4)),
        add(mul(c[3], 25_172), add(z2, z3)),
        add(mul(c[5], 16_819), add(z2, z4)),
        add(mul(c[7], 2_446), add(z1, z3)),
    ];
    let mut out = c;
    for i in 0..4 {
        out[i] = _mm256_srai_epi32::<SHIFT>(add(even[i], odd[i]));
        out[7 - i] = _mm256_srai_epi32::<SHIFT>(sub(even[i], odd[i]));
    }
    out
}

/// Rows become columns.
#[target_feature(enable = "avx2")]
#[inline]
fn transposed(m: [__m256i; 8]) -> [__m256i; 8] {
    let low = |i: usize| _mm256_unpacklo_epi32(m[i], m[i + 1]);
    let high = |i: usize| _mm256_unpackhi_epi32(m[i], m[i + 1]);
    let pairs = [low(0), high(0), low(2), high(2), low(4), high(4), low(6), high(6)];
    let quads = |i: usize| {
        [
            _mm256_unpacklo_epi64(pairs[i], pairs[i + 2]),
            _mm256_unpackhi_epi64(pairs[i], pairs[i + 2]),
            _mm256_unpacklo_epi64(pairs[i + 1], pairs[i + 3]),
            _mm256_unpackhi_epi64(pairs[i + 1], pairs[i + 3]),
        ]
    };
    let (upper, lower) = (quads(0), quads(4));
    let mut out = m;
    for i in 0..4 {
        out[i] = _mm256_permute2x128_si256::<0x20>(upper[i], lower[i]);
        out[i + 4] = _mm256_permute2x128_si256::<0x31>(upper[i], lower[i]);
    }
    out
}
