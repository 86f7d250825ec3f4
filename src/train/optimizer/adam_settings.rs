//! The hyper-parameters of Adam and AdamW, and the constants of one step.

use super::parameter::ParameterGroup;
use serde::{Deserialize, Serialize};

/// Adam or AdamW: they differ in how weight decay acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Coupled weight decay, as in the paper: added to the gradient before the moments
    Adam,
    /// Decoupled weight decay: subtracted from the value beside the step (Loshchilov and Hutter 2019)
    AdamW,
}

/// The hyper-parameters of the optimiser.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamSettings {
    /// Adam or AdamW.
    pub kind: OptimizerKind,
    /// β₁, the decay of the mean of gradients.
    pub beta1: f64,
    /// β₂, the decay of the mean of squared gradients.
    pub beta2: f64,
    /// ε, added to the root of the second moment.
    pub epsilon: f64,
    /// Weight decay of everything except the proxies.
    pub weight_decay: f64,
    /// Weight decay of the proxies.
    pub proxy_weight_decay: f64,
    /// The backbone's learning rate as a multiple of the projection's.
    pub backbone_rate: f64,
    /// The proxies' learning rate as a multiple of the projection's.
    pub proxy_rate: f64,
    /// Maximum norm of all gradients together; larger gradients are scaled down to it.
    pub clip_norm: Option<f64>,
}

impl Default for AdamSettings {
    /// The paper's: Adam with 0.9, 0.999, 1e-8, coupled decay 5e-5; rates 0.1 for the backbone and 10 for proxies; no clipping.
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adam,
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
    /// The learning rate of a group, as a multiple of the projection's.
    pub(super) fn rate(&self, group: ParameterGroup) -> f64 {
        match group {
            ParameterGroup::Backbone => self.backbone_rate,
            ParameterGroup::Projection => 1.0,
            ParameterGroup::Proxies => self.proxy_rate,
        }
    }

    /// The weight decay of a group.
    pub(super) fn decay(&self, group: ParameterGroup) -> f64 {
        match group {
            ParameterGroup::Backbone | ParameterGroup::Projection => self.weight_decay,
            ParameterGroup::Proxies => self.proxy_weight_decay,
        }
    }
}

/// The constants of one step of one parameter.
#[derive(Debug, Clone, Copy)]
pub struct AdamStep {
    /// Adam or AdamW.
    pub kind: OptimizerKind,
    /// β₁.
    pub beta1: f64,
    /// β₂.
    pub beta2: f64,
    /// ε.
    pub epsilon: f64,
    /// The weight decay.
    pub decay: f64,
    /// The learning rate.
    pub rate: f64,
    /// The factor that clips the gradient; 1 if it is not clipped.
    pub gradient_scale: f64,
    /// 1 − β₁^t, which corrects the bias of the first moment after t steps.
    pub bias1: f64,
    /// √(1 − β₂^t), which corrects the bias of the second moment.
    pub root_bias2: f64,
}
