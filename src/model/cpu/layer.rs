//! A convolution ready to run.

use super::dense::Dense;
use super::depthwise::Depthwise;
use super::kernels::Kernels;
use crate::model::arch::Conv;
use crate::model::shape::MapShape;

/// How a layer runs, and what happens to sums before they are written.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// A map of the result's shape that is added.
    pub residual: Option<&'a [f32]>,
    /// The interval that the activation clamps to.
    pub clamp: (f32, f32),
    /// Threads that share the work; 1 stays on the calling thread.
    pub threads: usize,
}

/// A convolution with bias, shortcut and activation, for one level of instructions.
#[derive(Debug)]
pub struct Layer {
    conv: Conv,
    filters: Filters,
}

#[derive(Debug)]
enum Filters {
    Dense(Dense),
    Depthwise(Depthwise),
}

impl Layer {
    /// Of `weight`, `[outputs, inputs / groups, kernel, kernel]`, and `bias`, `[outputs]`.
    pub fn new(conv: &Conv, weight: &[f32], bias: &[f32], kernels: &'static Kernels) -> Self {
        let filters = if conv.depthwise {
            Filters::Depthwise(Depthwise::new(conv, weight, bias, kernels))
        } else {
            Filters::Dense(Dense::new(conv, weight, bias, kernels))
        };
        Self { conv: conv.clone(), filters }
    }

    /// Shape of the result.
    pub fn after(&self, shape: MapShape) -> MapShape {
        shape.after(&self.conv)
    }

    /// Bytes of its numbers.
    pub fn memory_bytes(&self) -> usize {
        let numbers = match &self.filters {
            Filters::Dense(dense) => dense.len(),
            Filters::Depthwise(depthwise) => depthwise.len(),
        };
        numbers * size_of::<f32>()
    }

    /// From a map of this shape to `out`; `residual`, of the result's shape, is added before the activation. In its buffer
    /// `map` is followed by [`super::SLACK`] numbers. The work is shared by so many threads of rayon's pool.
    ///
    /// # Panics
    /// If a map has another length than its shape, or a filter per channel is to add a residual.
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
                && map.len() == shape.len() + super::SLACK
                && out.len() == result.len()
                && residual.is_none_or(|r| r.len() >= out.len()),
            "{}: a map of another shape than {shape:?}",
            self.conv.name
        );
        let call = Call { residual, clamp: self.conv.activation.bounds(), threads };
        match &self.filters {
            Filters::Dense(dense) => dense.forward(map, shape, call, out),
            Filters::Depthwise(depthwise) => depthwise.forward(map, shape, call, out),
        }
    }
}
