//! `config.json` of a model directory: what the numbers in `model.safetensors` mean.

use super::feature_layout::FeatureSet;
use super::tagging_config::TaggingConfig;
use crate::error::{Error, Kind, Result};
use crate::image::Preprocessing;
use crate::memory;
use crate::space::Layout;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The newest format that this program reads. It writes the oldest format that can express a model
/// ([`ModelConfig::needed_version`]), so that older versions can read what they understand.
pub const FORMAT_VERSION: u32 = 5;

/// Everything about a trained model except its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// [`ModelConfig::needed_version`]; readers refuse what is newer than their [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Backbone and projection.
    pub architecture: Architecture,
    /// n, the dimensions of each attribute's subspace.
    pub subspace_dim: usize,
    /// The K attributes; attribute k owns subspace k.
    pub attributes: Vec<Attribute>,
    /// The categories, in the order of their proxies and queries.
    pub categories: Vec<VocabularyEntry>,
    /// How image bytes become network input, the same in training and in the server.
    pub preprocessing: Preprocessing,
    /// How tags get their probabilities; from format 3 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tagging: Option<TaggingConfig>,
    /// Losses and hyper-parameters, as the trainer recorded them.
    #[serde(default)]
    pub training: serde_json::Value,
    /// The data set that it was trained on.
    #[serde(default)]
    pub dataset: serde_json::Value,
    /// The figures of `coopembed eval`.
    #[serde(default)]
    pub metrics: serde_json::Value,
    /// Licence of the weights (an SPDX expression) and where they come from.
    #[serde(default)]
    pub licence: String,
}

/// The network from pixels to the superspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Architecture {
    /// `resnet18`, `resnet34`, `resnet50` or `efficientnet_lite0`.
    pub backbone: String,
    /// Length of the backbone's feature vector.
    pub features: usize,
    /// The maps that features are taken from; from format 4 on.
    #[serde(default, skip_serializing_if = "FeatureSet::is_last")]
    pub feature_set: FeatureSet,
    /// Whether feature vectors are scaled to mean 0 and variance 1 before the projection; from format 2 on.
    #[serde(default, skip_serializing_if = "is_false")]
    pub standardize_features: bool,
}

// serde passes a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(x: &bool) -> bool {
    !x
}

/// One attribute and its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// The attribute's name, unique in the model.
    pub name: String,
    /// Whether its values have an order (Eq. 3 and 4).
    #[serde(default)]
    pub ordered: bool,
    /// Whether an image may show several of its values; from format 5 on.
    #[serde(default, skip_serializing_if = "is_false")]
    pub multi: bool,
    /// The values; of an ordered attribute in their order.
    pub values: Vec<VocabularyEntry>,
}

/// An attribute value or a category, and how many training images show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VocabularyEntry {
    /// Unique among the values of its attribute, or among the categories.
    pub name: String,
    /// Training images that show it. With 0 there is no query prototype (its row is zeros).
    pub images: usize,
}

/// SHA-256 over everything that decides what an embedding or a query of this model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelDigest(pub [u8; 32]);

impl ModelDigest {
    /// The first 32 bits, big-endian. Every embedding carries them.
    pub fn fingerprint(&self) -> u32 {
        u32::from_be_bytes([self.0[0], self.0[1], self.0[2], self.0[3]])
    }
}

/// 64 hexadecimal digits; the first eight are the fingerprint.
impl std::fmt::Display for ModelDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl ModelConfig {
    /// Parses `config.json`: checks its version first, so that a newer format is named as such, then its contents.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] for a newer format, [`Kind::InvalidModel`] for anything malformed, [`Kind::OutOfMemory`].
    pub fn from_json(text: &str) -> Result<Self> {
        memory::headroom_for_json(text.len())?;
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let Version { format_version } = serde_json::from_str(text).map_err(|e| malformed(&e))?;
        if format_version > FORMAT_VERSION || format_version == 0 {
            return Err(Error::new(
                Kind::Unsupported,
                format!("model format version {format_version} is not supported"),
            )
            .detail(format!("This version of coopembed reads formats 1 to {FORMAT_VERSION}."))
            .hint(
                "Update coopembed, or save the model again with an older version of the offline program.",
            ));
        }
        let config: Self = serde_json::from_str(text).map_err(|e| malformed(&e))?;
        config.check()?;
        Ok(config)
    }

    /// The oldest format that can express this config. A reader that would silently ignore a part of it refuses it instead.
    pub fn needed_version(&self) -> u32 {
        if self.attributes.iter().any(|a| a.multi) {
            return 5;
        }
        if self.architecture.feature_set == FeatureSet::Levels {
            return 4;
        }
        match (&self.tagging, self.architecture.standardize_features) {
            (Some(_), _) => 3,
            (None, true) => 2,
            (None, false) => 1,
        }
    }

