//! The loops in which inference spends its time, with vector instructions where the processor has them.
//!
//! `unsafe` lives here because vector instructions and maps that several threads write need it; what the folder offers to the
//! rest of the crate checks its arguments. Every level agrees with a naive convolution (tests).
#![allow(unsafe_code)]

mod buffer;
mod depthwise;
mod pack;
mod region;
mod tile;
mod vector;

pub use buffer::Buffer;
pub use depthwise::CHANNELS;
pub use pack::{Blocks, Packing, Strip};
pub use region::{for_each_region, Cuts, Region};
pub use tile::BLOCK;

use crate::model::shape::Window;
use depthwise::Row;
use pack::tile_range;
use std::ops::Range;
use std::sync::LazyLock;
use tile::{Tile, LINE};

/// One level of instructions.
pub struct Kernels {
    /// What it is called.
    pub name: &'static str,
    /// Pixels of a tile.
    pub rows: usize,
    /// Numbers in a register.
    pub lanes: usize,
    /// Registers of output channels in a tile.
    pub columns: usize,
    /// By pixels and registers, both less one.
    tiles: &'static [[unsafe fn(&Tile); 2]],
    pack: fn(&Packing<'_>, &mut [[f32; BLOCK]]),
    strip: fn(&[f32], &Window, &Strip, &mut [[f32; CHANNELS]]),
    /// By kernel and stride.
    depthwise: fn(usize, usize) -> unsafe fn(&Row),
    greatest: fn(&mut [f32], &[f32]),
    add: fn(&mut [f32], &[f32]),
}

impl std::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The best that this processor has.
pub static BEST: LazyLock<&Kernels> = LazyLock::new(|| available()[0]);

/// All that this processor has, the best first.
pub fn available() -> Vec<&'static Kernels> {
    let mut levels: Vec<&Kernels> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            levels.push(&avx512::KERNELS);
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            levels.push(&avx2::KERNELS);
        }
    }
    levels.push(&portable::KERNELS);
    levels
}

