//! A whole backbone: images to features.

use super::conv_layer::Layer;
use super::kernels::{Buffer, Kernels, SLACK};
use super::pooling::{average, from_planes, max_pool, moments, pooled};
use crate::error::Result;
use crate::model::batch_norm_folding::Filter;
use crate::model::feature_layout::{FeatureLayout, FeatureSet};
use crate::model::layers::{Block, ConvNet, ConvSpec, Shortcut};
use crate::model::map_shape::MapShape;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Pixels that pass through the network together: few enough for the caches, and a bound on the memory for maps.
const PIXELS_AT_ONCE: usize = 1 << 16;

/// The layers of a backbone, for one instruction set.
#[derive(Debug)]
pub struct Network {
    kernels: &'static Kernels,
    network: ConvNet<Layer>,
    layout: FeatureLayout,
    /// Buffers for maps. There are as many arenas as calls have run at the same time.
    arenas: Mutex<Vec<Arena>>,
}

impl Network {
    /// Builds the network that `description` describes and that gives these features; `filter` supplies the weights of each convolution.
    ///
    /// # Errors
    /// The first error of `filter`.
    pub fn new(
        description: &ConvNet,
        features: FeatureSet,
        kernels: &'static Kernels,
        filter: impl Fn(&ConvSpec) -> Result<Filter>,
    ) -> Result<Self> {
        let load = |conv: &ConvSpec| {
            let (weight, bias) = filter(conv)?;
            Ok(Layer::new(conv, &weight, &bias, kernels))
        };
        let network = description.load(load)?;
        let layout = network.feature_layout(features);
        Ok(Self { kernels, network, layout, arenas: Mutex::default() })
    }

    /// F, the length of a feature vector.
    pub fn features(&self) -> usize {
        self.layout.len
    }

    /// Bytes of the weights, and of the arenas that no call is using.
    pub fn memory_bytes(&self) -> usize {
        let arenas = self.arenas.lock().unwrap_or_else(PoisonError::into_inner);
        let maps: usize = arenas.iter().flat_map(|a| &a.maps).map(|map| size_of_val(&*map.numbers)).sum();
        self.network.layers().map(Layer::memory_bytes).sum::<usize>() + maps
    }

