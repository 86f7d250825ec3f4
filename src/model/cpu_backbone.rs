//! A backbone in main memory, on the crate's own kernels.

use super::architectures::Arch;
use super::backbone::Backbone;
use super::batch_norm_folding::fold_batch_norm;
use super::cpu::{Kernels, Network};
use super::layers::ConvSpec;
use super::map_shape::MapShape;
use super::tensors::Tensors;
use crate::error::{Error, Kind, Result};
use candle_core::{DType, Device, Storage, Tensor};

/// A [`Network`] whose input and output are tensors.
#[derive(Debug)]
pub struct CpuBackbone(Network);

impl CpuBackbone {
    /// Folds batch normalisation into the filters and packs them for `kernels`.
    ///
    /// # Errors
    /// [`Kind::InvalidModel`] if a tensor is missing or of another shape.
    pub fn load(arch: Arch, tensors: &Tensors, kernels: &'static Kernels) -> Result<Self> {
        let description = arch.description();
        let filter = |conv: &ConvSpec| fold_batch_norm(conv, description.norm_epsilon, tensors);
        Ok(Self(Network::new(&description, kernels, filter)?))
    }
}

impl Backbone for CpuBackbone {
    fn features(&self) -> usize {
        self.0.features()
    }

    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let wrong_shape = || {
            let (dims, dtype) = (images.dims(), images.dtype());
            let takes = "a backbone takes images [batch, 3, height, width] in F32";
            Error::new(Kind::Internal, format!("{takes}, found {dims:?} in {dtype:?}"))
        };
        let &[batch, channels, height, width] = images.dims() else { return Err(wrong_shape()) };
        if channels != 3 || height == 0 || width == 0 || images.dtype() != DType::F32 {
            return Err(wrong_shape());
        }
        let mut features = vec![0f32; batch * self.features()];
        if batch > 0 {
            let images = images.contiguous()?;
            let (storage, layout) = images.storage_and_layout();
            let (Storage::Cpu(storage), Some((from, to))) = (&*storage, layout.contiguous_offsets()) else {
                return Err(Error::new(Kind::Internal, "images must be in main memory"));
            };
            let shape = MapShape { channels, batch, height, width };
            self.0.forward(&storage.as_slice::<f32>()?[from..to], shape, &mut features);
        }
        Ok(Tensor::from_vec(features, (batch, self.features()), &Device::Cpu)?)
    }

    fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }
}

#[cfg(test)]
mod tests;
