//! From normalised pictures to pooled features.

use super::arch::{Arch, Shortcut};
use super::layers::{max_pool, ConvBn};
use super::tensors::Tensors;
use crate::error::{Error, Kind, Result};
use candle_core::{Device, Tensor};

/// Pixels that pass through the network together: enough for long matrix rows, few enough for the caches.
const PIXELS_AT_ONCE: usize = 1 << 16;

/// A network from pictures to feature vectors, in inference.
pub trait Backbone: Send + Sync + std::fmt::Debug {
    /// F, the length of a feature vector.
    fn features(&self) -> usize;

    /// Normalised pictures `[batch, 3, height, width]` to pooled features `[batch, F]`, both f32.
    ///
    /// # Errors
    /// [`Kind::Internal`] for input of another shape.
    fn forward(&self, pictures: &Tensor) -> Result<Tensor>;

    /// Bytes of main memory that its numbers take.
    fn memory_bytes(&self) -> usize;
}

/// The backbone `arch` with its tensors under their published names (without any prefix), f16 or f32; batch
/// normalisation is folded into the convolutions.
///
/// # Errors
/// [`Kind::InvalidModel`] if a tensor is missing or of another shape.
pub fn load_backbone(arch: Arch, tensors: &Tensors) -> Result<Box<dyn Backbone>> {
    Ok(Box::new(ConvNet::load(arch, tensors)?))
}

/// Any [`Arch`], laid out as its description says.
#[derive(Debug)]
struct ConvNet {
    stem: ConvBn,
    max_pool: bool,
    blocks: Vec<Block>,
    head: Option<ConvBn>,
    features: usize,
}

#[derive(Debug)]
struct Block {
    path: Vec<ConvBn>,
    shortcut: LoadedShortcut,
}

#[derive(Debug)]
enum LoadedShortcut {
    None,
    Identity,
    Projection(ConvBn),
}

impl ConvNet {
    fn load(arch: Arch, tensors: &Tensors) -> Result<Self> {
        let description = arch.description();
        let load = |conv| ConvBn::load(conv, &description, tensors);
        let blocks = description.blocks.iter().map(|block| {
            let path = block.path.iter().map(load).collect::<Result<_>>()?;
            let shortcut = match &block.shortcut {
                Shortcut::None => LoadedShortcut::None,
                Shortcut::Identity => LoadedShortcut::Identity,
                Shortcut::Projection(conv) => LoadedShortcut::Projection(load(conv)?),
            };
            Ok(Block { path, shortcut })
        });
        Ok(Self {
            stem: load(&description.stem)?,
            max_pool: description.max_pool,
            blocks: blocks.collect::<Result<_>>()?,
            head: description.head.as_ref().map(load).transpose()?,
            features: description.features,
        })
    }

    fn layers(&self) -> impl Iterator<Item = &ConvBn> {
        let blocks = self.blocks.iter().flat_map(|block| {
            let shortcut = match &block.shortcut {
                LoadedShortcut::Projection(conv) => Some(conv),
                LoadedShortcut::None | LoadedShortcut::Identity => None,
            };
            block.path.iter().chain(shortcut)
        });
        std::iter::once(&self.stem).chain(blocks).chain(&self.head)
    }

    /// A few pictures `[batch, 3, h, w]` to `[batch, F]`.
    fn forward_chunk(&self, pictures: &Tensor) -> Result<Tensor> {
        let mut map = self.stem.forward(&pictures.transpose(0, 1)?.contiguous()?, None)?;
        if self.max_pool {
            map = max_pool(&map)?;
        }
        for block in &self.blocks {
            map = block.forward(&map)?;
        }
        if let Some(head) = &self.head {
            map = head.forward(&map, None)?;
        }
        Ok(map.flatten_from(2)?.mean(2)?.t()?.contiguous()?)
    }
}

impl Block {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let shortcut = match &self.shortcut {
            LoadedShortcut::None => None,
            LoadedShortcut::Identity => Some(input.clone()),
            LoadedShortcut::Projection(conv) => Some(conv.forward(input, None)?),
        };
        let mut map = input.clone();
        for (i, conv) in self.path.iter().enumerate() {
            let residual = if i + 1 == self.path.len() { shortcut.as_ref() } else { None };
            map = conv.forward(&map, residual)?;
        }
        Ok(map)
    }
}

impl Backbone for ConvNet {
    fn features(&self) -> usize {
        self.features
    }

    fn forward(&self, pictures: &Tensor) -> Result<Tensor> {
        let (batch, channels, height, width) = pictures.dims4()?;
        if channels != 3 || height == 0 || width == 0 {
            return Err(Error::new(
                Kind::Internal,
                format!("a backbone takes pictures [batch, 3, height, width], found {:?}", pictures.dims()),
            ));
        }
        if batch == 0 {
            return Ok(Tensor::zeros((0, self.features), candle_core::DType::F32, &Device::Cpu)?);
        }
        let at_once = (PIXELS_AT_ONCE / (height * width)).clamp(1, batch);
        let features = (0..batch)
            .step_by(at_once)
            .map(|start| self.forward_chunk(&pictures.narrow(0, start, at_once.min(batch - start))?))
            .collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&features, 0)?)
    }

    fn memory_bytes(&self) -> usize {
        self.layers().map(ConvBn::memory_bytes).sum()
    }
}
