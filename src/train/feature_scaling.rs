//! Features on one scale: each minus its mean over the training images, over its deviation.
//!
//! Features of different levels differ in size by orders of magnitude, and a projection that starts at random would hear only the largest.
//! The scaling is learned once, before training, and a model stores no trace of it: [`FeatureScaling::weight`] and [`FeatureScaling::bias`] put it into the projection.

use crate::error::Result;
use crate::model::Tensors;
use candle_core::{Device, Tensor};

/// Added to a deviation, so that a feature that hardly varies does not become the largest.
const EPSILON: f64 = 1e-3;
/// The smallest deviation that counts, as a part of the feature's mean: below it lie the rounding errors of half precision, in which GPUs
/// compute features.
const SMALLEST: f64 = 0.01;

/// x ↦ (x − mean) · factor, per feature.
#[derive(Debug, Clone)]
pub struct FeatureScaling {
    /// `[1, F]`.
    mean: Tensor,
    /// `[1, F]`: the size that a deviation shall have, over the feature's deviation.
    factor: Tensor,
}

impl FeatureScaling {
    /// The scaling that gives every feature of `features` (`[images, F]`) the mean 0 and the deviation `size`; less to those that are nearly
    /// constant.
    ///
    /// # Errors
    /// If the device fails.
    pub fn of(features: &Tensor, size: f64) -> Result<Self> {
        let mean = features.mean_keepdim(0)?;
        let deviation = features.broadcast_sub(&mean)?.sqr()?.mean_keepdim(0)?.sqrt()?;
        let deviation = deviation.maximum(&(mean.abs()? * SMALLEST)?)?;
        Ok(Self { factor: ((deviation + EPSILON)?.recip()? * size)?, mean })
    }

    /// Scaled features, `[images, F]` as the input.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn apply(&self, features: &Tensor) -> Result<Tensor> {
        Ok(features.broadcast_sub(&self.mean)?.broadcast_mul(&self.factor)?)
    }

    /// The weight `[N, F]` that makes of a feature as it is what `weight` makes of a scaled one. The bias follows from it, see
    /// [`FeatureScaling::bias`].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn weight(&self, weight: &Tensor) -> Result<Tensor> {
        Ok(weight.broadcast_mul(&self.factor)?)
    }

    /// The bias `[N]` that belongs to a weight of [`FeatureScaling::weight`]: `bias` less what that weight makes of the means. Pass the
    /// weight as it is stored: the two then cancel in spite of its rounding.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn bias(&self, bias: &Tensor, weight: &Tensor) -> Result<Tensor> {
        Ok((bias - weight.matmul(&self.mean.t()?)?.squeeze(1)?)?)
    }

    /// `scaling.mean` and `scaling.factor`, `[F]` each, to be stored.
    ///
    /// # Errors
    /// If the device fails.
    pub fn tensors(&self) -> Result<Tensors> {
        let named = [("scaling.mean", &self.mean), ("scaling.factor", &self.factor)];
        named.into_iter().map(|(name, t)| Ok((name.to_owned(), t.squeeze(0)?))).collect()
    }

    /// The scaling on another device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        Ok(Self { mean: self.mean.to_device(device)?, factor: self.factor.to_device(device)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;

    #[test]
    fn features_get_one_scale_and_a_projection_takes_it_in() {
        // Means 2 and 100, deviations 1 and 0 (a constant stays 0).
        let x = Tensor::new(&[[1f32, 100.0], [3.0, 100.0]], &Device::Cpu).unwrap();
        let scaling = FeatureScaling::of(&x, 0.5).unwrap();
        let half = 0.5 / 1.001;
        let scaled: Vec<Vec<f32>> = scaling.apply(&x).unwrap().to_vec2().unwrap();
        for (found, expected) in scaled.concat().into_iter().zip([-half, 0.0, half, 0.0]) {
            assert!((f64::from(found) - expected).abs() < 1e-6);
        }
        let weight = Tensor::new(&[[2f32, -3.0], [0.1, 7.0]], &Device::Cpu).unwrap();
        let bias = Tensor::new(&[5f32, -6.0], &Device::Cpu).unwrap();
        let expected = scaling.apply(&x).unwrap().matmul(&weight.t().unwrap()).unwrap();
        let expected = expected.broadcast_add(&bias).unwrap();
        // Stored in half precision: the bias makes up for the rounding of the weight.
        let stored =
            scaling.weight(&weight).unwrap().to_dtype(DType::F16).unwrap().to_dtype(DType::F32).unwrap();
        let bias = scaling.bias(&bias, &stored).unwrap();
        let found = x.matmul(&stored.t().unwrap()).unwrap().broadcast_add(&bias).unwrap();
        let error = (found - expected).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
        assert!(error.to_scalar::<f32>().unwrap() < 2e-3);
    }
}
