//! The loops of inference on the CPU, over channel-major feature maps `[channels, batch, height, width]` in f32.
//!
//! Channel-major, because then a 1x1 convolution over a whole batch is one matrix product, and every other loop runs
//! over long contiguous rows that the compiler turns into vector instructions. Work is spread over rayon's pool.

use super::arch::{Activation, Conv};
use rayon::prelude::*;

/// Numbers that one task should at least produce, so that handing it out costs little beside it.
const TASK: usize = 1 << 14;

/// Outputs computed together in registers.
const LANES: usize = 16;

/// Shape of a channel-major feature map: `[channels, batch, height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapShape {
    /// Channels of an image.
    pub channels: usize,
    /// Images.
    pub batch: usize,
    /// Rows of a channel.
    pub height: usize,
    /// Columns of a channel.
    pub width: usize,
}

impl MapShape {
    /// What the convolution makes of a map of this shape.
    pub fn after(self, conv: &Conv) -> Self {
        let axis = |size| conv.padding.before_and_output(size, conv.kernel, conv.stride).1;
        Self { channels: conv.outputs, height: axis(self.height), width: axis(self.width), ..self }
    }

    /// Pixels of one channel of one image.
    pub fn plane(self) -> usize {
        self.height * self.width
    }

    /// Numbers in the map.
    pub fn len(self) -> usize {
        self.channels * self.batch * self.plane()
    }
}

/// Adds a channel's bias (and the shortcut's number), then applies the activation, in place.
pub fn finish(map: &mut [f32], bias: &[f32], residual: Option<&[f32]>, activation: Activation) {
    if map.is_empty() || bias.is_empty() {
        return;
    }
    let per_channel = map.len() / bias.len();
    let (low, high) = activation.bounds();
    // Tasks divide a channel, not the map, so that each has one bias.
    let task = per_channel.min(TASK);
    map.par_chunks_mut(per_channel).zip(bias).enumerate().with_min_len((TASK / per_channel).max(1)).for_each(
        |(channel, (numbers, &bias))| match residual {
            None => numbers.par_chunks_mut(task).for_each(|part| {
                part.iter_mut().for_each(|x| *x = (*x + bias).clamp(low, high));
            }),
            Some(residual) => {
                let residual = &residual[channel * per_channel..][..per_channel];
                numbers.par_chunks_mut(task).zip(residual.par_chunks(task)).for_each(|(part, residual)| {
                    part.iter_mut().zip(residual).for_each(|(x, r)| *x = (*x + bias + r).clamp(low, high));
                });
            }
        },
    );
}

/// The right-hand matrix of a convolution as a matrix product: row (channel, ky, kx), column (image, y, x):
/// `[channels * kernel * kernel, batch * height' * width']`.
pub fn im2col(map: &[f32], shape: MapShape, conv: &Conv) -> Vec<f32> {
    let out = shape.after(conv);
    let kernel = conv.kernel;
    let (top, _) = conv.padding.before_and_output(shape.height, kernel, conv.stride);
    let (left, _) = conv.padding.before_and_output(shape.width, kernel, conv.stride);
    let columns = out.batch * out.plane();
    let mut matrix = vec![0f32; shape.channels * kernel * kernel * columns];
    matrix.par_chunks_mut(columns).enumerate().with_min_len((TASK / columns).max(1)).for_each(|(row, to)| {
        let (channel, ky, kx) = (row / (kernel * kernel), row / kernel % kernel, row % kernel);
        let from = &map[channel * shape.batch * shape.plane()..][..shape.batch * shape.plane()];
        let inside = inside(shape.width, out.width, conv.stride, left, kx);
        for (line, to) in to.chunks_exact_mut(out.width).enumerate() {
            let (image, y) = (line / out.height, line % out.height);
            // Rows and columns outside the picture keep the zeros of a fresh matrix.
            let Some(y) = (y * conv.stride + ky).checked_sub(top).filter(|y| *y < shape.height) else {
                continue;
            };
            let from = &from[(image * shape.height + y) * shape.width..][..shape.width];
            let to = &mut to[inside.clone()];
            if to.is_empty() {
                continue;
            }
            let first = inside.start * conv.stride + kx - left;
            if conv.stride == 1 {
                to.copy_from_slice(&from[first..][..to.len()]);
            } else {
                to.iter_mut().zip(from[first..].iter().step_by(conv.stride)).for_each(|(t, f)| *t = *f);
            }
        }
    });
    matrix
}

/// The outputs of a row whose input under kernel column `kx` lies inside the picture.
fn inside(width: usize, out_width: usize, stride: usize, left: usize, kx: usize) -> std::ops::Range<usize> {
    let start = left.saturating_sub(kx).div_ceil(stride);
    let end = (width + left).saturating_sub(kx).div_ceil(stride).min(out_width);
    start.min(end)..end
}

