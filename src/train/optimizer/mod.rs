//! Adam and AdamW with a learning rate per group of parameters. (candle-nn has AdamW only, with one rate for all.)
//!
//! | file | what is in it |
//! |---|---|
//! | `adam` | the optimiser and its state |
//! | `adam_settings` | its hyper-parameters |
//! | `parameter` | what learns, its group, and the learning rates of groups |
//! | `moments` | the two moments of a parameter |
//! | `fused_update` | the update on the CPU, in one pass |

mod adam;
mod adam_settings;
mod fused_update;
mod moments;
mod parameter;

pub use adam::Adam;
pub use adam_settings::{AdamSettings, OptimizerKind};
pub use parameter::{LearningRates, Parameter, ParameterGroup};

#[cfg(test)]
mod tests;
