//! Dense convolutions and their gradients on batch-last maps, as matrix products (im2col).
//!
//! With `cols` the matrix of the input numbers under each tap (`[inputs·taps, pixels]`): `y = W·cols`, `dW = dy·colsᵀ`, `dcols = Wᵀ·dy`.
//! The matrix is `taps` times as large as the map, so it is built for a few rows of pixels at a time and stays in the caches.

use super::buffer_pool::BufferPool;
use super::window::Window;
use crate::model::cpu::kernels::matrix_product::{matrix_product, Matrix, MatrixMut};
use rayon::prelude::*;

/// Maximum number of elements of `cols` that are built at a time.
const COLUMNS: usize = 1 << 20;

/// The channels of a dense convolution, and its window.
#[derive(Debug, Clone, Copy)]
pub struct DenseConv {
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// How the kernel moves over a channel.
    pub window: Window,
}

impl DenseConv {
    /// The number of rows of `cols`.
    fn depth(&self) -> usize {
        self.inputs * self.window.taps()
    }

    /// The rows of the result, in groups whose `cols` fits [`COLUMNS`].
    fn groups(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let lines = self.window.output[0];
        let at_once = (COLUMNS / (self.depth() * self.window.line())).clamp(1, lines.max(1));
        (0..lines).step_by(at_once).map(move |first| first..(first + at_once).min(lines))
    }

    /// `y = W·cols`; `x` is `[inputs, ...]`, `w` `[outputs, inputs, kernel, kernel]`.
    pub fn forward(&self, x: &[f32], w: &[f32], y: &mut [f32], buffers: &BufferPool) {
        let pixels = self.window.output_len();
        let w = Matrix::new(w, self.outputs, self.depth());
        if self.window.is_identity() {
            let x = Matrix::new(x, self.inputs, pixels);
            return matrix_product(MatrixMut::new(y, self.outputs, pixels), w, x, false);
        }
        for lines in self.groups() {
            let n = lines.len() * self.window.line();
            let mut columns = buffers.take(self.depth() * n);
            self.columns(x, lines.clone(), &mut columns);
            let to = &mut y[lines.start * self.window.line()..];
            let to = MatrixMut::within(to, [self.outputs, n], pixels);
            matrix_product(to, w, Matrix::new(&columns, self.depth(), n), false);
        }
    }

    /// `dW = dy·colsᵀ`.
    pub fn weight_gradient(&self, x: &[f32], dy: &[f32], dw: &mut [f32], buffers: &BufferPool) {
        let pixels = self.window.output_len();
        let mut dw = MatrixMut::new(dw, self.outputs, self.depth());
        if self.window.is_identity() {
            let x = Matrix::new(x, self.inputs, pixels);
            return matrix_product(dw, Matrix::new(dy, self.outputs, pixels), x.transposed(), false);
        }
        for lines in self.groups() {
            let n = lines.len() * self.window.line();
            let mut columns = buffers.take(self.depth() * n);
            self.columns(x, lines.clone(), &mut columns);
            let dy = Matrix::within(&dy[lines.start * self.window.line()..], [self.outputs, n], pixels);
            let columns = Matrix::new(&columns, self.depth(), n).transposed();
            matrix_product(dw.reborrow(), dy, columns, lines.start > 0);
        }
    }

    /// `dx`: the gradient of the input.
    pub fn input_gradient(&self, w: &[f32], dy: &[f32], dx: &mut [f32], buffers: &BufferPool) {
        let window = self.window;
        if window.is_identity() {
            let w = Matrix::new(w, self.outputs, self.inputs).transposed();
            let dy = Matrix::new(dy, self.outputs, window.output_len());
            return matrix_product(MatrixMut::new(dx, self.inputs, window.input_len()), w, dy, false);
        }
        if window.stride == 1 {
            // The gradient is a convolution too: of dy with the mirrored kernel, from outputs to inputs.
            let back = Self { inputs: self.outputs, outputs: self.inputs, window: window.reversed() };
            let mut mirrored = buffers.take(w.len());
            self.mirror(w, &mut mirrored);
            return back.forward(dy, &mirrored, dx, buffers);
        }
        dx.par_chunks_mut(window.input_len()).for_each(|channel| channel.fill(0.0));
        let w = Matrix::new(w, self.outputs, self.depth()).transposed();
        for lines in self.groups() {
            let n = lines.len() * window.line();
            let mut columns = buffers.take(self.depth() * n);
            let dy =
                Matrix::within(&dy[lines.start * window.line()..], [self.outputs, n], window.output_len());
            matrix_product(MatrixMut::new(&mut columns, self.depth(), n), w, dy, false);
            self.scatter(&columns, lines, dx);
        }
    }

    /// Builds `cols` for some rows of the result: `[inputs·taps, rows·width·batch]`.
    fn columns(&self, x: &[f32], lines: std::ops::Range<usize>, to: &mut [f32]) {
        let window = &self.window;
        let (taps, line) = (window.taps(), window.line());
        to.par_chunks_mut(lines.len() * line).enumerate().for_each(|(row, to)| {
            let channel = &x[row / taps * window.input_len()..][..window.input_len()];
            for (y, to) in lines.clone().zip(to.chunks_exact_mut(line)) {
                let mut done = 0;
                window.runs(y, row % taps, |run| {
                    let start = run.output - y * line;
                    to[done..start].fill(0.0);
                    done = start + run.length;
                    to[start..done].copy_from_slice(&channel[run.input..][..run.length]);
                });
                to[done..].fill(0.0);
            }
        });
    }

    /// Adds the gradients of `cols` to the input numbers that they belong to.
    fn scatter(&self, columns: &[f32], lines: std::ops::Range<usize>, x: &mut [f32]) {
        let window = &self.window;
        let (taps, line) = (window.taps(), window.line());
        let rows = columns.par_chunks(taps * lines.len() * line);
        x.par_chunks_mut(window.input_len()).zip(rows).for_each(|(channel, rows)| {
            for (tap, row) in rows.chunks_exact(lines.len() * line).enumerate() {
                for (y, from) in lines.clone().zip(row.chunks_exact(line)) {
                    window.runs(y, tap, |run| {
                        let to = &mut channel[run.input..][..run.length];
                        let from = &from[run.output - y * line..][..run.length];
                        to.iter_mut().zip(from).for_each(|(t, f)| *t += f);
                    });
                }
            }
        });
    }

    /// `[outputs, inputs, k, k]` to `[inputs, outputs, k, k]` with the kernels rotated by 180 degrees.
    fn mirror(&self, w: &[f32], to: &mut [f32]) {
        let taps = self.window.taps();
        to.par_chunks_mut(self.outputs * taps).enumerate().for_each(|(input, to)| {
            for (output, to) in to.chunks_exact_mut(taps).enumerate() {
                let from = &w[(output * self.inputs + input) * taps..][..taps];
                to.iter_mut().zip(from.iter().rev()).for_each(|(t, f)| *t = *f);
            }
        });
    }
}
