//! The two moments of a parameter: in main memory for the fused update, or as tensors on its device.

use super::adam_settings::{AdamStep, Decay, OptimizerKind};
use super::fused_update::FusedMoments;
use crate::error::Result;
use candle_core::{DType, Device, Tensor, Var};
use std::sync::Mutex;

/// The decaying means of gradients and of squared gradients.
#[derive(Debug)]
pub enum Moments {
    /// Before the first step.
    None,
    /// Single precision in main memory; updated in one pass.
    Fused(FusedMoments),
    /// Any other number type or device; updated with candle's operations.
    Composed(Tensor, Tensor),
}

impl Moments {
    /// Takes a step.
    ///
    /// # Errors
    /// If the gradient's shape is not the parameter's.
    pub fn update(&mut self, parameter: &Var, gradient: &Tensor, step: &AdamStep) -> Result<()> {
        if matches!(self, Self::None) {
            let zeros = parameter.as_detached_tensor().zeros_like()?;
            *self = Self::from_tensors(&zeros, &zeros, parameter)?;
        }
        match self {
            Self::None => Ok(()),
            Self::Fused(fused) => fused.update(parameter, gradient, step),
            Self::Composed(mean, square) => {
                (*mean, *square) = composed(parameter, gradient, (mean, square), step)?;
                Ok(())
            }
        }
    }

    /// The moments as tensors in main memory; `None` before the first step.
    ///
    /// # Errors
    /// If the device fails.
    pub fn tensors(&self, like: &Var) -> Result<Option<(Tensor, Tensor)>> {
        match self {
            Self::None => Ok(None),
            Self::Fused(fused) => Ok(Some(fused.tensors(like.dims())?)),
            Self::Composed(mean, square) => {
                Ok(Some((mean.to_device(&Device::Cpu)?, square.to_device(&Device::Cpu)?)))
            }
        }
    }

    /// Moments with these values, in the form that fits the parameter.
    ///
    /// # Errors
    /// If the device fails.
    pub fn from_tensors(mean: &Tensor, square: &Tensor, parameter: &Var) -> Result<Self> {
        if parameter.device().is_cpu() && parameter.dtype() == DType::F32 {
            let numbers = |t: &Tensor| t.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>();
            let moments = Mutex::new((numbers(mean)?, numbers(square)?));
            return Ok(Self::Fused(FusedMoments { moments }));
        }
        let there = |t: &Tensor| t.to_dtype(parameter.dtype())?.to_device(parameter.device());
        Ok(Self::Composed(there(mean)?, there(square)?))
    }
}

/// Updates the parameter with candle's operations; returns the new moments.
fn composed(
    parameter: &Var,
    gradient: &Tensor,
    (mean, square): (&Tensor, &Tensor),
    s: &AdamStep,
) -> Result<(Tensor, Tensor)> {
    let mut value = parameter.as_detached_tensor();
    let mut g = if s.gradient_scale == 1.0 { gradient.clone() } else { (gradient * s.gradient_scale)? };
    match s.kind {
        OptimizerKind::Adam => g = (g + scaled(&value, &s.decay, |decay| decay)?)?,
        OptimizerKind::AdamW => value = scaled(&value, &s.decay, |decay| 1.0 - s.rate * decay)?,
    }
    let mean = ((mean * s.beta1)? + (&g * (1.0 - s.beta1))?)?;
    let square = ((square * s.beta2)? + (g.sqr()? * (1.0 - s.beta2))?)?;
    let root = ((square.sqrt()? / s.root_bias2)? + s.epsilon)?;
    parameter.set(&(value - ((&mean / root)? * (s.rate / s.bias1))?)?)?;
    Ok((mean, square))
}

/// `value` times a factor of the weight decay, which may differ between filters and batch normalisation.
fn scaled(value: &Tensor, decay: &Decay, factor: impl Fn(f64) -> f64) -> Result<Tensor> {
    let length = value.elem_count();
    if decay.weights == decay.norm || decay.norm_from >= length {
        return Ok((value * factor(decay.weights))?);
    }
    // Only layers of the backbone, which are vectors, have two decays.
    let part = |from: usize, to: usize, decay: f64| value.narrow(0, from, to - from)? * factor(decay);
    let parts = [part(0, decay.norm_from, decay.weights)?, part(decay.norm_from, length, decay.norm)?];
    Ok(Tensor::cat(&parts, 0)?)
}
