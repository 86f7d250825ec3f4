//! Initial values of what a method learns: linear layers and proxies.

use super::optimizer::{Parameter, ParameterGroup};
use super::pairwise::product;
use crate::error::{Error, Kind, Result};
use candle_core::{DType, Device, Tensor, Var};
use rand::rngs::StdRng;
use rand_distr::{Distribution, Normal, Uniform};

/// Draws initial values, and collects the parameters that learn.
pub struct Initializer<'a> {
    device: Device,
    dtype: DType,
    rng: &'a mut StdRng,
    /// The parameters that learn, in the order in which they were drawn.
    pub parameters: Vec<Parameter>,
}

impl<'a> Initializer<'a> {
    /// Draws parameters on this device, of this number type.
    pub fn new(device: &Device, dtype: DType, rng: &'a mut StdRng) -> Self {
        Self { device: device.clone(), dtype, rng, parameters: Vec::new() }
    }

    /// A linear layer `[outputs, inputs]` that learns, initialised like PyTorch's `nn.Linear`: uniform in ±1/√inputs.
    ///
    /// # Errors
    /// If the device fails.
    pub fn linear(
        &mut self,
        name: &str,
        group: ParameterGroup,
        [outputs, inputs]: [usize; 2],
    ) -> Result<Linear> {
        let bound = 1.0 / (inputs as f64).sqrt();
        let uniform = Uniform::new_inclusive(-bound, bound).map_err(|e| unusable(&e))?;
        let weight = self.drawn(&[outputs, inputs], &uniform)?;
        let bias = self.drawn(&[outputs], &uniform)?;
        Ok(Linear {
            weight: self.learned(&format!("{name}.weight"), group, &weight)?,
            bias: self.learned(&format!("{name}.bias"), group, &bias)?,
        })
    }

    /// `[count, dims]` proxies from a normal distribution with this standard deviation. They learn, or stay as they are.
    ///
    /// # Errors
    /// If the device fails.
    pub fn proxies(&mut self, name: &str, shape: [usize; 2], std: f64, learned: bool) -> Result<Tensor> {
        let normal = Normal::new(0.0, std).map_err(|e| unusable(&e))?;
        let start = self.drawn(&shape, &normal)?;
        if learned {
            self.learned(name, ParameterGroup::Proxies, &start)
        } else {
            Ok(start)
        }
    }

    /// A parameter that learns, with this initial value.
    ///
    /// # Errors
    /// If the device fails.
    pub fn learned(&mut self, name: &str, group: ParameterGroup, start: &Tensor) -> Result<Tensor> {
        let var = Var::from_tensor(start)?;
        let tensor = var.as_tensor().clone();
        self.parameters.push(Parameter { name: name.to_owned(), group, var });
        Ok(tensor)
    }

    /// A tensor filled with one number.
    ///
    /// # Errors
    /// If the device fails.
    pub fn constant(&self, value: f64, shape: &[usize]) -> Result<Tensor> {
        Ok(Tensor::full(value, shape, &self.device)?.to_dtype(self.dtype)?)
    }

    fn drawn(&mut self, shape: &[usize], from: &impl Distribution<f64>) -> Result<Tensor> {
        let values: Vec<f64> = (0..shape.iter().product()).map(|_| from.sample(self.rng)).collect();
        Ok(Tensor::from_vec(values, shape, &self.device)?.to_dtype(self.dtype)?)
    }
}

fn unusable(e: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::InvalidParameter, format!("initialisation: {e}"))
}

/// A linear layer with bias.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[outputs, inputs]`.
    pub weight: Tensor,
    /// `[outputs]`.
    pub bias: Tensor,
}

impl Linear {
    /// `[batch, inputs]` to `[batch, outputs]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(product(x, &self.weight)?.broadcast_add(&self.bias)?)
    }
}
