//! Data sets, losses, optimiser and trainer: the offline half of the method.

pub mod assembly;
pub mod builder;
pub mod card;
pub mod emoji;
pub mod feature_cache;
pub mod features;
pub mod fonts;
pub mod log;
pub mod losses;
pub mod manifest;
pub mod optimizer;
pub mod options;
pub mod queries;
pub mod run;
pub mod settings;
pub mod trainer;

#[cfg(test)]
mod chain_tests;
