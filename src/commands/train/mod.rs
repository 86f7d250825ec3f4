//! `coopembed train`: from a data set and a backbone to a model directory.

mod args;
mod assembly;
mod baseline;
mod model_card;

use super::inputs::{cache_folder, read_backbone_file, read_manifest};
use crate::train::calibration::{calibrate, Round};
use assembly::{assemble, Assembled, Parts};

use crate::data::features::{backbone_digest, FrozenBackbone};
use crate::data::image_loader::{Augmentation, TrainingImages};
use crate::data::manifest::{Manifest, Split};
use crate::data::progress::progress_bar;
use crate::train::checkpoint::Checkpoints;
use crate::train::learning_backbone::{LearningBackbone, Mode};
use crate::train::learning_source::LearningSource;
use crate::train::loss_log::LossLog;
use crate::train::method::Method;
use crate::train::methods::layers::Initializer;
use crate::train::methods::MethodKind;

use crate::error::{Error, Kind, Result};
use crate::eval::model_evaluation::evaluate_model;
use crate::eval::Protocol;
use crate::image::Preprocessing;
use crate::model::{read_directory, write_directory, Model, Tensors};
use crate::train::feature_source::{FeatureSource, FrozenFeatures};
use crate::train::settings::{Schedule, Settings};
use crate::train::trainer::{train, EpochLosses, Plan};
use crate::train::training_set::TrainingSet;
use crate::train::validation::{HeldOut, Validation};
use candle_core::{DType, Device, Tensor};
use model_card::card;
use rand::rngs::StdRng;
use rand::SeedableRng;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

#[cfg(test)]
pub use args::CardArgs;
pub use args::{HyperArgs, TrainArgs};

/// Trains, writes the model directory, evaluates what was written if the data set has a gallery, and writes the figures
/// into config and card.
///
/// # Errors
/// Those of reading the data set and the backbone, of training and of writing; [`Kind::InvalidParameter`] for options that
/// are missing or impossible.
pub fn run(args: &TrainArgs) -> Result<()> {
    let args = args.resolved()?;
    let settings = args.hyper.settings()?;
    let preprocessing = args.preprocessing()?;
    let out = TrainArgs::required("out", &args.out)?;
    let manifest = read_manifest(TrainArgs::required("data", &args.data)?, &args.reading)?;
    let sides = sides(&manifest, &settings)?;
    let set = TrainingSet::of(&manifest, sides.train.clone())?;
    let (arch, tensors) =
        read_backbone_file(TrainArgs::required("backbone", &args.backbone)?, args.arch.as_deref())?;
    let cache = cache_folder(args.cache.as_ref())?;
    eprintln!(
        "{} training images, {} instances, {} categories, {} attributes; {arch} at {} px",
        set.images.len(),
        set.instance_category.len(),
        set.category_count,
        set.attributes.len(),
        preprocessing.size
    );
    let mut course = Course {
        args: &args,
        settings: &settings,
        preprocessing: &preprocessing,
        manifest: &manifest,
        backbone: Rc::new(FrozenBackbone::new(arch, &tensors)?),
        tensors: &tensors,
        cache: &cache,
        device: args.device()?,
        features: None,
    };
    if !settings.train_backbone {
        course.features = Some(course.features()?);
    }
    std::fs::create_dir_all(out).map_err(|e| Error::io("create", out, &e))?;
    let rounds = course.rounds(&sides)?;
    let Learned { method, backbone, features } = course.learn(&sides, &set, None)?;
    let Some(learned) = method.cooperative() else {
        return baseline::finish(&*method, &settings, &backbone, &args, manifest, features, &cache);
    };
    let Assembled { mut config, tensors, round } =
        assemble(&course.parts(&sides), &backbone, &features, learned)?;
    let rounds = if rounds.is_empty() { vec![round] } else { rounds };
    if let Some(tagging) = &mut config.tagging {
        calibrate(tagging, &manifest, &rounds);
    }
    config.format_version = config.needed_version();
    if manifest.split(Split::Gallery).is_empty() {
        eprintln!("no gallery images: the model is not evaluated");
    } else {
        // What ships is what is measured: the directory is written, read back and evaluated.
        write_directory(out, &config, &tensors, "")?;
        let (json, weights) = read_directory(out)?;
        let model = Model::from_parts(&json, &weights)?;
        let report = evaluate_model(&model, &weights, &manifest, Protocol::default(), &cache)?;
        println!("{report}");
        config.metrics = report.summary();
    }
    write_directory(out, &config, &tensors, &card(&config, &args.card))?;
    println!("wrote {}", out.display());
    Ok(())
}

