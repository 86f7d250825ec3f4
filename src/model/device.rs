//! A backbone on a device that has no kernels of ours: an NVIDIA GPU, in half precision.

use super::arch::{Arch, Block, Conv, Description, Shortcut};
use super::backbone::Backbone;
use super::composed::{activated, convolved, max_pool};
use super::folded::folded;
use super::tensors::Tensors;
use crate::error::{Error, Kind, Result};
use candle_core::{DType, Device, Tensor};
use std::panic::{catch_unwind, AssertUnwindSafe};

/// The device that `name` names: `cpu`, `cuda` (the first GPU) or `cuda:N`.
///
/// # Errors
/// [`Kind::InvalidParameter`] for what is no device; [`Kind::Unsupported`] for a GPU in a program without CUDA;
/// [`Kind::Unavailable`] if it cannot be used.
pub fn open_device(name: &str) -> Result<Device> {
    let number = match name {
        "cpu" => return Ok(Device::Cpu),
        "cuda" => Some(0),
        other => other.strip_prefix("cuda:").and_then(|n| n.parse().ok()),
    };
    let number: usize = number.ok_or_else(|| {
        Error::new(Kind::InvalidParameter, format!("\"{name}\" is no device"))
            .hint("Devices are cpu, cuda and cuda:N.")
    })?;
    if !candle_core::utils::cuda_is_available() {
        return Err(
            Error::new(Kind::Unsupported, "this program was built without CUDA").hint("Use the device cpu.")
        );
    }
    let unusable =
        |why: String| Error::new(Kind::Unavailable, format!("GPU {number} cannot be used")).detail(why);
    // Without a driver its first call panics.
    match catch_unwind(AssertUnwindSafe(|| Device::new_cuda(number))) {
        Ok(Ok(device)) => Ok(device),
        Ok(Err(e)) => Err(unusable(format!("{e}."))),
        Err(_) => Err(unusable("The driver cannot be loaded.".to_owned())),
    }
}

/// All layers of a backbone, as tensors of `dtype` on `device`.
#[derive(Debug)]
pub struct DeviceNetwork {
    device: Device,
    dtype: DType,
    network: Description<Layer>,
}

#[derive(Debug)]
struct Layer {
    conv: Conv,
    weight: Tensor,
    /// `[1, outputs, 1, 1]`.
    bias: Tensor,
}

impl DeviceNetwork {
    /// Folds batch normalisation and uploads the weights.
    ///
    /// # Errors
    /// [`Kind::InvalidModel`] if a tensor is missing or of another shape; [`Kind::Internal`] if the device fails.
    pub fn load(arch: Arch, tensors: &Tensors, device: &Device, dtype: DType) -> Result<Self> {
        let description = arch.description();
        let load = |conv: &Conv| -> Result<Layer> {
            let (weight, bias) = folded(conv, description.norm_epsilon, tensors)?;
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
        let mut y = convolved(&self.conv, map, &self.weight)?.broadcast_add(&self.bias)?;
        if let Some(residual) = residual {
            y = (y + residual)?;
        }
        activated(&self.conv, y)
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

impl Backbone for DeviceNetwork {
    fn features(&self) -> usize {
        self.network.features
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn forward(&self, pictures: &Tensor) -> Result<Tensor> {
        if pictures.dim(0)? == 0 {
            return Ok(Tensor::zeros((0, self.features()), DType::F32, &Device::Cpu)?);
        }
        let mut map =
            self.network.stem.forward(&pictures.to_device(&self.device)?.to_dtype(self.dtype)?, None)?;
        if self.network.max_pool {
            map = max_pool(&map)?;
        }
        for block in &self.network.blocks {
            map = block.forward(map)?;
        }
        if let Some(head) = &self.network.head {
            map = head.forward(&map, None)?;
        }
        // A mean of many numbers in half precision would lose digits.
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
    use crate::model::backbone::load_backbone;
    use crate::model::synthetic;

    #[test]
    fn candles_operations_give_what_our_kernels_give() {
        for arch in Arch::ALL {
            let tensors = synthetic::backbone(arch);
            let ours = load_backbone(arch, &tensors, &Device::Cpu).unwrap();
            let theirs = DeviceNetwork::load(arch, &tensors, &Device::Cpu, DType::F32).unwrap();
            for (height, width) in [(64, 64), (75, 50)] {
                let pictures = synthetic::pictures(height, width);
                let features = |b: &dyn Backbone| {
                    b.forward(&pictures).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
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
    fn what_is_no_device_or_not_there_is_an_error() {
        assert!(matches!(open_device("cpu").unwrap(), Device::Cpu));
        for name in ["", "gpu", "cuda:", "cuda:x", "CPU"] {
            assert_eq!(open_device(name).unwrap_err().kind, Kind::InvalidParameter, "{name}");
        }
        let missing = open_device("cuda:77").unwrap_err().kind;
        assert!(matches!(missing, Kind::Unsupported | Kind::Unavailable));
    }

    #[test]
    fn no_pictures_have_no_features() {
        let network = DeviceNetwork::load(
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
