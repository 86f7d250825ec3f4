//! The loops over samples in which decoding a JPEG spends its time: inverse DCT, upsampling and colour conversion, each to the bit as
//! libjpeg computes them (`jidctint.c`, `jdsample.c` and `jdcolor.c` define the results). Plain loops that the compiler vectorises, once
//! for any processor and once for AVX2; it does not do so well with the inverse DCT, which is in [`super::idct_avx2`] too.
#![allow(unsafe_code)]

use std::array::from_fn;

/// Defines a function that runs its body as compiled for AVX2 where the processor has it.
macro_rules! vectorised {
    ($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$doc])*
        pub(super) fn $name($($argument: $type),*) {
            #[inline(always)]
            fn body($($argument: $type),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2($($argument: $type),*) {
                    body($($argument),*);
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has AVX2.
                    return unsafe { avx2($($argument),*) };
                }
            }
            body($($argument),*);
        }
    };
}

/// Eight numbers that are computed at once: a row or a column of a block.
type Lanes = [i32; 8];

#[inline(always)]
fn add(a: Lanes, b: Lanes) -> Lanes {
    from_fn(|i| a[i].wrapping_add(b[i]))
}

#[inline(always)]
fn sub(a: Lanes, b: Lanes) -> Lanes {
    from_fn(|i| a[i].wrapping_sub(b[i]))
}

#[inline(always)]
fn mul(a: Lanes, by: i32) -> Lanes {
    from_fn(|i| a[i].wrapping_mul(by))
}

/// One pass of the inverse DCT over eight columns, with 13 fractional bits in the constants; the sums are divided by 2^`SHIFT`.
#[inline(always)]
fn pass<const SHIFT: i32>(c: [Lanes; 8]) -> [Lanes; 8] {
    let z = mul(add(c[2], c[6]), 4_433);
    let (even2, even3) = (sub(z, mul(c[6], 15_137)), add(z, mul(c[2], 6_270)));
    let (even0, even1) = (mul(add(c[0], c[4]), 1 << 13), mul(sub(c[0], c[4]), 1 << 13));
    let rounding = [1 << (SHIFT - 1); 8];
    let (even0, even1) = (add(even0, rounding), add(even1, rounding));
    let even = [add(even0, even3), add(even1, even2), sub(even1, even2), sub(even0, even3)];

    let z5 = mul(add(add(c[7], c[3]), add(c[5], c[1])), 9_633);
    let z1 = mul(add(c[7], c[1]), -7_373);
    let z2 = mul(add(c[5], c[3]), -20_995);
    let z3 = add(mul(add(c[7], c[3]), -16_069), z5);
    let z4 = add(mul(add(c[5], c[1]), -3_196), z5);
    let odd = [
        add(mul(c[1], 12_299), add(z1, z4)),
        add(mul(c[3], 25_172), add(z2, z3)),
        add(mul(c[5], 16_819), add(z2, z4)),
        add(mul(c[7], 2_446), add(z1, z3)),
    ];
    let mut out = [[0; 8]; 8];
    for i in 0..4 {
        let (sum, difference) = (add(even[i], odd[i]), sub(even[i], odd[i]));
        out[i] = sum.map(|x| x >> SHIFT);
        out[7 - i] = difference.map(|x| x >> SHIFT);
    }
    out
}

#[inline(always)]
fn transposed(m: [Lanes; 8]) -> [Lanes; 8] {
    from_fn(|i| from_fn(|j| m[j][i]))
}

/// The samples of a row of blocks from their coefficients, which are in natural order: `out` has eight rows of `stride` samples, and
/// block `i` is at column 8 i.
pub(super) fn inverse_dct(blocks: &[[i16; 64]], quantisation: &[u16; 64], out: &mut [u8], stride: usize) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { super::idct_avx2::inverse_dct(blocks, quantisation, out, stride) };
    }
    inverse_dct_portable(blocks, quantisation, out, stride);
}

/// [`inverse_dct`] for any processor.
fn inverse_dct_portable(blocks: &[[i16; 64]], quantisation: &[u16; 64], out: &mut [u8], stride: usize) {
    let quantisation: [Lanes; 8] = from_fn(|y| from_fn(|x| i32::from(quantisation[8 * y + x])));
    for (i, block) in blocks.iter().enumerate() {
        let (rows, _) = block.as_chunks::<8>();
        let mut any = [0i16; 8];
        for row in &rows[1..] {
            any = from_fn(|x| any[x] | row[x]);
        }
        any = from_fn(|x| if x > 0 { any[x] | rows[0][x] } else { any[x] });
        if any == [0; 8] {
            let level = i32::from(block[0]).wrapping_mul(quantisation[0][0]);
            let sample = ((level.wrapping_mul(4).wrapping_add(16) >> 5) + 128).clamp(0, 255) as u8;
            for y in 0..8 {
                out[y * stride + 8 * i..][..8].fill(sample);
            }
            continue;
        }
        let coefficients = from_fn(|y| from_fn(|x| i32::from(rows[y][x]).wrapping_mul(quantisation[y][x])));
        let columns = transposed(pass::<11>(coefficients));
        let samples = transposed(pass::<18>(columns));
        for (y, row) in samples.iter().enumerate() {
            out[y * stride + 8 * i..][..8].copy_from_slice(&row.map(|s| (s + 128).clamp(0, 255) as u8));
        }
    }
}

