//! Adam with coupled weight decay and a learning rate per parameter: what `torch.optim.Adam(weight_decay=...)` does.
//! (candle has AdamW only, with one rate for all.)

use crate::error::Result;
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

/// What learns at the same rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// The backbone's weights.
    Backbone,
    /// What turns features into embeddings.
    Projection,
    /// The points that embeddings are drawn to.
    Proxies,
}

/// Something that learns.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Stable between runs: checkpoints find their parameters by it.
    pub name: String,
    /// At which rate.
    pub group: Group,
    /// Its value.
    pub var: Var,
}

/// Adam's constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamSettings {
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Coupled: added to the gradient as `weight_decay · parameter`, before the moments.
    pub weight_decay: f64,
}

impl Default for AdamSettings {
    /// 0.9, 0.999, 1e-8 and the paper's 5e-5.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 5e-5 }
    }
}

/// One parameter with its moments.
#[derive(Debug)]
struct Slot {
    parameter: Var,
    /// Times the step's learning rate.
    rate: f64,
    moments: Option<(Tensor, Tensor)>,
    steps: i32,
}

/// The optimiser and its state.
#[derive(Debug)]
pub struct Adam {
    settings: AdamSettings,
    slots: Vec<Slot>,
}

impl Adam {
    /// An optimiser of `parameters`, each with a factor on the learning rate.
    pub fn new(settings: AdamSettings, parameters: impl IntoIterator<Item = (Var, f64)>) -> Self {
        let slot = |(parameter, rate)| Slot { parameter, rate, moments: None, steps: 0 };
        Self { settings, slots: parameters.into_iter().map(slot).collect() }
    }

    /// One step at `learning_rate`. A parameter without a gradient is left alone, decay and moments included, as PyTorch
    /// does.
    ///
    /// # Errors
    /// If a gradient's shape is not its parameter's.
    pub fn step(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()> {
        for slot in &mut self.slots {
            if let Some(gradient) = gradients.get(&slot.parameter) {
                slot.update(&self.settings, &gradient.detach(), learning_rate)?;
            }
        }
        Ok(())
    }
}

impl Slot {
    fn update(&mut self, s: &AdamSettings, gradient: &Tensor, learning_rate: f64) -> Result<()> {
        let value = self.parameter.as_detached_tensor();
        let g = (gradient + (&value * s.weight_decay)?)?;
        let fresh_m = (&g * (1.0 - s.beta1))?;
        let fresh_v = (g.sqr()? * (1.0 - s.beta2))?;
        let (m, v) = match self.moments.take() {
            Some((m, v)) => (((m * s.beta1)? + fresh_m)?, ((v * s.beta2)? + fresh_v)?),
            None => (fresh_m, fresh_v),
        };
        self.steps += 1;
        let bias1 = 1.0 - s.beta1.powi(self.steps);
        let bias2 = 1.0 - s.beta2.powi(self.steps);
        let root = ((v.sqrt()? / bias2.sqrt())? + s.epsilon)?;
        let step = ((&m / root)? * (learning_rate * self.rate / bias1))?;
        self.parameter.set(&(value - step)?)?;
        self.moments = Some((m, v));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// ```text
    /// import torch
    /// a = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64, requires_grad=True)
    /// b = torch.tensor([0.3, 0.0], dtype=torch.float64, requires_grad=True)
    /// o = torch.optim.Adam([{'params': [a], 'lr': 0.1}, {'params': [b], 'lr': 1.0}], weight_decay=0.05)
    /// for i in range(4):
    ///     o.zero_grad()
    ///     loss = (a ** 2 * torch.tensor([1., 2., 3.])).sum() + (b.sin().sum() if i % 2 == 0 else 0.0)
    ///     loss.backward()
    ///     o.step()
    /// print(a.tolist(), b.tolist())
    /// ```
    #[test]
    fn steps_agree_with_pytorch() {
        let cpu = Device::Cpu;
        let a = Var::new(&[1.0f64, -2.0, 0.5], &cpu).unwrap();
        let b = Var::new(&[0.3f64, 0.0], &cpu).unwrap();
        let scale = Tensor::new(&[1.0f64, 2.0, 3.0], &cpu).unwrap();
        let settings = AdamSettings { weight_decay: 0.05, ..Default::default() };
        let mut adam = Adam::new(settings, [(a.clone(), 1.0), (b.clone(), 10.0)]);
        for i in 0..4 {
            let mut loss = (a.sqr().unwrap() * &scale).unwrap().sum_all().unwrap();
            if i % 2 == 0 {
                loss = (loss + b.sin().unwrap().sum_all().unwrap()).unwrap();
            }
            adam.step(&loss.backward().unwrap(), 0.1).unwrap();
        }
        let close = |v: &Var, want: &[f64]| {
            let got: Vec<f64> = v.to_vec1().unwrap();
            got.iter().zip(want).for_each(|(a, b)| assert!((a - b).abs() < 1e-12, "{a} is not {b}"));
        };
        close(&a, &[0.6039390605223225, -1.6015048947680062, 0.11291539534512353]);
        close(&b, &[-1.6828399698973233, -1.9293021108315647]);
    }
}
