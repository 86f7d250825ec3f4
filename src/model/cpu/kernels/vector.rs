//! A register of numbers, as every level of instructions sees it.
//!
//! The kernels are written once over [`Vector`] and compiled once per level, inside functions that enable its
//! instructions; that is why everything here is inlined.

/// A vector register. Pointers need not be aligned.
pub trait Vector: Copy {
    /// Numbers in it.
    const LANES: usize;

    /// The same number in every lane.
    ///
    /// # Safety
    /// As for all functions of this trait: the processor must have the level's instructions.
    unsafe fn splat(x: f32) -> Self;

    /// Reads [`Self::LANES`] numbers.
    ///
    /// # Safety
    /// All of them must be readable.
    unsafe fn load(from: *const f32) -> Self;

    /// Reads the first `count` numbers; the other lanes are zero.
    ///
    /// # Safety
    /// That many must be readable.
    unsafe fn load_some(from: *const f32, count: usize) -> Self;

    /// Writes [`Self::LANES`] numbers.
    ///
    /// # Safety
    /// There must be room for all of them.
    unsafe fn store(self, to: *mut f32);

    /// Writes the first `count` numbers and nothing else.
    ///
    /// # Safety
    /// There must be room for that many.
    unsafe fn store_some(self, to: *mut f32, count: usize);

    /// `self + other`.
    ///
    /// # Safety
    /// See [`Vector::splat`].
    unsafe fn add(self, other: Self) -> Self;

    /// `a * b + self`, rounded once where the processor can.
    ///
    /// # Safety
    /// See [`Vector::splat`].
    unsafe fn add_product(self, a: Self, b: Self) -> Self;

    /// Into an interval; NaN stays NaN.
    ///
    /// # Safety
    /// See [`Vector::splat`].
    unsafe fn clamp(self, low: Self, high: Self) -> Self;
}

/// Asks for the line of the cache at this address, which may be any. Only a hint.
#[inline(always)]
pub fn prefetch(address: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address at all has no effect but on the cache.
    unsafe {
        use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Eight numbers without special instructions, in loops that the compiler turns into whatever there is.
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
        // SAFETY: the caller's promise; an array of numbers has no other demands than its numbers.
        Self(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_some(from: *const f32, count: usize) -> Self {
        let mut all = [0.0; 8];
        // SAFETY: `count` numbers are readable, and at most eight are written.
        unsafe { std::ptr::copy_nonoverlapping(from, all.as_mut_ptr(), count.min(8)) };
        Self(all)
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) };
    }

    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, count: usize) {
        // SAFETY: there is room for `count` numbers, and there are at most eight.
        unsafe { std::ptr::copy_nonoverlapping(self.0.as_ptr(), to, count.min(8)) };
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn add_product(mut self, a: Self, b: Self) -> Self {
        for i in 0..8 {
            // `mul_add` is a call into a library where the instruction is not sure to be there.
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
        // Written so that comparisons with NaN, which are false, keep it.
        let above = self.zip(low, |x, low| if x < low { low } else { x });
        above.zip(high, |x, high| if x > high { high } else { x })
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    /// Eight numbers, AVX2 and FMA.
    #[derive(Clone, Copy)]
    pub struct Avx2(__m256);

    /// The first `count` lanes.
    #[inline(always)]
    unsafe fn first_lanes(count: usize) -> __m256i {
        // SAFETY: the level's instructions are there (the caller's promise).
        unsafe {
            let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            _mm256_cmpgt_epi32(_mm256_set1_epi32(count.min(8) as i32), lanes)
        }
    }

    // SAFETY of all blocks: that the level's instructions are there, and that memory may be read or written, is what the
    // trait demands of the caller. The minimum and maximum of two numbers, one of them NaN, are the second.
    impl Vector for Avx2 {
        const LANES: usize = 8;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_set1_ps(x) })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn load_some(from: *const f32, count: usize) -> Self {
            // SAFETY: see above; lanes outside the mask are not touched.
            Self(unsafe { _mm256_maskload_ps(from, first_lanes(count)) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: see above.
            unsafe { _mm256_storeu_ps(to, self.0) };
        }

        #[inline(always)]
        unsafe fn store_some(self, to: *mut f32, count: usize) {
            // SAFETY: see above; lanes outside the mask are not touched.
            unsafe { _mm256_maskstore_ps(to, first_lanes(count), self.0) };
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_fmadd_ps(a.0, b.0, self.0) })
        }

        #[inline(always)]
        unsafe fn clamp(self, low: Self, high: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_min_ps(high.0, _mm256_max_ps(low.0, self.0)) })
        }
    }

    /// Sixteen numbers, AVX-512F.
    #[derive(Clone, Copy)]
    pub struct Avx512(__m512);

    fn mask(count: usize) -> __mmask16 {
        ((1u32 << count.min(16)) - 1) as __mmask16
    }

    // SAFETY of all blocks: as for `Avx2`.
    impl Vector for Avx512 {
        const LANES: usize = 16;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm512_set1_ps(x) })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm512_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn load_some(from: *const f32, count: usize) -> Self {
            // SAFETY: see above; lanes outside the mask are not touched.
            Self(unsafe { _mm512_maskz_loadu_ps(mask(count), from) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: see above.
            unsafe { _mm512_storeu_ps(to, self.0) };
        }

        #[inline(always)]
        unsafe fn store_some(self, to: *mut f32, count: usize) {
            // SAFETY: see above; lanes outside the mask are not touched.
            unsafe { _mm512_mask_storeu_ps(to, mask(count), self.0) };
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm512_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
        }

        #[inline(always)]
        unsafe fn clamp(self, low: Self, high: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm512_min_ps(high.0, _mm512_max_ps(low.0, self.0)) })
        }
    }
}
