//! The inner loops of depthwise convolutions over one batch-last channel.

use super::tap_plan::{Run, Tap, TapPlan};
use crate::model::cpu::kernels::vector::Vector;

/// Registers that are computed together.
const TOGETHER: usize = 4;

/// A weighted sum of input pixels for every pixel of a channel.
#[derive(Debug, Clone, Copy)]
pub struct GatherCall<'a> {
    /// Which pixels are summed.
    pub plan: &'a TapPlan,
    /// The input channel.
    pub x: *const f32,
    /// The filter.
    pub weights: *const f32,
    /// The output channel.
    pub to: *mut f32,
    /// Added to every sum.
    pub bias: f32,
    /// The interval that the result is clamped to.
    pub clamp: (f32, f32),
}

/// Computes a channel.
///
/// # Safety
/// The processor must have the instruction set of `V`. The pointers must be valid for what [`GatherCall`] describes, and no other
/// thread may access the output channel.
#[inline(always)]
pub unsafe fn gather<V: Vector>(c: &GatherCall<'_>) {
    let numbers = c.plan.numbers;
    let mut first = 0;
    for (pixel, end) in c.plan.ends.iter().enumerate() {
        let taps = &c.plan.taps[first..*end as usize];
        first = *end as usize;
        let mut image = 0;
        // SAFETY: the caller guarantees the instruction set, and that the channels have the plan's lengths, within which all taps
        // and pixels lie; `image + count` is at most `numbers`.
        unsafe {
            while image + TOGETHER * V::LANES <= numbers {
                images::<V, TOGETHER>(c, taps, pixel, image, V::LANES);
                image += TOGETHER * V::LANES;
            }
            while image < numbers {
                let count = V::LANES.min(numbers - image);
                images::<V, 1>(c, taps, pixel, image, count);
                image += count;
            }
        }
    }
}

/// Computes one pixel of some images: `COUNT` registers, of which `lanes` numbers count.
///
/// # Safety
/// As for [`gather`].
#[inline(always)]
unsafe fn images<V: Vector, const COUNT: usize>(
    c: &GatherCall<'_>,
    taps: &[Tap],
    pixel: usize,
    image: usize,
    lanes: usize,
) {
    // SAFETY: see `gather`; where a register would reach beyond the last image, only `lanes` numbers are touched.
    unsafe {
        let mut sums = [V::splat(c.bias); COUNT];
        for tap in taps {
            let weight = V::splat(*c.weights.add(tap.weight as usize));
            let from = c.x.add(tap.input as usize + image);
            for (i, sum) in sums.iter_mut().enumerate() {
                let from = from.add(i * V::LANES);
                let x = if lanes == V::LANES { V::load(from) } else { V::load_some(from, lanes) };
                *sum = sum.add_product(weight, x);
            }
        }
        let to = c.to.add(pixel * c.plan.numbers + image);
        for (i, sum) in sums.into_iter().enumerate() {
            let sum = sum.clamp(V::splat(c.clamp.0), V::splat(c.clamp.1));
            if lanes == V::LANES {
                sum.store(to.add(i * V::LANES));
            } else {
                sum.store_some(to.add(i * V::LANES), lanes);
            }
        }
    }
}

/// Σ aᵢ bᵢ over `length` numbers, added to `sums`.
///
/// # Safety
/// The processor must have the instruction set of `V`, and `length` numbers must be readable at both pointers.
#[inline(always)]
unsafe fn dot<V: Vector>(a: *const f32, b: *const f32, length: usize, sums: &mut [V; TOGETHER]) {
    // SAFETY: the caller guarantees the instruction set and `length` readable numbers.
    unsafe {
        let mut at = 0;
        while at + TOGETHER * V::LANES <= length {
            for (i, sum) in sums.iter_mut().enumerate() {
                let at = at + i * V::LANES;
                *sum = sum.add_product(V::load(a.add(at)), V::load(b.add(at)));
            }
            at += TOGETHER * V::LANES;
        }
        while at < length {
            let count = V::LANES.min(length - at);
            let (x, y) = (V::load_some(a.add(at), count), V::load_some(b.add(at), count));
            sums[0] = sums[0].add_product(x, y);
            at += count;
        }
    }
}

/// The inner product of a channel of gradients with the input under one tap.
///
/// # Safety
/// The processor must have the instruction set of `V`, and every run must lie within both channels.
#[inline(always)]
pub unsafe fn tap_sum<V: Vector>(dy: *const f32, x: *const f32, runs: &[Run]) -> f32 {
    // SAFETY: the caller guarantees the instruction set and that the runs lie within the channels.
    unsafe {
        let mut sums = [V::splat(0.0); TOGETHER];
        for run in runs {
            dot(dy.add(run.output as usize), x.add(run.input as usize), run.length as usize, &mut sums);
        }
        total(sums[0].add(sums[1]).add(sums[2].add(sums[3])))
    }
}

/// The sum of a register's numbers.
///
/// # Safety
/// The processor must have the instruction set of `V`.
#[inline(always)]
unsafe fn total<V: Vector>(sum: V) -> f32 {
    const { assert!(V::LANES <= 16) };
    let mut numbers = [0f32; 16];
    // SAFETY: the caller guarantees the instruction set, and a register has at most 16 numbers.
    unsafe { sum.store(numbers.as_mut_ptr()) };
    let mut half = V::LANES / 2;
    while half > 0 {
        for i in 0..half {
            numbers[i] += numbers[i + half];
        }
        half /= 2;
    }
    numbers[0]
}
