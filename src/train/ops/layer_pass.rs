//! The forward and backward pass of a layer over slices: convolution, batch normalisation, shortcut and activation.
//!
//! With given statistics, normalisation is an affine map of each channel, y = act(s (W x) + t + r) with s = γ/σ and t = β − μ s. The
//! scaled weights s·W and t then go into the product, and the convolution's result is never stored: with d the gradient before the
//! activation and G = d·xᵀ, dW = s·G and dγ = Σ d x̂ = (⟨W, G⟩ − μ Σ d) / σ for each channel.

use super::batch_norm::{self, Affine, Moments};
use super::buffer_pool::{BufferPool, PooledBuffer};
use super::convolution::Convolution;
use super::feature_map::MapData;
use super::kernels::BEST;
use super::layer_state::parameter_ranges;
use super::matrix::Finish;
use super::window::Window;
use crate::model::layers::ConvSpec;
use crate::model::map_shape::MapShape;
use rayon::prelude::*;

/// A layer and the shape of the map that it runs on.
#[derive(Debug, Clone, Copy)]
pub(super) struct LayerPass<'a> {
    pub(super) conv: &'a ConvSpec,
    pub(super) shape: MapShape,
    pub(super) buffers: &'a BufferPool,
}

/// What the forward pass saves for the backward pass beside the maps.
#[derive(Debug)]
pub(super) struct Saved {
    /// What the channels were normalised by.
    pub(super) moments: Vec<Moments>,
    /// The result of the convolution, if the moments are those of the batch.
    convolved: Option<PooledBuffer>,
}

/// A map, and where its gradient goes if it is wanted.
pub(super) type Input<'a> = (&'a [f32], Option<&'a MapData>);

