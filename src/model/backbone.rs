//! What every backbone does, whatever it runs on.

use crate::error::Result;
use candle_core::{Device, Tensor};

/// A network from images to feature vectors, for inference.
pub trait Backbone: Send + Sync + std::fmt::Debug {
    /// F, the length of a feature vector.
    fn features(&self) -> usize;

    /// The device it computes on; put images there to save a copy.
    fn device(&self) -> &Device {
        &Device::Cpu
    }

    /// Normalised images `[batch, 3, height, width]` to pooled features `[batch, F]` in main memory, both f32.
    ///
    /// # Errors
    /// [`crate::error::Kind::Internal`] for input of another shape.
    fn forward(&self, images: &Tensor) -> Result<Tensor>;

    /// Bytes in use: the weights, and the buffers for feature maps that earlier calls have left for the next ones.
    fn memory_bytes(&self) -> usize;
}
