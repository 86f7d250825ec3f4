//! The 3x3 max pool of stride 2 with one pixel of padding, and its gradient. (The gradient of candle's max pool is wrong.)

use super::feature_map::{token, token_storage, CpuMap, FeatureMap, MapData};
use super::window::Window;
use crate::error::Result;
use crate::model::candle_ops;
use crate::model::map_shape::MapShape;
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use rayon::prelude::*;
use std::sync::Arc;

/// Pools a map.
///
/// # Errors
/// [`crate::error::Kind::Internal`] if the device fails.
pub fn max_pool(map: &FeatureMap) -> Result<FeatureMap> {
    match map {
        FeatureMap::Cpu(map) => pool(map),
        FeatureMap::Device(map) => Ok(FeatureMap::Device(candle_ops::max_pool(map)?)),
    }
}

struct MaxPool {
    /// For every output pixel, the tap with the maximum; of equal ones the first, as in PyTorch.
    taps: Vec<u8>,
    map: Arc<MapData>,
    result: Arc<MapData>,
}

fn window(shape: MapShape) -> Window {
    let half = |size: usize| (size - 1) / 2 + 1;
    let (input, output) = ([shape.height, shape.width], [half(shape.height), half(shape.width)]);
    Window { kernel: 3, stride: 2, top: 1, left: 1, input, output, numbers: shape.batch }
}

fn pool(map: &CpuMap) -> Result<FeatureMap> {
    let (shape, x) = (map.data.shape, &*map.data.numbers);
    let window = window(shape);
    let line = window.line();
    let mut y = map.data.buffers.take(shape.channels * window.output_len());
    let mut taps = vec![0u8; y.len()];
    let results = y.par_chunks_mut(window.output_len()).zip(taps.par_chunks_mut(window.output_len()));
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
    let [height, width] = window.output;
    let data = MapData::new(MapShape { height, width, ..shape }, y, &map.data.buffers);
    let op = MaxPool { taps, map: map.data.clone(), result: data.clone() };
    let token = map.token.apply_op1(op)?;
    Ok(FeatureMap::Cpu(CpuMap { data, token }))
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max-pool"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok(token_storage())
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let (window, gradient) = (window(self.map.shape), self.result.take_gradient()?);
        let results = gradient.par_chunks(window.output_len()).zip(self.taps.par_chunks(window.output_len()));
        self.map.add_gradient(|dx, holds_sum| {
            dx.par_chunks_mut(window.input_len()).zip(results).for_each(|(dx, (dy, from))| {
                if !holds_sum {
                    dx.fill(0.0);
                }
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
        });
        Ok(Some(token()?))
    }
}
