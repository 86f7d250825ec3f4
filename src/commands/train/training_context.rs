//! Trains one method: with features of a frozen backbone or with a backbone that learns, with checkpoints and a log.

use super::args::TrainArgs;
use super::model_assembly::AssemblyInputs;
use super::training_digest::training_digest;
use crate::data::features::FrozenBackbone;
use crate::data::image_loader::{Augmentation, TrainingImages};
use crate::data::manifest::{Manifest, Split};
use crate::data::progress::progress_bar;
use crate::error::Result;
use crate::image::Preprocessing;
use crate::model::Tensors;
use crate::train::checkpoint::Checkpoints;
use crate::train::feature_source::{FeatureSource, FrozenFeatures};
use crate::train::holdout::Holdout;
use crate::train::initializer::Initializer;
use crate::train::loss_log::LossLog;
use crate::train::method::Method;
use crate::train::methods::create_method;
use crate::train::settings::Settings;
use crate::train::trainable_backbone::{Mode, TrainableBackbone};
use crate::train::trainable_features::TrainableFeatures;
use crate::train::trainer::{train, EpochLosses, TrainingPlan};
use crate::train::training_set::TrainingSet;
use crate::train::validation::Validation;
use candle_core::{DType, Device, Tensor};
use rand::rngs::StdRng;
use rand::SeedableRng;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What all trainings of one command have in common: that of the model, and those of the calibration folds.
pub struct TrainingContext<'a> {
    /// The command's options.
    pub args: &'a TrainArgs,
    /// The hyper-parameters.
    pub settings: &'a Settings,
    /// How image bytes become network input.
    pub preprocessing: &'a Preprocessing,
    /// The data set.
    pub manifest: &'a Manifest,
    /// The backbone before training, rounded to half precision.
    pub backbone: Rc<FrozenBackbone>,
    /// The tensors of the backbone before training, as they were read.
    pub tensors: &'a Tensors,
    /// The folder of cached features.
    pub cache: &'a Path,
    /// Where to train.
    pub device: Device,
    /// If the backbone is frozen: the features of all training images, in the manifest's order.
    pub features: Option<TrainingFeatures>,
}

/// Features `[images, F]` of all training images and, with flips, of their mirror images.
pub struct TrainingFeatures {
    plain: Tensor,
    flipped: Option<Tensor>,
}

/// The result of one training.
pub struct Learned<'s> {
    /// The trained method.
    pub method: Box<dyn Method + 's>,
    /// The backbone, rounded to half precision as in the model directory.
    pub backbone: Rc<FrozenBackbone>,
    /// `[images, F]`: its features of all training images.
    pub features: Tensor,
}

