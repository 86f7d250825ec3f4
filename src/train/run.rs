//! `coopembed train`: from a data set and a backbone to a model directory.

use super::assembly::{assemble, Parts};
use super::card::card;
use super::features::{bar, default_cache, FrozenBackbone};
use super::log::LossLog;
use super::manifest::{Manifest, ReadingArgs, Split};
use super::options::TrainArgs;
use super::trainer::{train, TrainingSet};
use crate::error::{Error, Kind, Result};
use crate::eval;
use crate::model::{import_backbone, read_backbone, read_directory, write_directory, Arch, Model, Tensors};
use candle_core::{Device, Tensor};
use std::path::{Path, PathBuf};

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
    let set = TrainingSet::new(&manifest)?;
    let (arch, tensors) = backbone(TrainArgs::required("backbone", &args.backbone)?, args.arch.as_deref())?;
    let backbone = FrozenBackbone::new(arch, &tensors)?;
    let cache = cache_folder(args.cache.as_ref())?;
    eprintln!(
        "{} training images, {} instances, {} categories, {} attributes; {arch} at {} px",
        set.images.len(),
        set.instance_category.len(),
        set.category_count,
        set.attributes.len(),
        preprocessing.size
    );

    let matrix = |flip: bool| -> Result<Tensor> {
        let rows = backbone.extract(&manifest, &set.images, flip, &preprocessing, &cache)?;
        Ok(Tensor::from_vec(rows, (set.images.len(), backbone.features()), &Device::Cpu)?)
    };
    let features = matrix(false)?;
    let flipped = settings.flip.then(|| matrix(true)).transpose()?;
    std::fs::create_dir_all(out).map_err(|e| Error::io("create", out, &e))?;
    let path = args.log.clone().unwrap_or_else(|| out.join("losses.csv"));
    let mut log = LossLog::create(&path, manifest.attributes.iter().map(|a| a.name.as_str()))?;
    let progress = bar("training", 0);
    let learned =
        train(&set, &features, flipped.as_ref(), &settings, &progress, &mut |losses| log.write(losses))?;
    progress.finish_and_clear();

    let parts =
        Parts { manifest: &manifest, settings: &settings, preprocessing: &preprocessing, args: &args };
    let (mut config, tensors) = assemble(&parts, &backbone, &features, &learned)?;
    if manifest.split(Split::Gallery).is_empty() {
        eprintln!("no gallery images: the model is not evaluated");
    } else {
        // What ships is what is measured: the directory is written, read back and evaluated.
        write_directory(out, &config, &tensors, "")?;
        let (json, weights) = read_directory(out)?;
        let model = Model::from_parts(&json, &weights)?;
        let report =
            eval::run::evaluate_model(&model, &weights, &manifest, eval::Protocol::default(), &cache)?;
        println!("{report}");
        config.metrics = report.summary();
    }
    write_directory(out, &config, &tensors, &card(&config, &args.card))?;
    println!("wrote {}", out.display());
    Ok(())
}

/// Reads a data set and says on standard error what is odd about it.
///
/// # Errors
/// Those of [`ReadingArgs::read`].
pub fn read_manifest(folder: &Path, reading: &ReadingArgs) -> Result<Manifest> {
    let manifest = reading.read(folder)?;
    manifest.warnings.iter().for_each(|w| eprintln!("WARNING:  {w}"));
    Ok(manifest)
}

/// The folder named, or the default one.
///
/// # Errors
/// Those of [`default_cache`].
pub fn cache_folder(named: Option<&PathBuf>) -> Result<PathBuf> {
    named.map_or_else(default_cache, |n| Ok(n.clone()))
}

fn backbone(file: &Path, arch: Option<&str>) -> Result<(Arch, Tensors)> {
    let bytes = match arch {
        Some(name) => import_backbone(file, name.parse()?)?,
        None => std::fs::read(file).map_err(|e| Error::io("read", file, &e))?,
    };
    read_backbone(&bytes).map_err(|e| match (arch, e.kind) {
        (None, Kind::InvalidModel) => e.hint("Name the backbone with --arch, or import it first."),
        _ => e,
    })
}
