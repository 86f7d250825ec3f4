//! The masked distance, and its SIMD kernels (AVX-512, AVX2 with F16C, portable), chosen once for the processor.
//!
//! `unsafe` is allowed here because vector instructions need it. Every kernel gives the same result as the portable one, up
//! to rounding (tests).
#![allow(unsafe_code)]

use super::{EmbeddingRef, QueryRef};
use crate::error::Result;
use half::f16;
use std::sync::LazyLock;

#[cfg(test)]
mod tests;

/// `emb <-> q` = sqrt(c + Σ_k w_k ‖t_k − e_k‖²); only subspaces of positive weight are read.
///
/// # Errors
/// [`crate::error::Kind::Mismatch`] if they belong to different models.
#[inline]
pub fn distance(e: EmbeddingRef<'_>, q: QueryRef<'_>) -> Result<f64> {
    e.layout.check_same(&q.layout)?;
    let n = q.layout.subspace_dim();
    let kernel = *L2_F16_F32;
    let mut sum = q.constant;
    let mut targets = q.targets.chunks_exact(n);
    for (slice, &weight) in e.values.chunks_exact(n).zip(q.weights) {
        if weight > 0.0 {
            if let Some(target) = targets.next() {
                sum += f64::from(weight) * f64::from(kernel(slice, target));
            }
        }
    }
    Ok(sum.sqrt())
}

impl QueryRef<'_> {
    /// `(k, w_k, d_k)` for each subspace of positive weight: its number, its weight, and the distance of `e` within it. With
    /// the constant, `distance² = c + Σ w_k d_k²`.
    ///
    /// # Errors
    /// [`crate::error::Kind::Mismatch`] if they belong to different models.
    pub fn contributions(&self, e: EmbeddingRef<'_>) -> Result<Vec<(usize, f32, f64)>> {
        self.layout.check_same(&e.layout)?;
        let part = |(k, w, target): (usize, f32, &[f32])| {
            (k, w, f64::from(squared_l2_f16_f32(&e.values[self.layout.range(k)], target)).sqrt())
        };
        Ok(self.active().map(part).collect())
    }
}

/// `emb <-> emb'` = ‖e − e'‖: the Euclidean distance in the superspace, every weight 1.
///
/// # Errors
/// [`crate::error::Kind::Mismatch`] if they belong to different models.
#[inline]
pub fn embedding_distance(a: EmbeddingRef<'_>, b: EmbeddingRef<'_>) -> Result<f64> {
    a.layout.check_same(&b.layout)?;
    Ok(f64::from(L2_F16(a.values, b.values)).sqrt())
}

/// Asks the processor to load what `distance(e, q)` will read of the embedding that lies `offset` bytes from `e`.
///
/// A scan over embeddings waits for memory more than it computes: rows are too far apart for the processor to foresee the
/// next one by itself. This is only a hint: nothing is read, and any offset is allowed.
#[inline]
pub fn prefetch(e: EmbeddingRef<'_>, q: QueryRef<'_>, offset: isize) {
    for (slice, &weight) in e.values.chunks_exact(q.layout.subspace_dim()).zip(q.weights) {
        if weight > 0.0 {
            prefetch_slice(slice, offset);
        }
    }
}

/// [`prefetch`] for `embedding_distance(e, _)`.
#[inline]
pub fn prefetch_embedding(e: EmbeddingRef<'_>, offset: isize) {
    prefetch_slice(e.values, offset);
}

#[inline]
fn prefetch_slice(slice: &[f16], offset: isize) {
    #[cfg(target_arch = "x86_64")]
    x86::prefetch(slice, offset);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slice, offset);
}

/// ‖a − b‖² of two half-precision vectors of one length.
pub fn squared_l2_f16(a: &[f16], b: &[f16]) -> f32 {
    L2_F16(a, b)
}

/// ‖a − b‖² of a half-precision and a single-precision vector of one length.
pub fn squared_l2_f16_f32(a: &[f16], b: &[f32]) -> f32 {
    L2_F16_F32(a, b)
}

type KernelF16F32 = fn(&[f16], &[f32]) -> f32;
type KernelF16 = fn(&[f16], &[f16]) -> f32;

static L2_F16_F32: LazyLock<KernelF16F32> = LazyLock::new(|| {
    #[cfg(target_arch = "x86_64")]
    {
        if x86::has_avx512() {
            return x86::l2_f16_f32_avx512;
        }
        if x86::has_f16c() {
            return x86::l2_f16_f32_f16c;
        }
    }
    portable::l2_f16_f32
});

static L2_F16: LazyLock<KernelF16> = LazyLock::new(|| {
    #[cfg(target_arch = "x86_64")]
    {
        if x86::has_avx512() {
            return x86::l2_f16_avx512;
        }
        if x86::has_f16c() {
            return x86::l2_f16_f16c;
        }
    }
    portable::l2_f16
});

mod portable {
    use half::f16;

