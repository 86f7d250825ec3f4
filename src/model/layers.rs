//! The layers of a backbone in inference: convolutions with their batch normalisation folded in.

use super::arch::{Conv, Description};
use super::kernels::{self, MapShape};
use super::tensors::Tensors;
use crate::error::{Error, Kind, Result};
use candle_core::{CpuStorage, CustomOp1, InplaceOp1, InplaceOp2, Layout, Shape, Tensor};

/// A convolution, its batch normalisation and its activation as one layer; all convolutions go through it.
#[derive(Debug)]
pub struct ConvBn {
    conv: Conv,
    /// `[outputs, inputs / groups * kernel * kernel]`, scaled by the normalisation.
    weight: Tensor,
    /// `[outputs]`, what the normalisation adds.
    bias: Vec<f32>,
}

impl ConvBn {
    /// Folds the normalisation into the filter: w' = w γ / √(σ² + ε), b' = β − μ γ / √(σ² + ε).
    ///
    /// # Errors
    /// [`Kind::InvalidModel`] if a tensor is missing, of another shape, or if a variance is negative.
    pub fn load(conv: &Conv, description: &Description, tensors: &Tensors) -> Result<Self> {
        let [outputs, inputs, kernel, _] = conv.weight_shape();
        let mut weight = numbers(tensors, &format!("{}.weight", conv.name), &conv.weight_shape())?;
        let norm = |part: &str| numbers(tensors, &format!("{}.{part}", conv.norm), &[outputs]);
        let (gamma, mut bias) = (norm("weight")?, norm("bias")?);
        let (mean, variance) = (norm("running_mean")?, norm("running_var")?);
        for (channel, filter) in weight.chunks_exact_mut(inputs * kernel * kernel).enumerate() {
            let scale =
                f64::from(gamma[channel]) / (f64::from(variance[channel]) + description.norm_epsilon).sqrt();
            filter.iter_mut().for_each(|w| *w = (f64::from(*w) * scale) as f32);
            bias[channel] = (f64::from(bias[channel]) - f64::from(mean[channel]) * scale) as f32;
        }
        if !weight.iter().chain(&bias).all(|x| x.is_finite()) {
            return Err(Error::new(
                Kind::InvalidModel,
                format!("batch normalisation \"{}\" cannot be applied", conv.norm),
            )
            .detail("A variance is negative, or a number of the folded filter is not finite."));
        }
        let shape = (outputs, inputs * kernel * kernel);
        let weight = Tensor::from_vec(weight, shape, &candle_core::Device::Cpu)?;
        Ok(Self { conv: conv.clone(), weight, bias })
    }

    /// Channel-major `[inputs, batch, h, w]` to `[outputs, batch, h', w']`; `residual`, of the output's shape, is
    /// added before the activation.
    ///
    /// # Errors
    /// [`Kind::Internal`] for a map of another shape.
    pub fn forward(&self, map: &Tensor, residual: Option<&Tensor>) -> Result<Tensor> {
        if self.conv.depthwise && residual.is_none() {
            return Ok(map.apply_op1_no_bwd(&Depthwise(self))?);
        }
        let (channels, batch, height, width) = map.dims4()?;
        let out = MapShape { channels, batch, height, width }.after(&self.conv);
        let columns = if self.conv.kernel == 1 && self.conv.stride == 1 {
            map.reshape((channels, batch * height * width))?
        } else {
            map.apply_op1_no_bwd(&Im2Col(&self.conv))?
        };
        let map = self.weight.matmul(&columns)?.reshape((out.channels, batch, out.height, out.width))?;
        match residual {
            Some(residual) => map.inplace_op2(residual, &Finish(self))?,
            None => map.inplace_op1(&Finish(self))?,
        }
        Ok(map)
    }

    /// Bytes of its numbers.
    pub fn memory_bytes(&self) -> usize {
        (self.weight.elem_count() + self.bias.len()) * size_of::<f32>()
    }
}

