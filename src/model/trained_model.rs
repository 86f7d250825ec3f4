//! A trained model in memory: pixels to raw embeddings.

use super::architectures::Arch;
use super::backbone::Backbone;
use super::config::{ModelConfig, ModelDigest};
use super::cpu::{Linear, BEST};
use super::load_backbone::load_backbone;
use super::pixels::normalize_pixels;
use super::prototypes::Prototypes;
use super::standardize::standardized;
use super::tensor_names;
use super::tensors::TensorFile;
use crate::error::{Error, Kind, Result};
use crate::space::Layout;
use candle_core::{Device, Tensor};

/// A trained model. Config and weights have been checked against each other.
#[derive(Debug)]
pub struct Model {
    config: ModelConfig,
    digest: ModelDigest,
    layout: Layout,
    backbone: Box<dyn Backbone>,
    projection: Projection,
    prototypes: Prototypes,
}

/// The linear layer from features to the superspace, in main memory.
#[derive(Debug)]
struct Projection {
    layer: Linear,
    /// F.
    inputs: usize,
    /// Whether features are standardised before the projection.
    standardize: bool,
}

/// Config and weights that have been checked against each other.
pub(super) struct CheckedParts<'a> {
    pub(super) config: ModelConfig,
    pub(super) digest: ModelDigest,
    pub(super) arch: Arch,
    pub(super) file: TensorFile<'a>,
}

/// Checks config and weights, and that there is memory to load the network.
///
/// # Errors
/// As [`Model::from_parts`].
pub(super) fn check_parts<'a>(config_json: &str, weights: &'a [u8]) -> Result<CheckedParts<'a>> {
    let config = ModelConfig::from_json(config_json)?;
    let (arch, description) = tensor_names::architecture(&config)?;
    let file = TensorFile::parse(weights)?;
    let expected = [
        tensor_names::expected_network(&config, &description),
        tensor_names::expected_queries(&config),
        tensor_names::expected_proxies(&config, &file),
    ]
    .concat();
    file.check(tensor_names::MISMATCH_MESSAGE, &expected, |_| false)?;
    tensor_names::check_written_together(&config, &file)?;
    file.headroom_for_network(|name| {
        name.starts_with(tensor_names::BACKBONE_PREFIX) || name.starts_with(tensor_names::PROJECTION_PREFIX)
    })?;
    Ok(CheckedParts { digest: config.digest(weights), config, arch, file })
}

impl Model {
    /// Reads and checks `config.json` and `model.safetensors`.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] for a newer format, [`Kind::UnknownName`] for an unknown backbone, and
    /// [`Kind::InvalidModel`], listing all faults, for truncated weights, missing tensors, wrong shapes or number formats, NaN or
    /// infinity, or a config that belongs to other weights.
    pub fn from_parts(config_json: &str, weights: &[u8]) -> Result<Self> {
        Self::from_parts_on(config_json, weights, &Device::Cpu)
    }

    /// [`Model::from_parts`] with the backbone on a device. On a GPU it computes in half precision.
    ///
    /// # Errors
    /// As [`Model::from_parts`], and [`Kind::Internal`] if the device fails.
    pub fn from_parts_on(config_json: &str, weights: &[u8], device: &Device) -> Result<Self> {
        let CheckedParts { config, digest, arch, file } = check_parts(config_json, weights)?;
        Ok(Self {
            digest,
            layout: config.layout(&digest)?,
            backbone: load_backbone(
                arch,
                config.architecture.feature_set,
                &file.tensors_under(tensor_names::BACKBONE_PREFIX)?,
                device,
            )?,
            projection: Projection::new(
                &file.tensor(tensor_names::PROJECTION_WEIGHT)?,
                &file.tensor(tensor_names::PROJECTION_BIAS)?,
                config.architecture.standardize_features,
            )?,
            prototypes: Prototypes::read(&config, &file)?,
            config,
        })
    }

    /// The model's config.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// SHA-256 of everything that decides embeddings and queries.
    pub fn digest(&self) -> ModelDigest {
        self.digest
    }

    /// The layout of the model's embeddings: K, n and the fingerprint.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The targets of attribute and category queries.
    pub fn prototypes(&self) -> &Prototypes {
        &self.prototypes
    }

    /// Prepared 8-bit pixels `[batch, size, size, 3]` to raw embeddings `[batch, K·n]`, not normalised. On the CPU an image's
    /// embedding is bit-identical whatever else is in the batch.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] for another number of bytes, [`Kind::Internal`] if a number overflows.
    pub fn embed(&self, pixels: &[u8], batch: usize) -> Result<Vec<f32>> {
        self.project(self.features(pixels, batch)?, batch)
    }

    /// The first half of [`Model::embed`]: pixels to the backbone's features `[batch, F]`.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] for another number of bytes.
    pub fn features(&self, pixels: &[u8], batch: usize) -> Result<Vec<f32>> {
        let input = normalize_pixels(pixels, batch, &self.config.preprocessing, self.backbone.device())?;
        if batch == 0 {
            return Ok(Vec::new());
        }
        Ok(self.backbone.forward(&input)?.flatten_all()?.to_vec1()?)
    }

    /// The second half: features `[batch, F]` to raw embeddings `[batch, K·n]`.
    ///
    /// # Errors
    /// [`Kind::Internal`] if a number overflows or there are not batch · F numbers.
    pub fn project(&self, features: Vec<f32>, batch: usize) -> Result<Vec<f32>> {
        if batch == 0 {
            return Ok(Vec::new());
        }
        let embeddings = self.projection.forward(features, batch)?;
        if embeddings.iter().all(|x| x.is_finite()) {
            return Ok(embeddings);
        }
        Err(Error::new(Kind::Internal, "the network's output is not finite")
            .detail("A number overflowed on the way from pixels to embedding.")
            .hint("The model's weights are too large: train it again."))
    }

    /// Bytes in use, in main memory and on the device.
    pub fn memory_bytes(&self) -> usize {
        self.backbone.memory_bytes() + self.projection.layer.memory_bytes() + self.prototypes.memory_bytes()
    }
}

impl Projection {
    /// From `weight`, `[K·n, F]`, and `bias`, `[K·n]`.
    fn new(weight: &Tensor, bias: &Tensor, standardize: bool) -> Result<Self> {
        let (_, inputs) = weight.dims2()?;
        let weight: Vec<f32> = weight.flatten_all()?.to_vec1()?;
        Ok(Self { layer: Linear::new(&weight, &bias.to_vec1::<f32>()?, *BEST), inputs, standardize })
    }

    /// Features `[batch, F]` to raw embeddings `[batch, K·n]`.
    fn forward(&self, mut features: Vec<f32>, batch: usize) -> Result<Vec<f32>> {
        if self.standardize {
            let tensor = Tensor::from_vec(features, (batch, self.inputs), &Device::Cpu)?;
            features = standardized(&tensor)?.flatten_all()?.to_vec1()?;
        }
        if features.len() != batch * self.inputs {
            return Err(Error::new(Kind::Internal, "features that do not fit the projection").detail(
                format!("{} numbers for {batch} images of {} features.", features.len(), self.inputs),
            ));
        }
        Ok(self.layer.forward(&features, rayon::current_num_threads()))
    }
}

#[cfg(test)]
mod tests;
