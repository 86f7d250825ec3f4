//! The same layers of candle's own operations, for devices that have no kernels of ours. Maps are `[batch, channels, height,
//! width]`, and autograd gives the gradients.

use super::layer::{ConvNorm, Statistics};
use crate::error::Result;
use crate::model::composed::{activated, convolved};
use candle_core::Tensor;

/// A batch's mean and variance `[channels]`, and over how many pixels.
pub type BatchMoments = (Tensor, Tensor, usize);

/// [`ConvNorm::forward`], and the batch's moments if they were taken.
///
/// # Errors
/// [`crate::error::Kind::Internal`] for shapes that do not fit.
pub fn conv_norm(
    layer: &ConvNorm,
    map: &Tensor,
    learned: &Tensor,
    residual: Option<&Tensor>,
    statistics: Statistics,
) -> Result<(Tensor, Option<BatchMoments>)> {
    let conv = layer.conv();
    let [weight, gamma, beta] = ConvNorm::parts(conv).map(|part| learned.narrow(0, part.start, part.len()));
    let weight = weight?.reshape(conv.weight_shape().as_slice())?;
    let x = convolved(conv, map, &weight)?;
    let per_channel = |t: &Tensor| t.reshape((1, conv.outputs, 1, 1));
    let (mean, variance, batch) = match statistics {
        Statistics::Running => {
            let running = layer.running();
            (per_channel(&running.mean)?, per_channel(&running.variance)?, None)
        }
        Statistics::Batch => {
            let mean = x.mean_keepdim((0, 2, 3))?;
            let variance = x.broadcast_sub(&mean)?.sqr()?.mean_keepdim((0, 2, 3))?;
            let kept = (mean.detach().flatten_all()?, variance.detach().flatten_all()?);
            let pixels = x.elem_count() / conv.outputs;
            (mean, variance, Some((kept.0, kept.1, pixels)))
        }
    };
    let unit = x.broadcast_sub(&mean)?.broadcast_div(&(variance + layer.epsilon())?.sqrt()?)?;
    let mut y = unit.broadcast_mul(&per_channel(&gamma?)?)?.broadcast_add(&per_channel(&beta?)?)?;
    if let Some(residual) = residual {
        y = (y + residual)?;
    }
    Ok((activated(conv, y)?, batch))
}
