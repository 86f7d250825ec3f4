//! A backbone that learns: the layers of [`crate::model::arch`]'s description with gradients, from and to the tensors that
//! [`crate::model`] loads.

use super::optimizer::{Group, Parameter};
use crate::error::{Error, Kind, Result};
use crate::model::arch::{Block, Conv, Description, Shortcut};
use crate::model::{load_backbone, Arch, Tensors};
use crate::train::ops::buffers::Buffers;
use crate::train::ops::layer::{ConvNorm, Running, Statistics};
use crate::train::ops::max_pool::max_pool;
use candle_core::{DType, Device, Tensor, Var};

/// Any [`Arch`], with what learns of it on a device.
#[derive(Debug)]
pub struct LearningBackbone {
    network: Description<Layer>,
}

#[derive(Debug)]
struct Layer {
    fixed: ConvNorm,
    /// Weight, γ and β, see [`ConvNorm::parts`].
    learned: Var,
}

/// How a backbone is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With gradients; batch normalisation by the batch, and its running statistics follow.
    Train,
    /// With gradients; batch normalisation by its running statistics, which stay.
    TrainFrozenNorm,
    /// Without gradients, by the running statistics: what [`crate::model`] computes.
    Evaluate,
}

impl LearningBackbone {
    /// The backbone `arch` from its tensors under their published names.
    ///
    /// # Errors
    /// [`Kind::InvalidModel`] if a tensor is missing or of another shape.
    pub fn load(arch: Arch, tensors: &Tensors, device: &Device) -> Result<Self> {
        // Names and shapes are checked where they always are.
        load_backbone(arch, tensors, &Device::Cpu)?;
        let description = arch.description();
        let buffers = Buffers::default();
        let network = description.load(|conv| Layer::load(conv, &description, tensors, device, &buffers))?;
        Ok(Self { network })
    }

    /// F.
    pub fn features(&self) -> usize {
        self.network.features
    }

    /// What learns: a vector per convolution and its normalisation.
    pub fn parameters(&self) -> Vec<Parameter> {
        let parameter = |layer: &Layer| Parameter {
            name: format!("backbone.{}", layer.fixed.conv().name),
            group: Group::Backbone,
            var: layer.learned.clone(),
        };
        self.network.layers().map(parameter).collect()
    }

    /// Normalised pictures `[batch, 3, height, width]` to pooled features `[batch, F]`.
    ///
    /// # Errors
    /// [`Kind::Internal`] for input of another shape.
    pub fn forward(&self, pictures: &Tensor, mode: Mode) -> Result<Tensor> {
        let batch_last = pictures.device().is_cpu();
        let mut map = match batch_last {
            true => pictures.permute((1, 2, 3, 0))?.contiguous()?,
            false => pictures.clone(),
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
    /// If the device refuses.
    pub fn tensors(&self) -> Result<Tensors> {
        let mut all = self.running()?;
        for layer in self.network.layers() {
            let conv = layer.fixed.conv();
            // A copy: the optimiser writes in place.
            let learned = layer.learned.as_detached_tensor().copy()?.to_device(&Device::Cpu)?;
            let [weight, gamma, beta] =
                ConvNorm::parts(conv).map(|part| learned.narrow(0, part.start, part.len()));
            all.insert(format!("{}.weight", conv.name), weight?.reshape(conv.weight_shape().as_slice())?);
            all.insert(format!("{}.weight", conv.norm), gamma?);
            all.insert(format!("{}.bias", conv.norm), beta?);
        }
        Ok(all)
    }

    /// Running means and variances under their published names, in main memory.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn running(&self) -> Result<Tensors> {
        let mut all = Tensors::new();
        for layer in self.network.layers() {
            let (norm, running) = (&layer.fixed.conv().norm, layer.fixed.running());
            all.insert(format!("{norm}.running_mean"), running.mean.to_device(&Device::Cpu)?);
            all.insert(format!("{norm}.running_var"), running.variance.to_device(&Device::Cpu)?);
        }
        Ok(all)
    }

    /// Takes up what [`LearningBackbone::running`] gave.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] if one is missing or of another shape.
    pub fn set_running(&self, tensors: &Tensors) -> Result<()> {
        for layer in self.network.layers() {
            let conv = layer.fixed.conv();
            let find = |part: &str| -> Result<Tensor> {
                let name = format!("{}.{part}", conv.norm);
                let found = tensors.get(&name).filter(|t| t.dims() == [conv.outputs]);
                let found = found.ok_or_else(|| {
                    Error::new(Kind::Mismatch, format!("the running statistics have no fitting \"{name}\""))
                })?;
                Ok(found.to_device(layer.learned.device())?)
            };
            layer.fixed.set_running(Running { mean: find("running_mean")?, variance: find("running_var")? });
        }
        Ok(())
    }
}

impl Layer {
    fn load(
        conv: &Conv,
        description: &Description,
        tensors: &Tensors,
        device: &Device,
        buffers: &Buffers,
    ) -> Result<Self> {
        let find = |name: String| -> Result<Tensor> {
            let missing = || Error::new(Kind::InvalidModel, format!("tensor \"{name}\" is missing"));
            Ok(tensors.get(&name).ok_or_else(missing)?.to_dtype(DType::F32)?.flatten_all()?)
        };
        let norm = |part: &str| find(format!("{}.{part}", conv.norm));
        let learned =
            Tensor::cat(&[find(format!("{}.weight", conv.name))?, norm("weight")?, norm("bias")?], 0)?;
        let running = Running {
            mean: norm("running_mean")?.to_device(device)?,
            variance: norm("running_var")?.to_device(device)?,
        };
        Ok(Self {
            fixed: ConvNorm::new(conv, description.norm_epsilon, running, buffers),
            learned: Var::from_tensor(&learned.to_device(device)?)?,
        })
    }

    fn forward(&self, map: &Tensor, residual: Option<&Tensor>, mode: Mode) -> Result<Tensor> {
        match mode {
            Mode::Train => self.fixed.forward(map, &self.learned, residual, Statistics::Batch),
            Mode::TrainFrozenNorm => self.fixed.forward(map, &self.learned, residual, Statistics::Running),
            Mode::Evaluate => {
                self.fixed.forward(map, &self.learned.as_detached_tensor(), residual, Statistics::Running)
            }
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
