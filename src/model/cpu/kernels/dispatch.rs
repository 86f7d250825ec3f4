//! The loops compiled once per instruction set (portable, AVX2, AVX-512), and the choice of the best at run time.

use super::depthwise_row::{self, RowPointers, CHANNELS};
use super::linear_tile::{self, LinearTile};
use super::moments::{self, MomentPointers};
use super::pack::{self, tile_range, Packing, Strip};
use super::region::Region;
use super::tile::{self, Tile, BLOCK, LINE};
use super::vector;
use crate::model::map_shape::Window;
use half::f16;
use std::ops::Range;
use std::sync::LazyLock;

/// The loops for one instruction set.
pub struct Kernels {
    /// Name of the instruction set.
    pub name: &'static str,
    /// Pixels of a tile.
    pub rows: usize,
    /// Numbers in a vector register.
    pub lanes: usize,
    /// Registers of output channels in a tile.
    pub columns: usize,
    /// `tiles[pixels - 1][registers > 1]`.
    tiles: &'static [[unsafe fn(&Tile); 2]],
    pack: fn(&Packing<'_>, &mut [[f32; BLOCK]]),
    strip: fn(&[f32], &Window, &Strip, &mut [[f32; CHANNELS]]),
    /// Chooses the loop for a kernel size and a stride.
    depthwise: fn(usize, usize) -> unsafe fn(&RowPointers),
    maximum: fn(&mut [f32], &[f32]),
    add: fn(&mut [f32], &[f32]),
    moments: unsafe fn(&MomentPointers),
    /// Registers of outputs in a panel of a linear layer.
    linear_columns: usize,
    /// The loops over weights in single precision.
    linear_single: LinearLoops<f32>,
    /// The loops over weights in half precision; `None` where the processor cannot convert them.
    linear_half: Option<LinearLoops<f16>>,
}

/// The loops of a linear layer for one format of weights.
#[derive(Clone, Copy)]
struct LinearLoops<W> {
    /// Rows that `several` computes together.
    rows: usize,
    several: unsafe fn(&LinearTile<W>),
    one: unsafe fn(&LinearTile<W>),
}

impl std::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The best instruction set of this processor.
pub static BEST: LazyLock<&Kernels> = LazyLock::new(|| available()[0]);

/// All instruction sets of this processor, the best first.
pub fn available() -> Vec<&'static Kernels> {
    let mut found: Vec<&Kernels> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            found.push(&avx512::KERNELS);
        }
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        if avx2 && is_x86_feature_detected!("f16c") {
            found.push(&avx2::KERNELS);
        }
    }
    found.push(&portable::KERNELS);
    found
}

