//! Chooses the implementation of a backbone by device.

use super::architectures::Arch;
use super::backbone::Backbone;
use super::candle_backbone::CandleBackbone;
use super::cpu::BEST;
use super::cpu_backbone::CpuBackbone;
use super::feature_layout::FeatureSet;
use super::tensors::Tensors;
use crate::error::Result;
use candle_core::{DType, Device};

/// Loads the backbone `arch`, which gives these features, from its tensors under their published names (without any prefix), f16 or f32. Batch
/// normalisation is folded into the convolutions. On the CPU our own kernels compute in single precision, elsewhere candle
/// computes in half precision.
///
/// # Errors
/// [`crate::error::Kind::InvalidModel`] if a tensor is missing or of another shape; [`crate::error::Kind::Internal`] if the
/// device fails.
pub fn load_backbone(
    arch: Arch,
    features: FeatureSet,
    tensors: &Tensors,
    device: &Device,
) -> Result<Box<dyn Backbone>> {
    if device.is_cpu() {
        return Ok(Box::new(CpuBackbone::load(arch, features, tensors, *BEST)?));
    }
    Ok(Box::new(CandleBackbone::load(arch, features, tensors, device, DType::F16)?))
}
