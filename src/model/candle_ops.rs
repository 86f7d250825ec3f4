//! Convolution, activation and max pool from candle's operations, for devices that our kernels do not run on. Maps are
//! `[batch, channels, height, width]`; autograd gives the gradients.
//!
//! Two of candle's operations are avoided: its grouped convolution runs group by group, and its max pool has a wrong gradient.
//! Both are put together from slices here.

use super::layers::{Activation, ConvSpec, Padding};
use crate::error::{Error, Kind, Result};
use candle_core::Tensor;

/// Applies a convolution's activation to its result.
///
/// # Errors
/// [`Kind::Internal`] if the device fails.
pub fn activate(conv: &ConvSpec, map: Tensor) -> Result<Tensor> {
    Ok(match conv.activation {
        Activation::None => map,
        Activation::Relu => map.relu()?,
        Activation::Relu6 => map.clamp(0f32, 6f32)?,
    })
}

/// The convolution without normalisation and activation: `[batch, inputs, h, w]` to `[batch, outputs, h', w']`.
///
/// # Errors
/// [`Kind::Internal`] for shapes that do not fit.
pub fn convolve(conv: &ConvSpec, map: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (_, _, height, width) = map.dims4()?;
    let (top, out_height) = conv.padding.before_and_output(height, conv.kernel, conv.stride);
    let (left, out_width) = conv.padding.before_and_output(width, conv.kernel, conv.stride);
    if !conv.depthwise && conv.stride == 1 && top == left && conv.padding == Padding::Symmetric {
        return Ok(map.conv2d(weight, top, 1, 1, 1)?);
    }
    // Pad and crop to exactly what the taps see: candle's gradient assumes the same surplus in both directions.
    let fit = |x: &Tensor, dim: usize, size: usize, before: usize, output: usize| -> Result<Tensor> {
        let seen = (output - 1) * conv.stride + conv.kernel;
        let after = seen.saturating_sub(size + before);
        Ok(x.pad_with_zeros(dim, before, after)?.narrow(dim, 0, seen)?)
    };
    let padded = fit(&fit(map, 2, height, top, out_height)?, 3, width, left, out_width)?;
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

/// `count` entries of a dimension: `first`, `first + stride`, `first + 2 stride`, ...
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
    max_pool_axis(&max_pool_axis(map, 2)?, 3)
}

/// `max(x[2i-1], x[2i], x[2i+1])` along a dimension; entries outside of it do not count.
fn max_pool_axis(x: &Tensor, dim: usize) -> Result<Tensor> {
    let size = x.dim(dim)?;
    let pick = |offset: isize| -> Result<Tensor> {
        // Outside of the map, take the middle entry again, which leaves the maximum as it is.
        let at = |i: usize| {
            let index = (2 * i) as isize + offset;
            if index < 0 || index >= size as isize {
                (2 * i) as u32
            } else {
                index as u32
            }
        };
        let index = Tensor::from_iter((0..size.div_ceil(2)).map(at), x.device())?;
        Ok(x.contiguous()?.index_select(&index, dim)?)
    };
    Ok(pick(-1)?.maximum(&pick(0)?)?.maximum(&pick(1)?)?)
}