/// Depthwise convolution with bias and activation: filter c over channel c; `weight` is `[channels, kernel, kernel]`.
///
/// Each plane is copied once into zero-bordered *phases* (for stride 2: even and odd rows by even and odd columns).
/// In them every kernel tap is a constant offset, whatever the stride, so the whole plane is one long loop over
/// [`LANES`] outputs at a time that stay in registers for all taps.
pub fn depthwise(map: &[f32], shape: MapShape, conv: &Conv, weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let out = shape.after(conv);
    let phases = Phases::new(shape, out, conv);
    let taps = conv.kernel * conv.kernel;
    let (low, high) = conv.activation.bounds();
    let mut result = vec![0f32; out.len()];
    result
        .par_chunks_mut(out.plane())
        .zip(map.par_chunks(shape.plane()))
        .enumerate()
        .with_min_len((TASK / (taps * out.plane())).max(1))
        .for_each_init(
            || (phases.buffer(), phases.outputs()),
            |(buffer, outputs), (plane, (to, from))| {
                let channel = plane / shape.batch;
                phases.fill(buffer, from);
                let weight = &weight[channel * taps..][..taps];
                phases.convolve(buffer, weight, bias[channel], outputs);
                for (to, from) in to.chunks_exact_mut(out.width).zip(outputs.chunks_exact(phases.pitch)) {
                    to.iter_mut().zip(from).for_each(|(t, f)| *t = f.clamp(low, high));
                }
            },
        );
    result
}

/// How one plane is laid out for [`depthwise`].
struct Phases {
    stride: usize,
    top: usize,
    left: usize,
    height: usize,
    width: usize,
    /// Numbers in a row of a phase.
    pitch: usize,
    /// Numbers in a phase.
    size: usize,
    /// Outputs computed, a multiple of [`LANES`]: rows of `pitch`, of which only the first columns are wanted.
    computed: usize,
    /// Where each kernel tap starts.
    offsets: Vec<usize>,
}

impl Phases {
    fn new(shape: MapShape, out: MapShape, conv: &Conv) -> Self {
        let (kernel, stride) = (conv.kernel, conv.stride);
        let (top, _) = conv.padding.before_and_output(shape.height, kernel, stride);
        let (left, _) = conv.padding.before_and_output(shape.width, kernel, stride);
        let reach = (kernel - 1) / stride;
        let rows = (out.height + reach).max((shape.height + top).div_ceil(stride));
        let pitch = (out.width + reach).max((shape.width + left).div_ceil(stride));
        let size = rows * pitch;
        let offset = |tap: usize| {
            let (ky, kx) = (tap / kernel, tap % kernel);
            (ky % stride * stride + kx % stride) * size + ky / stride * pitch + kx / stride
        };
        Self {
            stride,
            top,
            left,
            height: shape.height,
            width: shape.width,
            pitch,
            size,
            computed: (out.height * pitch).next_multiple_of(LANES),
            offsets: (0..kernel * kernel).map(offset).collect(),
        }
    }

    /// Room for all phases, zero; the borders are never written.
    fn buffer(&self) -> Vec<f32> {
        // The last block of lanes may read past the last phase.
        let read = self.offsets.iter().max().map_or(0, |offset| offset + self.computed);
        vec![0f32; read.max(self.stride * self.stride * self.size)]
    }

    /// Room for the outputs of one plane.
    fn outputs(&self) -> Vec<f32> {
        vec![0f32; self.computed]
    }

    /// Copies a plane into the phases.
    fn fill(&self, buffer: &mut [f32], plane: &[f32]) {
        for (y, from) in plane.chunks_exact(self.width).enumerate().take(self.height) {
            let y = y + self.top;
            for column in 0..self.stride {
                // The first picture column that falls into this phase.
                let first = (column + self.stride - self.left % self.stride) % self.stride;
                let phase = (y % self.stride * self.stride + column) * self.size;
                let to =
                    &mut buffer[phase + y / self.stride * self.pitch + (first + self.left) / self.stride..];
                if self.stride == 1 {
                    to[..self.width].copy_from_slice(from);
                } else if first < self.width {
                    let from = from[first..].iter().step_by(self.stride);
                    to.iter_mut().zip(from).for_each(|(t, f)| *t = *f);
                }
            }
        }
    }

    /// All outputs of a plane, before activation.
    fn convolve(&self, buffer: &[f32], weight: &[f32], bias: f32, outputs: &mut [f32]) {
        for (block, outputs) in outputs.chunks_exact_mut(LANES).enumerate() {
            let mut sums = [bias; LANES];
            for (&offset, &weight) in self.offsets.iter().zip(weight) {
                let start = offset + block * LANES;
                let numbers = &buffer[start..start + LANES];
                for lane in 0..LANES {
                    sums[lane] += weight * numbers[lane];
                }
            }
            outputs.copy_from_slice(&sums);
        }
    }
}

/// 3x3 max pool of stride 2 with one pixel of padding, after a ReLU (so that padding with zeros is right).
pub fn max_pool(map: &[f32], shape: MapShape) -> (Vec<f32>, MapShape) {
    let half = |size: usize| (size - 1) / 2 + 1;
    let out = MapShape { height: half(shape.height), width: half(shape.width), ..shape };
    let mut result = vec![0f32; out.len()];
    result
        .par_chunks_mut(out.plane())
        .zip(map.par_chunks(shape.plane()))
        .with_min_len((TASK / (9 * out.plane())).max(1))
        .for_each_init(
            || vec![0f32; shape.width],
            |rows, (to, from)| {
                for (y, to) in to.chunks_exact_mut(out.width).enumerate() {
                    rows.fill(0.0);
                    for y in (2 * y).saturating_sub(1)..(2 * y + 2).min(shape.height) {
                        let from = &from[y * shape.width..][..shape.width];
                        rows.iter_mut().zip(from).for_each(|(m, f)| *m = m.max(*f));
                    }
                    for (x, to) in to.iter_mut().enumerate() {
                        let under = (2 * x).saturating_sub(1)..(2 * x + 2).min(shape.width);
                        *to = rows[under].iter().fold(0.0, |m, f| m.max(*f));
                    }
                }
            },
        );
    (result, out)
}
