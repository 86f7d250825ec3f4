//! LayerNorm of feature vectors, so that features of any backbone have the same scale.

use crate::error::Result;
use candle_core::{Tensor, D};

/// Added to the variance; the default of PyTorch's LayerNorm.
pub(super) const EPSILON: f64 = 1e-5;

/// Scales each row of `x` (`[batch, F]`) to mean 0 and variance 1. There is no gain and bias: the linear layer that follows can express
/// them.
///
/// # Errors
/// If the shapes do not fit.
pub fn standardized(x: &Tensor) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    Ok(centred.broadcast_div(&(variance + EPSILON)?.sqrt()?)?)
}
