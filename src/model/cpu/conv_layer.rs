//! One layer, ready to run: a convolution of either kind with bias, shortcut and activation.

use super::dense_conv::DenseConv;
use super::depthwise_conv::DepthwiseConv;
use super::kernels::{Kernels, SLACK};
use super::layer_call::LayerCall;
use crate::model::layers::ConvSpec;
use crate::model::map_shape::MapShape;

/// A convolution with bias, shortcut and activation, for one instruction set.
#[derive(Debug)]
pub struct Layer {
    conv: ConvSpec,
    filters: Filters,
}

#[derive(Debug)]
enum Filters {
    Dense(DenseConv),
    Depthwise(DepthwiseConv),
}

impl Layer {
    /// Packs `weight`, `[outputs, inputs / groups, kernel, kernel]`, and `bias`, `[outputs]`.
    pub fn new(conv: &ConvSpec, weight: &[f32], bias: &[f32], kernels: &'static Kernels) -> Self {
        let filters = if conv.depthwise {
            Filters::Depthwise(DepthwiseConv::new(conv, weight, bias, kernels))
        } else {
            Filters::Dense(DenseConv::new(conv, weight, bias, kernels))
        };
        Self { conv: conv.clone(), filters }
    }

    /// The shape of the result.
    pub fn after(&self, shape: MapShape) -> MapShape {
        shape.after(&self.conv)
    }

    /// Bytes of the weights.
    pub fn memory_bytes(&self) -> usize {
        let numbers = match &self.filters {
            Filters::Dense(dense) => dense.len(),
            Filters::Depthwise(depthwise) => depthwise.len(),
        };
        numbers * size_of::<f32>()
    }

    /// Runs the layer on a map of this shape and writes `out`. `residual`, a map of the result's shape, is added before the activation.
    /// `map` must be followed by [`SLACK`] numbers. `threads` threads of rayon's pool share the work.
    ///
    /// # Panics
    /// If a slice does not have the length of its shape.
    pub fn forward(
        &self,
        map: &[f32],
        shape: MapShape,
        residual: Option<&[f32]>,
        out: &mut [f32],
        threads: usize,
    ) {
        let result = self.after(shape);
        assert!(
            shape.channels == self.conv.inputs
                && map.len() == shape.len() + SLACK
                && out.len() == result.len()
                && residual.is_none_or(|r| r.len() >= out.len()),
            "{}: a map that does not have the shape {shape:?}",
            self.conv.name
        );
        let call = LayerCall { residual, clamp: self.conv.activation.bounds(), threads };
        match &self.filters {
            Filters::Dense(dense) => dense.forward(map, shape, call, out),
            Filters::Depthwise(depthwise) => depthwise.forward(map, shape, call, out),
        }
    }
}
