//! What every stage of every training of a command draws on: a data set, its features of a frozen backbone, and the maps of the
//! backbone's lower part.

use crate::data::augmentation::Augmentation;
use crate::data::features::FrozenBackbone;
use crate::data::image_loader::TrainingImages;
use crate::data::lower_maps::{LowerMapReader, LowerPart, MapFolder};
use crate::data::manifest::{Manifest, Split};
use crate::data::view::View;
use crate::error::{Error, Kind, Result};
use crate::image::Preprocessing;
use crate::model::{LowerMaps, Tensors};
use crate::train::feature_scaling::FeatureScaling;
use crate::train::feature_source::{FeatureSource, FrozenFeatures, ViewFeatures};
use crate::train::settings::{Settings, Stage, StagePart};
use crate::train::stage_sources::StageSources;
use crate::train::trainable_backbone::{Compute, FrozenPart, Mode, TrainableBackbone};
use crate::train::trainable_features::{TrainableFeatures, UpperFeatures};
use candle_core::{DType, Device, Tensor};
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Images whose maps pass through a learned backbone together.
const BATCH: usize = 128;

/// What the trainings of a command have in common: what the caller has, and the features and maps that are made of it.
pub struct StagedData<'a> {
    inputs: StagedInputs<'a>,
    /// The training images, as indices in the manifest.
    pub train: Vec<usize>,
    /// Query and gallery images, if they are needed.
    pub test: Vec<usize>,
    views: Vec<View>,
    /// The views that training draws from.
    drawn: Range<usize>,
    needs_features: bool,
    /// The folder of cached features.
    pub cache: &'a Path,
    /// Features of the training images; `None` if no stage needs them.
    features: Option<ViewFeatures>,
    /// `[images, F]`: features of the test images.
    test_features: Option<Tensor>,
    maps: Mutex<Option<Arc<LowerMapReader<'a>>>>,
}

/// The parts of [`StagedData`] that the caller has.
pub struct StagedInputs<'a> {
    /// The labelled images.
    pub manifest: &'a Manifest,
    /// How image bytes become network input.
    pub preprocessing: &'a Preprocessing,
    /// The backbone before training, rounded to half precision.
    pub backbone: &'a FrozenBackbone,
    /// The tensors of the backbone before training, as they were read.
    pub tensors: &'a Tensors,
    /// The device that training runs on.
    pub device: &'a Device,
    /// Threads that load images.
    pub workers: usize,
    /// Where maps are kept, and how much room they may take.
    pub map_folder: Option<MapFolder>,
    /// Whether the test images are needed.
    pub with_test: bool,
}

impl<'a> Deref for StagedData<'a> {
    type Target = StagedInputs<'a>;

    fn deref(&self) -> &StagedInputs<'a> {
        &self.inputs
    }
}

impl<'a> StagedData<'a> {
    /// For trainings with `settings`; features are kept in the folder `cache`.
    pub fn new(inputs: StagedInputs<'a>, settings: &Settings, cache: &'a Path) -> Self {
        let StagedInputs { manifest, with_test, .. } = inputs;
        let train = manifest.split(Split::Train);
        let test = match with_test {
            true => [manifest.split(Split::Query), manifest.split(Split::Gallery)].concat(),
            false => Vec::new(),
        };
        let (views, drawn) = views(settings);
        let needs_features = with_test
            || settings.standardize.is_some()
            || settings.stages().iter().any(|s| s.part != StagePart::All);
        Self {
            inputs,
            train,
            test,
            views,
            drawn,
            needs_features,
            cache,
            features: None,
            test_features: None,
            maps: Mutex::new(None),
        }
    }

    /// Computes the features that the stages need, or reads them from the cache.
    ///
    /// # Errors
    /// Those of reading images, and of the cache.
    pub fn extract_features(&mut self) -> Result<()> {
        let of = |images: &[usize], view| self.extract(self.backbone, images, view, Some(self.cache));
        let features = match self.needs_features {
            true => {
                let of_views = self.views.iter().map(|&v| of(&self.train, v)).collect::<Result<Vec<_>>>()?;
                Some(ViewFeatures::of_views(&of_views, self.drawn.clone())?)
            }
            false => None,
        };
        let test_features = self.with_test.then(|| of(&self.test, View::Plain)).transpose()?;
        (self.features, self.test_features) = (features, test_features);
        Ok(())
    }

    /// `[images, F]`: what a backbone makes of a view of some images, kept in a cache or not.
    ///
    /// # Errors
    /// As [`FrozenBackbone::extract`].
    pub fn extract(
        &self,
        backbone: &FrozenBackbone,
        images: &[usize],
        view: View,
        cache: Option<&Path>,
    ) -> Result<Tensor> {
        let rows = backbone.extract(self.manifest, images, view, self.preprocessing, cache)?;
        Ok(Tensor::from_vec(rows, (images.len(), backbone.features()), &Device::Cpu)?)
    }

