//! A backbone that is fine-tuned: the layers of [`crate::model`]'s backbones with gradients. It is loaded from, and saved to, the same
//! tensors as for inference.

use super::ops::buffer_pool::BufferPool;
use super::ops::conv_norm::ConvNorm;
use super::ops::feature_map::FeatureMap;
use super::ops::layer_state::{parameter_ranges, RunningStatistics, Statistics};
use super::ops::max_pool::max_pool;
use super::ops::pooled_moments::{pooled_mean, pooled_moments};
use super::optimizer::{Parameter, ParameterGroup};
use crate::error::{Error, Kind, Result};
use crate::model::feature_layout::FeatureLayout;
use crate::model::layers::{Block, ConvNet, ConvSpec, Shortcut};
use crate::model::{load_backbone, Arch, FeatureSet, LowerMaps, Tensors};
use candle_core::{DType, Device, Tensor, Var};
use std::ops::Range;

/// Any [`Arch`] with its parameters on a device. A lower part of it may be frozen: the stem and the first blocks.
#[derive(Debug)]
pub struct TrainableBackbone {
    network: ConvNet<Layer>,
    layout: FeatureLayout,
    frozen: FrozenPart,
    buffers: BufferPool,
}

/// The lower part of a backbone that does not learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrozenPart {
    /// Everything learns, the stem too.
    Nothing,
    /// The stem and this many blocks are frozen; [`LowerMaps`] replace them.
    Blocks(usize),
}

/// What a [`TrainableBackbone`] is applied to.
#[derive(Debug, Clone, Copy)]
pub enum NetworkInput<'a> {
    /// Normalised images `[batch, 3, height, width]`, if nothing is frozen.
    Images(&'a Tensor),
    /// What the frozen part has made of the images.
    Lower(&'a LowerMaps),
}

/// Where a [`TrainableBackbone`] computes, and in which precision its convolutions do.
#[derive(Debug, Clone, Copy)]
pub struct Compute<'a> {
    /// The device.
    pub device: &'a Device,
    /// `F32`, or on a GPU `BF16`: weights, gradients and normalisation stay in single precision.
    pub precision: DType,
}

impl<'a> From<&'a Device> for Compute<'a> {
    /// Single precision.
    fn from(device: &'a Device) -> Self {
        Self { device, precision: DType::F32 }
    }
}

#[derive(Debug)]
struct Layer {
    operation: ConvNorm,
    /// Weight, γ and β in one vector, see [`parameter_ranges`].
    parameters: Var,
}

/// How a forward pass treats gradients and batch normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With gradients. Batch normalisation uses the statistics of the batch and updates the running ones.
    Train,
    /// With gradients. Batch normalisation uses the running statistics and leaves them unchanged.
    TrainFrozenNorm,
    /// Without gradients, with the running statistics: the result is that of [`crate::model`].
    Evaluate,
}

