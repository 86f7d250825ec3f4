//! Features of a backbone that learns.

use super::feature_source::FeatureSource;
use super::learning_backbone::{LearningBackbone, Mode};
use super::optimizer::Parameter;
use crate::data::image_loader::{Loader, TrainingImages};
use crate::error::{Error, Kind, Result};
use crate::model::{normalize_pixels, Tensors};
use candle_core::{Device, Tensor};
use rand::rngs::StdRng;
use std::sync::Arc;

/// A backbone, and the pictures that it learns from.
#[derive(Debug)]
pub struct LearningSource {
    backbone: LearningBackbone,
    pictures: Arc<TrainingImages>,
    device: Device,
    mode: Mode,
    batch_size: usize,
    workers: usize,
    loader: Option<Loader>,
}

impl LearningSource {
    /// `backbone` on `device`, normalising as `mode` says in training; `workers` threads load pictures.
    pub fn new(
        backbone: LearningBackbone,
        pictures: TrainingImages,
        device: &Device,
        mode: Mode,
        batch_size: usize,
        workers: usize,
    ) -> Self {
        let (pictures, device) = (Arc::new(pictures), device.clone());
        Self { backbone, pictures, device, mode, batch_size, workers, loader: None }
    }

    /// The backbone as it is now.
    pub fn backbone(&self) -> &LearningBackbone {
        &self.backbone
    }

    fn input(&self, pixels: &[u8], batch: usize) -> Result<Tensor> {
        normalize_pixels(pixels, batch, &self.pictures.preprocessing, &self.device)
    }
}

impl FeatureSource for LearningSource {
    fn features(&self) -> usize {
        self.backbone.features()
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.backbone.parameters()
    }

    fn begin_epoch(&mut self, epoch: usize, order: &[u32]) -> Result<()> {
        // The last epoch's threads end before new ones begin.
        self.loader = None;
        let batches = order.chunks(self.batch_size).map(<[u32]>::to_vec).collect();
        self.loader = Some(Loader::start(&self.pictures, epoch, batches, self.workers));
        Ok(())
    }

    fn batch(&mut self, images: &[u32], _: &mut StdRng) -> Result<Tensor> {
        let loader = self.loader.as_mut();
        let pixels =
            loader.ok_or_else(|| Error::new(Kind::Internal, "a batch before its epoch"))?.next_batch()?;
        self.backbone.forward(&self.input(&pixels, images.len())?, self.mode)
    }

    fn plain(&mut self, images: &[u32]) -> Result<Tensor> {
        let input = self.input(&self.pictures.plain(images)?, images.len())?;
        self.backbone.forward(&input, Mode::Evaluate)
    }

    fn state(&self) -> Result<Tensors> {
        self.backbone.running()
    }

    fn restore(&mut self, state: &Tensors) -> Result<()> {
        self.backbone.set_running(state)
    }
}
