//! Gathers the input under the kernel for each output pixel, so that the product reads it in order.
//!
//! One row of the kernel covers one run of `kernel * channels` numbers. Runs are cut into blocks of [`BLOCK`] numbers: first come the
//! full blocks of all runs, then the partial block at the end of each run. Packed pixels are `[tiles, blocks, rows, BLOCK]`, with the
//! `rows` pixels of a tile side by side.

use super::depthwise_row::CHANNELS;
use super::tile::BLOCK;
use crate::model::map_shape::Window;
use std::ops::Range;

/// How the numbers under a kernel are cut into blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockLayout {
    /// Contiguous runs: one per row of the kernel.
    pub runs: usize,
    /// Full blocks of a run.
    pub full: usize,
    /// Numbers in a run after its full blocks.
    pub tail: usize,
}

impl BlockLayout {
    /// The layout of a kernel of this size over so many channels.
    pub fn new(kernel: usize, channels: usize) -> Self {
        let run = kernel * channels;
        Self { runs: kernel, full: run / BLOCK, tail: run % BLOCK }
    }

    /// Numbers of a run.
    pub fn run(self) -> usize {
        self.full * BLOCK + self.tail
    }

    /// All numbers under a kernel.
    pub fn depth(self) -> usize {
        self.runs * self.run()
    }

    /// Number of blocks, full and partial.
    pub fn count(self) -> usize {
        self.runs * self.full + self.tails()
    }

    /// Number of partial blocks.
    pub fn tails(self) -> usize {
        if self.tail > 0 {
            self.runs
        } else {
            0
        }
    }

    /// Where a block lies: its run, its first number within the run, and its length.
    pub fn locate(self, block: usize) -> (usize, usize, usize) {
        let whole = self.runs * self.full;
        if block < whole {
            (block / self.full, block % self.full * BLOCK, BLOCK)
        } else {
            (block - whole, self.full * BLOCK, self.tail)
        }
    }
}

/// The pixels of one of `tiles` tiles over `count` pixels, as equal as possible.
#[inline(always)]
pub fn tile_range(tile: usize, tiles: usize, count: usize) -> Range<usize> {
    tile * count / tiles..(tile + 1) * count / tiles
}

/// What to pack: a range of blocks for a range of output pixels.
#[derive(Debug, Clone)]
pub struct Packing<'a> {
    /// The input map. The slice continues for a block after its end, because a whole block is read for a partial one.
    pub map: &'a [f32],
    /// How the kernel moves over the map.
    pub window: Window,
    /// Output pixels, counted over all images.
    pub pixels: Range<usize>,
    /// Blocks as numbered by [`BlockLayout::locate`].
    pub blocks: Range<usize>,
}

/// Packs into `[tiles, blocks, rows, BLOCK]`, where `rows` pixels make a tile.
#[inline(always)]
pub fn pack(p: &Packing<'_>, rows: usize, out: &mut [[f32; BLOCK]]) {
    let tiles = p.pixels.len().div_ceil(rows);
    for tile in 0..tiles {
        let out = &mut out[tile * p.blocks.len() * rows..][..p.blocks.len() * rows];
        for (row, pixel) in tile_range(tile, tiles, p.pixels.len()).enumerate() {
            pack_pixel(p, p.pixels.start + pixel, rows, &mut out[row..]);
        }
    }
}

