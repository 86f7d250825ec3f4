//! Models: backbones, the projection to the superspace, and the model directory.

mod arch;
mod backbone;
mod config;
#[cfg(feature = "cli")]
mod import;
mod kernels;
mod layers;
mod pixels;
#[cfg(test)]
mod synthetic;
mod tensors;

pub use arch::Arch;
pub use backbone::{load_backbone, Backbone};
pub use config::{Architecture, Attribute, ModelConfig, ModelDigest, Named, FORMAT_VERSION};
#[cfg(feature = "cli")]
pub use import::{import_backbone, read_backbone};
pub use pixels::normalize_pixels;
pub use tensors::{TensorFile, Tensors};
