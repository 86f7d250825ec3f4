//! What an optimiser updates.

use candle_core::Var;

/// The group of a parameter, which decides its learning rate and weight decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterGroup {
    /// A layer of the backbone: its filters and, from this number of the vector on, γ and β of its batch normalisation.
    Backbone {
        /// The number of weights in the filters.
        norm_from: usize,
    },
    /// The projection from features to the superspace, and its counterparts in the baselines.
    Projection,
    /// Proxies, and the classifiers of the baselines.
    Proxies,
}

/// Something that learns.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Unique in a training and the same from run to run: checkpoints store its state under this name.
    pub name: String,
    /// Its learning rate and weight decay.
    pub group: ParameterGroup,
    /// The value.
    pub var: Var,
}

/// The learning rate of each group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearningRates {
    /// That of [`ParameterGroup::Projection`].
    pub projection: f64,
    /// That of [`ParameterGroup::Backbone`].
    pub backbone: f64,
    /// That of [`ParameterGroup::Proxies`].
    pub proxies: f64,
}

impl LearningRates {
    /// The same for all groups.
    pub fn uniform(rate: f64) -> Self {
        Self { projection: rate, backbone: rate, proxies: rate }
    }

    /// The learning rate of a group.
    pub fn of(&self, group: ParameterGroup) -> f64 {
        match group {
            ParameterGroup::Backbone { .. } => self.backbone,
            ParameterGroup::Projection => self.projection,
            ParameterGroup::Proxies => self.proxies,
        }
    }
}
