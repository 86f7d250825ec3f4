//! `coopembed train`: from a data set and a backbone to a model directory.
//!
//! | file | what is in it |
//! |---|---|
//! | `args` | the command's options, as flags and in a TOML file |
//! | `training_context` | trains one method: features, checkpoints, log |
//! | `calibration_folds` | the additional trainings that calibrate the probabilities of tags |
//! | `training_digest` | identifies a training, so that a checkpoint only resumes its own |
//! | `model_assembly` | the contents of a model directory, from what was learned |
//! | `model_card` | the README.md of a model directory |
//! | `baseline` | what is written for methods that PostgreSQL does not load |

mod args;
mod baseline;
mod calibration_folds;
mod model_assembly;
mod model_card;
mod training_context;
mod training_digest;

use super::inputs::{cache_folder, read_backbone_file, read_manifest};
use crate::data::features::FrozenBackbone;
use crate::data::manifest::{Manifest, Split};
use crate::error::{Error, Result};
use crate::eval::model_evaluation::evaluate_model;
use crate::eval::Protocol;
use crate::model::{read_directory, write_directory, Model};
use crate::train::calibration::calibrate;
use crate::train::holdout::Holdout;
use crate::train::method_kind::MethodKind;
use crate::train::settings::Settings;
use crate::train::training_set::TrainingSet;
use calibration_folds::calibration_folds;
use model_assembly::{assemble, AssembledModel};
use model_card::model_card;
use std::rc::Rc;
use training_context::{Learned, TrainingContext};

#[cfg(test)]
pub use args::CardArgs;
pub use args::{HyperArgs, TrainArgs};

/// Trains, writes the model directory, evaluates it if the data set has a gallery, and adds the figures to config and card.
///
/// # Errors
/// Those of reading the data set and the backbone, of training and of writing; [`crate::error::Kind::InvalidParameter`] for missing or
/// impossible options.
pub fn run(args: &TrainArgs) -> Result<()> {
    let args = args.resolved()?;
    let settings = args.hyper.settings()?;
    let preprocessing = args.preprocessing()?;
    let out = TrainArgs::required("out", &args.out)?;
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
    let mut context = TrainingContext {
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
        context.features = Some(context.frozen_features()?);
    }
    std::fs::create_dir_all(out).map_err(|e| Error::io("create", out, &e))?;
    let folds = calibration_folds(&context, &split)?;
    let Learned { method, backbone, features } = context.train(&split, &set, None)?;
    let Some(parameters) = method.cooperative() else {
        return baseline::finish(&*method, &settings, &backbone, &args, manifest, features, &cache);
    };
    let AssembledModel { mut config, tensors, fold } =
        assemble(&context.assembly_inputs(&split), &backbone, &features, parameters)?;
    let folds = if folds.is_empty() { vec![fold] } else { folds };
    if let Some(tagging) = &mut config.tagging {
        calibrate(tagging, &manifest, &folds);
    }
    config.format_version = config.needed_version();
    if manifest.split(Split::Gallery).is_empty() {
        eprintln!("no gallery images: the model is not evaluated");
    } else {
        // Evaluate what users will load: write the directory, read it back, and measure that.
        write_directory(out, &config, &tensors, "")?;
        let (json, weights) = read_directory(out)?;
        let model = Model::from_parts(&json, &weights)?;
        let results = evaluate_model(&model, &weights, &manifest, Protocol::default(), &cache)?;
        println!("{results}");
        config.metrics = results.summary();
    }
    write_directory(out, &config, &tensors, &model_card(&config, &args.card))?;
    println!("wrote {}", out.display());
    Ok(())
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
