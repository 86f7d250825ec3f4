//! A model as one ONNX graph, which ONNX Runtime and its like run without coopembed.
//!
//! 8-bit pixels `[batch, size, size, 3]` to embeddings `[batch, K·n]` with each subspace of unit length. The graph normalises pixels
//! itself; decoding and resizing are left to the caller, and described in the metadata.
//!
//! | file | what is in it |
//! |---|---|
//! | `network_graph` | the network as nodes: pixels, backbone, features, projection, subspaces |
//! | `graph_builder` | nodes, weights and constants added one after the other |
//! | `metadata` | the description in the file and in the JSON beside it |
//! | `protobuf` | the messages of the ONNX format that an export consists of |

mod graph_builder;
mod metadata;
mod network_graph;
mod protobuf;

use super::trained_model::check_parts;
use crate::error::Result;
use prost::Message;

pub use metadata::OnnxMetadata;

/// The operator set that the graph is written in; ONNX Runtime runs it from 1.12 on.
const OPSET: i64 = 17;

/// The version of the file format, the one that came with [`OPSET`].
const IR_VERSION: i64 = 8;

/// The key of the file's metadata; its value is that of [`OnnxMetadata::to_json`].
const METADATA_KEY: &str = "coopembed";

/// A model in the ONNX format.
#[derive(Debug)]
pub struct OnnxModel {
    /// The file's bytes.
    pub bytes: Vec<u8>,
    /// Input, preprocessing, output and vocabulary.
    pub metadata: OnnxMetadata,
}

/// Writes the network of a model directory as an ONNX graph, with all numbers in f32. Batch normalisation is folded into the
/// filters, as in inference.
///
/// # Errors
/// Those of [`Model::from_parts`](super::Model::from_parts).
pub fn export_onnx(config_json: &str, weights: &[u8]) -> Result<OnnxModel> {
    let parts = check_parts(config_json, weights)?;
    let metadata = OnnxMetadata::new(&parts.config, &parts.digest)?;
    let graph = network_graph::build(&parts, &metadata)?;
    let entry = protobuf::StringStringEntry { key: METADATA_KEY.to_owned(), value: metadata.to_json() };
    let model = protobuf::Model {
        ir_version: IR_VERSION,
        producer_name: env!("CARGO_PKG_NAME").to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(graph),
        opset_import: vec![protobuf::OperatorSetId { domain: String::new(), version: OPSET }],
        metadata_props: vec![entry],
    };
    Ok(OnnxModel { bytes: model.encode_to_vec(), metadata })
}

#[cfg(test)]
mod tests;
