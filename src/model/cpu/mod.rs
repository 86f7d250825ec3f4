//! Inference in main memory, over feature maps `[batch, height, width, channels]` in f32.
//!
//! With the channels last, a 1x1 convolution is a matrix product over the map as it lies, and what a row of any other kernel
//! sees of a row of pixels is one run. Weights are packed once, in the order in which the product reads them; pixels are packed
//! a few at a time, in a buffer that stays in the cache; bias, shortcut and activation are applied while the sums are in
//! registers. Work is spread over rayon's pool; what is computed does not depend on how.

mod dense;
mod depthwise;
mod kernels;
mod layer;
mod network;
mod pool;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub use kernels::available;
pub use kernels::{Kernels, BEST};
pub use layer::Layer;
pub use network::{Filter, Network};

/// Numbers that must follow a map in its buffer: loops read whole blocks.
pub const SLACK: usize = kernels::BLOCK;
