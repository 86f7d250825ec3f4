//! Depthwise convolutions and their gradients on batch-last maps. Channels are independent, and the input of a tap in one row is one
//! contiguous run, so everything is a sum over long runs.

use super::window::Window;
use rayon::prelude::*;

/// Convolves `x` with `w` (`[channels, kernel, kernel]`) into `y`; both maps are `[channels, height, width, batch]`.
pub fn forward(window: &Window, x: &[f32], w: &[f32], y: &mut [f32]) {
    let (taps, line) = (window.taps(), window.line());
    let inputs = x.par_chunks(window.input_len()).zip(w.par_chunks(taps));
    y.par_chunks_mut(window.output_len()).zip(inputs).for_each(|(to, (channel, w))| {
        for (y, to) in to.chunks_exact_mut(line).enumerate() {
            to.fill(0.0);
            for (tap, w) in w.iter().enumerate() {
                window.runs(y, tap, |run| {
                    let to = &mut to[run.output - y * line..][..run.length];
                    let from = &channel[run.input..][..run.length];
                    to.iter_mut().zip(from).for_each(|(t, f)| *t += w * f);
                });
            }
        }
    });
}

/// The gradients of `w` (written to `dw`) and, if wanted, of `x` (written to `dx`).
pub fn backward(window: &Window, x: &[f32], w: &[f32], dy: &[f32], dw: &mut [f32], dx: Option<&mut [f32]>) {
    let (taps, rows) = (window.taps(), window.output[0]);
    let channels = || x.par_chunks(window.input_len()).zip(dy.par_chunks(window.output_len()));
    dw.par_chunks_mut(taps).zip(channels()).for_each(|(dw, (x, dy))| {
        for (tap, dw) in dw.iter_mut().enumerate() {
            let mut sum = 0f64;
            for y in 0..rows {
                window.runs(y, tap, |run| {
                    sum += f64::from(dot(&dy[run.output..][..run.length], &x[run.input..][..run.length]));
                });
            }
            *dw = sum as f32;
        }
    });
    let Some(dx) = dx else { return };
    let gradients = dy.par_chunks(window.output_len()).zip(w.par_chunks(taps));
    dx.par_chunks_mut(window.input_len()).zip(gradients).for_each(|(dx, (dy, w))| {
        dx.fill(0.0);
        for y in 0..rows {
            for (tap, w) in w.iter().enumerate() {
                window.runs(y, tap, |run| {
                    let to = &mut dx[run.input..][..run.length];
                    let from = &dy[run.output..][..run.length];
                    to.iter_mut().zip(from).for_each(|(t, f)| *t += w * f);
                });
            }
        }
    });
}

/// Σ aᵢ bᵢ, with partial sums that fill a vector register.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0f32; LANES];
    let (whole_a, rest_a) = a.as_chunks::<LANES>();
    let (whole_b, rest_b) = b.as_chunks::<LANES>();
    for (a, b) in whole_a.iter().zip(whole_b) {
        (0..LANES).for_each(|i| sums[i] += a[i] * b[i]);
    }
    sums.iter().sum::<f32>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f32>()
}
