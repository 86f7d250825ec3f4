//! Models: backbones, the projection to the cratespace, and the model directory.

pub(crate) mod arch;
mod backbone;
#[cfg_attr(not(feature = "cli"), allow(dead_code))]
pub(crate) mod composed;
mod config;
pub mod contents;
mod cpu;
mod device;
mod directory;
mod folded;
#[cfg(feature = "cli")]
mod import;
mod network;
mod pixels;
mod prototypes;
pub(crate) mod shape;
mod standardize;
#[cfg(any(test, feature = "pg_test"))]
#[cfg_attr(not(test), allow(dead_code))] // the test library of PostgreSQL uses a part of it
pub(crate) mod synthetic;
mod tagging;
mod tensors;

pub use arch::Arch;
pub use backbone::{load_backbone, Backbone};
pub use config::{
    backbone_and_input_size, Architecture, Attribute, ModelConfig, ModelDigest, Named, FORMAT_VERSION,
};
pub use device::open_device;
pub use directory::{read_directory, write_directory};
#[cfg(feature = "cli")]
pub use import::{import_backbone, read_backbone};
pub use network::Model;
pub use pixels::normalize_pixels;
pub use prototypes::{Prototypes, Proxies};
pub use standardize::standardized;
pub use tagging::{softmax, Calibration, Presence, Tagger, Tagging};
pub use tensors::{write_tensors, Precision, TensorFile, Tensors};