/// All that the trainings of one run have in common.
struct Course<'a> {
    args: &'a TrainArgs,
    settings: &'a Settings,
    preprocessing: &'a Preprocessing,
    manifest: &'a Manifest,
    /// As it came, rounded, and the tensors that it came as.
    backbone: Rc<FrozenBackbone>,
    tensors: &'a Tensors,
    cache: &'a Path,
    device: Device,
    /// If the backbone does not learn, what it makes of all training images, in the manifest's order.
    features: Option<Features>,
}

/// `[images, F]`, and with flips the same of the mirror images.
struct Features {
    plain: Tensor,
    flipped: Option<Tensor>,
}

/// What one training leaves.
struct Learned<'s> {
    method: Box<dyn Method + 's>,
    /// In half precision, as it ships.
    backbone: Rc<FrozenBackbone>,
    /// `[images, F]`: what it makes of the training images.
    features: Tensor,
}

impl Course<'_> {
    /// The trainings that only calibrate the last one: one for each fold, unless images are held out of that one already.
    fn rounds(&self, sides: &HeldOut) -> Result<Vec<Round>> {
        let folds = self.settings.calibration_folds;
        if folds == 0 || !sides.validation.is_empty() || self.settings.method != MethodKind::Cooperative {
            return Ok(Vec::new());
        }
        let folds = HeldOut::folds(self.manifest, folds, self.settings.seed)?;
        eprintln!("calibration: {} trainings before the last one", folds.len());
        let round = |(sides, number): (&HeldOut, usize)| {
            let set = TrainingSet::of(self.manifest, sides.train.clone())?;
            let Learned { method, backbone, features } = self.learn(sides, &set, Some(number))?;
            let learned = method
                .cooperative()
                .ok_or_else(|| Error::new(Kind::Internal, "a cooperative training without its parameters"))?;
            Ok(assemble(&self.parts(sides), &backbone, &features, learned)?.round)
        };
        folds.iter().zip(1..).map(round).collect()
    }

    fn parts<'a>(&'a self, sides: &'a HeldOut) -> Parts<'a> {
        Parts {
            manifest: self.manifest,
            settings: self.settings,
            preprocessing: self.preprocessing,
            args: self.args,
            held_out: &sides.validation,
        }
    }

    /// Trains on one side, of which `set` is made; of a fold it writes no log, and its checkpoints have a folder of their own.
    fn learn<'s>(&self, sides: &HeldOut, set: &'s TrainingSet, fold: Option<usize>) -> Result<Learned<'s>> {
        let Self { settings, manifest, backbone, .. } = self;
        let mut rng = StdRng::seed_from_u64(settings.seed);
        let start = Initializer::new(&self.device, DType::F32, &mut rng);
        let method = settings.method.start(set, backbone.features(), settings, start)?;
        let mut source = self.source(sides)?;

        let checkpoints = (self.args.checkpoint.as_ref())
            .map(|folder| {
                let training = fingerprint(settings, self.preprocessing, manifest, backbone, fold)?;
                let folder = fold.map_or(folder.clone(), |fold| folder.join(format!("fold-{fold}")));
                Checkpoints::open(&folder, training)
            })
            .transpose()?;
        let done = checkpoints.as_ref().map_or(Ok(0), Checkpoints::epochs)?;
        if done > 0 {
            eprintln!("going on after epoch {done}");
        }
        let mut log = match fold {
            None => Some(LossLog::create(&self.log()?, done)?),
            Some(_) => None,
        };
        let progress = progress_bar("training", 0);
        let validation =
            settings.validation.map(|_| Validation::new(manifest, &sides.validation, sides.train.len()));
        let plan = Plan {
            validation: validation.as_ref(),
            checkpoints: checkpoints.as_ref(),
            ..Plan::new(settings, &set.instances, &progress)
        };
        let mut observe = |losses: &EpochLosses| log.as_mut().map_or(Ok(()), |log| log.write(losses));
        train(&*method, source.as_dyn(), &plan, &mut observe)?;
        progress.finish_and_clear();

        let (backbone, features) = match source {
            Source::Frozen(_, features) => (Rc::clone(backbone), features),
            // What ships is in half precision, and so the features that means and figures are made of come from that.
            Source::Learning(learning) => {
                let backbone = FrozenBackbone::new(backbone.arch, &learning.backbone().tensors()?)?;
                let features = self.matrix(&backbone, false)?;
                (Rc::new(backbone), features)
            }
        };
        Ok(Learned { method, backbone, features })
    }

    /// Features `[images, F]` of all training images, in the manifest's order.
    fn matrix(&self, backbone: &FrozenBackbone, flip: bool) -> Result<Tensor> {
        let all = self.manifest.split(Split::Train);
        let rows = backbone.extract(self.manifest, &all, flip, self.preprocessing, self.cache)?;
        Ok(Tensor::from_vec(rows, (all.len(), backbone.features()), &Device::Cpu)?)
    }

    /// What the backbone makes of the training images as it came.
    fn features(&self) -> Result<Features> {
        let matrix = |flip| self.matrix(&self.backbone, flip);
        Ok(Features { plain: matrix(false)?, flipped: self.settings.flip.then(|| matrix(true)).transpose()? })
    }

    /// Where features come from: of the images that learn, then of those held out.
    fn source(&self, sides: &HeldOut) -> Result<Source> {
        let images = [sides.train.as_slice(), &sides.validation].concat();
        match &self.features {
            Some(features) => Ok(Source::Frozen(self.frozen(&images, features)?, features.plain.clone())),
            None => Ok(Source::Learning(Box::new(self.learning(images)?))),
        }
    }

    fn frozen(&self, images: &[usize], features: &Features) -> Result<FrozenFeatures> {
        let all = self.manifest.split(Split::Train);
        let order: Vec<u32> = images.iter().map(|&i| all.partition_point(|&a| a < i) as u32).collect();
        let order = Tensor::new(order, &Device::Cpu)?;
        let rows =
            |of: &Tensor| -> Result<Tensor> { Ok(of.index_select(&order, 0)?.to_device(&self.device)?) };
        Ok(FrozenFeatures::new(rows(&features.plain)?, features.flipped.as_ref().map(rows).transpose()?))
    }

    fn learning(&self, images: Vec<usize>) -> Result<LearningSource> {
        let Self { settings, device, .. } = self;
        let backbone = LearningBackbone::load(self.backbone.arch, self.tensors, device)?;
        let pictures = TrainingImages {
            manifest: self.manifest.clone(),
            images,
            preprocessing: self.preprocessing.clone(),
            augmentation: Augmentation { flip: settings.flip, crop: settings.random_crop },
            seed: settings.seed,
        };
        let mode = if settings.frozen_batch_norm { Mode::TrainFrozenNorm } else { Mode::Train };
        let workers = self.args.workers();
        Ok(LearningSource::new(backbone, pictures, device, mode, settings.batch_size, workers))
    }

    /// Where losses are written to.
    fn log(&self) -> Result<PathBuf> {
        let out = TrainArgs::required("out", &self.args.out)?;
        Ok(self.args.log.clone().unwrap_or_else(|| out.join("losses.csv")))
    }
}

