//! What an ONNX graph cannot express: how an image file becomes its input, and what its output means.

use crate::error::Result;
use crate::image::Preprocessing;
use crate::model::config::{ModelConfig, ModelDigest, VocabularyEntry};
use serde::Serialize;
use std::fmt;

/// The name of the graph's input, `[batch, size, size, 3]`.
pub const INPUT: &str = "pixels";
/// The name of the graph's output, `[batch, K·n]`.
pub const OUTPUT: &str = "embedding";

/// The description of an exported model.
#[derive(Debug, Clone, Serialize)]
pub struct OnnxMetadata {
    /// `KxN@fingerprint`, with which the text form of the model's embeddings begins.
    pub model: String,
    /// 64 hexadecimal digits; PostgreSQL has them in `coopembed.models`.
    pub digest: String,
    /// The name of the backbone.
    pub backbone: String,
    /// How an image file becomes the input.
    pub preprocessing: ImageSteps,
    /// The graph's input.
    pub input: Tensor,
    /// The graph's output.
    pub output: Tensor,
    /// n, the dimensions of each attribute's subspace.
    pub subspace_dim: usize,
    /// The attributes, in the order of their subspaces.
    pub attributes: Vec<Subspace>,
    /// The categories.
    pub categories: Vec<String>,
    /// Licence of the weights, and where they come from.
    pub licence: String,
}

/// What happens to an image, in this order.
#[derive(Debug, Clone, Serialize)]
pub struct ImageSteps {
    decode: &'static str,
    orientation: &'static str,
    transparency: &'static str,
    resize: Resize,
    normalize: Normalize,
}

#[derive(Debug, Clone, Serialize)]
struct Resize {
    size: u32,
    keep_aspect_ratio: bool,
    filter: &'static str,
    antialias: bool,
}

/// (pixel / 255 − mean) / std.
#[derive(Debug, Clone, Serialize)]
struct Normalize {
    in_graph: bool,
    mean: [f32; 3],
    std: [f32; 3],
}

/// An input or output of the graph.
#[derive(Debug, Clone, Serialize)]
pub struct Tensor {
    name: &'static str,
    r#type: &'static str,
    /// Numbers, and "batch" for what each run chooses.
    shape: serde_json::Value,
    content: &'static str,
}

/// An attribute's values, and the columns of the output that are its subspace: the first, and the one after the last.
#[derive(Debug, Clone, Serialize)]
pub struct Subspace {
    name: String,
    ordered: bool,
    values: Vec<String>,
    columns: [usize; 2],
}

impl OnnxMetadata {
    /// The description of the model with this config and digest.
    ///
    /// # Errors
    /// Those of [`ModelConfig::layout`].
    pub fn new(config: &ModelConfig, digest: &ModelDigest) -> Result<Self> {
        let layout = config.layout(digest)?;
        let size = config.preprocessing.size;
        let attributes = config.attributes.iter().enumerate().map(|(k, attribute)| Subspace {
            name: attribute.name.clone(),
            ordered: attribute.ordered,
            values: names(&attribute.values),
            columns: [layout.range(k).start, layout.range(k).end],
        });
        Ok(Self {
            model: layout.to_string(),
            digest: digest.to_string(),
            backbone: config.architecture.backbone.clone(),
            preprocessing: ImageSteps::new(&config.preprocessing),
            input: Tensor {
                name: INPUT,
                r#type: "uint8",
                shape: serde_json::json!(["batch", size, size, 3]),
                content: "rows, columns, channels in the order red, green, blue; 0 to 255",
            },
            output: Tensor {
                name: OUTPUT,
                r#type: "float32",
                shape: serde_json::json!(["batch", layout.dimensions()]),
                content: "one subspace after the other, each of unit length",
            },
            subspace_dim: layout.subspace_dim(),
            attributes: attributes.collect(),
            categories: names(&config.categories),
            licence: config.licence.clone(),
        })
    }

    /// The text of the JSON file, which is also an entry of the graph's metadata.
    pub fn to_json(&self) -> String {
        // Serialising strings, numbers and lists cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// For example `embedding: float32 [batch,350]`.
impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.name, self.r#type, self.shape.to_string().replace('"', ""))
    }
}

impl ImageSteps {
    fn new(preprocessing: &Preprocessing) -> Self {
        Self {
            decode: "8-bit RGB, colours converted to sRGB",
            orientation: "upright, as EXIF says",
            transparency: "over white",
            resize: Resize {
                size: preprocessing.size,
                keep_aspect_ratio: false,
                filter: "bilinear",
                antialias: true,
            },
            normalize: Normalize { in_graph: true, mean: preprocessing.mean, std: preprocessing.std },
        }
    }
}

fn names(entries: &[VocabularyEntry]) -> Vec<String> {
    entries.iter().map(|entry| entry.name.clone()).collect()
}