impl TrainingContext<'_> {
    /// What a model is assembled from, with the images that its training held out.
    pub fn assembly_inputs<'a>(&'a self, split: &'a Holdout) -> AssemblyInputs<'a> {
        AssemblyInputs {
            manifest: self.manifest,
            settings: self.settings,
            preprocessing: self.preprocessing,
            args: self.args,
            held_out: &split.held_out,
        }
    }

    /// Trains on the images of `split` that learn; `set` has been made of these. The training of a calibration fold (with its number) writes
    /// no log, and its checkpoints have their own folder.
    ///
    /// # Errors
    /// Those of reading images, of training, and of writing checkpoints and the log.
    pub fn train<'s>(
        &self,
        split: &Holdout,
        set: &'s TrainingSet,
        fold: Option<usize>,
    ) -> Result<Learned<'s>> {
        let Self { settings, manifest, backbone, .. } = self;
        let mut rng = StdRng::seed_from_u64(settings.seed);
        let initializer = Initializer::new(&self.device, DType::F32, &mut rng);
        let method = create_method(set, backbone.features(), settings, initializer)?;
        let mut source = self.source(split)?;

        let checkpoints = self.checkpoints(fold)?;
        let finished = checkpoints.as_ref().map_or(Ok(0), Checkpoints::finished_epochs)?;
        if finished > 0 {
            eprintln!("resuming after epoch {finished}");
        }
        let mut log = match fold {
            None => Some(LossLog::create(&self.log_path()?, finished)?),
            Some(_) => None,
        };
        let progress = progress_bar("training", 0);
        let validation =
            settings.validation.map(|_| Validation::new(manifest, &split.held_out, split.train.len()));
        let plan = TrainingPlan {
            validation: validation.as_ref(),
            checkpoints: checkpoints.as_ref(),
            ..TrainingPlan::new(settings, &set.instances, &progress)
        };
        let mut observe = |losses: &EpochLosses| log.as_mut().map_or(Ok(()), |log| log.write(losses));
        train(&*method, source.as_dyn(), &plan, &mut observe)?;
        progress.finish_and_clear();

        let (backbone, features) = match source {
            Source::Frozen(_, features) => (Rc::clone(backbone), features),
            // The model directory stores half precision, so compute query prototypes and figures from that.
            Source::Trainable(trained) => {
                let backbone = FrozenBackbone::new(backbone.arch, &trained.backbone().tensors()?)?;
                let features = self.extract(&backbone, false)?;
                (Rc::new(backbone), features)
            }
        };
        Ok(Learned { method, backbone, features })
    }

    /// The features of all training images with the frozen backbone.
    ///
    /// # Errors
    /// Those of reading images, and of the cache.
    pub fn frozen_features(&self) -> Result<TrainingFeatures> {
        let extract = |flip| self.extract(&self.backbone, flip);
        Ok(TrainingFeatures {
            plain: extract(false)?,
            flipped: self.settings.flip.then(|| extract(true)).transpose()?,
        })
    }

    /// Features `[images, F]` of all training images, in the manifest's order.
    fn extract(&self, backbone: &FrozenBackbone, flip: bool) -> Result<Tensor> {
        let all = self.manifest.split(Split::Train);
        let rows = backbone.extract(self.manifest, &all, flip, self.preprocessing, self.cache)?;
        Ok(Tensor::from_vec(rows, (all.len(), backbone.features()), &Device::Cpu)?)
    }

    /// The feature source: first the images that learn, then those held out.
    fn source(&self, split: &Holdout) -> Result<Source> {
        let images = [split.train.as_slice(), &split.held_out].concat();
        match &self.features {
            Some(features) => {
                Ok(Source::Frozen(self.frozen_source(&images, features)?, features.plain.clone()))
            }
            None => Ok(Source::Trainable(Box::new(self.trainable_source(images)?))),
        }
    }

    fn frozen_source(&self, images: &[usize], features: &TrainingFeatures) -> Result<FrozenFeatures> {
        let all = self.manifest.split(Split::Train);
        let order: Vec<u32> = images.iter().map(|&i| all.partition_point(|&a| a < i) as u32).collect();
        let order = Tensor::new(order, &Device::Cpu)?;
        let rows =
            |of: &Tensor| -> Result<Tensor> { Ok(of.index_select(&order, 0)?.to_device(&self.device)?) };
        Ok(FrozenFeatures::new(rows(&features.plain)?, features.flipped.as_ref().map(rows).transpose()?))
    }

    fn trainable_source(&self, images: Vec<usize>) -> Result<TrainableFeatures> {
        let Self { settings, device, .. } = self;
        let backbone = TrainableBackbone::load(self.backbone.arch, self.tensors, device)?;
        let images = TrainingImages {
            manifest: self.manifest.clone(),
            images,
            preprocessing: self.preprocessing.clone(),
            augmentation: Augmentation { flip: settings.flip, crop: settings.random_crop },
            seed: settings.seed,
        };
        let mode = if settings.frozen_batch_norm { Mode::TrainFrozenNorm } else { Mode::Train };
        let workers = self.args.workers();
        Ok(TrainableFeatures::new(backbone, images, device, mode, settings.batch_size, workers))
    }

    /// The checkpoints of this training, if the user asked for them.
    fn checkpoints(&self, fold: Option<usize>) -> Result<Option<Checkpoints>> {
        let Some(folder) = &self.args.checkpoint else { return Ok(None) };
        let training =
            training_digest(self.settings, self.preprocessing, self.manifest, &self.backbone, fold)?;
        let folder = fold.map_or(folder.clone(), |fold| folder.join(format!("fold-{fold}")));
        Ok(Some(Checkpoints::open(&folder, training)?))
    }

    /// The file for the losses.
    fn log_path(&self) -> Result<PathBuf> {
        let out = TrainArgs::required("out", &self.args.out)?;
        Ok(self.args.log.clone().unwrap_or_else(|| out.join("losses.csv")))
    }
}

/// One of the two feature sources.
enum Source {
    /// A frozen backbone; beside the source the features of all training images, in the manifest's order.
    Frozen(FrozenFeatures, Tensor),
    /// A backbone that learns.
    Trainable(Box<TrainableFeatures>),
}

impl Source {
    fn as_dyn(&mut self) -> &mut dyn FeatureSource {
        match self {
            Self::Frozen(source, _) => source,
            Self::Trainable(source) => &mut **source,
        }
    }
}