/// Either source.
enum Source {
    /// With all features in the manifest's order.
    Frozen(FrozenFeatures, Tensor),
    Learning(Box<LearningSource>),
}

impl Source {
    fn as_dyn(&mut self) -> &mut dyn FeatureSource {
        match self {
            Self::Frozen(source, _) => source,
            Self::Learning(source) => &mut **source,
        }
    }
}

/// The training images that learn, and those held out.
fn sides(manifest: &Manifest, settings: &Settings) -> Result<HeldOut> {
    // A rival's embeddings are nobody's tags.
    let calibration = (settings.method == MethodKind::Cooperative && settings.calibration > 0.0)
        .then_some(settings.calibration);
    match settings.validation.or(calibration) {
        Some(fraction) => HeldOut::new(manifest, fraction, settings.seed),
        None => Ok(HeldOut::none(manifest)),
    }
}

/// Stands for all that decides how a training goes, but for when it ends.
fn fingerprint(
    settings: &Settings,
    preprocessing: &Preprocessing,
    manifest: &Manifest,
    backbone: &FrozenBackbone,
    fold: Option<usize>,
) -> Result<String> {
    let mut settings = settings.clone();
    if settings.schedule == Schedule::Constant {
        settings.epochs = 0;
    }
    settings.patience = None;
    let internal = |e| Error::new(Kind::Internal, format!("settings cannot be written: {e}"));
    let mut hash = Sha256::new();
    hash.update(serde_json::to_string(&settings).map_err(internal)?);
    hash.update(format!("\n{preprocessing:?}\n"));
    hash.update(backbone_digest(backbone.arch.name(), &backbone.tensors)?);
    for i in manifest.split(Split::Train) {
        hash.update(format!("\n{:?}", manifest.images[i]));
    }
    hash.update(format!("\n{:?}", manifest.attributes));
    // What holds images out goes by groups.
    let groups: BTreeSet<u32> = manifest.instance_group.iter().copied().collect();
    if groups.len() < manifest.instance_group.len() {
        hash.update(format!("\n{:?}", manifest.instance_group));
    }
    if let Some(fold) = fold {
        hash.update(format!("\nfold {fold}"));
    }
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}
