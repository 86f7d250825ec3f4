//! A backbone made of candle's operations: on an NVIDIA GPU, in half precision.

use super::architectures::Arch;
use super::backbone::{Backbone, LowerMaps};
use super::batch_norm_folding::fold_batch_norm;
use super::candle_ops::{activate, convolve, max_pool};
use super::feature_layout::{FeatureLayout, FeatureSet, TapColumns};
use super::layers::{Block, ConvNet, ConvSpec, Shortcut};
use super::tensors::Tensors;
use crate::error::Result;
use candle_core::{DType, Device, Tensor};
use std::ops::Range;

/// The layers of a backbone as tensors of `dtype` on `device`. Maps are `[batch, channels, height, width]`.
#[derive(Debug)]
pub struct CandleBackbone {
    device: Device,
    dtype: DType,
    network: ConvNet<Layer>,
    layout: FeatureLayout,
}

#[derive(Debug)]
struct Layer {
    conv: ConvSpec,
    weight: Tensor,
    /// `[1, outputs, 1, 1]`.
    bias: Tensor,
}

impl CandleBackbone {
    /// Folds batch normalisation and uploads the weights; the backbone gives these features.
    ///
    /// # Errors
    /// [`crate::error::Kind::InvalidModel`] if a tensor is missing or of another shape; [`crate::error::Kind::Internal`] if the
    /// device fails.
    pub fn load(
        arch: Arch,
        features: FeatureSet,
        tensors: &Tensors,
        device: &Device,
        dtype: DType,
    ) -> Result<Self> {
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
        let network = description.load(load)?;
        Ok(Self { layout: network.feature_layout(features), network, device: device.clone(), dtype })
    }

    /// The map after the stem and the first `blocks` blocks, and the statistics of the taps on the way.
    fn lower_part(&self, images: &Tensor, blocks: usize) -> Result<(Tensor, Vec<[Tensor; 2]>)> {
        let mut map =
            self.network.stem.forward(&images.to_device(&self.device)?.to_dtype(self.dtype)?, None)?;
        if self.network.max_pool {
            map = max_pool(&map)?;
        }
        let mut statistics: Vec<_> = self.statistics(0, &map)?.into_iter().collect();
        let map = self.run_blocks(0..blocks, map, &mut statistics)?;
        Ok((map, statistics))
    }

    /// Runs some blocks, and appends the statistics of the taps on the way.
    fn run_blocks(
        &self,
        blocks: Range<usize>,
        mut map: Tensor,
        statistics: &mut Vec<[Tensor; 2]>,
    ) -> Result<Tensor> {
        for (block, passed) in self.network.blocks[blocks.clone()].iter().zip(blocks.start + 1..) {
            map = block.forward(map)?;
            statistics.extend(self.statistics(passed, &map)?);
        }
        Ok(map)
    }

    /// The statistics of a map that has passed so many blocks, if they are features.
    fn statistics(&self, blocks: usize, map: &Tensor) -> Result<Option<[Tensor; 2]>> {
        self.layout.tap(blocks).map(|_| moments(map)).transpose()
    }

    /// The feature vector from a map before the head and the statistics of all taps.
    fn finish(&self, map: Tensor, statistics: &[[Tensor; 2]]) -> Result<Tensor> {
        let map = match &self.network.head {
            Some(head) => head.forward(&map, None)?,
            None => map,
        };
        // In single precision: a mean of many half-precision numbers would lose digits.
        let last = map.to_dtype(DType::F32)?.mean((2, 3))?;
        let taps = || self.layout.taps.iter().zip(statistics);
        let means = taps().filter(|(columns, _)| !columns.mean.is_empty()).map(|(_, [mean, _])| mean);
        let deviations = taps().map(|(_, [_, deviation])| deviation);
        let parts: Vec<&Tensor> = std::iter::once(&last).chain(means).chain(deviations).collect();
        Ok(Tensor::cat(&parts, 1)?.to_device(&Device::Cpu)?)
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
        self.layout.len
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        if images.dim(0)? == 0 {
            return Ok(Tensor::zeros((0, self.features()), DType::F32, &Device::Cpu)?);
        }
        let (map, statistics) = self.lower_part(images, self.network.blocks.len())?;
        self.finish(map, &statistics)
    }

    fn upper(&self, lower: &LowerMaps, blocks: usize) -> Result<Tensor> {
        let map =
            lower.map.to_device(&self.device)?.to_dtype(self.dtype)?.permute((0, 3, 1, 2))?.contiguous()?;
        let features = lower.features.to_device(&self.device)?;
        let below = self.layout.taps.iter().filter(|columns| columns.tap.blocks <= blocks);
        let columns = |range: &Range<usize>| features.narrow(1, range.start, range.len());
        let below = below.map(|t| Ok([columns(&t.mean)?, columns(&t.deviation)?]));
        let mut statistics: Vec<[Tensor; 2]> = below.collect::<Result<_>>()?;
        let map = self.run_blocks(blocks..self.network.blocks.len(), map, &mut statistics)?;
        self.finish(map, &statistics)
    }

    fn lower(&self, images: &Tensor, blocks: usize) -> Result<LowerMaps> {
        let (map, statistics) = self.lower_part(images, blocks)?;
        let columns = |i: usize, t: &TapColumns| [(t.mean.clone(), i, 0), (t.deviation.clone(), i, 1)];
        let mut parts: Vec<_> =
            self.layout.taps.iter().enumerate().flat_map(|(i, t)| columns(i, t)).collect();
        parts.sort_by_key(|(range, ..)| range.start);
        let zeros = |count: usize| Tensor::zeros((images.dim(0)?, count), DType::F32, &self.device);
        let mut features = vec![zeros(self.layout.last)?];
        for (range, tap, which) in parts.into_iter().filter(|(range, ..)| !range.is_empty()) {
            features.push(match statistics.get(tap) {
                Some(found) => found[which].clone(),
                None => zeros(range.len())?,
            });
        }
        Ok(LowerMaps {
            map: map.to_dtype(DType::F32)?.permute((0, 2, 3, 1))?.contiguous()?.to_device(&Device::Cpu)?,
            features: Tensor::cat(&features, 1)?.to_device(&Device::Cpu)?,
        })
    }

    fn memory_bytes(&self) -> usize {
        let bytes = |t: &Tensor| t.elem_count() * t.dtype().size_in_bytes();
        self.network.layers().map(|layer| bytes(&layer.weight) + bytes(&layer.bias)).sum()
    }
}

/// Mean and deviation of each channel over the positions of a map, `[batch, channels]` each, in single precision.
fn moments(map: &Tensor) -> Result<[Tensor; 2]> {
    let map = map.to_dtype(DType::F32)?.flatten_from(2)?;
    let mean = map.mean_keepdim(2)?;
    let deviation = map.broadcast_sub(&mean)?.sqr()?.mean(2)?.sqrt()?;
    Ok([mean.squeeze(2)?, deviation])
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
            let set = FeatureSet::Levels;
            let ours = load_backbone(arch, set, &tensors, &Device::Cpu).unwrap();
            let theirs = CandleBackbone::load(arch, set, &tensors, &Device::Cpu, DType::F32).unwrap();
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
            FeatureSet::Last,
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
