//! The 3x3 max pool of stride 2 with one pixel of padding, and its gradient. (The gradient of candle's max pool is wrong.)

use super::tensor_view::{contiguous, view};
use super::window::Window;
use crate::error::Result;
use crate::model::candle_ops;
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Tensor};
use rayon::prelude::*;
use std::sync::OnceLock;

/// Pools a map with the layout of [`super::conv_norm::ConvNorm::forward`].
///
/// # Errors
/// [`crate::error::Kind::Internal`] for anything but a four-dimensional map.
pub fn max_pool(map: &Tensor) -> Result<Tensor> {
    if map.device().is_cpu() {
        return Ok(map.contiguous()?.apply_op1(MaxPool::default())?);
    }
    candle_ops::max_pool(map)
}

#[derive(Default)]
struct MaxPool {
    /// For every output pixel, the tap with the maximum; of equal ones the first, as in PyTorch.
    taps: OnceLock<Vec<u8>>,
}

fn window((_, height, width, batch): (usize, usize, usize, usize)) -> Window {
    let half = |size: usize| (size - 1) / 2 + 1;
    let output = [half(height), half(width)];
    Window { kernel: 3, stride: 2, top: 1, left: 1, input: [height, width], output, numbers: batch }
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max-pool"
    }

    fn cpu_fwd(&self, map: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let dims = layout.shape().dims4()?;
        let (x, window) = (contiguous(map, layout)?, window(dims));
        let line = window.line();
        let mut y = vec![0f32; dims.0 * window.output_len()];
        let mut from = vec![0u8; y.len()];
        let results = y.par_chunks_mut(window.output_len()).zip(from.par_chunks_mut(window.output_len()));
        results.zip(x.par_chunks(window.input_len())).for_each(|((y, from), x)| {
            let lines = y.chunks_exact_mut(line).zip(from.chunks_exact_mut(line));
            for (row, (y, from)) in lines.enumerate() {
                y.fill(f32::NEG_INFINITY);
                for tap in 0..window.taps() {
                    window.runs(row, tap, |run| {
                        let to = run.output - row * line..run.output - row * line + run.length;
                        let best = y[to.clone()].iter_mut().zip(&mut from[to]);
                        for ((best, from), x) in best.zip(&x[run.input..]) {
                            // NaN is treated as the maximum, so that it does not go unnoticed.
                            let wins = (*x > *best || x.is_nan()) && !best.is_nan();
                            *best = if wins { *x } else { *best };
                            *from = if wins { tap as u8 } else { *from };
                        }
                    });
                }
            }
        });
        let _ = self.taps.set(from);
        let [height, width] = window.output;
        Ok((CpuStorage::F32(y), (dims.0, height, width, dims.3).into()))
    }

    fn bwd(&self, map: &Tensor, _: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let window = window(map.dims4()?);
        let Some(from) = self.taps.get() else {
            candle_core::bail!("max pool: no forward pass before this backward pass")
        };
        let gradient = gradient.contiguous()?;
        let gradient = view(&gradient);
        let mut dx = vec![0f32; map.elem_count()];
        let results =
            gradient.numbers()?.par_chunks(window.output_len()).zip(from.par_chunks(window.output_len()));
        dx.par_chunks_mut(window.input_len()).zip(results).for_each(|(dx, (dy, from))| {
            for row in 0..window.output[0] {
                for tap in 0..window.taps() {
                    window.runs(row, tap, |run| {
                        let of = run.output..run.output + run.length;
                        let results = dy[of.clone()].iter().zip(&from[of]);
                        for (dx, (dy, from)) in dx[run.input..].iter_mut().zip(results) {
                            *dx += if *from == tap as u8 { *dy } else { 0.0 };
                        }
                    });
                }
            }
        });
        Ok(Some(Tensor::from_vec(dx, map.shape(), &Device::Cpu)?))
    }
}
