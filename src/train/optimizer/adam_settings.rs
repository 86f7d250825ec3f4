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
    /// Weight decay of the projection.
    pub weight_decay: f64,
    /// Weight decay of the proxies.
    pub proxy_weight_decay: f64,
    /// Weight decay of the backbone's filters.
    pub backbone_weight_decay: f64,
    /// Weight decay of the backbone's batch normalisation.
    pub norm_weight_decay: f64,
    /// Maximum norm of all gradients together; larger gradients are scaled down to it.
    pub clip_norm: Option<f64>,
}

impl Default for AdamSettings {
    /// The paper's: Adam with 0.9, 0.999, 1e-8, coupled decay 5e-5 of everything; no clipping.
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adam,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 5e-5,
            proxy_weight_decay: 5e-5,
            backbone_weight_decay: 5e-5,
            norm_weight_decay: 5e-5,
            clip_norm: None,
        }
    }
}

impl AdamSettings {
    /// The weight decay of a group.
    pub(super) fn decay(&self, group: ParameterGroup) -> Decay {
        match group {
            ParameterGroup::Backbone { norm_from } => {
                Decay { weights: self.backbone_weight_decay, norm: self.norm_weight_decay, norm_from }
            }
            ParameterGroup::Projection => Decay::uniform(self.weight_decay),
            ParameterGroup::Proxies => Decay::uniform(self.proxy_weight_decay),
        }
    }
}

/// The weight decay of the numbers of one parameter.
#[derive(Debug, Clone, Copy)]
pub struct Decay {
    /// That of the numbers before `norm_from`.
    pub weights: f64,
    /// That of the numbers from `norm_from` on.
    pub norm: f64,
    /// Where the part of batch normalisation begins.
    pub norm_from: usize,
}

impl Decay {
    /// One decay for all numbers of a parameter.
    fn uniform(weights: f64) -> Self {
        Self { weights, norm: weights, norm_from: 0 }
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
    pub decay: Decay,
    /// The learning rate.
    pub rate: f64,
    /// The factor that clips the gradient; 1 if it is not clipped.
    pub gradient_scale: f64,
    /// 1 − β₁^t, which corrects the bias of the first moment after t steps.
    pub bias1: f64,
    /// √(1 − β₂^t), which corrects the bias of the second moment.
    pub root_bias2: f64,
}
