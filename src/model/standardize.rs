//! Features of one scale, whatever the backbone.

use crate::error::Result;
use candle_core::{Tensor, D};

/// Under the square root, as PyTorch's LayerNorm has it.
const EPSILON: f64 = 1e-5;

/// LayerNorm without gain and bias, which the linear layer that follows can express: each row of `x` (`[batch, F]`) to
/// mean 0 and variance 1.
///
/// # Errors
/// If the shapes do not fit.
pub fn standardized(x: &Tensor) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    Ok(centred.broadcast_div(&(variance + EPSILON)?.sqrt()?)?)
}