    /// Images `[batch, 3, height, width]` of this shape (no dimension may be 0) to features `[batch, F]`, on the threads of rayon's
    /// pool.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn forward(&self, images: &[f32], shape: MapShape, features: &mut [f32]) {
        if rayon::current_num_threads() > 1 && rayon::current_thread_index().is_none() {
            // Enter the pool once: from inside, handing out the work of a layer does not have to wake the pool each time.
            rayon::scope(|_| self.distribute(images, shape, features));
        } else {
            self.distribute(images, shape, features);
        }
    }

    /// Gives every thread the same number of whole images, so that no thread waits for another. All threads then share each layer for
    /// the images that are left.
    fn distribute(&self, images: &[f32], shape: MapShape, features: &mut [f32]) {
        let (threads, image_len) = (rayon::current_num_threads(), shape.channels * shape.plane());
        let rounds = shape.batch.div_ceil(threads * chunk_size(shape));
        let group = (shape.batch / (threads * rounds)).max(1);
        let whole = if threads > 1 { shape.batch / (threads * group) * threads * group } else { 0 };
        let (images, rest) = images.split_at(whole * image_len);
        let (features, features_of_rest) = features.split_at_mut(whole * self.features());
        if whole > 0 {
            let shape = MapShape { batch: group, ..shape };
            let groups =
                images.par_chunks(group * image_len).zip(features.par_chunks_mut(group * self.features()));
            groups.with_max_len(1).for_each(|(images, features)| self.run(images, shape, features, 1));
        }
        if whole < shape.batch {
            self.run(rest, MapShape { batch: shape.batch - whole, ..shape }, features_of_rest, threads);
        }
    }

    /// Runs the network over some images, a chunk at a time.
    fn run(&self, images: &[f32], shape: MapShape, features: &mut [f32], threads: usize) {
        let image_len = shape.channels * shape.plane();
        let chunk = chunk_size(shape);
        let mut arena = self.arena(threads);
        for (images, features) in
            images.chunks(chunk * image_len).zip(features.chunks_mut(chunk * self.features()))
        {
            let shape = MapShape { batch: images.len() / image_len, ..shape };
            self.forward_chunk(images, shape, &mut arena, features);
        }
        self.release(arena);
    }

    /// The first part of the network alone: the stem and the first `blocks` blocks, on the threads of rayon's pool. Writes the map after
    /// them, `[batch, height, width, channels]`, and the features of its taps; other columns of `features` are left as they are.
    ///
    /// # Panics
    /// If a slice is not as long as its shape.
    pub fn lower(
        &self,
        images: &[f32],
        shape: MapShape,
        blocks: usize,
        map: &mut [f32],
        features: &mut [f32],
    ) {
        let group = (shape.batch.div_ceil(rayon::current_num_threads())).min(chunk_size(shape));
        let per_image = [shape.channels * shape.plane(), map.len() / shape.batch, self.features()];
        let [images_len, map_len, features_len] = per_image.map(|len| len * group);
        let groups = images
            .par_chunks(images_len)
            .zip(map.par_chunks_mut(map_len))
            .zip(features.par_chunks_mut(features_len));
        groups.with_max_len(1).for_each(|((images, out), features)| {
            let shape = MapShape { batch: images.len() / per_image[0], ..shape };
            let mut arena = self.arena(1);
            let map = self.lower_chunk(images, shape, blocks, &mut arena, features);
            out.copy_from_slice(&arena.maps[map].numbers[..out.len()]);
            self.release(arena);
        });
    }

    /// The rest of the network after [`Network::lower`]: a map `[batch, height, width, channels]` of this shape that has passed `blocks`
    /// blocks, on the threads of rayon's pool. Writes the features of the rest; those of the lower part's taps are left as they are.
    ///
    /// # Panics
    /// If a slice is not as long as its shape.
    pub fn upper(&self, map: &[f32], shape: MapShape, blocks: usize, features: &mut [f32]) {
        let group = shape.batch.div_ceil(rayon::current_num_threads()).min(chunk_size(shape));
        let image_len = shape.channels * shape.plane();
        let groups = map.par_chunks(image_len * group).zip(features.par_chunks_mut(self.features() * group));
        groups.with_max_len(1).for_each(|(map, features)| {
            let mut arena = self.arena(1);
            arena.write(0, MapShape { batch: map.len() / image_len, ..shape }, |_, to| {
                to.copy_from_slice(map)
            });
            let last = self.run_blocks(blocks..self.network.blocks.len(), 0, &mut arena, features);
            self.finish(last, &mut arena, features);
            self.release(arena);
        });
    }

    /// The shape of the map after the stem and the first `blocks` blocks.
    pub fn lower_shape(&self, images: MapShape, blocks: usize) -> MapShape {
        let mut shape = self.network.stem.after(images);
        if self.network.max_pool {
            shape = pooled(shape);
        }
        self.network.blocks[..blocks]
            .iter()
            .flat_map(|b| &b.path)
            .fold(shape, |shape, layer| layer.after(shape))
    }

    fn arena(&self, threads: usize) -> Arena {
        let mut arena = self.arenas.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        arena.threads = threads;
        arena
    }

    fn release(&self, arena: Arena) {
        self.arenas.lock().unwrap_or_else(PoisonError::into_inner).push(arena);
    }

    fn forward_chunk(&self, images: &[f32], shape: MapShape, arena: &mut Arena, features: &mut [f32]) {
        let map = self.lower_chunk(images, shape, self.network.blocks.len(), arena, features);
        self.finish(map, arena, features);
    }

    /// Runs the head on a map of the arena and writes the mean of the last map.
    fn finish(&self, mut map: usize, arena: &mut Arena, features: &mut [f32]) {
        if let Some(head) = &self.network.head {
            let to = (map + 1) % MAPS;
            arena.run_layer(head, map, to, None);
            map = to;
        }
        average(self.kernels, arena.maps[map].numbers(), arena.shape(map), features);
    }

    /// Runs the stem and the first `blocks` blocks; returns the map of the arena with the result.
    fn lower_chunk(
        &self,
        images: &[f32],
        shape: MapShape,
        blocks: usize,
        arena: &mut Arena,
        features: &mut [f32],
    ) -> usize {
        let threads = arena.threads;
        arena.write(0, shape, |_, out| from_planes(images, shape, out, threads));
        arena.run_layer(&self.network.stem, 0, 1, None);
        let mut map = 1;
        if self.network.max_pool {
            let shape = arena.shape(map);
            arena.write(0, pooled(shape), |maps, out| {
                max_pool(self.kernels, maps[map].numbers(), shape, out, threads)
            });
            map = 0;
        }
        self.take_features(0, arena, map, features);
        self.run_blocks(0..blocks, map, arena, features)
    }

    /// Runs some blocks on a map of the arena; returns the map with the result.
    fn run_blocks(
        &self,
        blocks: Range<usize>,
        mut map: usize,
        arena: &mut Arena,
        features: &mut [f32],
    ) -> usize {
        for (block, passed) in self.network.blocks[blocks.clone()].iter().zip(blocks.start + 1..) {
            map = block.forward(arena, map);
            self.take_features(passed, arena, map, features);
        }
        map
    }

    /// Writes the statistics of a map that has passed so many blocks, if they are features.
    fn take_features(&self, blocks: usize, arena: &Arena, map: usize, features: &mut [f32]) {
        if let Some(columns) = self.layout.tap(blocks) {
            moments(self.kernels, arena.maps[map].numbers(), arena.shape(map), columns, features);
        }
    }
}

