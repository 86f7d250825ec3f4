//! The operations of a backbone that learns, with gradients.
//!
//! In main memory feature maps are *batch-last*, `[channels, height, width, batch]`: a channel is one contiguous row (batch
//! normalisation), a convolution over the whole batch is one matrix product however small the pictures have become, and what a
//! kernel's tap sees of a row of pixels is one contiguous run (everything else). On another device the same layers are composed
//! of candle's own operations over `[batch, channels, height, width]`: see [`composed`].

pub mod buffers;
pub mod composed;
pub mod dense;
pub mod depthwise;
pub mod layer;
pub mod max_pool;
pub mod norm;
pub mod product;
pub mod window;

#[cfg(test)]
mod tests;
