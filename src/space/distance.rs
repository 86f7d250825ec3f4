//! The masked distance and its SIMD kernels, chosen once for the processor at hand.
//!
//! `unsafe` lives here because vector instructions need it; every kernel agrees with the portable one (tests).
#![allow(unsafe_code)]

use super::{EmbeddingRef, QueryRef};
use crate::error::Result;
use half::f16;
use std::sync::LazyLock;

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

/// `emb <-> emb'`: the Euclidean distance in the superspace, every weight 1.
///
/// # Errors
/// [`crate::error::Kind::Mismatch`] if they belong to different models.
#[inline]
pub fn embedding_distance(a: EmbeddingRef<'_>, b: EmbeddingRef<'_>) -> Result<f64> {
    a.layout.check_same(&b.layout)?;
    Ok(f64::from(L2_F16(a.values, b.values)).sqrt())
}

/// Asks the processor to start loading what `distance(e, q)` will read of the embedding that lies `offset` bytes from `e`.
///
/// A scan over embeddings waits for memory more than it computes: the rows of a page are too long for the processor to
/// foresee the next one by itself. Only a hint: nothing is read, and any offset is allowed, right or wrong.
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

    /// A cache line.
    const LINE: usize = 64;

    #[inline]
    pub fn prefetch(slice: &[f16], offset: isize) {
        let first = slice.as_ptr().cast::<i8>().wrapping_offset(offset);
        let last = size_of_val(slice).saturating_sub(1);
        for at in (0..last).step_by(LINE).chain([last]) {
            // SAFETY: a prefetch of any address at all has no effect but on the cache.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(at)) };
        }
    }

    pub fn l2_f16_f32_avx512(a: &[f16], b: &[f32]) -> f32 {
        // SAFETY: installed only where `has_avx512` is true.
        unsafe { l2_f16_f32_512(a, b) }
    }

    pub fn l2_f16_avx512(a: &[f16], b: &[f16]) -> f32 {
        // SAFETY: installed only where `has_avx512` is true.
        unsafe { l2_f16_512(a, b) }
    }

    pub fn l2_f16_f32_f16c(a: &[f16], b: &[f32]) -> f32 {
        // SAFETY: installed only where `has_f16c` is true.
        unsafe { l2_f16_f32_256(a, b) }
    }

    pub fn l2_f16_f16c(a: &[f16], b: &[f16]) -> f32 {
        // SAFETY: installed only where `has_f16c` is true.
        unsafe { l2_f16_256(a, b) }
    }

    /// A mask of the lowest `left` of 16 lanes.
    #[inline]
    fn lanes(left: usize) -> u16 {
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
            let mask = lanes(n - i);
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
            let mask = lanes(n - i);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{Embedding, Layout, Query};

    /// A small fixed pseudo-random sequence in [-1, 1).
    fn noise(len: usize, mut seed: u64) -> Vec<f32> {
        (0..len)
            .map(|_| {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (seed >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            })
            .collect()
    }

    fn halves(v: &[f32]) -> Vec<f16> {
        v.iter().map(|&x| f16::from_f32(x)).collect()
    }

    #[test]
    fn every_kernel_of_this_processor_agrees_with_double_precision() {
        let mut mixed: Vec<KernelF16F32> = vec![portable::l2_f16_f32, |a, b| L2_F16_F32(a, b)];
        let mut same: Vec<KernelF16> = vec![portable::l2_f16, |a, b| L2_F16(a, b)];
        #[cfg(target_arch = "x86_64")]
        {
            if x86::has_f16c() {
                mixed.push(x86::l2_f16_f32_f16c);
                same.push(x86::l2_f16_f16c);
            }
            if x86::has_avx512() {
                mixed.push(x86::l2_f16_f32_avx512);
                same.push(x86::l2_f16_avx512);
            }
        }
        for n in (0..70).chain([400, 650, 1001]) {
            let (a, t) = (halves(&noise(n, n as u64)), noise(n, 99 + n as u64));
            let b = halves(&t);
            let exact =
                |f: &dyn Fn(usize) -> f64| (0..n).map(|i| (a[i].to_f64() - f(i)).powi(2)).sum::<f64>();
            let (want_mixed, want_same) = (exact(&|i| t[i].into()), exact(&|i| b[i].to_f64()));
            for k in &mixed {
                assert!((f64::from(k(&a, &t)) - want_mixed).abs() <= 1e-5 * (1.0 + want_mixed), "n = {n}");
            }
            for k in &same {
                assert!((f64::from(k(&a, &b)) - want_same).abs() <= 1e-5 * (1.0 + want_same), "n = {n}");
            }
        }
    }

    #[test]
    fn masked_subspaces_do_not_count() {
        // By hand: c = 1, w = (2, 0, 0.5), t = (1, 0) and (0, 2); e = (0.5, 0 | 9, 9 | 0, 1)
        // 1 + 2·0.25 + 0.5·1 = 2
        let l = Layout::new(3, 2, 5).unwrap();
        let e = Embedding::from_f32(l, &[0.5, 0.0, 9.0, 9.0, 0.0, 1.0]).unwrap();
        let q = Query::from_parts(l, 1.0, vec![2.0, 0.0, 0.5], vec![1.0, 0.0, 0.0, 2.0]).unwrap();
        assert!((distance(e.as_ref(), q.as_ref()).unwrap() - 2f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_prefetch_of_any_address_does_no_harm() {
        let l = Layout::new(3, 50, 5).unwrap();
        let e = Embedding::from_f32(l, &[0.5; 150]).unwrap();
        let q = Query::like(e.as_ref(), &[0, 2]).unwrap();
        for offset in [0, 2, -832, isize::MAX, isize::MIN] {
            prefetch(e.as_ref(), q.as_ref(), offset);
            prefetch_embedding(e.as_ref(), offset);
        }
        assert_eq!(distance(e.as_ref(), q.as_ref()).unwrap(), 0.0);
    }

    #[test]
    fn other_models_are_refused() {
        let (a, b) = (Layout::new(2, 2, 1).unwrap(), Layout::new(2, 2, 2).unwrap());
        let e = Embedding::from_f32(a, &[0.0; 4]).unwrap();
        let f = Embedding::from_f32(b, &[0.0; 4]).unwrap();
        assert!(embedding_distance(e.as_ref(), f.as_ref()).is_err());
        let q = Query::superspace(b, vec![0.0; 4]).unwrap();
        assert!(distance(e.as_ref(), q.as_ref()).is_err());
    }
}
