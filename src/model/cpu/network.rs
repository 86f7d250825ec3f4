//! A whole backbone: pictures to pooled features.

use super::kernels::{Buffer, Kernels};
use super::layer::Layer;
use super::pool::{average, from_planes, max_pool, pooled};
use super::SLACK;
use crate::error::Result;
use crate::model::arch::{Block, Conv, Description, Shortcut};
use crate::model::shape::MapShape;
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Pixels that pass through the network together: few enough for the caches, and a bound on the memory that maps take.
const PIXELS_AT_ONCE: usize = 1 << 16;

/// Layers in the order of the forward pass, for one level of instructions.
#[derive(Debug)]
pub struct Network {
    kernels: &'static Kernels,
    network: Description<Layer>,
    /// Room for maps, for as many calls as have run at once.
    arenas: Mutex<Vec<Arena>>,
}

/// Weight and bias of a convolution.
pub type Filter = (Vec<f32>, Vec<f32>);

impl Network {
    /// The network that `description` describes, with what `filter` gives for each convolution.
    ///
    /// # Errors
    /// Those of `filter`.
    pub fn new(
        description: &Description,
        kernels: &'static Kernels,
        filter: impl Fn(&Conv) -> Result<Filter>,
    ) -> Result<Self> {
        let load = |conv: &Conv| {
            let (weight, bias) = filter(conv)?;
            Ok(Layer::new(conv, &weight, &bias, kernels))
        };
        let network = description.load(load)?;
        Ok(Self { kernels, network, arenas: Mutex::default() })
    }

    /// F, the length of a feature vector.
    pub fn features(&self) -> usize {
        self.network.features
    }

    /// Bytes of its numbers, and of the arenas that no call uses just now.
    pub fn memory_bytes(&self) -> usize {
        let arenas = self.arenas.lock().unwrap_or_else(PoisonError::into_inner);
        let maps: usize = arenas.iter().flat_map(|a| &a.maps).map(|map| size_of_val(&*map.numbers)).sum();
        self.network.layers().map(Layer::memory_bytes).sum::<usize>() + maps
    }

    /// Pictures `[batch, 3, height, width]` of this shape, none of its numbers 0, to features `[batch, F]`, over the threads of
    /// rayon's pool.
    ///
    /// # Panics
    /// If there are fewer numbers than the shapes say.
    pub fn forward(&self, pictures: &[f32], shape: MapShape, features: &mut [f32]) {
        if rayon::current_num_threads() > 1 && rayon::current_thread_index().is_none() {
            // From inside the pool, handing out the work of each layer wakes nobody who need not be woken.
            rayon::scope(|_| self.spread(pictures, shape, features));
        } else {
            self.spread(pictures, shape, features);
        }
    }

    /// Groups of whole pictures, as far as all threads get as many, so that nobody waits for anybody; for what is left, threads
    /// share each layer.
    fn spread(&self, pictures: &[f32], shape: MapShape, features: &mut [f32]) {
        let (threads, picture) = (rayon::current_num_threads(), shape.channels * shape.plane());
        let rounds = shape.batch.div_ceil(threads * at_once(shape));
        let group = (shape.batch / (threads * rounds)).max(1);
        let whole = if threads > 1 { shape.batch / (threads * group) * threads * group } else { 0 };
        let (pictures, rest) = pictures.split_at(whole * picture);
        let (features, features_of_rest) = features.split_at_mut(whole * self.features());
        if whole > 0 {
            let shape = MapShape { batch: group, ..shape };
            let groups =
                pictures.par_chunks(group * picture).zip(features.par_chunks_mut(group * self.features()));
            groups.with_max_len(1).for_each(|(pictures, features)| self.run(pictures, shape, features, 1));
        }
        if whole < shape.batch {
            self.run(rest, MapShape { batch: shape.batch - whole, ..shape }, features_of_rest, threads);
        }
    }

