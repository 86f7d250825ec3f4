//! A model's bytes, checked against their digest and built.

use super::accelerator::OnDevice;
use super::engine::Embedder;
use super::registry::Loader;
use crate::error::{Error, Kind, Result};
use crate::model::{Model, ModelDigest};
use candle_core::Device;
use std::sync::Arc;

/// The loader of the service.
pub struct ModelLoader {
    /// Where models compute.
    pub device: Device,
    /// The largest batch they have to be ready for.
    pub max_batch: usize,
}

impl Loader for ModelLoader {
    fn load(&self, digest: &ModelDigest, config: &str, weights: &[u8]) -> Result<Arc<dyn Embedder>> {
        let model = Model::from_parts_on(config, weights, &self.device)?;
        if model.digest() == *digest && self.device.is_cpu() {
            return Ok(Arc::new(model));
        }
        if model.digest() == *digest {
            return Ok(Arc::new(OnDevice::warmed_up(model, self.device.clone(), self.max_batch)?));
        }
        Err(Error::new(Kind::InvalidModel, "the stored model is not what its digest says")
            .detail(format!("Found {}, expected {digest}.", model.digest()))
            .hint("Its rows were changed or damaged; drop the model and load it again."))
    }
}

impl Embedder for Model {
    fn pixel_bytes(&self) -> usize {
        self.config().preprocessing.pixel_bytes()
    }

    fn dimensions(&self) -> usize {
        self.layout().dimensions()
    }

    fn memory_bytes(&self) -> u64 {
        Model::memory_bytes(self) as u64
    }

    fn embed(&self, pixels: &[u8], images: usize) -> Result<Vec<f32>> {
        Model::embed(self, pixels, images)
    }
}
