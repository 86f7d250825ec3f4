//! Convolution, batch normalisation, shortcut and activation from candle's operations, for devices that our kernels do not run on. Maps
//! are `[batch, channels, height, width]`; autograd gives the gradients.

use super::layer_state::{parameter_ranges, RunningStatistics};
use crate::error::Result;
use crate::model::candle_ops::{activate, convolve};
use crate::model::layers::ConvSpec;
use candle_core::{DType, Tensor};

/// The statistics of a batch: mean and variance `[channels]`, and the number of pixels that they were taken over.
pub type BatchStatistics = (Tensor, Tensor, usize);

/// act(BN(conv(map)) + residual). Normalises by `running` if given, otherwise by the statistics of the batch, which are returned.
/// `parameters` is the layer's parameter vector, `epsilon` is added to variances. A convolution over all channels computes in `precision`,
/// everything else in single precision: sums of few products gain nothing, and a batch's variance drowns in bfloat16.
///
/// # Errors
/// [`crate::error::Kind::Internal`] for shapes that do not fit.
pub fn conv_norm(
    (conv, epsilon, precision): (&ConvSpec, f64, DType),
    map: &Tensor,
    parameters: &Tensor,
    residual: Option<&Tensor>,
    running: Option<&RunningStatistics>,
) -> Result<(Tensor, Option<BatchStatistics>)> {
    let [weight, gamma, beta] =
        parameter_ranges(conv).map(|part| parameters.narrow(0, part.start, part.len()));
    let weight = weight?.reshape(conv.weight_shape().as_slice())?;
    let x = if conv.depthwise || precision == DType::F32 {
        convolve(conv, map, &weight)?
    } else {
        convolve(conv, &map.to_dtype(precision)?, &weight.to_dtype(precision)?)?.to_dtype(DType::F32)?
    };
    let per_channel = |t: &Tensor| t.reshape((1, conv.outputs, 1, 1));
    let (mean, variance, batch) = match running {
        Some(running) => (per_channel(&running.mean)?, per_channel(&running.variance)?, None),
        None => {
            let mean = x.mean_keepdim((0, 2, 3))?;
            let variance = x.broadcast_sub(&mean)?.sqr()?.mean_keepdim((0, 2, 3))?;
            let kept = (mean.detach().flatten_all()?, variance.detach().flatten_all()?);
            let pixels = x.elem_count() / conv.outputs;
            (mean, variance, Some((kept.0, kept.1, pixels)))
        }
    };
    let unit = x.broadcast_sub(&mean)?.broadcast_div(&(variance + epsilon)?.sqrt()?)?;
    let mut y = unit.broadcast_mul(&per_channel(&gamma?)?)?.broadcast_add(&per_channel(&beta?)?)?;
    if let Some(residual) = residual {
        y = (y + residual)?;
    }
    Ok((activate(conv, y)?, batch))
}
