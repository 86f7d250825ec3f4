//! Data sets, losses, optimiser and trainer: the offline half of the method.

pub mod assembly;
pub mod builder;
pub mod calibration;
pub mod card;
pub mod checkpoint;
pub mod corruption;
pub mod distances;
pub mod emoji;
pub mod feature_cache;
pub mod features;
pub mod fonts;
pub mod learning;
pub mod loader;
pub mod log;
pub mod losses;
pub mod manifest;
pub mod method;
pub mod methods;
pub mod network;
pub mod ops;
pub mod optimizer;
pub mod options;
pub mod queries;
pub mod rival;
pub mod run;
pub mod sampler;
pub mod set;
pub mod settings;
pub mod source;
pub mod trainer;
pub mod validation;

#[cfg(test)]
pub(crate) mod chain_tests;
#[cfg(test)]
mod memory_tests;