/// Images that pass through the network together.
fn chunk_size(shape: MapShape) -> usize {
    (PIXELS_AT_ONCE / shape.plane()).clamp(1, shape.batch)
}

impl Block<Layer> {
    /// Runs the block on one map of the arena; returns the map with the result.
    fn forward(&self, arena: &mut Arena, input: usize) -> usize {
        let residual = match &self.shortcut {
            Shortcut::None => None,
            Shortcut::Identity => Some(input),
            Shortcut::Projection(layer) => {
                arena.run_layer(layer, input, (input + 3) % MAPS, None);
                Some((input + 3) % MAPS)
            }
        };
        let mut map = input;
        for (i, layer) in self.path.iter().enumerate() {
            let to = (input + 1 + i % 2) % MAPS;
            arena.run_layer(layer, map, to, residual.filter(|_| i + 1 == self.path.len()));
            map = to;
        }
        map
    }
}

/// Maps in use at the same time: a block's input, its shortcut, and two that its path alternates between.
const MAPS: usize = 4;

/// The buffers of one call, kept for the next one.
#[derive(Debug, Default)]
struct Arena {
    maps: [Map; MAPS],
    /// How many threads share each layer.
    threads: usize,
}

/// A map followed by its slack, in a buffer that may be longer.
#[derive(Debug)]
struct Map {
    shape: MapShape,
    numbers: Buffer,
}

impl Default for Map {
    fn default() -> Self {
        Self { shape: MapShape { channels: 0, batch: 0, height: 0, width: 0 }, numbers: Buffer::default() }
    }
}

impl Map {
    /// The map's numbers and the slack.
    fn numbers(&self) -> &[f32] {
        &self.numbers[..self.shape.len() + SLACK]
    }
}

impl Arena {
    fn shape(&self, map: usize) -> MapShape {
        self.maps[map].shape
    }

    /// Lets `fill` compute map `to`, which gets this shape, from the other maps.
    fn write(&mut self, to: usize, shape: MapShape, fill: impl FnOnce(&[Map; MAPS], &mut [f32])) {
        let mut map = std::mem::take(&mut self.maps[to]);
        map.numbers.grow(shape.len() + SLACK);
        map.shape = shape;
        fill(&self.maps, &mut map.numbers[..shape.len()]);
        self.maps[to] = map;
    }

    fn run_layer(&mut self, layer: &Layer, from: usize, to: usize, residual: Option<usize>) {
        let (shape, threads) = (self.shape(from), self.threads);
        self.write(to, layer.after(shape), |maps, out| {
            let residual = residual.map(|r| maps[r].numbers());
            layer.forward(maps[from].numbers(), shape, residual, out, threads);
        });
    }
}
