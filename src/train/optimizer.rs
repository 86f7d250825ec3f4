//! Adam with coupled weight decay (`torch.optim.Adam(weight_decay=...)`) and AdamW, a learning rate per group of parameters, and
//! clipping by the norm of all gradients. (candle has AdamW only, with one rate for all.)

mod kernel;
mod moments;

use crate::error::{Error, Kind, Result};
use crate::model::Tensors;
use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};
use moments::Moments;
use serde::{Deserialize, Serialize};

/// What a parameter belongs to: each group has a learning rate of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The backbone's filters and batch normalisation.
    Backbone,
    /// From features to the superspace, and whatever a rival method learns in its place.
    Projection,
    /// Points of the superspace.
    Proxies,
}

/// Something that learns.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Unique in a training and the same from run to run: its state is stored under it.
    pub name: String,
    /// Whose learning rate it has.
    pub group: Group,
    /// Its value.
    pub var: Var,
}

/// How weight decay acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Added to the gradient, before the moments (coupled L2, the paper's).
    Adam,
    /// Taken off the value, beside the step (Loshchilov and Hutter 2019).
    AdamW,
}

/// The optimiser's constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamSettings {
    /// How weight decay acts.
    pub rule: Rule,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Of everything but the proxies.
    pub weight_decay: f64,
    /// Of the proxies.
    pub proxy_weight_decay: f64,
    /// The backbone's learning rate as a multiple of the projection's.
    pub backbone_rate: f64,
    /// The proxies' learning rate as a multiple of the projection's.
    pub proxy_rate: f64,
    /// Largest norm of all gradients together; longer ones are scaled to it.
    pub clip_norm: Option<f64>,
}

impl Default for AdamSettings {
    /// The paper's: Adam with 0.9, 0.999, 1e-8, coupled decay 5e-5; rates 0.1 for the backbone and 10 for proxies; no clipping.
    fn default() -> Self {
        Self {
            rule: Rule::Adam,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 5e-5,
            proxy_weight_decay: 5e-5,
            backbone_rate: 0.1,
            proxy_rate: 10.0,
            clip_norm: None,
        }
    }
}

impl AdamSettings {
    fn rate(&self, group: Group) -> f64 {
        match group {
            Group::Backbone => self.backbone_rate,
            Group::Projection => 1.0,
            Group::Proxies => self.proxy_rate,
        }
    }

    fn decay(&self, group: Group) -> f64 {
        match group {
            Group::Backbone | Group::Projection => self.weight_decay,
            Group::Proxies => self.proxy_weight_decay,
        }
    }
}

/// The numbers of one step of one parameter.
#[derive(Debug, Clone, Copy)]
struct Step {
    rule: Rule,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    decay: f64,
    /// The learning rate.
    rate: f64,
    /// What the gradient is multiplied by: clipping.
    scale: f64,
    /// 1 − β₁^t.
    bias1: f64,
    /// √(1 − β₂^t).
    root_bias2: f64,
}

/// One parameter with its moments.
#[derive(Debug)]
struct Slot {
    parameter: Parameter,
    moments: Moments,
    steps: u32,
}

/// The optimiser and its state.
#[derive(Debug)]
pub struct Adam {
    settings: AdamSettings,
    slots: Vec<Slot>,
}

impl Adam {
    /// An optimiser of `parameters`.
    ///
    /// # Errors
    /// [`Kind::Internal`] if two have the same name.
    pub fn new(settings: AdamSettings, parameters: Vec<Parameter>) -> Result<Self> {
        let mut names: Vec<&str> = parameters.iter().map(|p| p.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::new(Kind::Internal, format!("two parameters are called \"{}\"", twice[0])));
        }
        let slot = |parameter| Slot { parameter, moments: Moments::None, steps: 0 };
        Ok(Self { settings, slots: parameters.into_iter().map(slot).collect() })
    }

    /// One step at `learning_rate`, the projection's. A parameter without a gradient is left alone, decay and moments
    /// included, as PyTorch does.
    ///
    /// # Errors
    /// If a gradient's shape is not its parameter's.
    pub fn step(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()> {
        let s = self.settings;
        let scale = match s.clip_norm {
            Some(largest) => (largest / (self.norm(gradients)? + 1e-6)).min(1.0),
            None => 1.0,
        };
        for slot in &mut self.slots {
            let Some(gradient) = gradients.get(&slot.parameter.var) else { continue };
            slot.steps += 1;
            let power = |beta: f64| 1.0 - beta.powf(f64::from(slot.steps));
            let step = Step {
                rule: s.rule,
                beta1: s.beta1,
                beta2: s.beta2,
                epsilon: s.epsilon,
                decay: s.decay(slot.parameter.group),
                rate: learning_rate * s.rate(slot.parameter.group),
                scale,
                bias1: power(s.beta1),
                root_bias2: power(s.beta2).sqrt(),
            };
            slot.moments.update(&slot.parameter.var, &gradient.detach(), &step)?;
        }
        Ok(())
    }

    /// The norm of all gradients together, as `torch.nn.utils.clip_grad_norm_` takes it.
    ///
    /// # Errors
    /// If a gradient is not of numbers.
    pub fn norm(&self, gradients: &GradStore) -> Result<f64> {
        let mut sum = 0.0;
        for gradient in self.slots.iter().filter_map(|s| gradients.get(&s.parameter.var)) {
            sum += kernel::sum_of_squares(&gradient.detach())?;
        }
        Ok(sum.sqrt())
    }

    /// Moments and step counts by name: `{parameter}.mean`, `.square` and `.steps`.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn state(&self) -> Result<Tensors> {
        let mut state = Tensors::new();
        for Slot { parameter, moments, steps } in &self.slots {
            let Some((mean, square)) = moments.tensors(&parameter.var)? else { continue };
            state.insert(format!("{}.mean", parameter.name), mean);
            state.insert(format!("{}.square", parameter.name), square);
            // Exact in single precision up to 16 million steps, and so in the same file as the rest.
            state.insert(format!("{}.steps", parameter.name), Tensor::new(&[*steps as f32], &Device::Cpu)?);
        }
        Ok(state)
    }

    /// Goes on from what [`Adam::state`] gave.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] if the state is of other parameters.
    pub fn restore(&mut self, state: &Tensors) -> Result<()> {
        let find = |name: &str, part: &str| state.get(&format!("{name}.{part}"));
        for Slot { parameter, moments, steps } in &mut self.slots {
            let name = &parameter.name;
            let of = |part| find(name, part);
            let (Some(mean), Some(square), Some(count)) = (of("mean"), of("square"), of("steps")) else {
                // One that had no gradient yet has no state.
                *moments = Moments::None;
                *steps = 0;
                continue;
            };
            if mean.dims() != parameter.var.dims() || square.dims() != parameter.var.dims() {
                return Err(Error::new(
                    Kind::Mismatch,
                    format!("the optimiser's state of \"{name}\" does not fit"),
                )
                .detail(format!(
                    "Found shape {:?}, expected {:?}.",
                    mean.dims(),
                    parameter.var.dims()
                )));
            }
            *moments = Moments::from_tensors(mean, square, &parameter.var)?;
            *steps = count.flatten_all()?.to_vec1::<f32>()?.first().copied().unwrap_or_default() as u32;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
