//! The optimiser: Adam with coupled weight decay (`torch.optim.Adam(weight_decay=...)`) or AdamW, a learning rate per group of
//! parameters, and clipping by the common norm of all gradients.

use super::adam_settings::{AdamSettings, AdamStep};
use super::fused_update::sum_of_squares;
use super::moments::Moments;
use super::parameter::{LearningRates, Parameter};
use crate::error::{Error, Kind, Result};
use crate::model::Tensors;
use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor};

/// One parameter and its state.
#[derive(Debug)]
struct ParameterState {
    parameter: Parameter,
    moments: Moments,
    steps: u32,
}

/// The optimiser with the state of every parameter.
#[derive(Debug)]
pub struct Adam {
    settings: AdamSettings,
    states: Vec<ParameterState>,
}

impl Adam {
    /// An optimiser for these parameters.
    ///
    /// # Errors
    /// [`Kind::Internal`] if two have the same name.
    pub fn new(settings: AdamSettings, parameters: Vec<Parameter>) -> Result<Self> {
        let mut names: Vec<&str> = parameters.iter().map(|p| p.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::new(Kind::Internal, format!("two parameters are called \"{}\"", twice[0])));
        }
        let state = |parameter| ParameterState { parameter, moments: Moments::None, steps: 0 };
        Ok(Self { settings, states: parameters.into_iter().map(state).collect() })
    }

    /// Takes one step. A parameter without a gradient is left unchanged, without decay and with its
    /// moments as they are, as in PyTorch.
    ///
    /// # Errors
    /// If a gradient's shape is not its parameter's.
    pub fn step(&mut self, gradients: &GradStore, rates: LearningRates) -> Result<()> {
        let s = self.settings;
        let gradient_scale = match s.clip_norm {
            Some(largest) => (largest / (self.norm(gradients)? + 1e-6)).min(1.0),
            None => 1.0,
        };
        for state in &mut self.states {
            let Some(gradient) = gradients.get(&state.parameter.var) else { continue };
            state.steps += 1;
            let power = |beta: f64| 1.0 - beta.powf(f64::from(state.steps));
            let step = AdamStep {
                kind: s.kind,
                beta1: s.beta1,
                beta2: s.beta2,
                epsilon: s.epsilon,
                decay: s.decay(state.parameter.group),
                rate: rates.of(state.parameter.group),
                gradient_scale,
                bias1: power(s.beta1),
                root_bias2: power(s.beta2).sqrt(),
            };
            state.moments.update(&state.parameter.var, &gradient.detach(), &step)?;
        }
        Ok(())
    }

    /// The common norm of all gradients, as in `torch.nn.utils.clip_grad_norm_`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn norm(&self, gradients: &GradStore) -> Result<f64> {
        let mut sum = 0.0;
        for gradient in self.states.iter().filter_map(|s| gradients.get(&s.parameter.var)) {
            sum += sum_of_squares(&gradient.detach())?;
        }
        Ok(sum.sqrt())
    }

    /// Moments and step counts by name: `{parameter}.mean`, `.square` and `.steps`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn state(&self) -> Result<Tensors> {
        let mut state = Tensors::new();
        for ParameterState { parameter, moments, steps } in &self.states {
            let Some((mean, square)) = moments.tensors(&parameter.var)? else { continue };
            state.insert(format!("{}.mean", parameter.name), mean);
            state.insert(format!("{}.square", parameter.name), square);
            // As f32, like everything else in the file: exact up to 16 million steps.
            state.insert(format!("{}.steps", parameter.name), Tensor::new(&[*steps as f32], &Device::Cpu)?);
        }
        Ok(state)
    }

    /// Continues from what [`Adam::state`] returned.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] if a shape is not that of the parameter.
    pub fn restore(&mut self, state: &Tensors) -> Result<()> {
        let find = |name: &str, part: &str| state.get(&format!("{name}.{part}"));
        for ParameterState { parameter, moments, steps } in &mut self.states {
            let name = &parameter.name;
            let of = |part| find(name, part);
            let (Some(mean), Some(square), Some(count)) = (of("mean"), of("square"), of("steps")) else {
                // A parameter that has not had a gradient yet has no state.
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
