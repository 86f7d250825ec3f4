//! `coopembed train`: from a data set and a backbone to a model directory.
//!
//! | file | what is in it |
//! |---|---|
//! | `args` | the command's options, as flags and in a TOML file |
//! | `training_context` | trains one method: features, checkpoints, log |
//! | `plan`, `plan_measurements` | what will take how long: printed before training |
//! | `verdict/` | whether training paid, and which attributes are weak: printed after it |
//! | `tuning` | chooses the objective on training images that are held out |
//! | `calibration_folds` | the additional trainings that calibrate the probabilities of tags |
//! | `training_digest` | identifies a training, so that a checkpoint only resumes its own |
//! | `model_assembly` | the contents of a model directory, from what was learned |
//! | `model_card` | the README.md of a model directory |
//! | `label_review/` | labels that are probably wrong, the SQL to mend them, and the commands that follow |
//! | `baseline` | what is written for methods that PostgreSQL does not load |

mod args;
mod baseline;
mod calibration_folds;
mod label_review;
mod model_assembly;
mod model_card;
mod plan;
mod plan_measurements;
mod training_context;
mod training_digest;
mod tuning;
mod verdict;

use super::inputs::{cache_folder, read_backbone_file, read_manifest};
use super::staged_data::{StagedData, StagedInputs};
use crate::data::features::FrozenBackbone;
use crate::data::lower_maps::MapFolder;
use crate::data::manifest::{Manifest, Split};
use crate::data::view::View;
use crate::error::{Error, Kind, Result};
use crate::eval::model_evaluation::evaluate_model;
use crate::eval::results::EvaluationResults;
use crate::eval::Protocol;
use crate::model::{read_directory, write_directory, FeatureSet, Model, ModelConfig, Tensors};
use crate::train::calibration::{calibrate, CalibrationFold};
use crate::train::checkpoint::Checkpoints;
use crate::train::feature_scaling::FeatureScaling;
use crate::train::holdout::Holdout;
use crate::train::method_kind::MethodKind;
use crate::train::settings::Settings;
use crate::train::training_set::TrainingSet;
use baseline::Trained;
use calibration_folds::calibration_folds;
use candle_core::{Device, Tensor};
use model_assembly::{assemble, AssembledModel};
use model_card::model_card;
use plan_measurements::measured_plan;
use std::path::Path;
use std::sync::Arc;
use training_context::{Learned, TrainingContext};
use tuning::Tuning;
use verdict::{measured_set, UntrainedFeatures, Verdict};

#[cfg(test)]
pub use args::CardArgs;
pub use args::{ByteSize, HyperArgs, TrainArgs};
pub use tuning::tuned;

/// Prints what will take how long, trains, writes the model directory, evaluates it if the data set has a gallery, and adds the figures
/// and the verdict to config and card. In the end it lists the labels that are probably wrong, and the commands that follow.
///
/// # Errors
/// Those of reading the data set and the backbone, of training and of writing; [`crate::error::Kind::InvalidParameter`] for missing or
/// impossible options.
pub fn run(args: &TrainArgs) -> Result<()> {
    let force = args.force;
    let args = args.resolved()?;
    let mut settings = args.hyper.settings()?;
    let preprocessing = args.preprocessing()?;
    let out = TrainArgs::required("out", &args.out)?;
    // A checkpoint of another training is refused when it is read.
    let resumes = args.checkpoint.as_deref().is_some_and(Checkpoints::exist_in);
    check_out(out, force || resumes)?;
    let manifest = read_manifest(TrainArgs::required("data", &args.data)?, &args.reading)?;
    let split = hold_out(&manifest, &settings)?;
    let set = TrainingSet::of_images(&manifest, split.train.clone())?;
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
    let device = args.device()?;
    settings.check_device(&device)?;
    let backbone = Arc::new(FrozenBackbone::new(arch, settings.features, &tensors)?);
    let inputs = StagedInputs {
        manifest: &manifest,
        preprocessing: &preprocessing,
        backbone: &backbone,
        tensors: &tensors,
        device: &device,
        workers: args.workers(),
        map_folder: Some(MapFolder { path: cache.clone(), limit: args.map_cache_limit() }),
        with_test: false,
    };
    let mut data = StagedData::new(inputs, &settings, &cache);
    eprintln!("{}", measured_plan(&data, &settings, &split, &set)?);
    data.extract_features()?;
    let tuning = if settings.tune { tuned(&data, &settings)? } else { None };
    if let Some((best, figures)) = &tuning {
        eprint!("{figures}");
        settings = best.clone();
    }
    let tuning = tuning.map(|(_, figures)| figures);
    let context = TrainingContext {
        args: &args,
        settings: &settings,
        data: &data,
        backbone: Arc::clone(&backbone),
        cache: &cache,
    };
    std::fs::create_dir_all(out).map_err(|e| Error::io("create", out, &e))?;
    let folds = calibration_folds(&context, &split)?;
    let Learned { method, backbone, scaling, features } = context.train(&split, &set, None)?;
    let Some(parameters) = method.cooperative() else {
        let trained = Trained { method: &*method, backbone: &backbone, scaling: scaling.as_ref(), features };
        return baseline::finish(trained, &settings, &args, &manifest, &cache);
    };
    let AssembledModel { mut config, tensors, fold } =
        assemble(&context.assembly_inputs(&split, scaling.as_ref()), &backbone, &features, parameters)?;
    let folds = if folds.is_empty() { vec![fold] } else { folds };
    if let Some(tagging) = &mut config.tagging {
        calibrate(tagging, &manifest, &folds);
    }
    record(tuning, &mut config)?;
    config.format_version = config.needed_version();
    write_and_measure(&context, &split, config, &tensors, &folds)
}

