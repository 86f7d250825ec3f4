//! The update on the CPU: one pass over value, gradient and both moments, in place.

use super::adam_settings::{AdamStep, OptimizerKind};
use crate::error::Result;
use candle_core::{CpuStorage, DType, Device, InplaceOp2, Layout, Storage, Tensor, Var};
use rayon::prelude::*;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Numbers per task of the thread pool.
const TASK: usize = 1 << 14;

/// Numbers that are summed in single precision before they are added to a double.
const SUMMED: usize = 1 << 10;

/// The two moments of a parameter in single precision.
#[derive(Debug)]
pub struct FusedMoments {
    /// The mean of gradients and the mean of squared gradients. In a mutex, because candle passes in-place operations as `&self`.
    pub moments: Mutex<(Vec<f32>, Vec<f32>)>,
}

impl FusedMoments {
    /// Takes a step.
    ///
    /// # Errors
    /// If the gradient's shape is not the parameter's.
    pub fn update(&self, parameter: &Var, gradient: &Tensor, step: &AdamStep) -> Result<()> {
        Ok(parameter.inplace_op2(&gradient.contiguous()?, &Update { moments: self, step })?)
    }

    /// Copies of both moments, in the parameter's shape.
    ///
    /// # Errors
    /// If the shape does not fit.
    pub fn tensors(&self, shape: &[usize]) -> Result<(Tensor, Tensor)> {
        let (mean, square) = &*self.lock();
        let tensor = |numbers: &[f32]| Tensor::from_slice(numbers, shape, &Device::Cpu);
        Ok((tensor(mean)?, tensor(square)?))
    }

    /// A panic in another step cannot leave the vectors in an invalid state, so a poisoned lock is not an error.
    fn lock(&self) -> MutexGuard<'_, (Vec<f32>, Vec<f32>)> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Update<'a> {
    moments: &'a FusedMoments,
    step: &'a AdamStep,
}

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(
        &self,
        value: &mut CpuStorage,
        layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> candle_core::Result<()> {
        let (CpuStorage::F32(value), Some((from, to))) = (value, layout.contiguous_offsets()) else {
            candle_core::bail!("a parameter must be contiguous and in single precision")
        };
        let Some((start, end)) = gradient_layout.contiguous_offsets() else {
            candle_core::bail!("a gradient must be contiguous")
        };
        let (mean, square) = &mut *self.moments.lock();
        let gradient = &gradient.as_slice::<f32>()?[start..end];
        if layout.shape() != gradient_layout.shape() || mean.len() != gradient.len() {
            candle_core::bail!("a gradient of shape {:?} for {:?}", gradient_layout.shape(), layout.shape());
        }
        let (step, decay) = (self.step, &self.step.decay);
        let split = decay.norm_from.min(gradient.len());
        let (weights, norm) = value[from..to].split_at_mut(split);
        let (weights_mean, norm_mean) = mean.split_at_mut(split);
        let (weights_square, norm_square) = square.split_at_mut(split);
        update(weights, &gradient[..split], weights_mean, weights_square, step, decay.weights);
        update(norm, &gradient[split..], norm_mean, norm_square, step, decay.norm);
        Ok(())
    }
}

fn update(
    value: &mut [f32],
    gradient: &[f32],
    mean: &mut [f32],
    square: &mut [f32],
    s: &AdamStep,
    decay: f64,
) {
    let (beta1, beta2) = (s.beta1 as f32, s.beta2 as f32);
    let (fresh1, fresh2) = ((1.0 - s.beta1) as f32, (1.0 - s.beta2) as f32);
    let (scale, epsilon, rate) = (s.gradient_scale as f32, s.epsilon as f32, (s.rate / s.bias1) as f32);
    let root_bias2 = (1.0 / s.root_bias2) as f32;
    let (coupled, shrink) = match s.kind {
        OptimizerKind::Adam => (decay as f32, 1.0),
        OptimizerKind::AdamW => (0.0, (1.0 - s.rate * decay) as f32),
    };
    let moments = mean.par_chunks_mut(TASK).zip(square.par_chunks_mut(TASK));
    value.par_chunks_mut(TASK).zip(gradient.par_chunks(TASK)).zip(moments).for_each(
        |((value, gradient), (mean, square))| {
            let moments = mean.iter_mut().zip(square);
            for ((x, g), (m, v)) in value.iter_mut().zip(gradient).zip(moments) {
                let g = g * scale + coupled * *x;
                *m = *m * beta1 + g * fresh1;
                *v = *v * beta2 + g * g * fresh2;
                *x = *x * shrink - rate * *m / (v.sqrt() * root_bias2 + epsilon);
            }
        },
    );
}

/// Σ x². The result does not depend on the number of threads.
///
/// # Errors
/// If the device fails.
pub fn sum_of_squares(x: &Tensor) -> Result<f64> {
    let x = x.contiguous()?;
    let (storage, layout) = x.storage_and_layout();
    if let (Storage::Cpu(CpuStorage::F32(numbers)), Some((from, to))) =
        (&*storage, layout.contiguous_offsets())
    {
        let part = |chunk: &[f32]| f64::from(chunk.iter().map(|x| x * x).sum::<f32>());
        let sums: Vec<f64> = numbers[from..to].par_chunks(SUMMED).map(part).collect();
        return Ok(sums.iter().sum());
    }
    drop(storage);
    Ok(x.sqr()?.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?)
}
