//! Folds batch normalisation into the filters that it follows: in inference both are one linear map.

use super::layers::ConvSpec;
use super::tensors::Tensors;
use crate::error::{Error, Kind, Result};

/// Weight `[outputs, inputs / groups, kernel, kernel]` and bias `[outputs]` of a convolution.
pub type Filter = (Vec<f32>, Vec<f32>);

/// Folds a convolution's batch normalisation into its filter: w' = w γ / √(σ² + ε), b' = β − μ γ / √(σ² + ε).
///
/// # Errors
/// [`Kind::InvalidModel`] if a tensor is missing or of another shape, or if a variance is negative.
pub fn fold_batch_norm(conv: &ConvSpec, epsilon: f64, tensors: &Tensors) -> Result<Filter> {
    let [outputs, inputs, kernel, _] = conv.weight_shape();
    let mut weight = numbers(tensors, &format!("{}.weight", conv.name), &conv.weight_shape())?;
    let norm = |part: &str| numbers(tensors, &format!("{}.{part}", conv.norm), &[outputs]);
    let (gamma, mut bias) = (norm("weight")?, norm("bias")?);
    let (mean, variance) = (norm("running_mean")?, norm("running_var")?);
    for (channel, filter) in weight.chunks_exact_mut(inputs * kernel * kernel).enumerate() {
        let scale = f64::from(gamma[channel]) / (f64::from(variance[channel]) + epsilon).sqrt();
        filter.iter_mut().for_each(|w| *w = (f64::from(*w) * scale) as f32);
        bias[channel] = (f64::from(bias[channel]) - f64::from(mean[channel]) * scale) as f32;
    }
    if !weight.iter().chain(&bias).all(|x| x.is_finite()) {
        return Err(Error::new(
            Kind::InvalidModel,
            format!("batch normalisation \"{}\" cannot be applied", conv.norm),
        )
        .detail("A variance is negative, or a number of the folded filter is not finite."));
    }
    Ok((weight, bias))
}

fn numbers(tensors: &Tensors, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
    let invalid = |detail: String| {
        Error::new(Kind::InvalidModel, format!("tensor \"{name}\" of the backbone cannot be used"))
            .detail(detail)
    };
    let tensor = tensors.get(name).ok_or_else(|| invalid("It is missing.".into()))?;
    if tensor.dims() != shape {
        return Err(invalid(format!("Found shape {:?}, expected {shape:?}.", tensor.dims())));
    }
    Ok(tensor.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1()?)
}
