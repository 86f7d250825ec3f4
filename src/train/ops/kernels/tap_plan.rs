//! Which input numbers a depthwise convolution and its gradients read: worked out once for all channels.

use crate::model::map_shape::Window;

/// An input number that counts for an output pixel: the offset of the input pixel within its channel, and the weight.
#[derive(Debug, Clone, Copy)]
pub struct Tap {
    /// Offset of the first image's number.
    pub(super) input: u32,
    /// Index of the weight that it is multiplied by.
    pub(super) weight: u32,
}

/// For every output pixel of a channel the input pixels that it is the weighted sum of.
///
/// Every offset lies within a channel of `reads` numbers: the loops rely on it.
#[derive(Debug)]
pub struct TapPlan {
    pub(super) taps: Vec<Tap>,
    /// Where the taps of each output pixel end.
    pub(super) ends: Vec<u32>,
    /// The images: numbers of a pixel.
    pub(super) numbers: usize,
    /// Numbers of an input channel.
    pub(super) reads: usize,
    /// Weights of a channel.
    pub(super) weights: usize,
}

impl TapPlan {
    /// The plan of the convolution.
    pub fn forward(window: &Window) -> Self {
        let [height, width] = window.input;
        Self::new(window, window.output, window.input, |[y, x], [ky, kx]| {
            let row = (y * window.stride + ky).checked_sub(window.top).filter(|row| *row < height)?;
            let column =
                (x * window.stride + kx).checked_sub(window.left).filter(|column| *column < width)?;
            Some([row, column])
        })
    }

    /// The plan of the gradient of its input, which reads gradients of its result.
    pub fn backward(window: &Window) -> Self {
        let from = |at: usize, before: usize, tap: usize, count: usize| {
            let at = (at + before).checked_sub(tap)?;
            (at % window.stride == 0 && at / window.stride < count).then_some(at / window.stride)
        };
        let [height, width] = window.output;
        Self::new(window, window.input, window.output, |[y, x], [ky, kx]| {
            Some([from(y, window.top, ky, height)?, from(x, window.left, kx, width)?])
        })
    }

    /// `source` says which pixel of a map of the size `from` lies under a tap of a pixel of a map of the size `to`.
    fn new(
        window: &Window,
        to: [usize; 2],
        from: [usize; 2],
        source: impl Fn([usize; 2], [usize; 2]) -> Option<[usize; 2]>,
    ) -> Self {
        let (kernel, numbers) = (window.kernel, window.numbers);
        let (mut taps, mut ends) = (Vec::new(), Vec::with_capacity(to[0] * to[1]));
        for pixel in 0..to[0] * to[1] {
            for tap in 0..kernel * kernel {
                let source = source([pixel / to[1], pixel % to[1]], [tap / kernel, tap % kernel]);
                let Some([row, column]) = source else { continue };
                assert!(row < from[0] && column < from[1], "a tap beyond the map");
                taps.push(Tap { input: index((row * from[1] + column) * numbers), weight: index(tap) });
            }
            ends.push(index(taps.len()));
        }
        Self { taps, ends, numbers, reads: from[0] * from[1] * numbers, weights: kernel * kernel }
    }
}

/// A run of consecutive numbers of the result, and the consecutive input numbers under one tap for them.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Offset in a channel of the result.
    pub(super) output: u32,
    /// Offset in a channel of the input.
    pub(super) input: u32,
    /// Length of both.
    pub(super) length: u32,
}

/// The runs under each tap, for the gradient of the weights.
///
/// Every run lies within channels of these lengths: the loops rely on it.
#[derive(Debug)]
pub struct TapRuns {
    pub(super) runs: Vec<Run>,
    /// Where the runs of each tap end.
    pub(super) ends: Vec<usize>,
    /// Numbers of a channel of the input and of the result.
    pub(super) lengths: [usize; 2],
}

impl TapRuns {
    /// The runs of a window.
    pub fn new(window: &Window) -> Self {
        let lengths = [window.input_len(), window.output_len()];
        let (mut runs, mut ends) = (Vec::new(), Vec::new());
        for tap in 0..window.taps() {
            for y in 0..window.output[0] {
                window.runs(y, tap, |run| {
                    let inside =
                        run.input + run.length <= lengths[0] && run.output + run.length <= lengths[1];
                    assert!(inside, "a run beyond its channel");
                    let [output, input, length] = [run.output, run.input, run.length].map(index);
                    runs.push(Run { output, input, length });
                });
            }
            ends.push(runs.len());
        }
        Self { runs, ends, lengths }
    }
}

/// An offset within a channel, in the 32 bits that it is kept in.
fn index(offset: usize) -> u32 {
    // A channel of 2^32 numbers would take 16 GiB.
    u32::try_from(offset).expect("a channel of fewer than 2^32 numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_reads_where_the_convolution_has_written() {
        for (stride, size, output) in [(1, [4, 5], [4, 5]), (2, [4, 5], [2, 3]), (2, [5, 4], [3, 2])] {
            let window = Window { kernel: 3, stride, top: 1, left: 1, input: size, output, numbers: 2 };
            let pairs = |plan: &TapPlan| {
                let mut pairs = Vec::new();
                let mut first = 0;
                for (pixel, end) in plan.ends.iter().enumerate() {
                    let taps = &plan.taps[first..*end as usize];
                    pairs.extend(taps.iter().map(|t| [pixel, t.input as usize / 2, t.weight as usize]));
                    first = *end as usize;
                }
                pairs
            };
            let forward = pairs(&TapPlan::forward(&window));
            let mut back: Vec<_> =
                pairs(&TapPlan::backward(&window)).into_iter().map(|[to, from, w]| [from, to, w]).collect();
            back.sort_unstable();
            assert_eq!(forward, back, "stride {stride}");
            let runs = TapRuns::new(&window);
            assert_eq!(
                runs.runs.iter().map(|r| r.length as usize).sum::<usize>(),
                forward.len() * window.numbers
            );
        }
    }
}
