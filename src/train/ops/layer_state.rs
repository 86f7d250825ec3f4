//! What a layer learns and what it keeps track of: its parameter vector, and the running statistics of batch normalisation.

use crate::error::Result;
use crate::model::layers::ConvSpec;
use candle_core::Tensor;
use std::ops::Range;

/// The share of a batch's statistics in the updated running statistics: the `momentum` of PyTorch.
const MOMENTUM: f64 = 0.1;

/// Which statistics a batch is normalised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// The mean and variance of the batch, which also update the running ones.
    Batch,
    /// The running mean and variance.
    Running,
}

/// The running mean and variance of each channel, `[channels]`.
#[derive(Debug, Clone)]
pub struct RunningStatistics {
    /// Running means.
    pub mean: Tensor,
    /// Running variances.
    pub variance: Tensor,
}

impl RunningStatistics {
    /// Moves towards the mean and the (population) variance of a batch over `pixels` pixels.
    pub(super) fn update(&mut self, mean: &Tensor, variance: &Tensor, pixels: usize) -> Result<()> {
        // Like PyTorch, keep the unbiased variance; a single pixel does not have one.
        let unbiased = pixels as f64 / pixels.saturating_sub(1).max(1) as f64;
        let moved =
            |old: &Tensor, new: &Tensor, factor: f64| old.affine(1.0 - MOMENTUM, 0.0)? + (new * factor)?;
        self.mean = moved(&self.mean, mean, MOMENTUM)?;
        self.variance = moved(&self.variance, variance, MOMENTUM * unbiased)?;
        Ok(())
    }
}

/// Where weight, γ and β lie in the parameter vector of a layer. (The layer's parameters are one vector because an operation of candle
/// takes at most three arguments.)
pub fn parameter_ranges(conv: &ConvSpec) -> [Range<usize>; 3] {
    let weight: usize = conv.weight_shape().iter().product();
    let (gamma, end) = (weight + conv.outputs, weight + 2 * conv.outputs);
    [0..weight, weight..gamma, gamma..end]
}
