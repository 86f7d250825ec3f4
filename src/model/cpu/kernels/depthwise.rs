//! The inner loop of a convolution with one filter per channel.

use super::vector::Vector;

/// Channels that pass through it together: a line of the cache.
pub const CHANNELS: usize = 16;

/// A row of output pixels over a strip of input `[rows, pitch, CHANNELS]` with its zeros around it.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// What the first tap sees for the first pixel.
    pub input: *const f32,
    /// Numbers from one input row to the next.
    pub pitch: usize,
    /// Filters, `[kernel, kernel, CHANNELS]`.
    pub weights: *const f32,
    /// `[CHANNELS]`.
    pub bias: *const f32,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Step between output pixels.
    pub stride: usize,
    /// Pixels of the row.
    pub pixels: usize,
    /// The first pixel's first channel.
    pub out: *mut f32,
    /// Numbers from one output pixel to the next.
    pub out_pitch: usize,
    /// What is added last, laid out as `out`; may be null.
    pub residual: *const f32,
    /// Channels to write.
    pub channels: usize,
    /// The activation.
    pub clamp: (f32, f32),
}

/// Pixels of a row that are computed together, at most.
const TOGETHER: usize = 8;

/// Computes a row.
///
/// # Safety
/// The level's instructions must be there; the pointers must be good for what [`Row`] says of them, and nobody else may use
/// the part of the map that is written.
#[inline(always)]
pub unsafe fn row<V: Vector, const KERNEL: usize, const STRIDE: usize>(r: &Row) {
    let groups = r.pixels.div_ceil(TOGETHER);
    for group in 0..groups {
        let (start, end) = (group * r.pixels / groups, (group + 1) * r.pixels / groups);
        // SAFETY: the caller's promise; the group lies within the row.
        unsafe {
            match end - start {
                1 => pixels::<V, KERNEL, STRIDE, 1>(r, start),
                2 => pixels::<V, KERNEL, STRIDE, 2>(r, start),
                3 => pixels::<V, KERNEL, STRIDE, 3>(r, start),
                4 => pixels::<V, KERNEL, STRIDE, 4>(r, start),
                5 => pixels::<V, KERNEL, STRIDE, 5>(r, start),
                6 => pixels::<V, KERNEL, STRIDE, 6>(r, start),
                7 => pixels::<V, KERNEL, STRIDE, 7>(r, start),
                _ => pixels::<V, KERNEL, STRIDE, 8>(r, start),
            }
        }
    }
}

/// `COUNT` pixels from `start` on. `KERNEL` 0 stands for any size and any stride.
///
/// # Safety
/// As for [`row`].
#[inline(always)]
unsafe fn pixels<V: Vector, const KERNEL: usize, const STRIDE: usize, const COUNT: usize>(
    r: &Row,
    start: usize,
) {
    let (kernel, stride) = if KERNEL == 0 { (r.kernel, r.stride) } else { (KERNEL, STRIDE) };
    let (low, high) = r.clamp;
    let mut channel = 0;
    while channel < r.channels {
        // SAFETY: the caller's promise; inputs, filters and bias have all of [`CHANNELS`], whatever is written of them.
        unsafe {
            let mut sums = [V::load(r.bias.add(channel)); COUNT];
            // Not a constant, so that the rows are not unrolled: their sums would not stay in registers.
            for ky in 0..r.kernel {
                let input = r.input.add(ky * r.pitch + start * stride * CHANNELS + channel);
                let weights = r.weights.add(ky * kernel * CHANNELS + channel);
                for kx in 0..kernel {
                    let w = V::load(weights.add(kx * CHANNELS));
                    for (i, sum) in sums.iter_mut().enumerate() {
                        *sum = sum.add_product(V::load(input.add((i * stride + kx) * CHANNELS)), w);
                    }
                }
            }
            let count = (r.channels - channel).min(V::LANES);
            for (i, sum) in sums.iter_mut().enumerate() {
                let at = (start + i) * r.out_pitch + channel;
                if !r.residual.is_null() {
                    *sum = sum.add(V::load_some(r.residual.add(at), count));
                }
                let (sum, to) = (sum.clamp(V::splat(low), V::splat(high)), r.out.add(at));
                if count == V::LANES {
                    sum.store(to)
                } else {
                    sum.store_some(to, count)
                }
            }
        }
        channel += V::LANES;
    }
}
