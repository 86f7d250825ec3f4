//! Batch normalisation, shortcut and activation over maps `[channels, pixels]` (the pixels of all images):
//! y = act(γ (x − μ) / σ + β + r).

use super::kernels::BEST;
use crate::model::layers::Activation;
use rayon::prelude::*;

/// The statistics that a channel is normalised by.
#[derive(Debug, Clone, Copy)]
pub struct Moments {
    /// μ.
    pub mean: f32,
    /// 1 / √(variance + ε).
    pub inverse: f32,
    /// The (population) variance.
    pub variance: f32,
}

impl Moments {
    /// From a mean and a variance; `epsilon` is added to the variance.
    pub fn new(mean: f64, variance: f64, epsilon: f64) -> Self {
        let inverse = 1.0 / (variance + epsilon).sqrt();
        Self { mean: mean as f32, inverse: inverse as f32, variance: variance as f32 }
    }

    /// β − μ γ/σ, the constant of y = x γ/σ + β − μ γ/σ.
    pub fn shift((moments, (gamma, beta)): (&Self, (&f32, &f32))) -> f32 {
        beta - moments.mean * (gamma * moments.inverse)
    }
}

/// The moments of every channel of `x`.
pub fn moments(x: &[f32], channels: usize, epsilon: f64) -> Vec<Moments> {
    let pixels = x.len() / channels;
    x.par_chunks(pixels)
        .map(|x| {
            let mean = BEST.sum(x) / pixels as f64;
            // Around the mean: squares of large numbers would lose small differences.
            let variance = BEST.squares(x, mean as f32) / pixels as f64;
            Moments::new(mean, variance, epsilon)
        })
        .collect()
}

/// γ and β of every channel.
#[derive(Debug, Clone, Copy)]
pub struct Affine<'a> {
    /// γ.
    pub gamma: &'a [f32],
    /// β.
    pub beta: &'a [f32],
}

/// y = γ (x − μ) / √(σ² + ε) + β, then the activation.
pub fn forward(
    x: &[f32],
    moments: &[Moments],
    affine: Affine<'_>,
    residual: Option<&[f32]>,
    activation: Activation,
    y: &mut [f32],
) {
    let pixels = x.len() / moments.len();
    y.par_chunks_mut(pixels).zip(x.par_chunks(pixels)).enumerate().for_each(|(c, (y, x))| {
        let scale = affine.gamma[c] * moments[c].inverse;
        let shift = Moments::shift((&moments[c], (&affine.gamma[c], &affine.beta[c])));
        let residual = residual.map(|r| &r[c * pixels..][..pixels]);
        BEST.affine(y, x, residual, [scale, shift], activation.bounds());
    });
}

/// The arguments of the backward pass where the moments were those of the batch, so that gradient flows through them.
#[derive(Debug, Clone, Copy)]
pub struct Backward<'a> {
    /// x, the result of the convolution.
    pub x: &'a [f32],
    /// The moments that it was normalised by.
    pub moments: &'a [Moments],
    /// γ.
    pub gamma: &'a [f32],
    /// The activation.
    pub activation: Activation,
    /// y, the result of the forward pass.
    pub y: &'a [f32],
}

impl Backward<'_> {
    /// Turns the gradient of y in `d` into that of x, and writes that of the shortcut to `dr` if there was one; returns the gradients of
    /// γ and β.
    ///
    /// With d the gradient before the activation, x̂ = (x − μ) / σ and means over the channel:
    /// dβ = Σ d, dγ = Σ d x̂, dx = γ/σ (d − mean d − x̂ mean(d x̂)).
    pub fn run(&self, d: &mut [f32], dr: Option<&mut [f32]>) -> (Vec<f32>, Vec<f32>) {
        let pixels = self.x.len() / self.moments.len();
        let channels = d.par_chunks_mut(pixels).enumerate();
        match dr {
            None => channels.map(|(c, d)| self.channel(c, d, None)).unzip(),
            Some(dr) => {
                let both = channels.zip(dr.par_chunks_mut(pixels));
                both.map(|((c, d), dr)| self.channel(c, d, Some(dr))).unzip()
            }
        }
    }

    fn channel(&self, c: usize, d: &mut [f32], dr: Option<&mut [f32]>) -> (f32, f32) {
        let pixels = d.len();
        let [x, y] = [self.x, self.y].map(|all| &all[c * pixels..][..pixels]);
        let Moments { mean, inverse, .. } = self.moments[c];
        // Where the activation clamps, the gradient is 0.
        let beta = BEST.mask(d, y, self.activation.bounds());
        if let Some(dr) = dr {
            dr.copy_from_slice(d);
        }
        let gamma = BEST.products(d, x, mean) * f64::from(inverse);
        let of_mean = (beta / pixels as f64) as f32;
        let of_scale = (gamma / pixels as f64) as f32 * inverse;
        BEST.centre(d, x, [self.gamma[c] * inverse, of_mean, mean, of_scale]);
        (gamma as f32, beta as f32)
    }
}