/// Packs one pixel into every `rows`-th block of `out`.
#[inline(always)]
fn pack_pixel(p: &Packing<'_>, pixel: usize, rows: usize, out: &mut [[f32; BLOCK]]) {
    let Packing { map, window, blocks, .. } = p;
    let ([height, width], channels, stride) = (window.input, window.numbers, window.stride);
    if window.kernel == 1 && stride == 1 {
        return copy_blocks(out, rows, &map[pixel * channels + blocks.start * BLOCK..], blocks.len());
    }
    let plane = window.output[0] * window.output[1];
    let (image, y, x) =
        (pixel / plane, pixel % plane / window.output[1] * stride, pixel % plane % window.output[1] * stride);
    if window.kernel == 1 {
        let start = ((image * height + y) * width + x) * channels;
        return copy_blocks(out, rows, &map[start + blocks.start * BLOCK..], blocks.len());
    }
    let all = BlockLayout::new(window.kernel, channels);
    // The part of a run that lies inside the image.
    let before = window.left.saturating_sub(x).min(window.kernel);
    let inside = (width + window.left).saturating_sub(x).min(window.kernel).max(before);
    let inside = before * channels..inside * channels;
    let tail = all.full * BLOCK..all.run();
    for run in 0..all.runs {
        // With padding a run may start before the map, hence wrapping arithmetic; `inside` skips that part.
        let start = (y + run)
            .checked_sub(window.top)
            .filter(|y| *y < height)
            .map(|y| ((image * height + y) * width + x).wrapping_sub(window.left).wrapping_mul(channels));
        let first = run * all.full;
        let wanted = blocks.start.max(first)..blocks.end.min(first + all.full);
        let last = all.runs * all.full + run;
        let last = (all.tail > 0 && blocks.contains(&last)).then(|| (last - blocks.start) * rows);
        match start {
            Some(start) if inside == (0..all.run()) => {
                if !wanted.is_empty() {
                    let from = &map[start + (wanted.start - first) * BLOCK..];
                    copy_blocks(&mut out[(wanted.start - blocks.start) * rows..], rows, from, wanted.len());
                }
                if let Some(at) = last {
                    copy(&mut out[at], &map[start + tail.start..]);
                }
            }
            _ => {
                let inside = if start.is_some() { inside.clone() } else { 0..0 };
                let start = start.unwrap_or_default();
                for block in wanted {
                    let part = (block - first) * BLOCK..(block + 1 - first) * BLOCK;
                    copy_inside(&mut out[(block - blocks.start) * rows], map, start, &inside, part);
                }
                if let Some(at) = last {
                    copy_inside(&mut out[at], map, start, &inside, tail.clone());
                }
            }
        }
    }
}

/// Copies `count` contiguous blocks to every `rows`-th block.
#[inline(always)]
fn copy_blocks(out: &mut [[f32; BLOCK]], rows: usize, from: &[f32], count: usize) {
    let (from, _) = from[..count * BLOCK].as_chunks();
    out.iter_mut().step_by(rows).zip(from).for_each(|(to, from)| *to = *from);
}

/// Copies `part` of the run that starts at `start`, with zeros for what lies outside of the image.
#[inline(always)]
fn copy_inside(to: &mut [f32; BLOCK], map: &[f32], start: usize, inside: &Range<usize>, part: Range<usize>) {
    *to = [0.0; BLOCK];
    let (first, end) = (part.start.max(inside.start), part.end.min(inside.end));
    if first < end {
        let from = &map[start.wrapping_add(first)..][..end - first];
        to[first - part.start..end - part.start].copy_from_slice(from);
    }
}

/// A strip: some rows of one image with their padding, [`CHANNELS`] of each pixel.
#[derive(Debug, Clone, Copy)]
pub struct Strip {
    /// Index of the image in the batch.
    pub image: usize,
    /// The first output row that is computed from the strip.
    pub row: usize,
    /// Input rows of the strip.
    pub rows: usize,
    /// Columns of the strip.
    pub pitch: usize,
    /// The first channel.
    pub channel: usize,
}

/// Copies a strip `[rows, pitch, CHANNELS]` out of a map, with zeros outside of the image. Up to [`CHANNELS`] numbers after the last
/// pixel are read; what the strip holds beyond the last channel is not used.
#[inline(always)]
pub fn strip(map: &[f32], window: &Window, strip: &Strip, out: &mut [[f32; CHANNELS]]) {
    let [height, width] = window.input;
    let (left, channels) = (window.left.min(strip.pitch), window.numbers);
    let columns = width.min(strip.pitch - left);
    for (row, to) in out.chunks_exact_mut(strip.pitch).take(strip.rows).enumerate() {
        let y = (strip.row * window.stride + row).checked_sub(window.top).filter(|y| *y < height);
        let Some(y) = y else {
            to.fill([0.0; CHANNELS]);
            continue;
        };
        to[..left].fill([0.0; CHANNELS]);
        to[left + columns..].fill([0.0; CHANNELS]);
        let from = &map[(strip.image * height + y) * width * channels + strip.channel..];
        for (x, to) in to[left..left + columns].iter_mut().enumerate() {
            copy(to, &from[x * channels..]);
        }
    }
}

#[inline(always)]
fn copy(to: &mut [f32; BLOCK], from: &[f32]) {
    if let Some(from) = from.first_chunk() {
        *to = *from;
    }
}
