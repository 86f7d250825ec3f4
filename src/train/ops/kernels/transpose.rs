//! Transposes a matrix, block by block.

/// Numbers on the side of a block.
const BLOCK: usize = 16;

/// The transpose in plain loops.
pub fn plain(from: &[f32], pitch: usize, [rows, columns]: [usize; 2], to: &mut [f32], to_pitch: usize) {
    for first in (0..columns).step_by(BLOCK) {
        for row in 0..rows {
            let from = &from[row * pitch..][first..(first + BLOCK).min(columns)];
            for (i, x) in from.iter().enumerate() {
                to[(first + i) * to_pitch + row] = *x;
            }
        }
    }
}

/// The transpose with AVX-512.
///
/// # Safety
/// The processor must have AVX-512F, and both matrices must lie within their slices.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
pub unsafe fn avx512(
    from: &[f32],
    pitch: usize,
    [rows, columns]: [usize; 2],
    to: &mut [f32],
    to_pitch: usize,
) {
    let (whole_rows, whole_columns) = (rows / BLOCK * BLOCK, columns / BLOCK * BLOCK);
    for row in (0..whole_rows).step_by(BLOCK) {
        for column in (0..whole_columns).step_by(BLOCK) {
            // SAFETY: the block lies within the matrices, which lie within their slices.
            unsafe {
                let from = from.as_ptr().add(row * pitch + column);
                x86::block(from, pitch, to.as_mut_ptr().add(column * to_pitch + row), to_pitch);
            }
        }
    }
    if whole_columns < columns && whole_rows > 0 {
        let shape = [whole_rows, columns - whole_columns];
        plain(&from[whole_columns..], pitch, shape, &mut to[whole_columns * to_pitch..], to_pitch);
    }
    if whole_rows < rows {
        plain(
            &from[whole_rows * pitch..],
            pitch,
            [rows - whole_rows, columns],
            &mut to[whole_rows..],
            to_pitch,
        );
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::BLOCK;
    use std::arch::x86_64::*;

    /// Transposes one block of 16 by 16 numbers.
    ///
    /// # Safety
    /// The processor must have AVX-512F, and both blocks must be valid.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub unsafe fn block(from: *const f32, pitch: usize, to: *mut f32, to_pitch: usize) {
        let mut r = [_mm512_setzero_ps(); BLOCK];
        for (i, r) in r.iter_mut().enumerate() {
            // SAFETY: the caller guarantees the block.
            *r = unsafe { _mm512_loadu_ps(from.add(i * pitch)) };
        }
        // Pairs of numbers, then fours, within each quarter of a register; then the quarters.
        let mut pairs = [_mm512_setzero_pd(); BLOCK];
        for i in 0..BLOCK / 2 {
            pairs[2 * i] = _mm512_castps_pd(_mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]));
            pairs[2 * i + 1] = _mm512_castps_pd(_mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]));
        }
        let mut fours = [_mm512_setzero_ps(); BLOCK];
        for i in 0..BLOCK / 4 {
            for half in 0..2 {
                let (a, b) = (pairs[4 * i + half], pairs[4 * i + 2 + half]);
                fours[4 * i + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                fours[4 * i + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
            }
        }
        for column in 0..4 {
            let [a, b, c, d] = [0, 1, 2, 3].map(|i| fours[4 * i + column]);
            let (low, high) = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0x88>(c, d));
            let (low2, high2) = (_mm512_shuffle_f32x4::<0xdd>(a, b), _mm512_shuffle_f32x4::<0xdd>(c, d));
            let done = [
                (column, _mm512_shuffle_f32x4::<0x88>(low, high)),
                (column + 8, _mm512_shuffle_f32x4::<0xdd>(low, high)),
                (column + 4, _mm512_shuffle_f32x4::<0x88>(low2, high2)),
                (column + 12, _mm512_shuffle_f32x4::<0xdd>(low2, high2)),
            ];
            for (row, numbers) in done {
                // SAFETY: the caller guarantees the block.
                unsafe { _mm512_storeu_ps(to.add(row * to_pitch), numbers) };
            }
        }
    }
}
