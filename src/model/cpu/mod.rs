//! Inference in main memory, over feature maps `[batch, height, width, channels]` in f32.
//!
//! With the channels last, a 1x1 convolution is a matrix product over the map as it lies in memory, and for any other kernel the
//! pixels that one kernel row covers are one contiguous run. Weights are packed once, in the order in which the product reads them.
//! Pixels are packed a few at a time into a buffer that stays in the cache. Bias, shortcut and activation are applied while the sums
//! are in registers. The work is shared by the threads of rayon's pool; results do not depend on how it is shared.
//!
//! | file | what is in it |
//! |---|---|
//! | `network` | a whole backbone: images to pooled features, buffers, threads |
//! | `conv_layer`, `layer_call` | one layer, of either kind, and the arguments of a run |
//! | `dense_conv` | convolutions whose filters cover all channels |
//! | `depthwise_conv` | convolutions with one filter per channel |
//! | `linear` | a linear layer, with weights in half precision where that is exact |
//! | `pooling` | max pool, average pool, change of layout |
//! | `kernels/` | the inner loops, with SIMD and `unsafe` |

mod conv_layer;
mod dense_conv;
mod depthwise_conv;
pub(crate) mod kernels;
mod layer_call;
mod linear;
mod network;
mod pooling;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub use kernels::available;
pub use kernels::{Kernels, BEST};
pub use linear::Linear;
pub use network::Network;
