//! A vector register as a trait: portable code, AVX2 and AVX-512.
//!
//! The kernels are written once over [`Vector`] and compiled once per instruction set, inside functions that enable it. That is why
//! everything here is `inline(always)`.

use half::f16;

/// A vector register. Pointers need not be aligned.
pub trait Vector: Copy {
    /// Numbers in it.
    const LANES: usize;

    /// The same number in every lane.
    ///
    /// # Safety
    /// As for all functions of this trait: the processor must have the instruction set.
    unsafe fn splat(x: f32) -> Self;

    /// Reads [`Self::LANES`] numbers.
    ///
    /// # Safety
    /// The processor must have the instruction set, and `LANES` numbers must be readable.
    unsafe fn load(from: *const f32) -> Self;

    /// Reads [`Self::LANES`] numbers in half precision and converts them, which is exact.
    ///
    /// # Safety
    /// The processor must have the instruction set, and `LANES` numbers must be readable.
    unsafe fn load_half(from: *const f16) -> Self;

    /// Reads the first `count` numbers; the other lanes are zero.
    ///
    /// # Safety
    /// The processor must have the instruction set, and `count` numbers must be readable.
    unsafe fn load_some(from: *const f32, count: usize) -> Self;

    /// Writes [`Self::LANES`] numbers.
    ///
    /// # Safety
    /// The processor must have the instruction set, and `LANES` numbers must be writable.
    unsafe fn store(self, to: *mut f32);

    /// Writes the first `count` numbers and nothing else.
    ///
    /// # Safety
    /// The processor must have the instruction set, and `count` numbers must be writable.
    unsafe fn store_some(self, to: *mut f32, count: usize);

    /// `self + other`.
    ///
    /// # Safety
    /// See [`Vector::splat`].
    unsafe fn add(self, other: Self) -> Self;

    /// `a * b + self`; rounded only once if the processor has such an instruction.
    ///
    /// # Safety
    /// See [`Vector::splat`].
    unsafe fn add_product(self, a: Self, b: Self) -> Self;

    /// Clamps to an interval; NaN stays NaN.
    ///
    /// # Safety
    /// See [`Vector::splat`].
    unsafe fn clamp(self, low: Self, high: Self) -> Self;
}

