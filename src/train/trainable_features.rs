//! Features of a backbone that is fine-tuned, batch by batch: from images that are loaded and augmented, or, if only its upper part
//! learns, from the maps of the lower part.

use super::feature_scaling::FeatureScaling;
use super::feature_source::FeatureSource;
use super::feature_source::{pick, ViewFeatures};
use super::optimizer::Parameter;
use super::trainable_backbone::{Mode, NetworkInput, TrainableBackbone};
use crate::data::image_loader::{Loader, TrainingImages};
use crate::data::lower_maps::LowerMapReader;
use crate::error::{Error, Kind, Result};
use crate::model::{normalize_pixels, LowerMaps, Tensors};
use candle_core::{Device, Tensor};
use rand::rngs::StdRng;
use std::sync::Arc;

/// A backbone that learns, and the images that it learns from.
#[derive(Debug)]
pub struct TrainableFeatures {
    backbone: TrainableBackbone,
    images: Arc<TrainingImages>,
    device: Device,
    mode: Mode,
    batch_size: usize,
    workers: usize,
    loader: Option<Loader>,
    scaling: Option<FeatureScaling>,
}

impl TrainableFeatures {
    /// The backbone is on `device` and runs in `mode` in training; `workers` threads load images; features are scaled by `scaling`.
    pub fn new(
        backbone: TrainableBackbone,
        images: TrainingImages,
        device: &Device,
        mode: Mode,
        batch_size: usize,
        workers: usize,
        scaling: Option<FeatureScaling>,
    ) -> Self {
        let (images, device) = (Arc::new(images), device.clone());
        Self { backbone, images, device, mode, batch_size, workers, loader: None, scaling }
    }

    fn input(&self, pixels: &[u8], batch: usize) -> Result<Tensor> {
        normalize_pixels(pixels, batch, &self.images.preprocessing, &self.device)
    }
}

impl FeatureSource for TrainableFeatures {
    fn features(&self) -> usize {
        self.backbone.features()
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.backbone.parameters()
    }

    fn begin_epoch(&mut self, epoch: usize, order: &[u32]) -> Result<()> {
        // Ends the loader threads of the previous epoch before new ones start.
        self.loader = None;
        let batches = order.chunks(self.batch_size).map(<[u32]>::to_vec).collect();
        self.loader = Some(Loader::start(&self.images, epoch, batches, self.workers));
        Ok(())
    }

    fn training_batch(&mut self, images: &[u32], _: &mut StdRng) -> Result<Tensor> {
        let loader = self.loader.as_mut();
        let pixels = loader
            .ok_or_else(|| Error::new(Kind::Internal, "a batch was requested before its epoch started"))?
            .next_batch()?;
        let input = self.input(&pixels, images.len())?;
        scaled(&self.backbone, NetworkInput::Images(&input), self.mode, self.scaling.as_ref())
    }

    fn evaluation_batch(&mut self, images: &[u32]) -> Result<Tensor> {
        let input = self.input(&self.images.plain(images)?, images.len())?;
        scaled(&self.backbone, NetworkInput::Images(&input), Mode::Evaluate, self.scaling.as_ref())
    }

    fn state(&self) -> Result<Tensors> {
        self.backbone.running_statistics()
    }

    fn restore(&mut self, state: &Tensors) -> Result<()> {
        self.backbone.set_running_statistics(state)
    }

    fn backbone(&self) -> Result<Option<Tensors>> {
        self.backbone.tensors().map(Some)
    }
}

/// A backbone whose upper part learns, the maps that its lower part has made of the images, and the features of the lower part.
pub struct UpperFeatures<'a> {
    /// The backbone.
    pub backbone: TrainableBackbone,
    /// Features of every view with the backbone as it was before: those of the lower part stay as they are.
    pub features: ViewFeatures,
    /// The maps of the same rows.
    pub maps: Arc<LowerMapReader<'a>>,
    /// Per image of the training, its number in `features`.
    pub images: Vec<u32>,
    /// How the backbone runs in training.
    pub mode: Mode,
    /// The scaling of features.
    pub scaling: Option<FeatureScaling>,
    /// Where the backbone is.
    pub device: Device,
}

impl UpperFeatures<'_> {
    fn forward(&self, rows: &[u32], mode: Mode) -> Result<Tensor> {
        let map = self.maps.read(rows)?.to_device(&self.device)?;
        let lower = LowerMaps { map, features: self.features.rows(rows)?.to_device(&self.device)? };
        scaled(&self.backbone, NetworkInput::Lower(&lower), mode, self.scaling.as_ref())
    }
}

impl FeatureSource for UpperFeatures<'_> {
    fn features(&self) -> usize {
        self.backbone.features()
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.backbone.parameters()
    }

    fn begin_epoch(&mut self, _epoch: usize, _order: &[u32]) -> Result<()> {
        Ok(())
    }

    fn training_batch(&mut self, images: &[u32], rng: &mut StdRng) -> Result<Tensor> {
        self.forward(&self.features.draw(&pick(&self.images, images), rng), self.mode)
    }

    fn evaluation_batch(&mut self, images: &[u32]) -> Result<Tensor> {
        self.forward(&pick(&self.images, images), Mode::Evaluate)
    }

    fn state(&self) -> Result<Tensors> {
        self.backbone.running_statistics()
    }

    fn restore(&mut self, state: &Tensors) -> Result<()> {
        self.backbone.set_running_statistics(state)
    }

    fn backbone(&self) -> Result<Option<Tensors>> {
        self.backbone.tensors().map(Some)
    }
}

fn scaled(
    backbone: &TrainableBackbone,
    input: NetworkInput<'_>,
    mode: Mode,
    scaling: Option<&FeatureScaling>,
) -> Result<Tensor> {
    let features = backbone.forward(input, mode)?;
    scaling.map_or(Ok(features.clone()), |s| s.apply(&features))
}
