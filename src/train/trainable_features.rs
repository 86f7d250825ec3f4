//! Features of a backbone that is fine-tuned: images are loaded, augmented and passed through it batch by batch.

use super::feature_source::FeatureSource;
use super::optimizer::Parameter;
use super::trainable_backbone::{Mode, TrainableBackbone};
use crate::data::image_loader::{Loader, TrainingImages};
use crate::error::{Error, Kind, Result};
use crate::model::{normalize_pixels, Tensors};
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
}

impl TrainableFeatures {
    /// The backbone is on `device` and runs in `mode` in training; `workers` threads load images.
    pub fn new(
        backbone: TrainableBackbone,
        images: TrainingImages,
        device: &Device,
        mode: Mode,
        batch_size: usize,
        workers: usize,
    ) -> Self {
        let (images, device) = (Arc::new(images), device.clone());
        Self { backbone, images, device, mode, batch_size, workers, loader: None }
    }

    /// The backbone in its current state.
    pub fn backbone(&self) -> &TrainableBackbone {
        &self.backbone
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
        self.backbone.forward(&self.input(&pixels, images.len())?, self.mode)
    }

    fn evaluation_batch(&mut self, images: &[u32]) -> Result<Tensor> {
        let input = self.input(&self.images.plain(images)?, images.len())?;
        self.backbone.forward(&input, Mode::Evaluate)
    }

    fn state(&self) -> Result<Tensors> {
        self.backbone.running_statistics()
    }

    fn restore(&mut self, state: &Tensors) -> Result<()> {
        self.backbone.set_running_statistics(state)
    }
}
