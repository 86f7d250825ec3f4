//! Trains one method: its stages, with checkpoints and a log.

use super::args::TrainArgs;
use super::model_assembly::AssemblyInputs;
use super::training_digest::training_digest;
use crate::commands::staged_data::StagedData;
use crate::data::features::FrozenBackbone;
use crate::data::progress::progress_bar;
use crate::data::view::View;
use crate::error::Result;
use crate::train::checkpoint::Checkpoints;
use crate::train::feature_scaling::FeatureScaling;
use crate::train::holdout::Holdout;
use crate::train::initializer::Initializer;
use crate::train::loss_log::LossLog;
use crate::train::method::Method;
use crate::train::methods::create_method;
use crate::train::settings::Settings;
use crate::train::trainer::{train, EpochLosses, TrainingPlan};
use crate::train::training_set::TrainingSet;
use crate::train::validation::Validation;
use candle_core::{DType, Tensor};
use rand::rngs::StdRng;
use rand::SeedableRng;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What all trainings of one command have in common: that of the model, and those of the calibration folds.
pub struct TrainingContext<'a> {
    /// The command's options.
    pub args: &'a TrainArgs,
    /// The hyper-parameters.
    pub settings: &'a Settings,
    /// The data set with its features.
    pub data: &'a StagedData<'a>,
    /// The backbone before training; also in `data`.
    pub backbone: Arc<FrozenBackbone>,
    /// The folder of cached features.
    pub cache: &'a Path,
}

/// The result of one training.
pub struct Learned<'s> {
    /// The trained method.
    pub method: Box<dyn Method + 's>,
    /// The backbone, rounded to half precision as in the model directory.
    pub backbone: Arc<FrozenBackbone>,
    /// How training scaled the features.
    pub scaling: Option<FeatureScaling>,
    /// `[images, F]`: the backbone's features of all training images, not scaled.
    pub features: Tensor,
}

impl TrainingContext<'_> {
    /// What a model is assembled from, with the images that its training held out and the scaling of its features.
    pub fn assembly_inputs<'a>(
        &'a self,
        split: &'a Holdout,
        scaling: Option<&'a FeatureScaling>,
    ) -> AssemblyInputs<'a> {
        AssemblyInputs {
            manifest: self.data.manifest,
            settings: self.settings,
            preprocessing: self.data.preprocessing,
            args: self.args,
            held_out: &split.held_out,
            scaling,
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
        let Self { settings, data, backbone, .. } = self;
        let mut rng = StdRng::seed_from_u64(settings.seed);
        let initializer = Initializer::new(data.device, DType::F32, &mut rng);
        let method = create_method(set, backbone.features(), settings, initializer)?;
        let sources = data.sources(settings, &split.train, &split.held_out)?;

        let checkpoints = self.checkpoints(split, fold)?;
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
            settings.validation.map(|_| Validation::new(data.manifest, &split.held_out, split.train.len()));
        let plan = TrainingPlan {
            validation: validation.as_ref(),
            checkpoints: checkpoints.as_ref(),
            ..TrainingPlan::new(settings, &set.instances, &progress)
        };
        let mut observe = |losses: &EpochLosses| log.as_mut().map_or(Ok(()), |log| log.write(losses));
        let learned = train(&*method, &sources, &plan, &mut observe)?;
        progress.finish_and_clear();

        let backbone = match learned {
            None => Arc::clone(backbone),
            // The model directory stores half precision, so compute query prototypes and figures from that.
            Some(tensors) => Arc::new(FrozenBackbone::new(backbone.arch, backbone.set, &tensors)?),
        };
        let features = self.features(&backbone, fold)?;
        Ok(Learned { method, backbone, scaling: sources.scaling, features })
    }

    /// Features `[images, F]` of all training images, in the manifest's order. Those of the final backbone are computed from pixels and kept
    /// in the cache, because an evaluation or a report asks for them again; a calibration fold passes cached maps on.
    fn features(&self, backbone: &Arc<FrozenBackbone>, fold: Option<usize>) -> Result<Tensor> {
        let data = self.data;
        let learned = !Arc::ptr_eq(backbone, &self.backbone);
        if learned && fold.is_none() {
            return data.extract(backbone, &data.train, View::Plain, Some(self.cache));
        }
        Ok(data.plain_features(learned.then_some(backbone), self.settings)?.0)
    }

    /// The checkpoints of this training, if the user asked for them.
    fn checkpoints(&self, split: &Holdout, fold: Option<usize>) -> Result<Option<Checkpoints>> {
        let Some(folder) = &self.args.checkpoint else { return Ok(None) };
        let data = self.data;
        let held_out = fold.map(|_| split.held_out.as_slice());
        let training =
            training_digest(self.settings, data.preprocessing, data.manifest, &self.backbone, held_out)?;
        let folder = fold.map_or(folder.clone(), |fold| folder.join(format!("fold-{fold}")));
        Ok(Some(Checkpoints::open(&folder, training)?))
    }

    /// The file for the losses.
    fn log_path(&self) -> Result<PathBuf> {
        let out = TrainArgs::required("out", &self.args.out)?;
        Ok(self.args.log.clone().unwrap_or_else(|| out.join("losses.csv")))
    }
}
