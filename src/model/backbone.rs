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

    /// Normalised images `[batch, 3, height, width]` to features `[batch, F]` in main memory, both f32. The order of the features is that
    /// of [`FeatureLayout`](super::feature_layout::FeatureLayout).
    ///
    /// # Errors
    /// [`crate::error::Kind::Internal`] for input of another shape.
    fn forward(&self, images: &Tensor) -> Result<Tensor>;

    /// The first part of the network alone: the stem and the first `blocks` blocks.
    ///
    /// # Errors
    /// As [`Backbone::forward`].
    fn lower(&self, images: &Tensor, blocks: usize) -> Result<LowerMaps>;

    /// The rest of the network, after [`Backbone::lower`] with the same `blocks`: features `[batch, F]`, as [`Backbone::forward`].
    ///
    /// # Errors
    /// As [`Backbone::forward`].
    fn upper(&self, lower: &LowerMaps, blocks: usize) -> Result<Tensor>;

    /// Bytes in use: the weights, and the buffers for feature maps that earlier calls have left for the next ones.
    fn memory_bytes(&self) -> usize;
}

/// What the first part of a backbone leaves for the rest; both in main memory and f32.
#[derive(Debug)]
pub struct LowerMaps {
    /// `[batch, height, width, channels]`: the map after the last block of the part.
    pub map: Tensor,
    /// `[batch, F]`: the features of the part's taps in their columns, and zeros in all others.
    pub features: Tensor,
}
