//! A linear layer, ready to run.

use super::kernels::{for_each_region, Buffer, Kernels, LinearPanel, LinearWeights, Partition};
use half::f16;

/// A linear layer with bias, for one instruction set. Like a convolution it sums up the numbers of an image in the same order whatever
/// else is in the batch; a general matrix product does not.
#[derive(Debug)]
pub struct Linear {
    kernels: &'static Kernels,
    /// Numbers of a row of inputs.
    inputs: usize,
    /// Numbers of a row of outputs.
    outputs: usize,
    /// Panels `[inputs, panel]` one after the other, the last one padded with zeros.
    weights: Weights,
    /// `[outputs]`, padded with zeros to whole panels.
    bias: Vec<f32>,
}

#[derive(Debug)]
enum Weights {
    /// For weights that are not numbers of half precision, and where the processor cannot convert these.
    Single(Buffer),
    /// Half the memory, and the same results.
    Half(Vec<f16>),
}

impl Linear {
    /// Packs `weight`, `[outputs, inputs]`, and `bias`, `[outputs]`. Weights that are numbers of half precision, as those of a written model
    /// are, are kept in half precision: that changes no result and takes half the time to read.
    pub fn new(weight: &[f32], bias: &[f32], kernels: &'static Kernels) -> Self {
        let (outputs, panel) = (bias.len(), kernels.linear_panel());
        let inputs = weight.len() / outputs.max(1);
        let padded = outputs.next_multiple_of(panel);
        let packed = (0..padded).step_by(panel).flat_map(|first| {
            let of = move |output: usize, input| {
                if output < outputs {
                    weight[output * inputs + input]
                } else {
                    0.0
                }
            };
            (0..inputs).flat_map(move |input| (first..first + panel).map(move |output| of(output, input)))
        });
        let is_half = |w: &f32| f16::from_f32(*w).to_f32().to_bits() == w.to_bits();
        let weights = if kernels.multiplies_half() && weight.iter().all(is_half) {
            let mut weights = Vec::with_capacity(inputs * padded);
            weights.extend(packed.map(f16::from_f32));
            Weights::Half(weights)
        } else {
            let mut weights = Buffer::zeros(inputs * padded);
            weights.iter_mut().zip(packed).for_each(|(to, from)| *to = from);
            Weights::Single(weights)
        };
        let mut bias = bias.to_vec();
        bias.resize(padded, 0.0);
        Self { kernels, inputs, outputs, weights, bias }
    }

    /// Bytes of weights and bias.
    pub fn memory_bytes(&self) -> usize {
        let weights = match &self.weights {
            Weights::Single(weights) => size_of_val::<[f32]>(weights),
            Weights::Half(weights) => size_of_val::<[f16]>(weights),
        };
        weights + size_of_val::<[f32]>(&self.bias)
    }

    /// Rows of inputs `[batch, inputs]` to rows of outputs `[batch, outputs]`. `threads` threads of rayon's pool share the work.
    ///
    /// # Panics
    /// If `rows` is not a whole number of rows.
    pub fn forward(&self, rows: &[f32], threads: usize) -> Vec<f32> {
        assert!(rows.len().is_multiple_of(self.inputs), "rows of {} numbers", self.inputs);
        let (batch, panel) = (rows.len() / self.inputs, self.kernels.linear_panel());
        let panels = self.bias.len() / panel;
        let groups = threads.clamp(1, panels);
        let partition = Partition {
            parallel: threads > 1,
            parts: 1,
            first_pixel: |part: usize| part * batch,
            groups,
            first_channel: |group: usize| (group * panels / groups * panel).min(self.outputs),
        };
        let mut out = vec![0f32; batch * self.outputs];
        for_each_region(&mut out, self.outputs, &partition, |mut region| {
            for first in region.channels().step_by(panel) {
                let part = first * self.inputs..(first + panel) * self.inputs;
                let weights = match &self.weights {
                    Weights::Single(weights) => LinearWeights::Single(&weights[part]),
                    Weights::Half(weights) => LinearWeights::Half(&weights[part]),
                };
                let bias = &self.bias[first..first + panel];
                let product = LinearPanel { rows, inputs: self.inputs, weights, bias };
                self.kernels.linear(&product, &mut region, first..(first + panel).min(self.outputs));
            }
        });
        out
    }
}
