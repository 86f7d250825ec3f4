//! Models: backbones, the projection to the superspace, and the model directory.

mod config;

pub use config::{Architecture, Attribute, ModelConfig, ModelDigest, Named, FORMAT_VERSION};
