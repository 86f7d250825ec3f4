//! Convolutions of either kind and their gradients on batch-last maps.
//!
//! With `cols` the matrix of the input numbers under each tap (`[inputs·taps, pixels]`), a dense convolution is `y = W·cols`, and
//! `dW = dy·colsᵀ`, `dcols = Wᵀ·dy`. The matrix is `taps` times as large as the map; its blocks are made while they are packed
//! for the product. Depthwise convolutions are weighted sums of pixels, channel by channel.

use super::buffer_pool::BufferPool;
use super::kernels::{Loops, TapPlan, TapRuns, BEST};
use super::matrix::{multiply, multiply_transposed, Finish, Packed, Plain, Taps};
use super::window::Window;
use crate::model::layers::ConvSpec;
use rayon::prelude::*;
use std::ops::Range;

/// Maximum number of elements of `cols` that are kept at a time where its gradient is built.
const COLUMNS: usize = 1 << 18;

/// A convolution, and how its kernel moves over a map.
#[derive(Debug, Clone, Copy)]
pub struct Convolution<'a> {
    conv: &'a ConvSpec,
    window: Window,
    loops: &'static Loops,
}

impl<'a> Convolution<'a> {
    /// A convolution over maps of the window's size, with the best instruction set of this processor.
    pub fn new(conv: &'a ConvSpec, window: Window) -> Self {
        Self { conv, window, loops: *BEST }
    }

    /// The same with another instruction set.
    #[cfg(test)]
    pub fn with_loops(self, loops: &'static Loops) -> Self {
        Self { loops, ..self }
    }

    /// The number of rows of `cols`, which for a depthwise convolution is that of one channel.
    pub fn depth(&self) -> usize {
        if self.conv.depthwise {
            self.window.taps()
        } else {
            self.conv.inputs * self.window.taps()
        }
    }

    /// The convolution of `x`, `[inputs, ...]`, with `w`, `[outputs, inputs / groups, kernel, kernel]`, to `y`.
    pub fn forward(&self, x: &[f32], w: &[f32], y: &mut [f32], finish: &Finish<'_>) {
        if self.conv.depthwise {
            return self.depthwise(x, w, y, finish);
        }
        let depth = self.depth();
        let w = Packed::new(self.loops, self.conv.outputs, depth, |output, k| w[output * depth + k]);
        if self.window.is_identity() {
            let x = Plain { numbers: x, pitch: self.window.input_len() };
            return multiply(self.loops, &w, &x, y, finish);
        }
        multiply(self.loops, &w, &Taps { map: x, window: self.window }, y, finish);
    }

    fn depthwise(&self, x: &[f32], w: &[f32], y: &mut [f32], finish: &Finish<'_>) {
        let (loops, plan, taps) = (self.loops, TapPlan::forward(&self.window), self.window.taps());
        let (input, output) = (self.window.input_len(), self.window.output_len());
        y.par_chunks_mut(output).enumerate().for_each(|(c, y)| {
            let (x, w) = (&x[c * input..][..input], &w[c * taps..][..taps]);
            let bias = finish.bias.map_or(0.0, |bias| bias[c]);
            let Some(residual) = finish.residual else {
                return loops.gather(&plan, x, w, y, bias, finish.clamp);
            };
            loops.gather(&plan, x, w, y, bias, Finish::PLAIN.clamp);
            loops.add(y, &residual[c * output..][..output]);
            y.iter_mut().for_each(|y| *y = y.clamp(finish.clamp.0, finish.clamp.1));
        });
    }

    /// The gradient `dw` of the weights, from the input `x` and the gradient `dy` of the result.
    pub fn weight_gradient(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        let (input, output, loops) = (self.window.input_len(), self.window.output_len(), self.loops);
        if self.conv.depthwise {
            let runs = TapRuns::new(&self.window);
            let channels = x.par_chunks(input).zip(dy.par_chunks(output));
            let dw = dw.par_chunks_mut(self.window.taps());
            return dw.zip(channels).for_each(|(dw, (x, dy))| loops.tap_sums(&runs, x, dy, dw));
        }
        let (dy, shape) = (Plain { numbers: dy, pitch: output }, [self.conv.outputs, self.depth()]);
        if self.window.is_identity() {
            return multiply_transposed(loops, dy, &Plain { numbers: x, pitch: input }, output, shape, dw);
        }
        multiply_transposed(loops, dy, &Taps { map: x, window: self.window }, output, shape, dw);
    }