/// 3x3 max pool of stride 2, channel-major, after a ReLU.
///
/// # Errors
/// [`Kind::Internal`] for anything but a four-dimensional map.
pub fn max_pool(map: &Tensor) -> Result<Tensor> {
    Ok(map.apply_op1_no_bwd(&MaxPool)?)
}

fn numbers(tensors: &Tensors, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
    let invalid = |detail: String| {
        Error::new(Kind::InvalidModel, format!("tensor \"{name}\" of the backbone cannot be used"))
            .detail(detail)
    };
    let tensor = tensors.get(name).ok_or_else(|| invalid("It is missing.".into()))?;
    if tensor.dims() != shape {
        return Err(invalid(format!("Found shape {:?}, expected {shape:?}.", tensor.dims())));
    }
    Ok(tensor.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1()?)
}

/// The numbers of a contiguous four-dimensional map, and its shape.
fn view<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<(&'a [f32], MapShape)> {
    let (channels, batch, height, width) = layout.shape().dims4()?;
    Ok((contiguous(storage, layout)?, MapShape { channels, batch, height, width }))
}

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&storage.as_slice::<f32>()?[from..to]),
        None => candle_core::bail!("a feature map must be contiguous"),
    }
}

fn shaped(numbers: Vec<f32>, shape: MapShape) -> (CpuStorage, Shape) {
    let dims = (shape.channels, shape.batch, shape.height, shape.width);
    (CpuStorage::F32(numbers), dims.into())
}

struct Depthwise<'a>(&'a ConvBn);

impl CustomOp1 for Depthwise<'_> {
    fn name(&self) -> &'static str {
        "depthwise-convolution"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (map, shape) = view(storage, layout)?;
        let ConvBn { conv, weight, bias } = self.0;
        if shape.channels != conv.inputs {
            candle_core::bail!("{} takes {} channels, found {}", conv.name, conv.inputs, shape.channels);
        }
        let (weight, weight_layout) = weight.storage_and_layout();
        let candle_core::Storage::Cpu(weight) = &*weight else {
            candle_core::bail!("the filter of {} is not in main memory", conv.name)
        };
        let result = kernels::depthwise(map, shape, conv, contiguous(weight, weight_layout)?, bias);
        Ok(shaped(result, shape.after(conv)))
    }
}

struct Im2Col<'a>(&'a Conv);

impl CustomOp1 for Im2Col<'_> {
    fn name(&self) -> &'static str {
        "im2col"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (map, shape) = view(storage, layout)?;
        let out = shape.after(self.0);
        let rows = shape.channels * self.0.kernel * self.0.kernel;
        let matrix = kernels::im2col(map, shape, self.0);
        Ok((CpuStorage::F32(matrix), (rows, out.batch * out.plane()).into()))
    }
}

/// Bias, shortcut and activation, in place.
struct Finish<'a>(&'a ConvBn);

impl Finish<'_> {
    fn run(
        &self,
        map: &mut CpuStorage,
        layout: &Layout,
        residual: Option<&[f32]>,
    ) -> candle_core::Result<()> {
        let (CpuStorage::F32(map), Some((from, to))) = (map, layout.contiguous_offsets()) else {
            candle_core::bail!("a feature map must be contiguous and in single precision")
        };
        kernels::finish(&mut map[from..to], &self.0.bias, residual, self.0.conv.activation);
        Ok(())
    }
}

impl InplaceOp1 for Finish<'_> {
    fn name(&self) -> &'static str {
        "bias-activation"
    }

    fn cpu_fwd(&self, map: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        self.run(map, layout, None)
    }
}

impl InplaceOp2 for Finish<'_> {
    fn name(&self) -> &'static str {
        "bias-residual-activation"
    }

    fn cpu_fwd(
        &self,
        map: &mut CpuStorage,
        layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> candle_core::Result<()> {
        if layout.shape() != residual_layout.shape() {
            candle_core::bail!("a shortcut of another shape than its block");
        }
        self.run(map, layout, Some(contiguous(residual, residual_layout)?))
    }
}

struct MaxPool;

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max-pool"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (map, shape) = view(storage, layout)?;
        let (result, out) = kernels::max_pool(map, shape);
        Ok(shaped(result, out))
    }
}
