//! A loaded model as the service sees it: prepared pixels in, raw embeddings out.

use crate::error::Result;
use crate::model::Model;

/// A model that turns prepared images into raw embeddings, whose subspaces are not normalised yet.
pub trait Embedder: Send + Sync {
    /// Bytes of one prepared image: `size * size * 3`.
    fn pixel_bytes(&self) -> usize;
    /// N = K·n, the length of one embedding.
    fn dimensions(&self) -> usize;
    /// Bytes of memory that the loaded model takes, for `coopembed.memory_limit`.
    fn memory_bytes(&self) -> u64;
    /// How many of the `waiting` images (at least 1) the next batch should take. The default is all of them: on a CPU an image takes as
    /// long in a batch of 3, 5 or 12 as in one of 4, 8 or 16, so rounding down would only add batches.
    fn preferred_batch_size(&self, waiting: usize) -> usize {
        waiting
    }
    /// Computes `[images, pixel_bytes]` to `[images, N]`.
    ///
    /// # Errors
    /// Whatever keeps the model from computing this batch.
    fn embed(&self, pixels: &[u8], images: usize) -> Result<Vec<f32>>;
    /// Whether the device has failed for good, so that the process has to be replaced.
    fn is_device_lost(&self) -> bool {
        false
    }
}

/// A model on the CPU.
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