/// Prefetches the cache line at an address, which need not be valid. Only a hint.
#[inline(always)]
pub fn prefetch(address: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults, whatever the address, and only affects the cache.
    unsafe {
        use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Eight numbers in plain loops, which the compiler vectorises with what the target has.
#[derive(Clone, Copy)]
pub struct Portable([f32; 8]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let mut all = self.0;
        (0..8).for_each(|i| all[i] = f(all[i], other.0[i]));
        Self(all)
    }
}

impl Vector for Portable {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; 8])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller guarantees eight readable numbers; an unaligned read has no further requirement.
        Self(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_half(from: *const f16) -> Self {
        // SAFETY: the caller guarantees eight readable numbers; an unaligned read has no further requirement.
        Self(unsafe { from.cast::<[f16; 8]>().read_unaligned() }.map(f16::to_f32))
    }

    #[inline(always)]
    unsafe fn load_some(from: *const f32, count: usize) -> Self {
        let mut all = [0.0; 8];
        // SAFETY: the caller guarantees `count` readable numbers, and at most the eight of the array are written.
        unsafe { std::ptr::copy_nonoverlapping(from, all.as_mut_ptr(), count.min(8)) };
        Self(all)
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller guarantees eight writable numbers; an unaligned write has no further requirement.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) };
    }

    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, count: usize) {
        // SAFETY: the caller guarantees `count` writable numbers, and at most the eight of the register are read.
        unsafe { std::ptr::copy_nonoverlapping(self.0.as_ptr(), to, count.min(8)) };
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn add_product(mut self, a: Self, b: Self) -> Self {
        for i in 0..8 {
            // Without the instruction `mul_add` would be a slow library call.
            self.0[i] = if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
                a.0[i].mul_add(b.0[i], self.0[i])
            } else {
                a.0[i] * b.0[i] + self.0[i]
            };
        }
        self
    }

    #[inline(always)]
    unsafe fn clamp(self, low: Self, high: Self) -> Self {
        // Comparisons with NaN are false, so NaN falls through.
        let above = self.zip(low, |x, low| if x < low { low } else { x });
        above.zip(high, |x, high| if x > high { high } else { x })
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use half::f16;
    use std::arch::x86_64::*;

    /// Eight numbers, AVX2 with FMA and F16C.
    #[derive(Clone, Copy)]
    pub struct Avx2(__m256);

    /// A mask of the first `count` lanes.
    ///
    /// # Safety
    /// The processor must have AVX2.
    #[inline(always)]
    unsafe fn first_lanes(count: usize) -> __m256i {
        // SAFETY: the caller guarantees AVX2.
        unsafe {
            let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            _mm256_cmpgt_epi32(_mm256_set1_epi32(count.min(8) as i32), lanes)
        }
    }

    // The minimum and maximum instructions return their second operand if either is NaN; `clamp` relies on that order.
    impl Vector for Avx2 {
        const LANES: usize = 8;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: the caller guarantees AVX2 and FMA.
            Self(unsafe { _mm256_set1_ps(x) })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller guarantees AVX2 and FMA and LANES readable numbers.
            Self(unsafe { _mm256_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn load_half(from: *const f16) -> Self {
            // SAFETY: the caller guarantees F16C and LANES readable numbers.
            Self(unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) })
        }

        #[inline(always)]
        unsafe fn load_some(from: *const f32, count: usize) -> Self {
            // SAFETY: the caller guarantees AVX2 and FMA and `count` readable numbers; masked lanes are not read.
            Self(unsafe { _mm256_maskload_ps(from, first_lanes(count)) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller guarantees AVX2 and FMA and LANES writable numbers.
            unsafe { _mm256_storeu_ps(to, self.0) };
        }

        #[inline(always)]
        unsafe fn store_some(self, to: *mut f32, count: usize) {
            // SAFETY: the caller guarantees AVX2 and FMA and `count` writable numbers; masked lanes are not written.
            unsafe { _mm256_maskstore_ps(to, first_lanes(count), self.0) };
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the caller guarantees AVX2 and FMA.
            Self(unsafe { _mm256_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: the caller guarantees AVX2 and FMA.
            Self(unsafe { _mm256_fmadd_ps(a.0, b.0, self.0) })
        }

        #[inline(always)]
        unsafe fn clamp(self, low: Self, high: Self) -> Self {
            // SAFETY: the caller guarantees AVX2 and FMA.
            Self(unsafe { _mm256_min_ps(high.0, _mm256_max_ps(low.0, self.0)) })
        }
    }

    /// Sixteen numbers, AVX-512F.
    #[derive(Clone, Copy)]
    pub struct Avx512(__m512);

    /// A mask of the first `count` lanes.
    fn mask(count: usize) -> __mmask16 {
        ((1u32 << count.min(16)) - 1) as __mmask16
    }

    impl Vector for Avx512 {
        const LANES: usize = 16;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: the caller guarantees AVX-512F.
            Self(unsafe { _mm512_set1_ps(x) })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller guarantees AVX-512F and LANES readable numbers.
            Self(unsafe { _mm512_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn load_half(from: *const f16) -> Self {
            // SAFETY: the caller guarantees AVX-512F and LANES readable numbers.
            Self(unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) })
        }

        #[inline(always)]
        unsafe fn load_some(from: *const f32, count: usize) -> Self {
            // SAFETY: the caller guarantees AVX-512F and `count` readable numbers; masked lanes are not read.
            Self(unsafe { _mm512_maskz_loadu_ps(mask(count), from) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller guarantees AVX-512F and LANES writable numbers.
            unsafe { _mm512_storeu_ps(to, self.0) };
        }

        #[inline(always)]
        unsafe fn store_some(self, to: *mut f32, count: usize) {
            // SAFETY: the caller guarantees AVX-512F and `count` writable numbers; masked lanes are not written.
            unsafe { _mm512_mask_storeu_ps(to, mask(count), self.0) };
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the caller guarantees AVX-512F.
            Self(unsafe { _mm512_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: the caller guarantees AVX-512F.
            Self(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
        }

        #[inline(always)]
        unsafe fn clamp(self, low: Self, high: Self) -> Self {
            // SAFETY: the caller guarantees AVX-512F.
            Self(unsafe { _mm512_min_ps(high.0, _mm512_max_ps(low.0, self.0)) })
        }
    }
}
