//! Depthwise convolutions: one filter per channel.

use super::kernels::{for_each_region, Buffer, DepthwiseRow, Kernels, Partition, Region, Strip, CHANNELS};
use super::layer_call::LayerCall;
use crate::model::layers::ConvSpec;
use crate::model::map_shape::{MapShape, Window};
use std::cell::RefCell;

/// Approximate number of pixels in a strip: with [`CHANNELS`] of each it should stay in the level-1 cache.
const STRIP: usize = 512;

thread_local! {
    /// The strip of the task that runs on this thread.
    static STRIP_OF_TASK: RefCell<Buffer> = RefCell::default();
}

/// The filters of a depthwise convolution, [`CHANNELS`] side by side.
#[derive(Debug)]
pub struct DepthwiseConv {
    conv: ConvSpec,
    kernels: &'static Kernels,
    /// `[channels / CHANNELS, kernel, kernel, CHANNELS]`.
    weights: Buffer,
    /// `[channels / CHANNELS, CHANNELS]`.
    bias: Vec<[f32; CHANNELS]>,
}

impl DepthwiseConv {
    /// Packs `weight`, `[channels, 1, kernel, kernel]`, and `bias`, `[channels]`.
    pub fn new(conv: &ConvSpec, weight: &[f32], bias: &[f32], kernels: &'static Kernels) -> Self {
        let taps = conv.kernel * conv.kernel;
        let blocks = conv.outputs.div_ceil(CHANNELS);
        let (mut weights, mut biases) =
            (Buffer::zeros(blocks * taps * CHANNELS), vec![[0.0; CHANNELS]; blocks]);
        for (channel, filter) in weight.chunks_exact(taps).enumerate() {
            let (block, lane) = (channel / CHANNELS, channel % CHANNELS);
            biases[block][lane] = bias[channel];
            for (tap, w) in filter.iter().enumerate() {
                weights.lines_mut()[block * taps + tap][lane] = *w;
            }
        }
        Self { conv: conv.clone(), kernels, weights, bias: biases }
    }

    /// How many numbers are kept.
    pub fn len(&self) -> usize {
        self.weights.len() + self.bias.len() * CHANNELS
    }

    /// Convolves `map` of this shape into `out`.
    pub fn forward(&self, map: &[f32], shape: MapShape, call: LayerCall<'_>, out: &mut [f32]) {
        let result = shape.after(&self.conv);
        let window = Window::new(&self.conv, shape, shape.channels);
        let pitch = (result.width - 1) * window.stride + window.kernel;
        // Output rows that one strip serves.
        let fitting = (STRIP / pitch).saturating_sub(window.kernel - 1) / window.stride;
        let at_most = if call.threads > 1 {
            result.height.div_ceil((2 * call.threads).div_ceil(shape.batch))
        } else {
            result.height
        };
        let rows = fitting.clamp(1, at_most);
        let strips = result.height.div_ceil(rows);
        let row = |part: usize| part / strips * result.height + part % strips * result.height / strips;
        let partition = Partition {
            parallel: call.threads > 1,
            parts: result.batch * strips,
            first_pixel: |part: usize| row(part) * result.width,
            groups: 1,
            first_channel: |group: usize| group * result.channels,
        };
        for_each_region(out, result.channels, &partition, |mut region| {
            STRIP_OF_TASK
                .with_borrow_mut(|buffer| self.compute(map, &window, pitch, call, &mut region, buffer));
        });
    }

    /// Computes some rows of one image.
    fn compute(
        &self,
        map: &[f32],
        window: &Window,
        pitch: usize,
        call: LayerCall<'_>,
        region: &mut Region<'_>,
        buffer: &mut Buffer,
    ) {
        let (pixels, [height, width]) = (region.pixels(), window.output);
        let (rows, image) = (pixels.len() / width, pixels.start / width / height);
        let first = pixels.start / width % height;
        let strip_rows = (rows - 1) * window.stride + window.kernel;
        buffer.grow(strip_rows * pitch * CHANNELS);
        let buffer = buffer.lines_mut();
        let taps = window.kernel * window.kernel;
        for (block, (weights, bias)) in self.weights.lines().chunks_exact(taps).zip(&self.bias).enumerate() {
            let channels = block * CHANNELS..((block + 1) * CHANNELS).min(window.numbers);
            let strip = Strip { image, row: first, rows: strip_rows, pitch, channel: channels.start };
            self.kernels.strip(map, window, &strip, buffer);
            for row in 0..rows {
                let start = pixels.start + row * width;
                let row = DepthwiseRow {
                    strip: &buffer[row * window.stride * pitch..strip_rows * pitch],
                    pitch,
                    weights,
                    bias,
                    kernel: window.kernel,
                    stride: window.stride,
                    residual: call.residual,
                    clamp: call.clamp,
                };
                self.kernels.depthwise(&row, region, start..start + width, channels.clone());
            }
        }
    }
}