vectorised! {
/// Twice as many samples in a row, each three quarters of the nearer and a quarter of the farther one.
fn upsample_row(row: &[u8], out: &mut [u8]) {
    let last = row.len() - 1;
    let (pairs, _) = out.as_chunks_mut::<2>();
    let at = |x: usize| u16::from(row[x]);
    pairs[0] = [row[0], ((3 * at(0) + at(1.min(last)) + 2) >> 2) as u8];
    for (pair, around) in pairs[1..].iter_mut().zip(row.windows(3)) {
        let [before, here, after] = [around[0], around[1], around[2]].map(u16::from);
        *pair = [((3 * here + before + 1) >> 2) as u8, ((3 * here + after + 2) >> 2) as u8];
    }
    if last > 0 {
        pairs[last] = [((3 * at(last) + at(last - 1) + 1) >> 2) as u8, row[last]];
    }
}
}

vectorised! {
/// As [`upsample_row`] in both directions: `sums` is scratch as long as the rows.
fn upsample_rows(near: &[u8], far: &[u8], sums: &mut [u16], out: &mut [u8]) {
    for ((sum, near), far) in sums.iter_mut().zip(near).zip(far) {
        *sum = 3 * u16::from(*near) + u16::from(*far);
    }
    let last = sums.len() - 1;
    let (pairs, _) = out.as_chunks_mut::<2>();
    pairs[0] = [((4 * sums[0] + 8) >> 4) as u8, ((3 * sums[0] + sums[1.min(last)] + 7) >> 4) as u8];
    for (pair, around) in pairs[1..].iter_mut().zip(sums.windows(3)) {
        let here = 3 * around[1];
        *pair = [((here + around[0] + 8) >> 4) as u8, ((here + around[2] + 7) >> 4) as u8];
    }
    if last > 0 {
        pairs[last] = [((3 * sums[last] + sums[last - 1] + 8) >> 4) as u8, ((4 * sums[last] + 7) >> 4) as u8];
    }
}
}

vectorised! {
/// A row between two, nearer to `near`. `rounding` is 1 above it and 2 below.
fn upsample_column(near: &[u8], far: &[u8], rounding: u16, out: &mut [u8]) {
    for ((out, near), far) in out.iter_mut().zip(near).zip(far) {
        *out = ((3 * u16::from(*near) + u16::from(*far) + rounding) >> 2) as u8;
    }
}
}

vectorised! {
/// YCbCr to RGB, with 16 fractional bits.
fn ycbcr_to_rgb(luma: &[u8], blue: &[u8], red: &[u8], out: &mut [u8]) {
    let (pixels, _) = out.as_chunks_mut::<3>();
    for (((rgb, y), cb), cr) in pixels.iter_mut().zip(luma).zip(blue).zip(red) {
        let (y, cb, cr) = (i32::from(*y), i32::from(*cb) - 128, i32::from(*cr) - 128);
        let channel = |offset: i32| (y + (offset >> 16)).clamp(0, 255) as u8;
        *rgb = [
            channel(91_881 * cr + 32_768),
            channel(-22_554 * cb - 46_802 * cr + 32_768),
            channel(116_130 * cb + 32_768),
        ];
    }
}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_dct_is_the_same_on_every_processor() {
        let mut state = 7u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as i16
        };
        let quantisation = from_fn(|k| 1 + k as u16);
        // From none to all coefficients, small ones and any.
        let blocks: Vec<[i16; 64]> = (0..256)
            .map(|i| {
                from_fn(|k| {
                    if k >= i / 2 {
                        0
                    } else if i % 2 == 0 {
                        random() >> 9
                    } else {
                        random()
                    }
                })
            })
            .collect();
        let size = blocks.len() * 64;
        let (mut fast, mut portable) = (vec![0; size], vec![0; size]);
        inverse_dct(&blocks, &quantisation, &mut fast, blocks.len() * 8);
        inverse_dct_portable(&blocks, &quantisation, &mut portable, blocks.len() * 8);
        assert_eq!(fast, portable);
    }
}
