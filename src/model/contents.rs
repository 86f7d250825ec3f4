//! What `model.safetensors` holds: the names of its tensors, and the shapes that a config asks for.

use super::arch::{Arch, Description};
use super::config::ModelConfig;
use super::tensors::{Expected, TensorFile};
use crate::error::{Error, Kind, Result};

/// Before the backbone's own tensor names.
pub const BACKBONE_PREFIX: &str = "backbone.";
/// Before the projection's.
pub const PROJECTION_PREFIX: &str = "projection.";
/// The projection's matrix, `[K·n, F]`.
pub const PROJECTION_WEIGHT: &str = "projection.weight";
/// The projection's bias, `[K·n]`.
pub const PROJECTION_BIAS: &str = "projection.bias";
/// The instances' proxies, `[P, K·n]`; only training needs them, so they may be left out.
pub const INSTANCE_PROXIES: &str = "proxies.instance";
/// The categories' proxies (Eq. 5: means of their instances'), `[C, K·n]`; only tags need them, so they may be left out.
pub const CATEGORY_PROXIES: &str = "proxies.category";
/// The categories' query prototypes, `[C, K·n]`; a category without training images has zeros.
pub const CATEGORY_QUERIES: &str = "queries.category";

/// The proxies of an attribute's values, `[V, n]`.
pub fn attribute_proxies(attribute: &str) -> String {
    format!("proxies.attribute.{attribute}")
}

/// The proxy of images without a value of an attribute, `[1, n]`; only models that learned one have it.
pub fn absent_proxy(attribute: &str) -> String {
    format!("proxies.absent.{attribute}")
}

/// The query prototypes of an attribute's values, `[V, n]`; a value without training images has zeros.
pub fn attribute_queries(attribute: &str) -> String {
    format!("queries.attribute.{attribute}")
}

/// The metadata entry that says which config the weights were written with.
pub(super) const METADATA: &str = "config";

/// The value of that entry: it covers what decides embeddings and queries, and none of the notes.
pub(super) fn metadata_value(config: &ModelConfig) -> String {
    config.digest(&[]).to_string()
}

/// The config's backbone, if its feature vectors are as long as the config says.
///
/// # Errors
/// [`Kind::UnknownName`] or [`Kind::InvalidModel`].
pub(super) fn architecture(config: &ModelConfig) -> Result<(Arch, Description)> {
    let arch: Arch = config.architecture.backbone.parse()?;
    let description = arch.description();
    if config.architecture.features != description.features {
        return Err(Error::new(Kind::InvalidModel, "config.json does not describe a usable model").detail(
            format!(
                "Found {} features of the backbone {arch}, expected {}.",
                config.architecture.features, description.features
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
    // How many instances there were is nowhere but in the tensor itself.
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

/// The tensors of the network.
pub(super) fn expected_network(config: &ModelConfig, description: &Description) -> Vec<Expected> {
    let (dimensions, features) = (config.attributes.len() * config.subspace_dim, description.features);
    let backbone = description.tensors().into_iter();
    backbone
        .map(|(name, shape)| Expected::new(format!("{BACKBONE_PREFIX}{name}"), shape))
        .chain([
            Expected::new(PROJECTION_WEIGHT, [dimensions, features]),
            Expected::new(PROJECTION_BIAS, [dimensions]),
        ])
        .collect()
}

/// What a check of the weights against the config complains about.
pub(super) const DO_NOT_FIT: &str = "the weights do not fit the model's config";

/// Fails if the weights say that they were written with another config.
///
/// # Errors
/// [`Kind::InvalidModel`].
pub(super) fn check_written_together(config: &ModelConfig, file: &TensorFile<'_>) -> Result<()> {
    let expected = metadata_value(config);
    match file.metadata(METADATA) {
        Some(found) if found != expected => Err(Error::new(Kind::InvalidModel, DO_NOT_FIT)
            .detail("The weights were written with a config of other attributes, values, categories or preprocessing.")
            .hint("Take config.json and model.safetensors from the same model directory.")),
        _ => Ok(()),
    }
}
