//! Feature maps of a backbone that learns, and their gradients.
//!
//! In main memory a map is no tensor of candle: the numbers lie in a pooled buffer, and the operations add to its gradient in place.
//! Candle would allocate every result and gradient anew and copy each gradient once more to sum it, on one thread. Its graph knows a map by
//! a *token*, a tensor of one number: tokens put the backward passes of the operations in order, and what is differentiated by candle
//! joins on through [`FeatureMap::from_tensor`] and [`FeatureMap::to_tensor`].

use super::buffer_pool::{BufferPool, PooledBuffer};
use super::kernels::BEST;
use super::tensor_view::view;
use crate::error::Result;
use crate::model::map_shape::MapShape;
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Tensor};
use rayon::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// A feature map with its gradient.
#[derive(Debug, Clone)]
pub enum FeatureMap {
    /// In main memory.
    Cpu(CpuMap),
    /// On another device: a tensor `[batch, channels, height, width]`.
    Device(Tensor),
}

/// A map in main memory.
#[derive(Debug, Clone)]
pub struct CpuMap {
    /// Numbers and gradient.
    pub(super) data: Arc<MapData>,
    /// The map in candle's graph.
    pub(super) token: Tensor,
}

/// The numbers of a map in main memory, and their gradient during a backward pass.
#[derive(Debug)]
pub(super) struct MapData {
    pub(super) shape: MapShape,
    /// `[channels, height, width, batch]`.
    pub(super) numbers: PooledBuffer,
    gradient: Mutex<Option<PooledBuffer>>,
    pub(super) buffers: BufferPool,
}

impl MapData {
    pub(super) fn new(shape: MapShape, numbers: PooledBuffer, buffers: &BufferPool) -> Arc<Self> {
        Arc::new(Self { shape, numbers, gradient: Mutex::default(), buffers: buffers.clone() })
    }

    /// Takes the gradient, which is complete when the backward pass of the operation that has made the map begins.
    pub(super) fn take_gradient(&self) -> candle_core::Result<PooledBuffer> {
        match self.slot().take() {
            Some(gradient) => Ok(gradient),
            None => candle_core::bail!("no gradient has reached a feature map"),
        }
    }

    /// Adds to the gradient: `f` gets the buffer, and whether it holds the sum of what was added before (or else arbitrary values).
    pub(super) fn add_gradient(&self, f: impl FnOnce(&mut [f32], bool)) {
        let found = self.slot().take();
        let holds_sum = found.is_some();
        let mut gradient = found.unwrap_or_else(|| self.buffers.take(self.numbers.len()));
        f(&mut gradient, holds_sum);
        *self.slot() = Some(gradient);
    }

