//! Batch normalisation, shortcut and activation over maps `[channels, pixels]` (the pixels of all images):
//! y = act(γ (x − μ) / σ + β + r).

use crate::model::layers::Activation;
use rayon::prelude::*;

/// Numbers that are summed in single precision before they are added to a double.
const SUMMED: usize = 1 << 10;

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
}

/// The moments of every channel of `x`.
pub fn moments(x: &[f32], channels: usize, epsilon: f64) -> Vec<Moments> {
    let pixels = x.len() / channels;
    x.par_chunks(pixels)
        .map(|x| {
            let mean = sum(x, |x| x) / pixels as f64;
            let centre = mean as f32;
            // Around the mean: squares of large numbers would lose small differences.
            let variance = sum(x, |x| (x - centre) * (x - centre)) / pixels as f64;
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
    let (low, high) = activation.bounds();
    y.par_chunks_mut(pixels).zip(x.par_chunks(pixels)).enumerate().for_each(|(c, (y, x))| {
        let Moments { mean, inverse, .. } = moments[c];
        let scale = affine.gamma[c] * inverse;
        let shift = affine.beta[c] - mean * scale;
        match residual {
            None => y.iter_mut().zip(x).for_each(|(y, x)| *y = (x * scale + shift).clamp(low, high)),
            Some(r) => {
                let r = &r[c * pixels..][..pixels];
                let pairs = x.iter().zip(r);
                y.iter_mut().zip(pairs).for_each(|(y, (x, r))| *y = (x * scale + shift + r).clamp(low, high));
            }
        }
    });
}

/// The arguments of the backward pass.
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
    /// The gradient of y.
    pub dy: &'a [f32],
    /// Whether the moments were those of the batch, so that gradient flows through them.
    pub batch_statistics: bool,
}

impl Backward<'_> {
    /// Writes the gradient of x to `dx` and, if there was a shortcut, its gradient to `dr`; returns the gradients of γ and β.
    ///
    /// With d the gradient before the activation, x̂ = (x − μ) / σ and means over the channel:
    /// dβ = Σ d, dγ = Σ d x̂, dx = γ/σ (d − mean d − x̂ mean(d x̂)).
    pub fn run(&self, dx: &mut [f32], dr: Option<&mut [f32]>) -> (Vec<f32>, Vec<f32>) {
        let pixels = self.x.len() / self.moments.len();
        let channels = dx.par_chunks_mut(pixels).enumerate();
        match dr {
            None => channels.map(|(c, dx)| self.channel(c, dx, None)).unzip(),
            Some(dr) => {
                let both = channels.zip(dr.par_chunks_mut(pixels));
                both.map(|((c, dx), dr)| self.channel(c, dx, Some(dr))).unzip()
            }
        }
    }

    fn channel(&self, c: usize, dx: &mut [f32], dr: Option<&mut [f32]>) -> (f32, f32) {
        let pixels = dx.len();
        let [x, y, dy] = [self.x, self.y, self.dy].map(|all| &all[c * pixels..][..pixels]);
        let Moments { mean, inverse, .. } = self.moments[c];
        // dx holds d for now. Where the activation clamps, the gradient is 0.
        let (low, high) = self.activation.bounds();
        for (d, (y, dy)) in dx.iter_mut().zip(y.iter().zip(dy)) {
            *d = if *y > low && *y < high { *dy } else { 0.0 };
        }
        if let Some(dr) = dr {
            dr.copy_from_slice(dx);
        }
        let beta = sum(dx, |d| d);
        let gamma = sum_of_products(dx, x, mean) * f64::from(inverse);
        let scale = self.gamma[c] * inverse;
        if self.batch_statistics {
            let of_mean = (beta / pixels as f64) as f32;
            let of_scale = (gamma / pixels as f64) as f32 * inverse;
            for (d, x) in dx.iter_mut().zip(x) {
                *d = scale * (*d - of_mean - (x - mean) * of_scale);
            }
        } else {
            dx.iter_mut().for_each(|d| *d *= scale);
        }
        (gamma as f32, beta as f32)
    }
}

/// Partial sums that fill a vector register.
const LANES: usize = 16;

/// Σ f(xᵢ).
fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let part = |part: &[f32]| {
        let mut sums = [0f32; LANES];
        let (whole, rest) = part.as_chunks::<LANES>();
        for x in whole {
            (0..LANES).for_each(|i| sums[i] += f(x[i]));
        }
        f64::from(sums.iter().sum::<f32>() + rest.iter().map(|x| f(*x)).sum::<f32>())
    };
    x.chunks(SUMMED).map(part).sum()
}

/// Σ dᵢ (xᵢ − mean).
fn sum_of_products(d: &[f32], x: &[f32], mean: f32) -> f64 {
    let part = |(d, x): (&[f32], &[f32])| {
        let mut sums = [0f32; LANES];
        let (whole_d, rest_d) = d.as_chunks::<LANES>();
        let (whole_x, rest_x) = x.as_chunks::<LANES>();
        for (d, x) in whole_d.iter().zip(whole_x) {
            (0..LANES).for_each(|i| sums[i] += d[i] * (x[i] - mean));
        }
        let rest: f32 = rest_d.iter().zip(rest_x).map(|(d, x)| d * (x - mean)).sum();
        f64::from(sums.iter().sum::<f32>() + rest)
    };
    d.chunks(SUMMED).zip(x.chunks(SUMMED)).map(part).sum()
}
