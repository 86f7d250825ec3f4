//! The operations of a backbone that learns, with gradients.
//!
//! In main memory feature maps are *batch-last*, `[channels, height, width, batch]`, in buffers of their own ([`feature_map`]). A channel is one contiguous row (good for batch
//! normalisation), a convolution over the whole batch is one matrix product however small the maps have become, and the pixels under one
//! tap of the kernel in one row are one contiguous run. On other devices the same layers are put together from candle's operations over
//! `[batch, channels, height, width]`: see [`candle_conv_norm`].
//!
//! | file | what is in it |
//! |---|---|
//! | `feature_map` | maps and their gradients in main memory, or tensors on other devices |
//! | `conv_norm` | convolution, batch normalisation, shortcut and activation as one operation |
//! | `layer_pass` | its forward and backward pass over slices |
//! | `candle_conv_norm` | the same layer from candle's operations |
//! | `layer_state` | the layer's parameter vector and running statistics |
//! | `convolution` | convolutions of either kind and their gradients |
//! | `matrix` | matrix products, blocked and parallel |
//! | `kernels/` | the inner loops, with SIMD and `unsafe` |
//! | `batch_norm` | batch normalisation and its gradients |
//! | `pooled_moments` | mean and deviation of a map's channels over its positions |
//! | `max_pool` | the max pool and its gradient |
//! | `window` | which input numbers lie under a tap of the kernel |
//! | `tensor_view` | the numbers of a tensor in main memory |
//! | `buffer_pool` | buffers that are used again |

pub mod batch_norm;
pub mod buffer_pool;
pub mod candle_conv_norm;
pub mod conv_norm;
mod convolution;
pub mod feature_map;
mod kernels;
mod layer_pass;
pub mod layer_state;
mod matrix;
pub mod max_pool;
pub mod pooled_moments;
mod tensor_view;
pub mod window;

#[cfg(test)]
mod kernel_tests;
#[cfg(test)]
mod tests;
