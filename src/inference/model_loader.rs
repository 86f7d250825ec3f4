//! Builds a model from the bytes that the database stores, after checking them against the model's digest.

use super::accelerator::AcceleratedModel;
use super::embedder::Embedder;
use crate::error::{Error, Kind, Result};
use crate::model::{Model, ModelDigest};
use candle_core::Device;
use std::sync::Arc;

/// Builds models; a trait so that tests can serve a fake one.
pub trait LoadModel: Send + Sync + 'static {
    /// Builds the model `digest` from its `config.json` and `model.safetensors`.
    ///
    /// # Errors
    /// [`Kind::InvalidModel`] when the bytes are not a model, or not this one.
    fn load(&self, digest: &ModelDigest, config: &str, weights: &[u8]) -> Result<Arc<dyn Embedder>>;
}

/// The loader that the service uses.
pub struct ModelLoader {
    /// Where models compute.
    pub device: Device,
    /// The largest batch that a model on an accelerator is warmed up for.
    pub max_batch: usize,
}

impl LoadModel for ModelLoader {
    fn load(&self, digest: &ModelDigest, config: &str, weights: &[u8]) -> Result<Arc<dyn Embedder>> {
        let model = Model::from_parts_on(config, weights, &self.device)?;
        if model.digest() != *digest {
            return Err(Error::new(Kind::InvalidModel, "the stored model does not match its digest")
                .detail(format!("Found {}, expected {digest}.", model.digest()))
                .hint("Its rows were changed or damaged; drop the model and load it again."));
        }
        if self.device.is_cpu() {
            return Ok(Arc::new(model));
        }
        Ok(Arc::new(AcceleratedModel::warmed_up(model, self.device.clone(), self.max_batch)?))
    }
}
