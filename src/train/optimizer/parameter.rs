//! What an optimiser updates.

use candle_core::Var;

/// The group of a parameter, which decides its learning rate and weight decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterGroup {
    /// Filters and batch normalisation of the backbone.
    Backbone,
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