/// Compiles every loop for one instruction set. Arguments: the module's name, the register type, the `target_feature` attribute, the
/// pixels of a tile (and every number up to that), the registers of a tile's row, rows and registers of a linear layer's tile, whether
/// numbers in half precision can be converted. The functions may only be called on a processor with the instruction set; that is why
/// the table is only reachable through [`available`].
macro_rules! instruction_set {
    ($module:ident, $vector:ty, [$(#[$target:meta])*], rows [$last:literal: $($row:literal)*], $columns:literal,
     linear $linear_rows:literal x $linear_columns:literal, half $half:literal) => {
        mod $module {
            use super::{depthwise_row, linear_tile, moments, pack, portable_loops, tile, vector};
            use super::{linear_tile::Weight, vector::Vector, Kernels, LinearLoops, LinearTile, MomentPointers};
            use super::{Packing, RowPointers, Strip, Tile, Window, BLOCK, CHANNELS};

            pub static KERNELS: Kernels = Kernels {
                name: stringify!($module),
                rows: $last,
                lanes: <$vector>::LANES,
                columns: $columns,
                tiles: &[$([tile::<$row, 1>, tile::<$row, $columns>]),*],
                // SAFETY: `available` hands out this table only on processors that have the instruction set.
                pack: |packing, out| unsafe { pack(packing, out) },
                // SAFETY: `available` hands out this table only on processors that have the instruction set.
                strip: |map, window, wanted, out| unsafe { strip(map, window, wanted, out) },
                depthwise: |kernel, stride| match (kernel, stride) {
                    (3, 1) => row::<3, 1>,
                    (3, 2) => row::<3, 2>,
                    (5, 1) => row::<5, 1>,
                    (5, 2) => row::<5, 2>,
                    _ => row::<0, 0>,
                },
                // SAFETY: `available` hands out this table only on processors that have the instruction set.
                maximum: |to, from| unsafe { maximum(to, from) },
                // SAFETY: `available` hands out this table only on processors that have the instruction set.
                add: |to, from| unsafe { add(to, from) },
                moments,
                linear_columns: $linear_columns,
                linear_single: linear_loops(),
                linear_half: if $half { Some(linear_loops()) } else { None },
            };

            const fn linear_loops<W: Weight>() -> LinearLoops<W> {
                LinearLoops { rows: $linear_rows, several: linear::<W, $linear_rows>, one: linear::<W, 1> }
            }

            $(#[$target])*
            unsafe fn linear<W: Weight, const ROWS: usize>(t: &LinearTile<W>) {
                // SAFETY: the caller upholds the same contract, and this function enables the instruction set.
                unsafe { linear_tile::linear::<$vector, W, ROWS, $linear_columns>(t) }
            }

            $(#[$target])*
            unsafe fn tile<const ROWS: usize, const COLUMNS: usize>(t: &Tile) {
                // SAFETY: the caller upholds the same contract, and this function enables the instruction set.
                unsafe { tile::tile::<$vector, ROWS, COLUMNS, $last>(t) }
            }

            $(#[$target])*
            unsafe fn row<const KERNEL: usize, const STRIDE: usize>(r: &RowPointers) {
                // SAFETY: the caller upholds the same contract, and this function enables the instruction set.
                unsafe { depthwise_row::row::<$vector, KERNEL, STRIDE>(r) }
            }

            $(#[$target])*
            unsafe fn moments(m: &MomentPointers) {
                // SAFETY: the caller upholds the same contract, and this function enables the instruction set.
                unsafe { moments::moments::<$vector>(m) }
            }

            $(#[$target])*
            unsafe fn pack(packing: &Packing<'_>, out: &mut [[f32; BLOCK]]) {
                pack::pack(packing, $last, out);
            }

            $(#[$target])*
            unsafe fn strip(map: &[f32], window: &Window, wanted: &Strip, out: &mut [[f32; CHANNELS]]) {
                pack::strip(map, window, wanted, out);
            }

            $(#[$target])*
            unsafe fn maximum(to: &mut [f32], from: &[f32]) {
                portable_loops::maximum(to, from);
            }

            $(#[$target])*
            unsafe fn add(to: &mut [f32], from: &[f32]) {
                portable_loops::add(to, from);
            }
        }
    };
}

instruction_set!(portable, vector::Portable, [], rows [6: 1 2 3 4 5 6], 1, linear 2 x 2, half false);
#[cfg(target_arch = "x86_64")]
instruction_set!(
    avx2, vector::Avx2, [#[target_feature(enable = "avx2,fma,f16c")]],
    rows [6: 1 2 3 4 5 6], 2, linear 2 x 4, half true
);
#[cfg(target_arch = "x86_64")]
instruction_set!(
    avx512, vector::Avx512, [#[target_feature(enable = "avx512f")]],
    rows [14: 1 2 3 4 5 6 7 8 9 10 11 12 13 14], 2, linear 4 x 4, half true
);

/// Loops that the compiler vectorises well enough by itself.
mod portable_loops {
    #[inline(always)]
    pub fn maximum(to: &mut [f32], from: &[f32]) {
        to.iter_mut().zip(from).for_each(|(t, f)| *t = if *f > *t { *f } else { *t });
    }

    #[inline(always)]
    pub fn add(to: &mut [f32], from: &[f32]) {
        to.iter_mut().zip(from).for_each(|(t, f)| *t += f);
    }
}

/// Packed pixels times a panel of weights.
#[derive(Debug, Clone, Copy)]
pub struct Product<'a> {
    /// Packed pixels, see [`Kernels::pack`].
    pub packed: &'a [[f32; BLOCK]],
    /// Full blocks of a packed pixel.
    pub full: usize,
    /// Partial blocks after them.
    pub tails: usize,
    /// How many numbers of a partial block count.
    pub tail: usize,
    /// Weights, `[full * BLOCK + tails * tail, registers * lanes]`.
    pub weights: &'a [f32],
    /// The weights that the next product reads, to prefetch.
    pub next: &'a [f32],
    /// Registers of a row of weights.
    pub registers: usize,
    /// What the sums start with, `[registers * lanes]`; `None` continues with the sums in the output.
    pub bias: Option<&'a [f32]>,
    /// The shortcut, a map of the result's shape; added before the activation.
    pub residual: Option<&'a [f32]>,
    /// The interval that the activation clamps to; only with the last product, which completes the sums.
    pub clamp: Option<(f32, f32)>,
}

/// A row of output pixels of a depthwise convolution, over up to [`CHANNELS`] channels.
#[derive(Debug, Clone, Copy)]
pub struct DepthwiseRow<'a> {
    /// The input rows with their padding, `[kernel, pitch, CHANNELS]`.
    pub strip: &'a [[f32; CHANNELS]],
    /// Pixels from one row of the strip to the next.
    pub pitch: usize,
    /// Filters, `[kernel, kernel, CHANNELS]`.
    pub weights: &'a [[f32; CHANNELS]],
    /// The bias of each channel.
    pub bias: &'a [f32; CHANNELS],
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Input pixels between neighbouring output pixels.
    pub stride: usize,
    /// The shortcut, a map of the result's shape; added before the activation.
    pub residual: Option<&'a [f32]>,
    /// The interval that the activation clamps to.
    pub clamp: (f32, f32),
}

/// A panel of a linear layer's weights and the rows that it multiplies.
#[derive(Debug, Clone, Copy)]
pub struct LinearPanel<'a> {
    /// Rows of inputs, `[rows, inputs]`; a region's pixels count them.
    pub rows: &'a [f32],
    /// Numbers in a row.
    pub inputs: usize,
    /// `[inputs, panel]`, see [`Kernels::linear_panel`].
    pub weights: LinearWeights<'a>,
    /// What the sums start with, `[panel]`.
    pub bias: &'a [f32],
}

/// The weights of a [`LinearPanel`].
#[derive(Debug, Clone, Copy)]
pub enum LinearWeights<'a> {
    /// In single precision, on every processor.
    Single(&'a [f32]),
    /// In half precision; only where [`Kernels::multiplies_half`].
    Half(&'a [f16]),
}

impl Kernels {
    /// Output channels of a tile.
    pub fn panel(&self) -> usize {
        self.columns * self.lanes
    }

    /// How many blocks [`Kernels::pack`] writes for so many pixels and blocks per pixel, rounded up to whole tiles.
    pub fn packed_len(&self, pixels: usize, blocks: usize) -> usize {
        pixels.div_ceil(self.rows) * self.rows * blocks
    }

    /// Packs pixels for [`Kernels::product`]; see [`pack::pack`].
    pub fn pack(&self, packing: &Packing<'_>, out: &mut [[f32; BLOCK]]) {
        (self.pack)(packing, out);
    }

    /// Computes `channels` for all pixels of a region.
    ///
    /// # Panics
    /// If a slice is shorter than the shapes say.
    pub fn product(&self, p: &Product<'_>, region: &mut Region<'_>, channels: Range<usize>) {
        let pixels = region.pixels();
        let tiles = pixels.len().div_ceil(self.rows);
        let (blocks, depth) = (p.full + p.tails, p.full * BLOCK + p.tails * p.tail);
        let (width, pitch) = (p.registers * self.lanes, region.pitch());
        assert!(
            (1..=self.columns).contains(&p.registers)
                && channels.len() <= width
                && channels.len() + self.lanes > width
                && p.tail <= BLOCK
                && p.packed.len() >= self.packed_len(pixels.len(), blocks)
                && p.weights.len() >= depth * width
                && p.bias.is_none_or(|b| b.len() >= width)
                && p.residual.is_none_or(|r| r.len() >= pixels.end * pitch),
            "shapes of a product that do not fit"
        );
        // Every tile prefetches its share of the next weights, a few cache lines with each block.
        let lines = p.next.len().div_ceil(LINE).div_ceil((tiles * p.full).max(1));
        for tile in 0..tiles {
            let within = tile_range(tile, tiles, pixels.len());
            let rows = within.len();
            let within = pixels.start + within.start..pixels.start + within.end;
            let at = region.offset(within.clone(), channels.clone());
            let t = Tile {
                pixels: p.packed[tile * self.rows * blocks..].as_ptr().cast(),
                weights: p.weights.as_ptr(),
                full: p.full,
                tails: p.tails,
                tail: p.tail,
                out: region.pointer(within, channels.clone()),
                pitch,
                channels: channels.len(),
                bias: p.bias.map_or(std::ptr::null(), <[f32]>::as_ptr),
                residual: p.residual.map_or(std::ptr::null(), |r| r[at..].as_ptr()),
                prefetched: p.next.as_ptr().wrapping_add(tile * p.full * lines * LINE),
                lines,
                clamp: p.clamp,
            };
            // SAFETY: the processor has the instruction set (see `available`), the assertion above covers everything that is read,
            // and `region.pointer` is valid for the pixels and channels that are written, which no other task can reach.
            unsafe { self.tiles[rows - 1][usize::from(p.registers > 1)](&t) };
        }
    }

    /// Outputs of a panel of a linear layer.
    pub fn linear_panel(&self) -> usize {
        self.linear_columns * self.lanes
    }

    /// Whether weights of linear layers may be in half precision.
    pub fn multiplies_half(&self) -> bool {
        self.linear_half.is_some()
    }

    /// Computes `outputs` for all rows of a region: the bias and the products of inputs and weights, in the order of the inputs.
    ///
    /// # Panics
    /// If a slice is shorter than the shapes say, or if the processor cannot convert weights in half precision.
    pub fn linear(&self, panel: &LinearPanel<'_>, region: &mut Region<'_>, outputs: Range<usize>) {
        match (panel.weights, &self.linear_half) {
            (LinearWeights::Single(weights), _) => {
                self.linear_with(&self.linear_single, panel, weights, region, outputs)
            }
            (LinearWeights::Half(weights), Some(loops)) => {
                self.linear_with(loops, panel, weights, region, outputs)
            }
            (LinearWeights::Half(_), None) => {
                panic!("weights in half precision, which {self:?} cannot convert")
            }
        }
    }

    fn linear_with<W>(
        &self,
        loops: &LinearLoops<W>,
        panel: &LinearPanel<'_>,
        weights: &[W],
        region: &mut Region<'_>,
        outputs: Range<usize>,
    ) {
        let (rows, width) = (region.pixels(), self.linear_panel());
        assert!(
            outputs.len() <= width
                && panel.rows.len() >= rows.end * panel.inputs
                && weights.len() >= panel.inputs * width
                && panel.bias.len() >= width,
            "shapes of a linear layer that do not fit"
        );
        let mut row = rows.start;
        while row < rows.end {
            let several = row + loops.rows <= rows.end;
            let count = if several { loops.rows } else { 1 };
            let t = LinearTile {
                rows: panel.rows[row * panel.inputs..].as_ptr(),
                inputs: panel.inputs,
                weights: weights.as_ptr(),
                bias: panel.bias.as_ptr(),
                out: region.pointer(row..row + count, outputs.clone()),
                pitch: region.pitch(),
                outputs: outputs.len(),
            };
            // SAFETY: the processor has the instruction set (see `available`), the assertion above covers everything that is read,
            // and `region.pointer` is valid for the rows and outputs that are written, which no other task can reach.
            unsafe { (if several { loops.several } else { loops.one })(&t) };
            row += count;
        }
    }

    /// Copies a strip out of a map; see [`pack::strip`]. The slice must continue for a block after the map.
    pub fn strip(&self, map: &[f32], window: &Window, strip: &Strip, out: &mut [[f32; CHANNELS]]) {
        (self.strip)(map, window, strip, out);
    }

    /// Computes `channels` of a row of output pixels.
    ///
    /// # Panics
    /// If a slice is shorter than the shapes say.
    pub fn depthwise(
        &self,
        row: &DepthwiseRow<'_>,
        region: &mut Region<'_>,
        pixels: Range<usize>,
        channels: Range<usize>,
    ) {
        if pixels.is_empty() {
            return;
        }
        let reach = (pixels.len() - 1) * row.stride + row.kernel;
        assert!(
            channels.len() <= CHANNELS
                && reach <= row.pitch
                && row.strip.len() >= (row.kernel - 1) * row.pitch + reach
                && row.weights.len() >= row.kernel * row.kernel
                && row.residual.is_none_or(|r| r.len() >= pixels.end * region.pitch()),
            "shapes of a depthwise row that do not fit"
        );
        let r = RowPointers {
            input: row.strip.as_ptr().cast(),
            pitch: row.pitch * CHANNELS,
            weights: row.weights.as_ptr().cast(),
            bias: row.bias.as_ptr(),
            kernel: row.kernel,
            stride: row.stride,
            pixels: pixels.len(),
            out_pitch: region.pitch(),
            residual: row
                .residual
                .map_or(std::ptr::null(), |r| r[region.offset(pixels.clone(), channels.clone())..].as_ptr()),
            channels: channels.len(),
            out: region.pointer(pixels, channels),
            clamp: row.clamp,
        };
        // SAFETY: the processor has the instruction set (see `available`), the assertion above covers everything that is read, and
        // `region.pointer` is valid for the pixels and channels that are written, which no other task can reach.
        unsafe { (self.depthwise)(row.kernel, row.stride)(&r) };
    }

    /// Element-wise maximum: `to[i] = max(to[i], from[i])`.
    pub fn maximum(&self, to: &mut [f32], from: &[f32]) {
        (self.maximum)(to, from);
    }

    /// Element-wise sum: `to[i] += from[i]`.
    pub fn add(&self, to: &mut [f32], from: &[f32]) {
        (self.add)(to, from);
    }

    /// Sums of each channel over the pixels of one image, `[pixels, channels]`, and sums of squares, both of the differences from the
    /// first pixel.
    ///
    /// # Panics
    /// If the image has no pixel, or if `sums` and `squares` differ in length.
    pub fn moments(&self, image: &[f32], sums: &mut [f32], squares: &mut [f32]) {
        let channels = sums.len();
        let pixels = image.len() / channels;
        assert!(pixels > 0 && squares.len() == channels, "shapes of moments that do not fit");
        let m = MomentPointers {
            map: image.as_ptr(),
            pixels,
            channels,
            sums: sums.as_mut_ptr(),
            squares: squares.as_mut_ptr(),
        };
        // SAFETY: the processor has the instruction set (see `available`), and the assertion above covers what is read and written.
        unsafe { (self.moments)(&m) };
    }
}
