//! The loops in which inference spends its time, with vector instructions where the processor has them.
//!
//! `unsafe` is confined to this folder: vector instructions and maps that several threads write need it. The functions that the rest
//! of the crate calls check their arguments and are safe. Tests compare every instruction set with a naive convolution.
//!
//! | file | what is in it |
//! |---|---|
//! | `dispatch` | [`Kernels`]: the loops compiled for each instruction set, and the choice among them |
//! | `vector` | a vector register as a trait: portable, AVX2, AVX-512 |
//! | `tile` | the inner loop of a dense convolution |
//! | `depthwise_row` | the inner loop of a depthwise convolution |
//! | `linear_tile` | the inner loop of a linear layer |
//! | `moments` | the inner loop of a map's statistics |
//! | `pack` | gathers the pixels that a kernel covers |
//! | `region` | lets several threads write parts of one map |
//! | `buffer` | buffers aligned to cache lines |
#![allow(unsafe_code)]

mod buffer;
mod depthwise_row;
mod dispatch;
mod linear_tile;
mod moments;
mod pack;
mod region;
mod tile;
pub(crate) mod vector;

pub use buffer::Buffer;
pub use depthwise_row::CHANNELS;
#[cfg(test)]
pub use dispatch::available;
pub use dispatch::{DepthwiseRow, Kernels, LinearPanel, LinearWeights, Product, BEST};
pub use pack::{BlockLayout, Packing, Strip};
pub use region::{for_each_region, Partition, Region};
pub use tile::BLOCK;

/// How many numbers must follow a map in its buffer: loops read whole blocks.
pub const SLACK: usize = BLOCK;