impl TrainableBackbone {
    /// Loads the backbone `arch` from its tensors under their published names.
    ///
    /// # Errors
    /// [`Kind::InvalidModel`] if a tensor is missing or of another shape; [`Kind::InvalidParameter`] if it has not as many blocks as are to
    /// be frozen.
    pub fn load<'d>(
        arch: Arch,
        features: FeatureSet,
        frozen: FrozenPart,
        tensors: &Tensors,
        compute: impl Into<Compute<'d>>,
    ) -> Result<Self> {
        let compute = compute.into();
        // Only for its check of names and shapes.
        load_backbone(arch, FeatureSet::Last, tensors, &Device::Cpu)?;
        let description = arch.description();
        if let FrozenPart::Blocks(count) = frozen {
            let blocks = description.blocks.len();
            if count > blocks {
                return Err(Error::new(Kind::InvalidParameter, format!("{arch} has only {blocks} blocks"))
                    .detail(format!("Blocks from number {} on are to learn.", count + 1))
                    .hint("Choose a lower block with --unfreeze-from."));
            }
        }
        let buffers = BufferPool::default();
        let network = description.load(|conv| Layer::load(conv, &description, tensors, compute, &buffers))?;
        Ok(Self { layout: network.feature_layout(features), network, frozen, buffers })
    }

    /// F, the length of a feature vector.
    pub fn features(&self) -> usize {
        self.layout.len
    }

    /// The parameters that learn: one vector per convolution with its normalisation.
    pub fn parameters(&self) -> Vec<Parameter> {
        let parameter = |layer: &Layer| Parameter {
            name: format!("backbone.{}", layer.operation.conv().name),
            group: ParameterGroup::Backbone { norm_from: parameter_ranges(layer.operation.conv())[1].start },
            var: layer.parameters.clone(),
        };
        self.learning_layers().map(parameter).collect()
    }

    fn learning_layers(&self) -> impl Iterator<Item = &Layer> {
        let below = match self.frozen {
            FrozenPart::Nothing => 0,
            FrozenPart::Blocks(count) => {
                1 + self.network.blocks[..count].iter().map(Block::layer_count).sum::<usize>()
            }
        };
        self.network.layers().skip(below)
    }

    /// Images, or the maps of the frozen part, to features `[batch, F]`.
    ///
    /// # Errors
    /// [`Kind::Internal`] for input of another shape, or if the input does not fit what is frozen.
    pub fn forward(&self, input: NetworkInput<'_>, mode: Mode) -> Result<Tensor> {
        let mut statistics = Vec::new();
        let (mut map, first) = match (input, self.frozen) {
            (NetworkInput::Images(images), FrozenPart::Nothing) => {
                let map = self.stem(images, mode)?;
                statistics.extend(self.statistics(0, &map)?);
                (map, 0)
            }
            (NetworkInput::Lower(lower), FrozenPart::Blocks(count)) => {
                for t in self.layout.taps.iter().filter(|t| t.tap.blocks <= count) {
                    let columns = |range: &Range<usize>| lower.features.narrow(1, range.start, range.len());
                    statistics.push([columns(&t.mean)?, columns(&t.deviation)?]);
                }
                // Maps of inference have the channels last.
                (FeatureMap::from_channels_last(&lower.map, &self.buffers)?, count)
            }
            _ => return Err(Error::new(Kind::Internal, "the input does not fit the part that is frozen")),
        };
        for (block, passed) in self.network.blocks[first..].iter().zip(first + 1..) {
            map = block.forward(&map, mode)?;
            statistics.extend(self.statistics(passed, &map)?);
        }
        if let Some(head) = &self.network.head {
            map = head.forward(&map, None, mode)?;
        }
        let last = pooled_mean(&map)?;
        let taps = || self.layout.taps.iter().zip(&statistics);
        let means = taps().filter(|(columns, _)| !columns.mean.is_empty()).map(|(_, [mean, _])| mean);
        let deviations = taps().map(|(_, [_, deviation])| deviation);
        let parts: Vec<&Tensor> = std::iter::once(&last).chain(means).chain(deviations).collect();
        match parts.as_slice() {
            [last] => Ok((*last).clone()),
            parts => Ok(Tensor::cat(parts, 1)?),
        }
    }

    fn stem(&self, images: &Tensor, mode: Mode) -> Result<FeatureMap> {
        let images = FeatureMap::from_batch_first(images, &self.buffers)?;
        let map = self.network.stem.forward(&images, None, mode)?;
        if self.network.max_pool {
            max_pool(&map)
        } else {
            Ok(map)
        }
    }

    /// Mean and deviation of a map that has passed so many blocks, `[batch, channels]` each, if they are features.
    fn statistics(&self, blocks: usize, map: &FeatureMap) -> Result<Option<[Tensor; 2]>> {
        let Some(columns) = self.layout.tap(blocks) else { return Ok(None) };
        let (channels, both) = (columns.tap.channels, pooled_moments(map)?);
        Ok(Some([both.narrow(1, 0, channels)?, both.narrow(1, channels, channels)?]))
    }

    /// All tensors under their published names, in main memory.
    ///
    /// # Errors
    /// If the device fails.
    pub fn tensors(&self) -> Result<Tensors> {
        let mut all = self.running_statistics()?;
        for layer in self.network.layers() {
            let conv = layer.operation.conv();
            // A copy, because the optimiser writes in place.
            let parameters = layer.parameters.as_detached_tensor().copy()?.to_device(&Device::Cpu)?;
            let [weight, gamma, beta] =
                parameter_ranges(conv).map(|part| parameters.narrow(0, part.start, part.len()));
            all.insert(format!("{}.weight", conv.name), weight?.reshape(conv.weight_shape().as_slice())?);
            all.insert(format!("{}.weight", conv.norm), gamma?);
            all.insert(format!("{}.bias", conv.norm), beta?);
        }
        Ok(all)
    }

    /// Running means and variances under their published names, in main memory.
    ///
    /// # Errors
    /// If the device fails.
    pub fn running_statistics(&self) -> Result<Tensors> {
        let mut all = Tensors::new();
        for layer in self.network.layers() {
            let (norm, running) = (&layer.operation.conv().norm, layer.operation.running());
            all.insert(format!("{norm}.running_mean"), running.mean.to_device(&Device::Cpu)?);
            all.insert(format!("{norm}.running_var"), running.variance.to_device(&Device::Cpu)?);
        }
        Ok(all)
    }

    /// Restores what [`TrainableBackbone::running_statistics`] returned.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] if a tensor is missing or of another shape.
    pub fn set_running_statistics(&self, tensors: &Tensors) -> Result<()> {
        for layer in self.network.layers() {
            let conv = layer.operation.conv();
            let find = |part: &str| -> Result<Tensor> {
                let name = format!("{}.{part}", conv.norm);
                let found = tensors.get(&name).filter(|t| t.dims() == [conv.outputs]);
                let found = found.ok_or_else(|| {
                    Error::new(Kind::Mismatch, format!("the running statistics have no fitting \"{name}\""))
                })?;
                Ok(found.to_device(layer.parameters.device())?)
            };
            layer.operation.set_running(RunningStatistics {
                mean: find("running_mean")?,
                variance: find("running_var")?,
            });
        }
        Ok(())
    }
}

