//! Data sets, losses, optimiser and trainer: the offline half of the method.

pub mod emoji;
pub mod losses;
pub mod manifest;
pub mod optimizer;
pub mod settings;
pub mod trainer;