    /// The gradient of the input, written to `dx` or, with `add`, added to it.
    pub fn input_gradient(&self, w: &[f32], dy: &[f32], dx: &mut [f32], add: bool, buffers: &BufferPool) {
        let finish = Finish { add, ..Finish::PLAIN };
        if !self.conv.depthwise && self.window.stride == 1 {
            return self.dense_input_gradient(w, dy, dx, &finish);
        }
        if !add {
            return self.strided_input_gradient(w, dy, dx, buffers);
        }
        let mut more = buffers.take(dx.len());
        self.strided_input_gradient(w, dy, &mut more, buffers);
        let length = self.window.input_len();
        dx.par_chunks_mut(length)
            .zip(more.par_chunks(length))
            .for_each(|(dx, more)| self.loops.add(dx, more));
    }

    /// For stride 1 the gradient is a convolution too: of `dy` with the mirrored kernel, from outputs to inputs.
    fn dense_input_gradient(&self, w: &[f32], dy: &[f32], dx: &mut [f32], finish: &Finish<'_>) {
        let (inputs, outputs, taps) = (self.conv.inputs, self.conv.outputs, self.window.taps());
        let mirrored = |input: usize, k: usize| {
            let (output, tap) = (k / taps, k % taps);
            w[(output * inputs + input) * taps + taps - 1 - tap]
        };
        let w = Packed::new(self.loops, inputs, outputs * taps, mirrored);
        if self.window.is_identity() {
            let dy = Plain { numbers: dy, pitch: self.window.output_len() };
            return multiply(self.loops, &w, &dy, dx, finish);
        }
        multiply(self.loops, &w, &Taps { map: dy, window: self.window.reversed() }, dx, finish);
    }

    fn strided_input_gradient(&self, w: &[f32], dy: &[f32], dx: &mut [f32], buffers: &BufferPool) {
        let (window, loops) = (self.window, self.loops);
        if self.conv.depthwise {
            let plan = TapPlan::backward(&window);
            let gradients = dy.par_chunks(window.output_len()).zip(w.par_chunks(window.taps()));
            let dx = dx.par_chunks_mut(window.input_len());
            return dx
                .zip(gradients)
                .for_each(|(dx, (dy, w))| loops.gather(&plan, dy, w, dx, 0.0, Finish::PLAIN.clamp));
        }
        dx.par_chunks_mut(window.input_len()).for_each(|channel| channel.fill(0.0));
        let depth = self.depth();
        let w = Packed::new(loops, depth, self.conv.outputs, |k, output| w[output * depth + k]);
        let (line, rows) = (window.line(), window.output[0]);
        let at_once = (COLUMNS / (depth * line)).clamp(1, rows.max(1));
        for first in (0..rows).step_by(at_once) {
            let lines = first..(first + at_once).min(rows);
            let mut columns = buffers.take(depth * lines.len() * line);
            let dy = Plain { numbers: &dy[first * line..], pitch: window.output_len() };
            multiply(loops, &w, &dy, &mut columns, &Finish::PLAIN);
            self.scatter(&columns, lines, dx);
        }
    }

    /// Adds the gradients of `cols` to the input numbers that they belong to.
    fn scatter(&self, columns: &[f32], lines: Range<usize>, x: &mut [f32]) {
        let window = &self.window;
        let (taps, line) = (window.taps(), window.line());
        let rows = columns.par_chunks(taps * lines.len() * line);
        x.par_chunks_mut(window.input_len()).zip(rows).for_each(|(channel, rows)| {
            for (tap, row) in rows.chunks_exact(lines.len() * line).enumerate() {
                for (y, from) in lines.clone().zip(row.chunks_exact(line)) {
                    window.runs(y, tap, |run| {
                        let to = &mut channel[run.input..][..run.length];
                        let from = &from[run.output - y * line..][..run.length];
                        self.loops.add(to, from);
                    });
                }
            }
        });
    }
}
