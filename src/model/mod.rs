//! Models: the network from pixels to embeddings, and the files that hold it.
//!
//! A model maps an image to a raw embedding in two steps: a backbone ([`Backbone`]) turns pixels into F features, and one
//! linear projection turns these into the K·n numbers of the superspace. Beside the network a model stores proxies (what training
//! pulled embeddings towards), query prototypes (what attribute and category queries aim at) and a vocabulary.
//!
//! | file | what is in it |
//! |---|---|
//! | `trained_model` | [`Model`]: a trained model in memory, pixels to raw embeddings |
//! | `config` | `config.json`: [`ModelConfig`], vocabulary, digest, format version |
//! | `tagging_config` | the part of `config.json` about tags |
//! | `directory` | a model directory on disk, read and written |
//! | `tensors` | safetensors files: parsed, checked, written |
//! | `tensor_names` | which tensors `model.safetensors` holds, and their shapes |
//! | `prototypes` | query prototypes and proxies, read without the network |
//! | `tagging` | tags of an embedding, with probabilities |
//! | `description` | descriptions in words, read as terms of a vocabulary |
//! | `architectures` | the known backbones ([`Arch`]) as lists of layers |
//! | `layers` | what a layer is: convolution, block, padding, activation |
//! | `feature_layout` | which statistics of which maps are features, and their order |
//! | `map_shape` | shapes of feature maps, and how a kernel moves over them |
//! | `batch_norm_folding` | batch normalisation folded into filters |
//! | `backbone` | the trait [`Backbone`] |
//! | `cpu_backbone`, `cpu/` | its implementation on the CPU, with SIMD kernels in `cpu/kernels/` |
//! | `candle_backbone`, `candle_ops` | its implementation with candle's operations, for GPUs |
//! | `load_backbone` | chooses between the two |
//! | `device` | opens `cpu`, `cuda:0`, ... |
//! | `pixels` | 8-bit pixels to normalised network input |
//! | `standardize` | LayerNorm of feature vectors |
//! | `import/` | PyTorch checkpoints of backbones |
//! | `onnx/` | a model as an ONNX graph |
//! | `synthetic` | weights and images from a formula, for tests |

pub(crate) mod architectures;
mod backbone;
mod batch_norm_folding;
mod candle_backbone;
#[cfg_attr(not(feature = "cli"), allow(dead_code))]
pub(crate) mod candle_ops;
mod config;
pub(crate) mod cpu;
mod cpu_backbone;
mod description;
mod device;
mod directory;
pub(crate) mod feature_layout;
#[cfg(feature = "cli")]
mod import;
pub(crate) mod layers;
mod load_backbone;
pub(crate) mod map_shape;
#[cfg(feature = "cli")]
mod onnx;
mod pixels;
mod prototypes;
mod standardize;
#[cfg(any(test, feature = "pg_test"))]
#[cfg_attr(not(test), allow(dead_code))] // PostgreSQL's test library uses a part of it
pub(crate) mod synthetic;
mod tagging;
mod tagging_config;
pub mod tensor_names;
mod tensors;
mod trained_model;

pub use architectures::Arch;
pub use backbone::{Backbone, LowerMaps};
pub use config::{
    backbone_and_input_size, Architecture, Attribute, ModelConfig, ModelDigest, VocabularyEntry,
    FORMAT_VERSION,
};
pub use description::{Description, Meaning, Term, Vocabulary};
pub use device::open_device;
#[cfg(feature = "cli")]
pub use directory::replace_files;
pub use directory::{read_directory, write_directory, write_files, MAX_FILE_BYTES};
pub use feature_layout::FeatureSet;
#[cfg(feature = "cli")]
pub use import::{import_backbone, read_backbone};
pub use load_backbone::load_backbone;
#[cfg(feature = "cli")]
pub use onnx::{export_onnx, OnnxModel};
pub use pixels::normalize_pixels;
pub use prototypes::{Prototypes, Proxies};
pub use standardize::standardized;
pub use tagging::{log_odds, softmax, Tagger, ValueProbabilities, SHOWN_FROM};
pub use tagging_config::{PresenceModel, TagCalibration, TaggingConfig};
pub use tensors::{write_tensors, Precision, TensorFile, Tensors};
pub use trained_model::Model;