    /// Whether a stage needs features of the frozen backbone.
    pub fn needs_features(&self) -> bool {
        self.needs_features
    }

    /// The views of the training images, the plain one first.
    pub fn views(&self) -> &[View] {
        &self.views
    }

    /// The features of the training images with the backbone before training.
    ///
    /// # Errors
    /// [`Kind::Internal`] if no stage needs them.
    pub fn features(&self) -> Result<&ViewFeatures> {
        let missing = || Error::new(Kind::Internal, "features were not computed");
        self.features.as_ref().ok_or_else(missing)
    }

    /// These features as a training with `settings` draws from them. The trainings of an experiment may differ in whether they mirror; views
    /// that are changed otherwise have been made for what the command says.
    ///
    /// # Errors
    /// As [`StagedData::features`].
    fn drawn_features(&self, settings: &Settings) -> Result<ViewFeatures> {
        let features = self.features()?.clone();
        Ok(if settings.flip || settings.augments_pixels() { features } else { features.plain() })
    }

    /// `[images, F]`: features of the mirrored training images, if training mirrors.
    ///
    /// # Errors
    /// If the device fails.
    pub fn mirrored_features(&self) -> Result<Option<Tensor>> {
        let Some(view) = self.views.iter().position(|&view| view == View::Mirrored) else { return Ok(None) };
        let (first, count) = ((view * self.train.len()) as u32, self.train.len() as u32);
        self.features()?.rows(&(first..first + count).collect::<Vec<_>>()).map(Some)
    }

    /// The sources of a training on some training images, as indices in the manifest: first the `learning` ones, then those held out.
    ///
    /// # Errors
    /// If the device fails.
    pub fn sources<'s>(
        &'s self,
        settings: &'s Settings,
        learning: &[usize],
        held_out: &[usize],
    ) -> Result<TrainingSources<'s, 'a>> {
        let number = |&image: &usize| self.train.partition_point(|&i| i < image) as u32;
        let numbers = |images: &[usize]| -> Vec<u32> { images.iter().map(number).collect() };
        let scaling = settings
            .standardize
            .map(|size| FeatureScaling::of(&self.features()?.rows(&numbers(learning))?, size))
            .transpose()?;
        let images = [learning, held_out].concat();
        Ok(TrainingSources { data: self, settings, numbers: numbers(&images), images, scaling })
    }

    /// The source of a whole backbone that learns from these images.
    ///
    /// # Errors
    /// Those of loading the backbone.
    pub fn image_source(
        &self,
        settings: &Settings,
        images: Vec<usize>,
        scaling: Option<FeatureScaling>,
    ) -> Result<TrainableFeatures> {
        let images = TrainingImages {
            manifest: self.manifest.clone(),
            images,
            preprocessing: self.preprocessing.clone(),
            augmentation: augmentation(settings),
            seed: settings.seed,
        };
        let backbone = self.trainable(settings, FrozenPart::Nothing)?;
        let (mode, batch) = (mode(settings), settings.batch_size);
        Ok(TrainableFeatures::new(backbone, images, self.device, mode, batch, self.workers, scaling))
    }

    /// The backbone before training, a part of it frozen.
    ///
    /// # Errors
    /// As [`TrainableBackbone::load`].
    pub fn trainable(&self, settings: &Settings, frozen: FrozenPart) -> Result<TrainableBackbone> {
        let precision = if settings.mixed_precision { DType::BF16 } else { DType::F32 };
        let compute = Compute { device: self.device, precision };
        TrainableBackbone::load(self.backbone.arch, self.backbone.set, frozen, self.tensors, compute)
    }

    /// The maps under the blocks that learn; the first call prepares them.
    fn maps(&self, blocks: usize) -> Result<Arc<LowerMapReader<'a>>> {
        // A panic while they were prepared has left nothing behind.
        let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(maps) = &*maps {
            return Ok(Arc::clone(maps));
        }
        let lower = LowerPart { backbone: self.backbone, preprocessing: self.preprocessing, blocks };
        let views = self.views.iter().map(|&view| (view, self.train.as_slice()));
        let groups: Vec<(View, &[usize])> =
            views.chain((!self.test.is_empty()).then_some((View::Plain, self.test.as_slice()))).collect();
        let reader = Arc::new(LowerMapReader::new(lower, self.manifest, &groups, self.map_folder.as_ref())?);
        *maps = Some(Arc::clone(&reader));
        Ok(reader)
    }

    /// Plain features of the training images, and of the test images if there are any, with a backbone that has learned as `settings` say;
    /// `None` is the backbone before training.
    ///
    /// # Errors
    /// Those of the maps, and of the backbone.
    pub fn plain_features(
        &self,
        learned: Option<&FrozenBackbone>,
        settings: &Settings,
    ) -> Result<(Tensor, Option<Tensor>)> {
        if let (Some(learned), true) = (learned, settings.stages().iter().any(|s| s.part == StagePart::All)) {
            let of = |images: &[usize]| self.extract(learned, images, View::Plain, None);
            return Ok((of(&self.train)?, self.with_test.then(|| of(&self.test)).transpose()?));
        }
        let features = self.features()?;
        let numbers: Vec<u32> = (0..self.train.len() as u32).collect();
        let train = features.rows(&numbers)?;
        let Some(learned) = learned else { return Ok((train, self.test_features.clone())) };
        let blocks = settings.unfreeze_from - 1;
        let maps = self.maps(blocks)?;
        let pass = |features: &Tensor, first_row: usize| -> Result<Tensor> {
            let images = features.dim(0)?;
            let mut all = Vec::new();
            for start in (0..images).step_by(BATCH) {
                let count = BATCH.min(images - start);
                let rows: Vec<u32> =
                    (first_row + start..first_row + start + count).map(|r| r as u32).collect();
                let lower = LowerMaps { map: maps.read(&rows)?, features: features.narrow(0, start, count)? };
                all.push(learned.network().upper(&lower, blocks)?);
            }
            Ok(Tensor::cat(&all, 0)?)
        };
        let first_test_row = self.views.len() * self.train.len();
        let test = self.test_features.as_ref().map(|test| pass(test, first_test_row)).transpose()?;
        Ok((pass(&train, 0)?, test))
    }
}

