//! A model's bytes, checked against their digest and built.

use super::engine::Embedder;
use super::registry::Loader;
use crate::error::{Error, Kind, Result};
use crate::model::{ModelConfig, ModelDigest};
use std::sync::Arc;

/// The loader of the service.
pub struct ModelLoader;

impl Loader for ModelLoader {
    fn load(&self, digest: &ModelDigest, config: &str, weights: &[u8]) -> Result<Arc<dyn Embedder>> {
        let config = ModelConfig::from_json(config)?;
        let found = config.digest(weights);
        if found != *digest {
            return Err(Error::new(Kind::InvalidModel, "the stored model is not what its digest says")
                .detail(format!("Found {found}, expected {digest}."))
                .hint("Its row was changed or damaged; drop the model and load it again."));
        }
        Err(Error::new(Kind::Unsupported, "stand-in"))
    }
}
