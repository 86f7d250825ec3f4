//! Losses, methods, optimiser and trainer: what learns.

pub mod calibration;
pub mod checkpoint;
pub mod feature_source;
pub mod learning_backbone;
pub mod learning_source;
pub mod loss_log;
pub mod losses;
pub mod mean_queries;
pub mod method;
pub mod methods;
pub mod ops;
pub mod optimizer;
pub mod pairwise;
pub mod sampler;
pub mod settings;
pub mod trainer;
pub mod training_set;
pub mod validation;

#[cfg(test)]
mod tests;
