//! A backbone in main memory, on the crate's own kernels.

use super::architectures::Arch;
use super::backbone::{Backbone, LowerMaps};
use super::batch_norm_folding::fold_batch_norm;
use super::cpu::{Kernels, Network};
use super::feature_layout::FeatureSet;
use super::layers::ConvSpec;
use super::map_shape::MapShape;
use super::tensors::Tensors;
use crate::error::{Error, Kind, Result};
use candle_core::{DType, Device, Storage, Tensor};

/// A [`Network`] whose input and output are tensors.
#[derive(Debug)]
pub struct CpuBackbone(Network);

impl CpuBackbone {
    /// Folds batch normalisation into the filters and packs them for `kernels`; the backbone gives these features.
    ///
    /// # Errors
    /// [`Kind::InvalidModel`] if a tensor is missing or of another shape.
    pub fn load(
        arch: Arch,
        features: FeatureSet,
        tensors: &Tensors,
        kernels: &'static Kernels,
    ) -> Result<Self> {
        let description = arch.description();
        let filter = |conv: &ConvSpec| fold_batch_norm(conv, description.norm_epsilon, tensors);
        Ok(Self(Network::new(&description, features, kernels, filter)?))
    }
}

impl Backbone for CpuBackbone {
    fn features(&self) -> usize {
        self.0.features()
    }

    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let shape = shape_of(images)?;
        let mut features = vec![0f32; shape.batch * self.features()];
        with_numbers(images, |numbers| self.0.forward(numbers, shape, &mut features))?;
        Ok(Tensor::from_vec(features, (shape.batch, self.features()), &Device::Cpu)?)
    }

    fn lower(&self, images: &Tensor, blocks: usize) -> Result<LowerMaps> {
        let shape = shape_of(images)?;
        let after = self.0.lower_shape(shape, blocks);
        let (mut map, mut features) = (vec![0f32; after.len()], vec![0f32; shape.batch * self.features()]);
        with_numbers(images, |numbers| self.0.lower(numbers, shape, blocks, &mut map, &mut features))?;
        let dims = (after.batch, after.height, after.width, after.channels);
        Ok(LowerMaps {
            map: Tensor::from_vec(map, dims, &Device::Cpu)?,
            features: Tensor::from_vec(features, (shape.batch, self.features()), &Device::Cpu)?,
        })
    }

    fn upper(&self, lower: &LowerMaps, blocks: usize) -> Result<Tensor> {
        let (batch, height, width, channels) = lower.map.dims4()?;
        let shape = MapShape { channels, batch, height, width };
        let mut features: Vec<f32> = lower.features.flatten_all()?.to_vec1()?;
        with_numbers(&lower.map, |map| self.0.upper(map, shape, blocks, &mut features))?;
        Ok(Tensor::from_vec(features, (batch, self.features()), &Device::Cpu)?)
    }

    fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }
}

/// The shape of images `[batch, 3, height, width]`, or an error if they are not.
fn shape_of(images: &Tensor) -> Result<MapShape> {
    match images.dims() {
        &[batch, 3, height, width] if height > 0 && width > 0 && images.dtype() == DType::F32 => {
            Ok(MapShape { channels: 3, batch, height, width })
        }
        dims => {
            let takes = "a backbone takes images [batch, 3, height, width] in F32";
            let found = format!("{takes}, found {dims:?} in {:?}", images.dtype());
            Err(Error::new(Kind::Internal, found))
        }
    }
}

/// Passes the numbers of a tensor in main memory, in the order of its dimensions; does nothing if it is empty.
fn with_numbers(tensor: &Tensor, run: impl FnOnce(&[f32])) -> Result<()> {
    if tensor.elem_count() == 0 {
        return Ok(());
    }
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let (Storage::Cpu(storage), Some((from, to))) = (&*storage, layout.contiguous_offsets()) else {
        return Err(Error::new(Kind::Internal, "images must be in main memory"));
    };
    run(&storage.as_slice::<f32>()?[from..to]);
    Ok(())
}

#[cfg(test)]
mod tests;
