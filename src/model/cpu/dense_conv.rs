//! Dense convolutions (every filter covers all channels), as products of packed pixels and packed weights.

use super::kernels::{
    for_each_region, BlockLayout, Buffer, Kernels, Packing, Partition, Product, Region, BLOCK,
};
use super::layer_call::LayerCall;
use crate::model::layers::ConvSpec;
use crate::model::map_shape::{MapShape, Window};
use std::cell::RefCell;
use std::ops::Range;

/// Blocks of a pixel that are packed and multiplied before the next ones: with their weights they should stay in the caches.
const DEPTH: usize = 24;

/// Maximum number of blocks that are packed at once: 256 KiB, which fits into the level-2 cache.
const PACKED: usize = 1 << 12;

thread_local! {
    /// Packed pixels of the task that runs on this thread.
    static PACKED_PIXELS: RefCell<Buffer> = RefCell::default();
}

/// The weights of a dense convolution, packed for one instruction set.
#[derive(Debug)]
pub struct DenseConv {
    conv: ConvSpec,
    kernels: &'static Kernels,
    blocks: BlockLayout,
    /// Panels `[depth, registers * lanes]` one after the other.
    weights: Buffer,
    /// `[outputs]`, padded with zeros to whole registers.
    bias: Vec<f32>,
}

impl DenseConv {
    /// Packs `weight`, `[outputs, inputs, kernel, kernel]`, and `bias`, `[outputs]`.
    pub fn new(conv: &ConvSpec, weight: &[f32], bias: &[f32], kernels: &'static Kernels) -> Self {
        let blocks = BlockLayout::new(conv.kernel, conv.inputs);
        let (taps, panel, lanes) = (conv.kernel * conv.kernel, kernels.panel(), kernels.lanes);
        let padded = conv.outputs.next_multiple_of(lanes);
        let mut weights = Buffer::zeros(blocks.depth() * padded);
        let mut packed = weights.iter_mut();
        for first in (0..conv.outputs).step_by(panel) {
            let width = panel.min(padded - first);
            for (run, start, length) in (0..blocks.count()).map(|block| blocks.locate(block)) {
                for k in start..start + length {
                    let (kx, input) = (k / conv.inputs, k % conv.inputs);
                    let of = |output: usize| {
                        if output >= conv.outputs {
                            return 0.0;
                        }
                        weight[(output * conv.inputs + input) * taps + run * conv.kernel + kx]
                    };
                    (first..first + width).zip(&mut packed).for_each(|(output, w)| *w = of(output));
                }
            }
        }
        let mut bias = bias.to_vec();
        bias.resize(padded, 0.0);
        Self { conv: conv.clone(), kernels, blocks, weights, bias }
    }

    /// How many numbers are kept.
    pub fn len(&self) -> usize {
        self.weights.len() + self.bias.len()
    }

    /// Convolves `map` of this shape, whose slice continues for a block after its end, into `out`.
    pub fn forward(&self, map: &[f32], shape: MapShape, call: LayerCall<'_>, out: &mut [f32]) {
        let result = shape.after(&self.conv);
        let window = Window::new(&self.conv, shape, shape.channels);
        let (pixels, rows) = (result.pixels(), self.kernels.rows);
        let tiles = pixels.div_ceil(rows);
        let panels = self.conv.outputs.div_ceil(self.kernels.panel());
        let depth = self.blocks.count().min(DEPTH);
        let at_most = (PACKED / depth / rows).max(1);
        // Two tasks per thread even out interruptions. But a task should have at least 8 tiles, since it reads all weights once.
        let tasks = if call.threads > 1 { 2 * call.threads } else { 1 };
        let enough = tiles >= 8 * tasks;
        let parts = tiles.div_ceil(at_most).max(tasks.min(tiles / 8));
        let parts = if enough { parts.next_multiple_of(tasks) } else { parts };
        let groups = tasks.div_ceil(parts).min(panels);
        let partition = Partition {
            parallel: call.threads > 1,
            parts,
            first_pixel: |part: usize| (part * tiles / parts * rows).min(pixels),
            groups,
            first_channel: |group: usize| {
                (group * panels / groups * self.kernels.panel()).min(self.conv.outputs)
            },
        };
        for_each_region(out, self.conv.outputs, &partition, |mut region| {
            PACKED_PIXELS.with_borrow_mut(|buffer| {
                let needed = self.kernels.packed_len(region.pixels().len(), depth);
                buffer.grow(needed.max(PACKED) * BLOCK);
                self.compute(map, &window, call, &mut region, buffer.lines_mut());
            });
        });
    }

    /// Computes one region: packs and multiplies a range of blocks at a time.
    fn compute(
        &self,
        map: &[f32],
        window: &Window,
        call: LayerCall<'_>,
        region: &mut Region<'_>,
        buffer: &mut [[f32; BLOCK]],
    ) {
        let full = self.blocks.runs * self.blocks.full;
        let count = self.blocks.count();
        let steps = count.div_ceil(DEPTH);
        for step in 0..steps {
            let blocks = step * count / steps..(step + 1) * count / steps;
            let packing = Packing { map, window: *window, pixels: region.pixels(), blocks: blocks.clone() };
            self.kernels.pack(&packing, buffer);
            let product = Product {
                packed: buffer,
                full: blocks.end.min(full).saturating_sub(blocks.start),
                tails: blocks.end.saturating_sub(blocks.start.max(full)),
                tail: self.blocks.tail,
                weights: &[],
                next: &[],
                registers: 0,
                bias: None,
                residual: call.residual,
                clamp: (step + 1 == steps).then_some(call.clamp),
            };
            self.multiply(product, blocks, region);
        }
    }

    /// Multiplies packed blocks with all weight panels of the region.
    fn multiply(&self, product: Product<'_>, blocks: Range<usize>, region: &mut Region<'_>) {
        let full = self.blocks.runs * self.blocks.full;
        let first_depth =
            blocks.start.min(full) * BLOCK + blocks.start.saturating_sub(full) * self.blocks.tail;
        let (panel, channels) = (self.kernels.panel(), region.channels());
        let depth = product.full * BLOCK + product.tails * product.tail;
        for first in channels.clone().step_by(panel) {
            let width = panel.min(self.bias.len() - first);
            let end = (first + width).min(channels.end);
            let weights = &self.weights[first * self.blocks.depth() + first_depth * width..];
            let next = if first + width < channels.end { first + width } else { channels.start };
            let next_depth = if next > first { first_depth } else { first_depth + depth };
            let next = self.weights.get(next * self.blocks.depth() + next_depth * width..).unwrap_or(&[]);
            let product = Product {
                weights,
                next: &next[..next.len().min(depth * width)],
                registers: width / self.kernels.lanes,
                bias: (blocks.start == 0).then(|| &self.bias[first..first + width]),
                ..product
            };
            self.kernels.product(&product, region, first..end);
        }
    }
}