    /// A few pictures at a time.
    fn run(&self, pictures: &[f32], shape: MapShape, features: &mut [f32], threads: usize) {
        let picture = shape.channels * shape.plane();
        let at_once = at_once(shape);
        let mut arena = self.arenas.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        arena.threads = threads;
        for (pictures, features) in
            pictures.chunks(at_once * picture).zip(features.chunks_mut(at_once * self.features()))
        {
            let shape = MapShape { batch: pictures.len() / picture, ..shape };
            self.forward_chunk(pictures, shape, &mut arena, features);
        }
        self.arenas.lock().unwrap_or_else(PoisonError::into_inner).push(arena);
    }

    fn forward_chunk(&self, pictures: &[f32], shape: MapShape, arena: &mut Arena, features: &mut [f32]) {
        let threads = arena.threads;
        arena.write(0, shape, |_, out| from_planes(pictures, shape, out, threads));
        arena.layer(&self.network.stem, 0, 1, None);
        let mut map = 1;
        if self.network.max_pool {
            let shape = arena.shape(map);
            arena.write(0, pooled(shape), |maps, out| {
                max_pool(self.kernels, maps[map].numbers(), shape, out, threads)
            });
            map = 0;
        }
        for block in &self.network.blocks {
            map = block.forward(arena, map);
        }
        if let Some(head) = &self.network.head {
            let to = (map + 1) % MAPS;
            arena.layer(head, map, to, None);
            map = to;
        }
        average(self.kernels, arena.maps[map].numbers(), arena.shape(map), features);
    }
}

/// Pictures that pass through the network together.
fn at_once(shape: MapShape) -> usize {
    (PIXELS_AT_ONCE / shape.plane()).clamp(1, shape.batch)
}

impl Block<Layer> {
    /// From one map of the arena to another, which it returns.
    fn forward(&self, arena: &mut Arena, input: usize) -> usize {
        let residual = match &self.shortcut {
            Shortcut::None => None,
            Shortcut::Identity => Some(input),
            Shortcut::Projection(layer) => {
                arena.layer(layer, input, (input + 3) % MAPS, None);
                Some((input + 3) % MAPS)
            }
        };
        let mut map = input;
        for (i, layer) in self.path.iter().enumerate() {
            let to = (input + 1 + i % 2) % MAPS;
            arena.layer(layer, map, to, residual.filter(|_| i + 1 == self.path.len()));
            map = to;
        }
        map
    }
}

/// Maps that a call needs at once: a block's input, its shortcut, and two that its path alternates between.
const MAPS: usize = 4;

/// Buffers that grow to what a call needs, and stay for the next one.
#[derive(Debug, Default)]
struct Arena {
    maps: [Map; MAPS],
    /// Threads that share each layer.
    threads: usize,
}

/// A map with its slack, in a buffer that may be longer.
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
    /// Its numbers and the slack.
    fn numbers(&self) -> &[f32] {
        &self.numbers[..self.shape.len() + SLACK]
    }
}

impl Arena {
    fn shape(&self, map: usize) -> MapShape {
        self.maps[map].shape
    }

    /// Lets `fill` write a map of this shape from the others.
    fn write(&mut self, to: usize, shape: MapShape, fill: impl FnOnce(&[Map; MAPS], &mut [f32])) {
        let mut map = std::mem::take(&mut self.maps[to]);
        map.numbers.grow(shape.len() + SLACK);
        map.shape = shape;
        fill(&self.maps, &mut map.numbers[..shape.len()]);
        self.maps[to] = map;
    }

    fn layer(&mut self, layer: &Layer, from: usize, to: usize, residual: Option<usize>) {
        let (shape, threads) = (self.shape(from), self.threads);
        self.write(to, layer.after(shape), |maps, out| {
            let residual = residual.map(|r| maps[r].numbers());
            layer.forward(maps[from].numbers(), shape, residual, out, threads);
        });
    }
}
