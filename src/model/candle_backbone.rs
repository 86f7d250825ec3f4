//! A backbone made of candle's operations: on an NVIDIA GPU, in half precision.

use super::architectures::Arch;
use super::backbone::Backbone;
use super::batch_norm_folding::fold_batch_norm;
use super::candle_ops::{activate, convolve, max_pool};
use super::layers::{Block, ConvNet, ConvSpec, Shortcut};
use super::tensors::Tensors;
use crate::error::Result;
use candle_core::{DType, Device, Tensor};

/// The layers of a backbone as tensors of `dtype` on `device`. Maps are `[batch, channels, height, width]`.
#[derive(Debug)]
pub struct CandleBackbone {
    device: Device,
    dtype: DType,
    network: ConvNet<Layer>,
}

#[derive(Debug)]
struct Layer {
    conv: ConvSpec,
    weight: Tensor,
    /// `[1, outputs, 1, 1]`.
    bias: Tensor,
}

impl CandleBackbone {
    /// Folds batch normalisation and uploads the weights.
    ///
    /// # Errors
    /// [`crate::error::Kind::InvalidModel`] if a tensor is missing or of another shape; [`crate::error::Kind::Internal`] if the
    /// device fails.
    pub fn load(arch: Arch, tensors: &Tensors, device: &Device, dtype: DType) -> Result<Self> {
        let description = arch.description();
        let load = |conv: &ConvSpec| -> Result<Layer> {
            let (weight, bias) = fold_batch_norm(conv, description.norm_epsilon, tensors)?;
            let upload = |numbers: Vec<f32>, shape: &[usize]| -> Result<Tensor> {
                Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?)
            };
            Ok(Layer {
                weight: upload(weight, &conv.weight_shape())?,
                bias: upload(bias, &[1, conv.outputs, 1, 1])?,
                conv: conv.clone(),
            })
        };
        Ok(Self { network: description.load(load)?, device: device.clone(), dtype })
    }
}

impl Layer {
    fn forward(&self, map: &Tensor, residual: Option<&Tensor>) -> Result<Tensor> {
        let mut y = convolve(&self.conv, map, &self.weight)?.broadcast_add(&self.bias)?;
        if let Some(residual) = residual {
            y = (y + residual)?;
        }
        activate(&self.conv, y)
    }
}

impl Block<Layer> {
    fn forward(&self, map: Tensor) -> Result<Tensor> {
        let residual = match &self.shortcut {
            Shortcut::None => None,
            Shortcut::Identity => Some(map.clone()),
            Shortcut::Projection(layer) => Some(layer.forward(&map, None)?),
        };
        let mut map = map;
        for (i, layer) in self.path.iter().enumerate() {
            map = layer.forward(&map, residual.as_ref().filter(|_| i + 1 == self.path.len()))?;
        }
        Ok(map)
    }
}

impl Backbone for CandleBackbone {
    fn features(&self) -> usize {
        self.network.features
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        if images.dim(0)? == 0 {
            return Ok(Tensor::zeros((0, self.features()), DType::F32, &Device::Cpu)?);
        }
        let mut map =
            self.network.stem.forward(&images.to_device(&self.device)?.to_dtype(self.dtype)?, None)?;
        if self.network.max_pool {
            map = max_pool(&map)?;
        }
        for block in &self.network.blocks {
            map = block.forward(map)?;
        }
        if let Some(head) = &self.network.head {
            map = head.forward(&map, None)?;
        }
        // In single precision: a mean of many half-precision numbers would lose digits.
        Ok(map.to_dtype(DType::F32)?.mean((2, 3))?.to_device(&Device::Cpu)?)
    }

    fn memory_bytes(&self) -> usize {
        let bytes = |t: &Tensor| t.elem_count() * t.dtype().size_in_bytes();
        self.network.layers().map(|layer| bytes(&layer.weight) + bytes(&layer.bias)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::load_backbone::load_backbone;
    use crate::model::synthetic;

    #[test]
    fn features_agree_with_those_of_the_cpu_kernels() {
        for arch in Arch::ALL {
            let tensors = synthetic::backbone(arch);
            let ours = load_backbone(arch, &tensors, &Device::Cpu).unwrap();
            let theirs = CandleBackbone::load(arch, &tensors, &Device::Cpu, DType::F32).unwrap();
            for (height, width) in [(64, 64), (75, 50)] {
                let images = synthetic::images(height, width);
                let features = |b: &dyn Backbone| {
                    b.forward(&images).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
                };
                let (ours, theirs) = (features(&*ours), features(&theirs));
                let largest = ours.iter().fold(0f32, |m, x| m.max(x.abs()));
                for (a, b) in ours.iter().zip(&theirs) {
                    assert!((a - b).abs() < 2e-5 * largest, "{arch} {height}x{width}: {a} and {b}");
                }
            }
        }
    }

    #[test]
    fn an_empty_batch_has_no_features() {
        let network = CandleBackbone::load(
            Arch::ResNet18,
            &synthetic::backbone(Arch::ResNet18),
            &Device::Cpu,
            DType::F32,
        )
        .unwrap();
        let none = Tensor::zeros((0, 3, 64, 64), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(network.forward(&none).unwrap().dims(), [0, 512]);
        assert_eq!(network.memory_bytes(), 4 * (11_176_512 - 4800));
    }
}
