//! Layers of candle's own operations, for devices that have no kernels of ours. Maps are `[batch, channels, height, width]`, and
//! autograd gives the gradients. (candle's grouped convolution runs group by group, and its max pool has a wrong gradient: both
//! are made of slices here.)

use super::arch::{Activation, Conv, Padding};
use crate::error::{Error, Kind, Result};
use candle_core::Tensor;

/// A convolution's activation.
///
/// # Errors
/// [`Kind::Internal`] if the device fails.
pub fn activated(conv: &Conv, map: Tensor) -> Result<Tensor> {
    Ok(match conv.activation {
        Activation::None => map,
        Activation::Relu => map.relu()?,
        Activation::Relu6 => map.clamp(0f32, 6f32)?,
    })
}

/// The convolution alone: `[batch, inputs, h, w]` to `[batch, outputs, h', w']`.
///
/// # Errors
/// [`Kind::Internal`] for shapes that do not fit.
pub fn convolved(conv: &Conv, map: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (_, _, height, width) = map.dims4()?;
    let (top, out_height) = conv.padding.before_and_output(height, conv.kernel, conv.stride);
    let (left, out_width) = conv.padding.before_and_output(width, conv.kernel, conv.stride);
    if !conv.depthwise && conv.stride == 1 && top == left && conv.padding == Padding::Symmetric {
        return Ok(map.conv2d(weight, top, 1, 1, 1)?);
    }
    // Neither less nor more than the taps see: candle's gradient takes what is over for the same in both directions.
    let fitted = |x: &Tensor, dim: usize, size: usize, before: usize, output: usize| -> Result<Tensor> {
        let seen = (output - 1) * conv.stride + conv.kernel;
        let after = seen.saturating_sub(size + before);
        Ok(x.pad_with_zeros(dim, before, after)?.narrow(dim, 0, seen)?)
    };
    let padded = fitted(&fitted(map, 2, height, top, out_height)?, 3, width, left, out_width)?;
    if !conv.depthwise {
        return Ok(padded.contiguous()?.conv2d(weight, 0, conv.stride, 1, 1)?);
    }
    let mut sum: Option<Tensor> = None;
    for ky in 0..conv.kernel {
        for kx in 0..conv.kernel {
            let seen =
                strided(&strided(&padded, 2, ky, conv.stride, out_height)?, 3, kx, conv.stride, out_width)?;
            let tap = weight.narrow(2, ky, 1)?.narrow(3, kx, 1)?.reshape((1, conv.outputs, 1, 1))?;
            let term = seen.broadcast_mul(&tap)?;
            sum = Some(match sum {
                Some(sum) => (sum + term)?,
                None => term,
            });
        }
    }
    sum.ok_or_else(|| Error::new(Kind::Internal, "a kernel without taps"))
}

/// Every `stride`-th of a dimension from `first` on, `count` of them.
fn strided(x: &Tensor, dim: usize, first: usize, stride: usize, count: usize) -> Result<Tensor> {
    if stride == 1 {
        return Ok(x.narrow(dim, first, count)?);
    }
    let index = Tensor::from_iter((0..count).map(|i| (first + i * stride) as u32), x.device())?;
    Ok(x.contiguous()?.index_select(&index, dim)?)
}

/// The 3x3 max pool of stride 2 with one pixel of padding.
///
/// # Errors
/// [`Kind::Internal`] for anything but a four-dimensional map.
pub fn max_pool(map: &Tensor) -> Result<Tensor> {
    halved(&halved(map, 2)?, 3)
}

/// max(x[2i-1], x[2i], x[2i+1]) along a dimension, over those that are there.
fn halved(x: &Tensor, dim: usize) -> Result<Tensor> {
    let size = x.dim(dim)?;
    let pick = |offset: isize| -> Result<Tensor> {
        // At the edges the middle one once more, which changes no maximum.
        let at = |i: usize| {
            let place = (2 * i) as isize + offset;
            if place < 0 || place >= size as isize {
                (2 * i) as u32
            } else {
                place as u32
            }
        };
        let index = Tensor::from_iter((0..size.div_ceil(2)).map(at), x.device())?;
        Ok(x.contiguous()?.index_select(&index, dim)?)
    };
    Ok(pick(-1)?.maximum(&pick(0)?)?.maximum(&pick(1)?)?)
}
