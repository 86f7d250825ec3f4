//! The tensors in `model.safetensors`: their names, and the shapes that a config requires.

use super::architectures::Arch;
use super::config::ModelConfig;
use super::layers::ConvNet;
use super::tensors::{Expected, TensorFile};
use crate::error::{Error, Kind, Result};

/// Prefix of the backbone's tensors; their published names follow.
pub const BACKBONE_PREFIX: &str = "backbone.";
/// Prefix of the projection's tensors.
pub const PROJECTION_PREFIX: &str = "projection.";
/// The projection's matrix, `[K·n, F]`.
pub const PROJECTION_WEIGHT: &str = "projection.weight";
/// The projection's bias, `[K·n]`.
pub const PROJECTION_BIAS: &str = "projection.bias";
/// The instance proxies p of Eq. 1, `[P, K·n]`. Only training needs them, so a model may omit them.
pub const INSTANCE_PROXIES: &str = "proxies.instance";
/// The category proxies c of Eq. 5 (means of instance proxies), `[C, K·n]`. Only tags need them, so a model may omit them.
pub const CATEGORY_PROXIES: &str = "proxies.category";
/// The query prototypes of the categories, `[C, K·n]`; a category without training images has zeros.
pub const CATEGORY_QUERIES: &str = "queries.category";

/// The proxies a of Eq. 2 of an attribute's values, `[V, n]`.
pub fn attribute_proxies(attribute: &str) -> String {
    format!("proxies.attribute.{attribute}")
}

/// The proxy of images without a value of an attribute, `[1, n]`; only models trained with absent proxies have it.
pub fn absent_proxy(attribute: &str) -> String {
    format!("proxies.absent.{attribute}")
}

/// The query prototypes of an attribute's values, `[V, n]`; a value without training images has zeros.
pub fn attribute_queries(attribute: &str) -> String {
    format!("queries.attribute.{attribute}")
}

/// The metadata entry that identifies the config that the weights were written with.
pub(super) const CONFIG_DIGEST_KEY: &str = "config";

/// The value of that entry: a digest of the config's parts that decide embeddings and queries; notes such as the licence may
/// change.
pub(super) fn config_digest(config: &ModelConfig) -> String {
    config.digest(&[]).to_string()
}

/// Looks up the config's backbone and checks the length of its feature vectors.
///
/// # Errors
/// [`Kind::UnknownName`] or [`Kind::InvalidModel`].
pub(super) fn architecture(config: &ModelConfig) -> Result<(Arch, ConvNet)> {
    let arch: Arch = config.architecture.backbone.parse()?;
    let description = arch.description();
    let expected = description.feature_layout(config.architecture.feature_set).len;
    if config.architecture.features != expected {
        return Err(Error::new(Kind::InvalidModel, "config.json does not describe a usable model").detail(
            format!(
                "Found {} features of the backbone {arch}, expected {}.",
                config.architecture.features, expected
            ),
        ));
    }
    Ok((arch, description))
}

/// The tensors that queries need.
pub(super) fn expected_queries(config: &ModelConfig) -> Vec<Expected> {
    let n = config.subspace_dim;
    let attributes =
        config.attributes.iter().map(|a| Expected::new(attribute_queries(&a.name), [a.values.len(), n]));
    let dimensions = config.attributes.len() * n;
    attributes.chain([Expected::new(CATEGORY_QUERIES, [config.categories.len(), dimensions])]).collect()
}

/// The tensors that training and evaluation need.
pub(super) fn expected_proxies(config: &ModelConfig, file: &TensorFile<'_>) -> Vec<Expected> {
    let n = config.subspace_dim;
    let attributes =
        config.attributes.iter().map(|a| Expected::new(attribute_proxies(&a.name), [a.values.len(), n]));
    // The config does not record the number of instances: take it from the tensor itself.
    let instances = file.shape(INSTANCE_PROXIES).and_then(|shape| shape.first().copied()).unwrap_or(0);
    let dimensions = config.attributes.len() * n;
    let absent = config.attributes.iter().map(|a| Expected::optional(absent_proxy(&a.name), [1, n]));
    attributes
        .chain(absent)
        .chain([
            Expected::optional(INSTANCE_PROXIES, [instances, dimensions]),
            Expected::optional(CATEGORY_PROXIES, [config.categories.len(), dimensions]),
        ])
        .collect()
}

/// The tensors that the network needs.
pub(super) fn expected_network(config: &ModelConfig, description: &ConvNet) -> Vec<Expected> {
    let (dimensions, features) =
        (config.attributes.len() * config.subspace_dim, config.architecture.features);
    let backbone = description.tensor_shapes().into_iter();
    backbone
        .map(|(name, shape)| Expected::new(format!("{BACKBONE_PREFIX}{name}"), shape))
        .chain([
            Expected::new(PROJECTION_WEIGHT, [dimensions, features]),
            Expected::new(PROJECTION_BIAS, [dimensions]),
        ])
        .collect()
}

/// The message when the weights do not fit the config.
pub(super) const MISMATCH_MESSAGE: &str = "the weights do not fit the model's config";

/// Fails if the weights say that they were written with another config.
///
/// # Errors
/// [`Kind::InvalidModel`].
pub(super) fn check_written_together(config: &ModelConfig, file: &TensorFile<'_>) -> Result<()> {
    let expected = config_digest(config);
    match file.metadata(CONFIG_DIGEST_KEY) {
        Some(found) if found != expected => Err(Error::new(Kind::InvalidModel, MISMATCH_MESSAGE)
            .detail("The weights were written with a config of other attributes, values, categories or preprocessing.")
            .hint("Take config.json and model.safetensors from the same model directory.")),
        _ => Ok(()),
    }
}