impl LayerPass<'_> {
    fn convolution(&self) -> Convolution<'_> {
        Convolution::new(self.conv, Window::new(self.conv, self.shape, self.shape.batch))
    }

    /// The result of the layer. `given` are the moments to normalise by, if not those of the batch, to whose variances `epsilon` is
    /// added.
    pub(super) fn forward(
        &self,
        x: &[f32],
        parameters: &[f32],
        residual: Option<&[f32]>,
        given: Option<Vec<Moments>>,
        epsilon: f64,
    ) -> candle_core::Result<(PooledBuffer, Saved)> {
        let (conv, out) = (self.conv, self.shape.after(self.conv));
        let [weight, gamma, beta] = parameter_ranges(conv);
        if self.shape.channels != conv.inputs {
            candle_core::bail!("{} takes {} channels, found {}", conv.name, conv.inputs, self.shape.channels);
        }
        if parameters.len() != beta.end || residual.is_some_and(|r| r.len() != out.len()) {
            candle_core::bail!("{}: parameters or a shortcut of another shape", conv.name);
        }
        let (w, gamma, beta) = (&parameters[weight], &parameters[gamma], &parameters[beta]);
        let mut y = self.buffers.take(out.len());
        if let Some(moments) = given {
            let shift: Vec<f32> = moments.iter().zip(gamma.iter().zip(beta)).map(Moments::shift).collect();
            let (w, clamp) = (self.scaled(w, &moments, gamma), conv.activation.bounds());
            let finish = Finish { add: false, bias: Some(&shift), residual, clamp };
            self.convolution().forward(x, &w, &mut y, &finish);
            return Ok((y, Saved { moments, convolved: None }));
        }
        let mut convolved = self.buffers.take(out.len());
        self.convolution().forward(x, w, &mut convolved, &Finish::PLAIN);
        let moments = batch_norm::moments(&convolved, out.channels, epsilon);
        batch_norm::forward(&convolved, &moments, Affine { gamma, beta }, residual, conv.activation, &mut y);
        Ok((y, Saved { moments, convolved: Some(convolved) }))
    }

    /// The weights of each output channel times γ/σ.
    fn scaled(&self, w: &[f32], moments: &[Moments], gamma: &[f32]) -> PooledBuffer {
        let mut scaled = self.buffers.take(w.len());
        let filter = w.len() / moments.len();
        for (c, (to, from)) in scaled.chunks_exact_mut(filter).zip(w.chunks_exact(filter)).enumerate() {
            let scale = gamma[c] * moments[c].inverse;
            to.iter_mut().zip(from).for_each(|(t, f)| *t = scale * f);
        }
        scaled
    }

    /// The gradients of the parameters and, if wanted, of the shortcut; adds to that of the input.
    pub(super) fn backward(
        &self,
        (x, d_map): Input<'_>,
        parameters: &[f32],
        saved: &Saved,
        (y, dy): (&[f32], PooledBuffer),
        wants_residual: bool,
    ) -> (Vec<f32>, Option<PooledBuffer>) {
        let mut d_parameters = vec![0f32; parameters.len()];
        match &saved.convolved {
            None => {
                let d =
                    self.backward_given((x, d_map), parameters, &saved.moments, (y, dy), &mut d_parameters);
                (d_parameters, wants_residual.then_some(d))
            }
            Some(convolved) => {
                let residual = wants_residual.then(|| self.buffers.take(dy.len()));
                let residual = self.backward_batch(
                    (x, d_map),
                    parameters,
                    (saved, convolved),
                    (y, dy),
                    residual,
                    &mut d_parameters,
                );
                (d_parameters, residual)
            }
        }
    }

    /// With given statistics; returns the gradient before the activation, which is that of the shortcut.
    fn backward_given(
        &self,
        (x, d_map): Input<'_>,
        parameters: &[f32],
        moments: &[Moments],
        (y, mut d): (&[f32], PooledBuffer),
        d_parameters: &mut [f32],
    ) -> PooledBuffer {
        let [weight, gamma, _] = parameter_ranges(self.conv);
        let (w, gammas) = (&parameters[weight.clone()], &parameters[gamma]);
        let pixels = y.len() / moments.len();
        let bounds = self.conv.activation.bounds();
        let sums: Vec<f64> = d
            .par_chunks_mut(pixels)
            .zip(y.par_chunks(pixels))
            .map(|(d, y)| if bounds.0.is_finite() { BEST.mask(d, y, bounds) } else { BEST.sum(d) })
            .collect();
        let convolution = self.convolution();
        convolution.weight_gradient(x, &d, &mut d_parameters[weight.clone()]);
        let filter = w.len() / moments.len();
        let (d_weights, d_norm) = d_parameters.split_at_mut(weight.end);
        let filters = d_weights.par_chunks_mut(filter).zip(w.par_chunks(filter));
        let d_gamma: Vec<f32> = filters
            .enumerate()
            .map(|(c, (g, w))| {
                let Moments { mean, inverse, .. } = moments[c];
                let inner = BEST.products(g, w, 0.0);
                g.iter_mut().for_each(|g| *g *= gammas[c] * inverse);
                ((inner - f64::from(mean) * sums[c]) * f64::from(inverse)) as f32
            })
            .collect();
        let (to_gamma, to_beta) = d_norm.split_at_mut(d_gamma.len());
        to_gamma.copy_from_slice(&d_gamma);
        to_beta.iter_mut().zip(&sums).for_each(|(to, sum)| *to = *sum as f32);
        if let Some(map) = d_map {
            let w = self.scaled(w, moments, gammas);
            map.add_gradient(|dx, add| convolution.input_gradient(&w, &d, dx, add, self.buffers));
        }
        d
    }

    /// With the statistics of the batch; writes the gradient of the shortcut to `residual`, and returns it.
    fn backward_batch(
        &self,
        (x, d_map): Input<'_>,
        parameters: &[f32],
        (saved, convolved): (&Saved, &[f32]),
        (y, mut d): (&[f32], PooledBuffer),
        mut residual: Option<PooledBuffer>,
        d_parameters: &mut [f32],
    ) -> Option<PooledBuffer> {
        let [weight, gamma, beta] = parameter_ranges(self.conv);
        let w = &parameters[weight.clone()];
        let backward = batch_norm::Backward {
            x: convolved,
            moments: &saved.moments,
            gamma: &parameters[gamma.clone()],
            activation: self.conv.activation,
            y,
        };
        let (d_gamma, d_beta) = backward.run(&mut d, residual.as_deref_mut());
        d_parameters[gamma].copy_from_slice(&d_gamma);
        d_parameters[beta].copy_from_slice(&d_beta);
        let convolution = self.convolution();
        convolution.weight_gradient(x, &d, &mut d_parameters[weight]);
        if let Some(map) = d_map {
            map.add_gradient(|dx, add| convolution.input_gradient(w, &d, dx, add, self.buffers));
        }
        residual
    }
}