    /// The text of `config.json`.
    pub fn to_json(&self) -> String {
        // Serialising strings, numbers and lists cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The layout of this model's embeddings: K, n and the fingerprint of `digest`.
    ///
    /// # Errors
    /// [`Kind::LimitExceeded`] for an impossible shape.
    pub fn layout(&self, digest: &ModelDigest) -> Result<Layout> {
        Layout::new(self.attributes.len(), self.subspace_dim, digest.fingerprint())
    }

    /// SHA-256 of the parts of the config that decide embeddings and queries, and of the weights file. Notes such as metrics or
    /// licence are left out: changing them does not make existing embeddings unusable.
    pub fn digest(&self, weights: &[u8]) -> ModelDigest {
        let decisive =
            (&self.architecture, self.subspace_dim, &self.attributes, &self.categories, &self.preprocessing);
        let mut hash = Sha256::new();
        hash.update(b"coopembed model 1\n");
        hash.update(serde_json::to_vec(&decisive).unwrap_or_default());
        hash.update(Sha256::digest(weights));
        ModelDigest(hash.finalize().into())
    }

    /// Finds an attribute by name; returns k, the number of its subspace, too.
    ///
    /// # Errors
    /// [`Kind::UnknownName`] with the nearest known names.
    pub fn attribute(&self, name: &str) -> Result<(usize, &Attribute)> {
        self.attributes
            .iter()
            .enumerate()
            .find(|(_, a)| a.name == name)
            .ok_or_else(|| Error::unknown("attribute", name, self.attributes.iter().map(|a| &a.name)))
    }

    fn check(&self) -> Result<()> {
        let invalid = |detail: String| {
            Error::new(Kind::InvalidModel, "config.json does not describe a usable model").detail(detail)
        };
        Layout::new(self.attributes.len(), self.subspace_dim, 0)
            .map_err(|e| invalid(format!("{} ({}).", e.message, e.detail.unwrap_or_default())))?;
        let needed = self.needed_version();
        if self.format_version < needed {
            return Err(invalid(format!("The config needs format {needed}.")));
        }
        if let Some(tagging) = &self.tagging {
            tagging.check(self.attributes.len())?;
        }
        unique("attribute", self.attributes.iter().map(|a| &a.name)).map_err(invalid)?;
        unique("category", self.categories.iter().map(|c| &c.name)).map_err(invalid)?;
        for a in &self.attributes {
            unique(&format!("value of attribute \"{}\"", a.name), a.values.iter().map(|v| &v.name))
                .map_err(invalid)?;
        }
        self.preprocessing.check().map_err(|e| invalid(e.message))
    }
}

/// Reads the backbone's name and the input size out of any `config.json`, valid or not; each is `None` if it is not there.
///
/// # Errors
/// [`Kind::OutOfMemory`].
pub fn backbone_and_input_size(text: &str) -> Result<(Option<String>, Option<i32>)> {
    memory::headroom_for_json(text.len())?;
    #[derive(Default, Deserialize)]
    struct Parts {
        architecture: Option<Backbone>,
        preprocessing: Option<Size>,
    }
    #[derive(Deserialize)]
    struct Backbone {
        backbone: Option<String>,
    }
    #[derive(Deserialize)]
    struct Size {
        size: Option<i32>,
    }
    let parts: Parts = serde_json::from_str(text).unwrap_or_default();
    Ok((parts.architecture.and_then(|a| a.backbone), parts.preprocessing.and_then(|p| p.size)))
}

fn malformed(e: &serde_json::Error) -> Error {
    Error::new(Kind::InvalidModel, "config.json could not be read").detail(format!("{e}."))
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> std::result::Result<(), String> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if name.is_empty() || name.len() > 200 || name.contains('\0') {
            return Err(format!("A {what} has an empty, overlong or NUL-bearing name."));
        }
        if !seen.insert(name) {
            return Err(format!("The {what} \"{name}\" is listed twice."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeply_nested_json_is_refused() {
        for nested in ["[".repeat(1_000_000), r#"{"a":"#.repeat(1_000_000)] {
            for text in [nested.clone(), format!("{{\"format_version\": 1, \"training\": {nested}")] {
                assert_eq!(ModelConfig::from_json(&text).unwrap_err().kind, Kind::InvalidModel);
                assert_eq!(backbone_and_input_size(&text).unwrap(), (None, None));
            }
        }
    }

    #[test]
    fn backbone_and_input_size_are_read_from_any_config() {
        let text = r#"{"architecture": {"backbone": "r\u00e9s", "x": 1}, "preprocessing": {"size": 64}, "licence": "\u65e5"}"#;
        assert_eq!(backbone_and_input_size(text).unwrap(), (Some("rés".to_owned()), Some(64)));
        assert_eq!(backbone_and_input_size("{}").unwrap(), (None, None));
        assert_eq!(backbone_and_input_size("").unwrap(), (None, None));
    }
}
