//! The inner loop of a depthwise convolution: one filter per channel.

use super::vector::Vector;

/// Channels that are computed together: a cache line of numbers.
pub const CHANNELS: usize = 16;

/// A row of output pixels, over padded input rows `[rows, pitch, CHANNELS]`.
#[derive(Debug, Clone, Copy)]
pub struct RowPointers {
    /// The number under the first tap of the first pixel.
    pub input: *const f32,
    /// Numbers from one input row to the next.
    pub pitch: usize,
    /// Filters, `[kernel, kernel, CHANNELS]`.
    pub weights: *const f32,
    /// `[CHANNELS]`.
    pub bias: *const f32,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Input pixels between neighbouring output pixels.
    pub stride: usize,
    /// Output pixels in the row.
    pub pixels: usize,
    /// Where the first channel of the first pixel is written.
    pub out: *mut f32,
    /// Numbers from one output pixel to the next.
    pub out_pitch: usize,
    /// The shortcut, laid out as `out`; null if there is none.
    pub residual: *const f32,
    /// Channels to write.
    pub channels: usize,
    /// The interval that the activation clamps to.
    pub clamp: (f32, f32),
}

/// Maximum number of pixels that are computed together.
const TOGETHER: usize = 8;

/// Computes a row.
///
/// # Safety
/// The processor must have the instruction set of `V`. The pointers must be valid for what [`RowPointers`] describes, and no other
/// thread may access the part of the map that is written.
#[inline(always)]
pub unsafe fn row<V: Vector, const KERNEL: usize, const STRIDE: usize>(r: &RowPointers) {
    let groups = r.pixels.div_ceil(TOGETHER);
    for group in 0..groups {
        let (start, end) = (group * r.pixels / groups, (group + 1) * r.pixels / groups);
        // SAFETY: the caller upholds the contract for the whole row, and this group of pixels lies within it.
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

/// Computes `COUNT` pixels from `start` on. `KERNEL` 0 means that size and stride are only known at run time.
///
/// # Safety
/// As for [`row`]; the pixels must lie within the row.
#[inline(always)]
unsafe fn pixels<V: Vector, const KERNEL: usize, const STRIDE: usize, const COUNT: usize>(
    r: &RowPointers,
    start: usize,
) {
    let (kernel, stride) = if KERNEL == 0 { (r.kernel, r.stride) } else { (KERNEL, STRIDE) };
    let (low, high) = r.clamp;
    let mut channel = 0;
    while channel < r.channels {
        // SAFETY: the caller guarantees the instruction set and valid pointers. Input, filters and bias hold all CHANNELS of a pixel, so
        // whole registers can be loaded; only the first `count` channels of output and shortcut are touched.
        unsafe {
            let mut sums = [V::load(r.bias.add(channel)); COUNT];
            // r.kernel rather than the constant, so that this loop is not unrolled: the sums would no longer stay in registers.
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