/// The feature sources of one training.
pub struct TrainingSources<'s, 'a> {
    data: &'s StagedData<'a>,
    settings: &'s Settings,
    /// The training's images, as indices in the manifest.
    images: Vec<usize>,
    /// The same as numbers among all training images.
    numbers: Vec<u32>,
    /// How features are scaled.
    pub scaling: Option<FeatureScaling>,
}

impl StageSources for TrainingSources<'_, '_> {
    fn open(&self, stage: &Stage) -> Result<Box<dyn FeatureSource + '_>> {
        let Self { data, settings, .. } = self;
        let scaling = self.scaling.as_ref().map(|s| s.to_device(data.device)).transpose()?;
        match stage.part {
            StagePart::Head => {
                let features = data.drawn_features(settings)?;
                let features = self.scaling.as_ref().map_or(Ok(features.clone()), |s| features.scaled(s))?;
                Ok(Box::new(FrozenFeatures::new(features.to_device(data.device)?, self.numbers.clone())))
            }
            StagePart::Upper => {
                let blocks = settings.unfreeze_from - 1;
                Ok(Box::new(UpperFeatures {
                    backbone: data.trainable(settings, FrozenPart::Blocks(blocks))?,
                    features: data.drawn_features(settings)?,
                    maps: data.maps(blocks)?,
                    images: self.numbers.clone(),
                    mode: mode(settings),
                    scaling,
                    device: data.device.clone(),
                }))
            }
            StagePart::All => Ok(Box::new(data.image_source(settings, self.images.clone(), scaling)?)),
        }
    }
}

/// The random changes that the settings describe.
fn augmentation(settings: &Settings) -> Augmentation {
    Augmentation {
        flip: settings.flip,
        crop: settings.random_crop.then_some(settings.crop_area),
        rotate: settings.rotate,
        jitter: settings.jitter,
        jitter_hue: settings.jitter_hue,
    }
}

/// The views of the training images for stages that keep the backbone or its lower part frozen, the plain one first, and those that
/// training draws from.
fn views(settings: &Settings) -> (Vec<View>, Range<usize>) {
    if settings.augments_pixels() {
        let augmented = |number| View::Augmented(augmentation(settings), settings.seed, number);
        let views: Vec<View> =
            std::iter::once(View::Plain).chain((0..settings.views).map(augmented)).collect();
        let drawn = 1..views.len();
        return (views, drawn);
    }
    match settings.flip {
        true => (vec![View::Plain, View::Mirrored], 0..2),
        false => (vec![View::Plain], 0..1),
    }
}

/// How a backbone that learns runs.
pub fn mode(settings: &Settings) -> Mode {
    if settings.frozen_batch_norm {
        Mode::TrainFrozenNorm
    } else {
        Mode::Train
    }
}