/// Fails if there is a model in the directory that would be replaced.
fn check_out(out: &Path, replace: bool) -> Result<()> {
    let has_model =
        ["config.json", "model.safetensors", "weights.safetensors"].iter().any(|f| out.join(f).exists());
    if replace || !has_model {
        return Ok(());
    }
    Err(Error::new(Kind::InvalidParameter, format!("\"{}\" has a model already", out.display()))
        .hint("Name another directory with --out, or replace the model with --force."))
}

/// Writes the model directory, measures what it holds, and writes the figures and the verdict into it.
fn write_and_measure(
    context: &TrainingContext<'_>,
    split: &Holdout,
    mut config: ModelConfig,
    tensors: &Tensors,
    folds: &[CalibrationFold],
) -> Result<()> {
    let TrainingContext { args, data, cache, .. } = context;
    let (out, manifest) = (TrainArgs::required("out", &args.out)?, data.manifest);
    // Written before anything is measured, so that no failure there costs the training.
    write_directory(out, &config, tensors, "")?;
    let measured = measured_set(manifest, &split.held_out);
    let results = measured.as_deref().map(|measured| evaluate_written(out, measured, cache)).transpose()?;
    if let (Some(results), false) = (&results, manifest.split(Split::Gallery).is_empty()) {
        println!("{results}");
        config.metrics = results.summary();
    }
    let untrained = untrained_features(data, cache)?;
    let verdict = Verdict::new(manifest, measured.as_deref().zip(results.as_ref()), &untrained)?;
    verdict.add_to(&mut config.metrics);
    println!("{verdict}");
    write_directory(out, &config, tensors, &model_card(&config, &args.card, &verdict))?;
    label_review::review(context, folds, untrained.last())
}

/// Adds how the objective was chosen to the record of the training.
fn record(tuning: Option<Tuning>, config: &mut ModelConfig) -> Result<()> {
    if let (Some(tuning), Some(training)) = (tuning, config.training.as_object_mut()) {
        let figures = serde_json::to_value(tuning)
            .map_err(|e| Error::new(Kind::Internal, format!("could not write JSON: {e}")))?;
        training.insert("tuning".into(), figures);
    }
    Ok(())
}

/// Evaluates what users will load: reads the directory back, and measures that.
fn evaluate_written(out: &Path, measured: &Manifest, cache: &Path) -> Result<EvaluationResults> {
    let (json, weights) = read_directory(out)?;
    let model = Model::from_parts(&json, &weights)?;
    evaluate_model(&model, &weights, measured, Protocol::default(), cache)
}

/// The features of all images before training, for the verdict: the last mean, and all levels if training used them.
fn untrained_features(data: &StagedData<'_>, cache: &Path) -> Result<Vec<UntrainedFeatures>> {
    let images: Vec<usize> = (0..data.manifest.images.len()).collect();
    let backbone = data.backbone;
    let rows = data.extract(backbone, &images, View::Plain, Some(cache))?;
    let last = backbone.arch.description().channels;
    let mut all = vec![UntrainedFeatures {
        name: "untrained last mean".into(),
        rows: rows.narrow(1, 0, last)?.contiguous()?,
    }];
    if backbone.set == FeatureSet::Levels {
        // On one scale, as training sees them: otherwise the largest features decide.
        let train: Vec<u32> = data.train.iter().map(|&i| i as u32).collect();
        let scaling = FeatureScaling::of(&rows.index_select(&Tensor::new(train, &Device::Cpu)?, 0)?, 1.0)?;
        all.push(UntrainedFeatures { name: "untrained levels".into(), rows: scaling.apply(&rows)? });
    }
    Ok(all)
}

/// Splits the training images into those that learn and those held out, for validation or else for calibration.
fn hold_out(manifest: &Manifest, settings: &Settings) -> Result<Holdout> {
    // Baselines have no tags to calibrate.
    let calibration = (settings.method == MethodKind::Cooperative && settings.calibration > 0.0)
        .then_some(settings.calibration);
    match settings.validation.or(calibration) {
        Some(fraction) => Holdout::new(manifest, fraction, settings.seed),
        None => Ok(Holdout::none(manifest)),
    }
}
