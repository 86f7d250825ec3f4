//! The inner loop of a map's statistics: sums and sums of squares of each channel over the pixels of an image.

use super::vector::Vector;

/// Pixels that are summed up side by side, so that no addition waits for the one before it.
const STREAMS: usize = 4;

/// What the loop reads and writes.
#[derive(Debug)]
pub struct MomentPointers {
    /// The map of one image, `[pixels, channels]`.
    pub map: *const f32,
    /// Pixels.
    pub pixels: usize,
    /// Channels.
    pub channels: usize,
    /// `[channels]`: the sums over the pixels of the differences from the first pixel.
    pub sums: *mut f32,
    /// `[channels]`: the sums of the squares of these differences.
    pub squares: *mut f32,
}

/// Sums up differences from the first pixel: where a channel is nearly constant, its variance does not drown in the square of its mean.
///
/// # Safety
/// The processor must have the instruction set of `V`; there is at least one pixel; `pixels * channels` numbers of the map must be
/// readable, and `channels` numbers of `sums` and of `squares` writable.
#[inline(always)]
pub unsafe fn moments<V: Vector>(m: &MomentPointers) {
    for channel in (0..m.channels).step_by(V::LANES) {
        let lanes = (m.channels - channel).min(V::LANES);
        // SAFETY: every pixel has `lanes` numbers from `channel` on, and both results have as many; the caller guarantees the rest.
        unsafe {
            let (zero, minus_one) = (V::splat(0.0), V::splat(-1.0));
            let pixel = |i: usize| {
                let at = m.map.add(i * m.channels + channel);
                if lanes == V::LANES {
                    V::load(at)
                } else {
                    V::load_some(at, lanes)
                }
            };
            let origin = zero.add_product(pixel(0), minus_one);
            let (mut sums, mut squares) = ([zero; STREAMS], [zero; STREAMS]);
            let whole = m.pixels / STREAMS * STREAMS;
            for first in (0..whole).step_by(STREAMS) {
                for stream in 0..STREAMS {
                    let x = pixel(first + stream).add(origin);
                    sums[stream] = sums[stream].add(x);
                    squares[stream] = squares[stream].add_product(x, x);
                }
            }
            for i in whole..m.pixels {
                let x = pixel(i).add(origin);
                sums[0] = sums[0].add(x);
                squares[0] = squares[0].add_product(x, x);
            }
            let total = |of: [V; STREAMS]| of[0].add(of[1]).add(of[2].add(of[3]));
            total(sums).store_some(m.sums.add(channel), lanes);
            total(squares).store_some(m.squares.add(channel), lanes);
        }
    }
}
