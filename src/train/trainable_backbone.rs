//! A backbone that is fine-tuned: the layers of [`crate::model`]'s backbones with gradients. It is loaded from, and saved to, the same
//! tensors as for inference.

use super::ops::buffer_pool::BufferPool;
use super::ops::conv_norm::ConvNorm;
use super::ops::layer_state::{parameter_ranges, RunningStatistics, Statistics};
use super::ops::max_pool::max_pool;
use super::optimizer::{Parameter, ParameterGroup};
use crate::error::{Error, Kind, Result};
use crate::model::layers::{Block, ConvNet, ConvSpec, Shortcut};
use crate::model::{load_backbone, Arch, Tensors};
use candle_core::{DType, Device, Tensor, Var};

/// Any [`Arch`] with its parameters on a device.
#[derive(Debug)]
pub struct TrainableBackbone {
    network: ConvNet<Layer>,
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
    /// [`Kind::InvalidModel`] if a tensor is missing or of another shape.
    pub fn load(arch: Arch, tensors: &Tensors, device: &Device) -> Result<Self> {
        // Only for its check of names and shapes.
        load_backbone(arch, tensors, &Device::Cpu)?;
        let description = arch.description();
        let buffer_pool = BufferPool::default();
        let network =
            description.load(|conv| Layer::load(conv, &description, tensors, device, &buffer_pool))?;
        Ok(Self { network })
    }

    /// F, the length of a feature vector.
    pub fn features(&self) -> usize {
        self.network.features
    }

    /// The parameters: one vector per convolution with its normalisation.
    pub fn parameters(&self) -> Vec<Parameter> {
        let parameter = |layer: &Layer| Parameter {
            name: format!("backbone.{}", layer.operation.conv().name),
            group: ParameterGroup::Backbone,
            var: layer.parameters.clone(),
        };
        self.network.layers().map(parameter).collect()
    }

    /// Normalised images `[batch, 3, height, width]` to pooled features `[batch, F]`.
    ///
    /// # Errors
    /// [`Kind::Internal`] for input of another shape.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        let batch_last = images.device().is_cpu();
        let mut map = match batch_last {
            true => images.permute((1, 2, 3, 0))?.contiguous()?,
            false => images.clone(),
        };
        map = self.network.stem.forward(&map, None, mode)?;
        if self.network.max_pool {
            map = max_pool(&map)?;
        }
        for block in &self.network.blocks {
            map = block.forward(&map, mode)?;
        }
        if let Some(head) = &self.network.head {
            map = head.forward(&map, None, mode)?;
        }
        if !batch_last {
            return Ok(map.flatten_from(2)?.mean(2)?);
        }
        let (channels, height, width, batch) = map.dims4()?;
        Ok(map.reshape((channels, height * width, batch))?.mean(1)?.t()?.contiguous()?)
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
        device: &Device,
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
            operation: ConvNorm::new(conv, description.norm_epsilon, running, buffer_pool),
            parameters: Var::from_tensor(&parameters.to_device(device)?)?,
        })
    }

    fn forward(&self, map: &Tensor, residual: Option<&Tensor>, mode: Mode) -> Result<Tensor> {
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
    fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor> {
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
