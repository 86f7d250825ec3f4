//! Statistics of each channel of a map over its positions, and their gradients: the features of a level.

use super::feature_map::{token, CpuMap, FeatureMap, MapData};
use super::kernels::BEST;
use super::tensor_view::view;
use crate::error::Result;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};
use rayon::prelude::*;
use std::sync::Arc;

/// Added to a variance where the gradient is divided by its root, which may be 0.
const EPSILON: f32 = 1e-8;

/// The mean μ of each channel over the P positions of each image, `[batch, C]`. The gradient of a position is g/P.
///
/// # Errors
/// [`crate::error::Kind::Internal`] if the device fails.
pub fn pooled_mean(map: &FeatureMap) -> Result<Tensor> {
    match map {
        FeatureMap::Cpu(map) => pool(map, false),
        FeatureMap::Device(map) => Ok(map.flatten_from(2)?.to_dtype(DType::F32)?.mean(2)?),
    }
}

/// The means, and the deviations σ = √(Σ (x − μ)² / P), `[batch, 2C]`. The gradient of a deviation is
/// g (x − μ) / (P √(σ² + 10⁻⁸)).
///
/// # Errors
/// [`crate::error::Kind::Internal`] if the device fails.
pub fn pooled_moments(map: &FeatureMap) -> Result<Tensor> {
    let map = match map {
        FeatureMap::Cpu(map) => return pool(map, true),
        FeatureMap::Device(map) => map.flatten_from(2)?.to_dtype(DType::F32)?,
    };
    let mean = map.mean_keepdim(2)?;
    let variance = map.broadcast_sub(&mean)?.sqr()?.mean(2)?;
    // σ = σ²/√(σ² + ε) + ε/√(σ² + ε), up to rounding: a root whose gradient is finite everywhere.
    let root = (&variance + f64::from(EPSILON))?.sqrt()?;
    let shift = (variance.detach().sqrt()? - root.detach())?;
    Ok(Tensor::cat(&[mean.squeeze(2)?, (root + shift)?], 1)?)
}

fn pool(map: &CpuMap, deviations: bool) -> Result<Tensor> {
    let op = Pool { map: map.data.clone(), statistics: Statistics::new(&map.data, deviations) };
    Ok(map.token.apply_op1(op)?)
}

/// Means, and deviations if wanted, `[channels, batch]`.
struct Statistics {
    means: Vec<f32>,
    deviations: Option<Vec<f32>>,
}

impl Statistics {
    fn new(map: &MapData, deviations: bool) -> Self {
        let (batch, plane) = (map.shape.batch, map.shape.plane());
        let share = 1.0 / plane as f32;
        let channels = || map.numbers.par_chunks(map.shape.pixels());
        let mut means = vec![0f32; map.shape.channels * batch];
        means.par_chunks_mut(batch).zip(channels()).for_each(|(means, x)| {
            x.chunks_exact(batch).for_each(|x| BEST.add(means, x));
            means.iter_mut().for_each(|mean| *mean *= share);
        });
        let deviations = deviations.then(|| {
            let mut deviations = vec![0f32; means.len()];
            let rows = deviations.par_chunks_mut(batch).zip(means.par_chunks(batch));
            rows.zip(channels()).for_each(|((deviations, means), x)| {
                x.chunks_exact(batch).for_each(|x| BEST.add_squares(deviations, x, means));
                deviations.iter_mut().for_each(|d| *d = (*d * share).sqrt());
            });
            deviations
        });
        Self { means, deviations }
    }
}

struct Pool {
    map: Arc<MapData>,
    statistics: Statistics,
}

impl CustomOp1 for Pool {
    fn name(&self) -> &'static str {
        "pooled-moments"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (channels, batch) = (self.map.shape.channels, self.map.shape.batch);
        let parts: Vec<&Vec<f32>> =
            std::iter::once(&self.statistics.means).chain(&self.statistics.deviations).collect();
        let width = parts.len() * channels;
        let mut features = vec![0f32; batch * width];
        for (part, numbers) in parts.into_iter().enumerate() {
            let to = features.get_mut(part * channels..).unwrap_or_default();
            BEST.transpose(numbers, batch, [channels, batch], to, width);
        }
        Ok((CpuStorage::F32(features), (batch, width).into()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let shape = self.map.shape;
        let share = 1.0 / shape.plane() as f32;
        // `[columns, batch]`, as the map.
        let gradient = (gradient.t()? * f64::from(share))?.contiguous()?;
        let gradient = view(&gradient);
        let (of_means, of_deviations) = gradient.numbers()?.split_at(self.statistics.means.len());
        let Statistics { means, deviations } = &self.statistics;
        let slopes: Option<Vec<f32>> = deviations.as_ref().map(|deviations| {
            let pairs = of_deviations.iter().zip(deviations);
            pairs.map(|(g, d)| g / (d * d + EPSILON).sqrt()).collect()
        });
        let numbers = &self.map.numbers;
        self.map.add_gradient(|sum, holds_sum| {
            sum.par_chunks_mut(shape.pixels()).enumerate().for_each(|(c, sum)| {
                let row = c * shape.batch..(c + 1) * shape.batch;
                let x = &numbers[c * shape.pixels()..][..shape.pixels()];
                for (sum, x) in sum.chunks_exact_mut(shape.batch).zip(x.chunks_exact(shape.batch)) {
                    match holds_sum {
                        true => BEST.add(sum, &of_means[row.clone()]),
                        false => sum.copy_from_slice(&of_means[row.clone()]),
                    }
                    if let Some(slopes) = &slopes {
                        BEST.add_slope(sum, x, &means[row.clone()], &slopes[row.clone()]);
                    }
                }
            });
        });
        Ok(Some(token()?))
    }
}

#[cfg(test)]
mod tests;