impl Layer {
    fn load(
        conv: &ConvSpec,
        description: &ConvNet,
        tensors: &Tensors,
        Compute { device, precision }: Compute<'_>,
        buffer_pool: &BufferPool,
    ) -> Result<Self> {
        let find = |name: String| -> Result<Tensor> {
            let missing = || Error::new(Kind::InvalidModel, format!("tensor \"{name}\" is missing"));
            Ok(tensors.get(&name).ok_or_else(missing)?.to_dtype(DType::F32)?.flatten_all()?)
        };
        let norm = |part: &str| find(format!("{}.{part}", conv.norm));
        let parameters =
            Tensor::cat(&[find(format!("{}.weight", conv.name))?, norm("weight")?, norm("bias")?], 0)?;
        let running = RunningStatistics {
            mean: norm("running_mean")?.to_device(device)?,
            variance: norm("running_var")?.to_device(device)?,
        };
        Ok(Self {
            operation: ConvNorm::new(conv, description.norm_epsilon, running, buffer_pool)
                .with_precision(precision),
            parameters: Var::from_tensor(&parameters.to_device(device)?)?,
        })
    }

    fn forward(&self, map: &FeatureMap, residual: Option<&FeatureMap>, mode: Mode) -> Result<FeatureMap> {
        match mode {
            Mode::Train => self.operation.forward(map, &self.parameters, residual, Statistics::Batch),
            Mode::TrainFrozenNorm => {
                self.operation.forward(map, &self.parameters, residual, Statistics::Running)
            }
            Mode::Evaluate => self.operation.forward(
                map,
                &self.parameters.as_detached_tensor(),
                residual,
                Statistics::Running,
            ),
        }
    }
}

impl Block<Layer> {
    fn forward(&self, input: &FeatureMap, mode: Mode) -> Result<FeatureMap> {
        let shortcut = match &self.shortcut {
            Shortcut::None => None,
            Shortcut::Identity => Some(input.clone()),
            Shortcut::Projection(layer) => Some(layer.forward(input, None, mode)?),
        };
        let mut map = input.clone();
        for (i, layer) in self.path.iter().enumerate() {
            let residual = if i + 1 == self.path.len() { shortcut.as_ref() } else { None };
            map = layer.forward(&map, residual, mode)?;
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests;
