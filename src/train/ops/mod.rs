//! The operations of a backbone that learns, with gradients.
//!
//! In main memory feature maps are *batch-last*, `[channels, height, width, batch]`. A channel is one contiguous row (good for batch
//! normalisation), a convolution over the whole batch is one matrix product however small the maps have become, and the pixels under one
//! tap of the kernel in one row are one contiguous run. On other devices the same layers are put together from candle's operations over
//! `[batch, channels, height, width]`: see [`candle_conv_norm`].
//!
//! | file | what is in it |
//! |---|---|
//! | `conv_norm` | convolution, batch normalisation, shortcut and activation as one operation |
//! | `candle_conv_norm` | the same layer from candle's operations |
//! | `layer_state` | the layer's parameter vector and running statistics |
//! | `dense_backprop` | dense convolutions and their gradients, as matrix products |
//! | `depthwise_backprop` | depthwise convolutions and their gradients |
//! | `batch_norm` | batch normalisation and its gradients |
//! | `max_pool` | the max pool and its gradient |
//! | `window` | which input numbers lie under a tap of the kernel |
//! | `tensor_view` | the numbers of a tensor in main memory |
//! | `buffer_pool` | buffers that are used again |

pub mod batch_norm;
pub mod buffer_pool;
pub mod candle_conv_norm;
pub mod conv_norm;
pub mod dense_backprop;
pub mod depthwise_backprop;
pub mod layer_state;
pub mod max_pool;
mod tensor_view;
pub mod window;

#[cfg(test)]
mod tests;