/// Compiles every loop for one level: its register, its instructions, the pixels of a tile (and all numbers up to that), the
/// registers of a tile's row. Its functions may only be called where the level is available, which is why [`available`] alone
/// gives its table away.
macro_rules! level {
    ($module:ident, $vector:ty, [$(#[$target:meta])*], rows [$last:literal: $($row:literal)*], $columns:literal) => {
        mod $module {
            use super::{depthwise, pack, portable_loops, tile, vector};
            use super::{vector::Vector, Kernels, Packing, Row, Strip, Tile, Window, BLOCK, CHANNELS};

            pub static KERNELS: Kernels = Kernels {
                name: stringify!($module),
                rows: $last,
                lanes: <$vector>::LANES,
                columns: $columns,
                tiles: &[$([tile::<$row, 1>, tile::<$row, $columns>]),*],
                // SAFETY (all of these): a table is only given away where its level is available.
                pack: |packing, out| unsafe { pack(packing, out) },
                // SAFETY: as above.
                strip: |map, window, wanted, out| unsafe { strip(map, window, wanted, out) },
                depthwise: |kernel, stride| match (kernel, stride) {
                    (3, 1) => row::<3, 1>,
                    (3, 2) => row::<3, 2>,
                    (5, 1) => row::<5, 1>,
                    (5, 2) => row::<5, 2>,
                    _ => row::<0, 0>,
                },
                // SAFETY: as above.
                greatest: |to, from| unsafe { greatest(to, from) },
                // SAFETY: as above.
                add: |to, from| unsafe { add(to, from) },
            };

            $(#[$target])*
            unsafe fn tile<const ROWS: usize, const COLUMNS: usize>(t: &Tile) {
                // SAFETY: the same demands, and the level is enabled.
                unsafe { tile::tile::<$vector, ROWS, COLUMNS, $last>(t) }
            }

            $(#[$target])*
            unsafe fn row<const KERNEL: usize, const STRIDE: usize>(r: &Row) {
                // SAFETY: the same demands, and the level is enabled.
                unsafe { depthwise::row::<$vector, KERNEL, STRIDE>(r) }
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
            unsafe fn greatest(to: &mut [f32], from: &[f32]) {
                portable_loops::greatest(to, from);
            }

            $(#[$target])*
            unsafe fn add(to: &mut [f32], from: &[f32]) {
                portable_loops::add(to, from);
            }
        }
    };
}

level!(portable, vector::Portable, [], rows [6: 1 2 3 4 5 6], 1);
#[cfg(target_arch = "x86_64")]
level!(avx2, vector::Avx2, [#[target_feature(enable = "avx2,fma")]], rows [6: 1 2 3 4 5 6], 2);
#[cfg(target_arch = "x86_64")]
level!(
    avx512, vector::Avx512, [#[target_feature(enable = "avx512f")]],
    rows [14: 1 2 3 4 5 6 7 8 9 10 11 12 13 14], 2
);

/// Loops that are vectorised well enough as they are.
mod portable_loops {
    #[inline(always)]
    pub fn greatest(to: &mut [f32], from: &[f32]) {
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
    /// Blocks after them.
    pub tails: usize,
    /// Numbers that count in one of these.
    pub tail: usize,
    /// Weights, `[full * BLOCK + tails * tail, registers * lanes]`.
    pub weights: &'a [f32],
    /// Weights that will be wanted next.
    pub next: &'a [f32],
    /// Registers of a row of weights.
    pub registers: usize,
    /// What the sums start with, `[registers * lanes]`; without it they go on from what is there.
    pub bias: Option<&'a [f32]>,
    /// What is added before the activation: a map of the result's shape.
    pub residual: Option<&'a [f32]>,
    /// The activation, if the sums are complete after this.
    pub clamp: Option<(f32, f32)>,
}

/// A row of a convolution with one filter per channel, over up to [`CHANNELS`] channels.
#[derive(Debug, Clone, Copy)]
pub struct DepthwiseRow<'a> {
    /// A strip with its zeros around it, `[kernel, pitch, CHANNELS]`.
    pub strip: &'a [[f32; CHANNELS]],
    /// Pixels from one row of the strip to the next.
    pub pitch: usize,
    /// Filters, `[kernel, kernel, CHANNELS]`.
    pub weights: &'a [[f32; CHANNELS]],
    /// What the sums start with.
    pub bias: &'a [f32; CHANNELS],
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Step between output pixels.
    pub stride: usize,
    /// What is added before the activation: a map of the result's shape.
    pub residual: Option<&'a [f32]>,
    /// The activation.
    pub clamp: (f32, f32),
}

impl Kernels {
    /// Channels of a tile.
    pub fn panel(&self) -> usize {
        self.columns * self.lanes
    }

    /// Blocks of room that [`Kernels::pack`] needs.
    pub fn packed_len(&self, pixels: usize, blocks: usize) -> usize {
        pixels.div_ceil(self.rows) * self.rows * blocks
    }

    /// Packs pixels for [`Kernels::product`], see [`pack`].
    pub fn pack(&self, packing: &Packing<'_>, out: &mut [[f32; BLOCK]]) {
        (self.pack)(packing, out);
    }

    /// Computes `channels` for all pixels of a region.
    ///
    /// # Panics
    /// If anything is shorter than it should be.
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
            "a product of things that do not fit"
        );
        // Every tile asks for its share of the next weights, a few lines with each block.
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
                soon: p.next.as_ptr().wrapping_add(tile * p.full * lines * LINE),
                lines,
                clamp: p.clamp,
            };
            // SAFETY: the level is available; lengths are checked above, and the region is ours alone.
            unsafe { self.tiles[rows - 1][usize::from(p.registers > 1)](&t) };
        }
    }

    /// Copies a strip out of a map, see [`pack::strip`]. The map goes on for at least a block after its end.
    pub fn strip(&self, map: &[f32], window: &Window, strip: &Strip, out: &mut [[f32; CHANNELS]]) {
        (self.strip)(map, window, strip, out);
    }

    /// Computes a row of output pixels, `channels` of each.
    ///
    /// # Panics
    /// If anything is shorter than it should be.
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
            "a row of things that do not fit"
        );
        let r = Row {
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
        // SAFETY: the level is available; lengths are checked above, and the region is ours alone.
        unsafe { (self.depthwise)(row.kernel, row.stride)(&r) };
    }

    /// The greater of each pair of numbers.
    pub fn greatest(&self, to: &mut [f32], from: &[f32]) {
        (self.greatest)(to, from);
    }

    /// Adds up.
    pub fn add(&self, to: &mut [f32], from: &[f32]) {
        (self.add)(to, from);
    }
}