    /// Adds a buffer to the gradient.
    pub(super) fn add_to_gradient(&self, more: PooledBuffer) {
        let found = self.slot().take();
        let sum = match found {
            None => more,
            Some(mut sum) => {
                let length = self.shape.pixels();
                let channels = sum.par_chunks_mut(length).zip(more.par_chunks(length));
                channels.for_each(|(sum, more)| BEST.add(sum, more));
                sum
            }
        };
        *self.slot() = Some(sum);
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<PooledBuffer>> {
        // The slot is valid at any time, so a poisoned lock is not an error.
        self.gradient.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The value of a token, and the gradient that is passed on for it.
pub(super) fn token() -> candle_core::Result<Tensor> {
    Tensor::zeros(1, candle_core::DType::F32, &Device::Cpu)
}

/// What a token's operation computes: nothing, since the map is there.
pub(super) fn token_storage() -> (CpuStorage, Shape) {
    (CpuStorage::F32(vec![0.0]), 1.into())
}

impl FeatureMap {
    /// From images or maps `[batch, channels, height, width]`, which get no gradient.
    ///
    /// # Errors
    /// [`crate::error::Kind::Internal`] for anything but a four-dimensional tensor of single precision.
    pub fn from_batch_first(map: &Tensor, buffers: &BufferPool) -> Result<Self> {
        if !map.device().is_cpu() {
            return Ok(Self::Device(map.clone()));
        }
        const ROWS: usize = 256;
        let (batch, channels, height, width) = map.dims4()?;
        let shape = MapShape { channels, batch, height, width };
        let pitch = channels * shape.plane();
        Self::transposed(map, shape, buffers, |from, to| {
            to.par_chunks_mut((ROWS * batch).max(1)).enumerate().for_each(|(i, to)| {
                BEST.transpose(&from[i * ROWS..], pitch, [batch, to.len() / batch], to, batch);
            });
        })
    }

    /// From maps `[batch, height, width, channels]`, the layout of inference in main memory, which get no gradient.
    ///
    /// # Errors
    /// [`crate::error::Kind::Internal`] for anything but a four-dimensional tensor of single precision.
    pub fn from_channels_last(map: &Tensor, buffers: &BufferPool) -> Result<Self> {
        if !map.device().is_cpu() {
            return Ok(Self::Device(map.permute((0, 3, 1, 2))?.contiguous()?));
        }
        const CHANNELS: usize = 16;
        let (batch, height, width, channels) = map.dims4()?;
        let shape = MapShape { channels, batch, height, width };
        let pitch = channels * shape.plane();
        Self::transposed(map, shape, buffers, |from, to| {
            to.par_chunks_mut((CHANNELS * shape.pixels()).max(1)).enumerate().for_each(|(i, to)| {
                let count = to.len() / shape.pixels();
                for position in 0..shape.plane() {
                    let from = &from[position * channels + i * CHANNELS..];
                    BEST.transpose(from, pitch, [batch, count], &mut to[position * batch..], shape.pixels());
                }
            });
        })
    }

    fn transposed(
        map: &Tensor,
        shape: MapShape,
        buffers: &BufferPool,
        transpose: impl FnOnce(&[f32], &mut [f32]),
    ) -> Result<Self> {
        let map = map.detach().contiguous()?;
        let mut numbers = buffers.take(shape.len());
        transpose(view(&map).numbers()?, &mut numbers);
        Ok(Self::Cpu(CpuMap { data: MapData::new(shape, numbers, buffers), token: token()? }))
    }

    /// From a tensor with the layout of the device: `[channels, height, width, batch]` in main memory, `[batch, channels, height, width]`
    /// elsewhere. The tensor gets its gradient.
    ///
    /// # Errors
    /// [`crate::error::Kind::Internal`] for anything but a four-dimensional tensor of single precision.
    pub fn from_tensor(map: &Tensor, buffers: &BufferPool) -> Result<Self> {
        if !map.device().is_cpu() {
            return Ok(Self::Device(map.clone()));
        }
        let map = map.contiguous()?;
        let (channels, height, width, batch) = map.dims4()?;
        let mut numbers = buffers.take(map.elem_count());
        numbers.copy_from_slice(view(&map).numbers()?);
        let data = MapData::new(MapShape { channels, batch, height, width }, numbers, buffers);
        let token = map.apply_op1(Import(data.clone()))?;
        Ok(Self::Cpu(CpuMap { data, token }))
    }

    /// The map as a tensor with the layout of [`FeatureMap::from_tensor`]; gradients of the tensor reach the map.
    ///
    /// # Errors
    /// If the device fails.
    pub fn to_tensor(&self) -> Result<Tensor> {
        match self {
            Self::Cpu(map) => Ok(map.token.apply_op1(Export(map.data.clone()))?),
            Self::Device(map) => Ok(map.clone()),
        }
    }

    /// Whether operations on the map are recorded for a backward pass.
    pub fn track_op(&self) -> bool {
        match self {
            Self::Cpu(map) => map.token.track_op(),
            Self::Device(map) => map.track_op(),
        }
    }
}

/// Copies a tensor's numbers into a map: its result is the token.
struct Import(Arc<MapData>);

impl CustomOp1 for Import {
    fn name(&self) -> &'static str {
        "feature-map"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok(token_storage())
    }

    fn bwd(&self, map: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let gradient = self.0.take_gradient()?;
        Ok(Some(Tensor::from_slice(&gradient, map.shape(), &Device::Cpu)?))
    }
}

/// Copies a map's numbers into a tensor.
struct Export(Arc<MapData>);

impl CustomOp1 for Export {
    fn name(&self) -> &'static str {
        "feature-map-tensor"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let MapShape { channels, batch, height, width } = self.0.shape;
        Ok((CpuStorage::F32(self.0.numbers.to_vec()), (channels, height, width, batch).into()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        let gradient = view(&gradient);
        let numbers = gradient.numbers()?;
        self.0.add_gradient(|sum, holds_sum| match holds_sum {
            true => BEST.add(sum, numbers),
            false => sum.copy_from_slice(numbers),
        });
        Ok(Some(token()?))
    }
}