    pub fn l2_f16_f32(a: &[f16], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| (a.to_f32() - b).powi(2)).sum()
    }

    pub fn l2_f16(a: &[f16], b: &[f16]) -> f32 {
        a.iter().zip(b).map(|(a, b)| (a.to_f32() - b.to_f32()).powi(2)).sum()
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use half::f16;
    use std::arch::x86_64::*;

    pub fn has_avx512() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
    }

    pub fn has_f16c() -> bool {
        is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
    }

    /// Bytes of a cache line.
    const CACHE_LINE: usize = 64;

    #[inline]
    pub fn prefetch(slice: &[f16], offset: isize) {
        let first = slice.as_ptr().cast::<i8>().wrapping_offset(offset);
        let last = size_of_val(slice).saturating_sub(1);
        for at in (0..last).step_by(CACHE_LINE).chain([last]) {
            // SAFETY: a prefetch affects nothing but the cache, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(at)) };
        }
    }

    pub fn l2_f16_f32_avx512(a: &[f16], b: &[f32]) -> f32 {
        // SAFETY: chosen only where `has_avx512` is true.
        unsafe { l2_f16_f32_512(a, b) }
    }

    pub fn l2_f16_avx512(a: &[f16], b: &[f16]) -> f32 {
        // SAFETY: chosen only where `has_avx512` is true.
        unsafe { l2_f16_512(a, b) }
    }

    pub fn l2_f16_f32_f16c(a: &[f16], b: &[f32]) -> f32 {
        // SAFETY: chosen only where `has_f16c` is true.
        unsafe { l2_f16_f32_256(a, b) }
    }

    pub fn l2_f16_f16c(a: &[f16], b: &[f16]) -> f32 {
        // SAFETY: chosen only where `has_f16c` is true.
        unsafe { l2_f16_256(a, b) }
    }

    /// A mask of the first `left` of 16 lanes.
    #[inline]
    fn lane_mask(left: usize) -> u16 {
        if left >= 16 {
            u16::MAX
        } else {
            (1 << left) - 1
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn l2_f16_f32_512(a: &[f16], b: &[f32]) -> f32 {
        let n = a.len().min(b.len());
        let mut sums = [_mm512_setzero_ps(); 2];
        for (step, i) in (0..n).step_by(16).enumerate() {
            let mask = lane_mask(n - i);
            // SAFETY: masked loads touch only the lanes below n, inside both slices.
            let (x, y) = unsafe {
                (
                    _mm256_maskz_loadu_epi16(mask, a.as_ptr().add(i).cast()),
                    _mm512_maskz_loadu_ps(mask, b.as_ptr().add(i)),
                )
            };
            let d = _mm512_sub_ps(_mm512_cvtph_ps(x), y);
            sums[step % 2] = _mm512_fmadd_ps(d, d, sums[step % 2]);
        }
        _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn l2_f16_512(a: &[f16], b: &[f16]) -> f32 {
        let n = a.len().min(b.len());
        let mut sums = [_mm512_setzero_ps(); 2];
        for (step, i) in (0..n).step_by(16).enumerate() {
            let mask = lane_mask(n - i);
            // SAFETY: masked loads touch only the lanes below n, inside both slices.
            let (x, y) = unsafe {
                (
                    _mm256_maskz_loadu_epi16(mask, a.as_ptr().add(i).cast()),
                    _mm256_maskz_loadu_epi16(mask, b.as_ptr().add(i).cast()),
                )
            };
            let d = _mm512_sub_ps(_mm512_cvtph_ps(x), _mm512_cvtph_ps(y));
            sums[step % 2] = _mm512_fmadd_ps(d, d, sums[step % 2]);
        }
        _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]))
    }

    /// The sum of eight lanes.
    #[target_feature(enable = "avx2,f16c,fma")]
    fn sum_256(v: __m256) -> f32 {
        let halves = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
        let pairs = _mm_add_ps(halves, _mm_movehl_ps(halves, halves));
        _mm_cvtss_f32(_mm_add_ss(pairs, _mm_movehdup_ps(pairs)))
    }

    #[target_feature(enable = "avx2,f16c,fma")]
    fn l2_f16_f32_256(a: &[f16], b: &[f32]) -> f32 {
        let n = a.len().min(b.len());
        let whole = n - n % 8;
        let mut sums = [_mm256_setzero_ps(); 2];
        for (step, i) in (0..whole).step_by(8).enumerate() {
            // SAFETY: i + 8 <= whole <= the length of both slices.
            let (x, y) =
                unsafe { (_mm_loadu_si128(a.as_ptr().add(i).cast()), _mm256_loadu_ps(b.as_ptr().add(i))) };
            let d = _mm256_sub_ps(_mm256_cvtph_ps(x), y);
            sums[step % 2] = _mm256_fmadd_ps(d, d, sums[step % 2]);
        }
        sum_256(_mm256_add_ps(sums[0], sums[1])) + super::portable::l2_f16_f32(&a[whole..n], &b[whole..n])
    }

    #[target_feature(enable = "avx2,f16c,fma")]
    fn l2_f16_256(a: &[f16], b: &[f16]) -> f32 {
        let n = a.len().min(b.len());
        let whole = n - n % 8;
        let mut sums = [_mm256_setzero_ps(); 2];
        for (step, i) in (0..whole).step_by(8).enumerate() {
            // SAFETY: i + 8 <= whole <= the length of both slices.
            let (x, y) = unsafe {
                (_mm_loadu_si128(a.as_ptr().add(i).cast()), _mm_loadu_si128(b.as_ptr().add(i).cast()))
            };
            let d = _mm256_sub_ps(_mm256_cvtph_ps(x), _mm256_cvtph_ps(y));
            sums[step % 2] = _mm256_fmadd_ps(d, d, sums[step % 2]);
        }
        sum_256(_mm256_add_ps(sums[0], sums[1])) + super::portable::l2_f16(&a[whole..n], &b[whole..n])
    }
}
