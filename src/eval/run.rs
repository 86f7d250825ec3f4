//! `coopembed eval`: a model directory against a data set.

use super::ordered::{predict, Points, Reference};
use super::protocol::{evaluate, NamedQueries, Protocol, Prototypes};
use super::report::{Absent, Report};
use super::tags::tags;
use crate::error::{Error, Kind, Result};
use crate::model::{contents, read_directory, Model, ModelConfig, Named, TensorFile};
use crate::space::{Embedding, Query};
use crate::train::features::{backbone_digest, extract, Extractor};
use crate::train::manifest::{Manifest, ReadingArgs, Split};
use crate::train::method::Place;
use crate::train::run::{cache_folder, read_manifest};
use std::path::{Path, PathBuf};

/// `coopembed eval`'s flags.
#[derive(Debug, Clone, clap::Args)]
pub struct EvalArgs {
    /// Model directory
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Folder of the data set: images.csv, In-Shop Clothes or CompCars
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Write all figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// What images without an attribute are in the rankings of its values
    #[arg(long, value_enum, default_value_t = Absent::Negative)]
    pub absent: Absent,
    /// Ask with each gallery image for the others, as is done anyway without query images
    #[arg(long)]
    pub leave_one_out: bool,
    /// What stands for a value when the values of gallery images are predicted
    #[arg(long, value_enum, default_value_t = Reference::Proxy)]
    pub predict_by: Reference,
    /// Folder for features [default: coopembed/features in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// How to read the data set.
    #[command(flatten)]
    pub reading: ReadingArgs,
}

/// Evaluates, prints a table and writes JSON if asked.
///
/// # Errors
/// Those of reading model and data set, and of [`evaluate`].
pub fn run(args: &EvalArgs) -> Result<()> {
    let (json, weights) = read_directory(&args.model)?;
    let model = Model::from_parts(&json, &weights)?;
    let manifest = read_manifest(&args.data, &args.reading)?;
    let protocol =
        Protocol { absent: args.absent, leave_one_out: args.leave_one_out, predict_by: args.predict_by };
    let cache = cache_folder(args.cache.as_ref())?;
    let report = evaluate_model(&model, &weights, &manifest, protocol, &cache)?;
    println!("model {}\n{report}", model.layout());
    if let Some(path) = &args.json {
        let internal = |e| Error::new(Kind::Internal, format!("could not write JSON: {e}"));
        let mut value = serde_json::to_value(&report).map_err(internal)?;
        value["model"] = serde_json::json!({
            "digest": model.digest().to_string(),
            "attributes": model.config().attributes.len(),
            "subspace_dim": model.config().subspace_dim,
            "backbone": model.config().architecture.backbone,
        });
        let text = serde_json::to_string_pretty(&value).map_err(internal)? + "\n";
        std::fs::write(path, text).map_err(|e| Error::io("write", path, &e))?;
    }
    Ok(())
}

/// Embeds query and gallery images as the server would, half precision included, and evaluates. `weights` are the model's;
/// features that training cached with the same backbone are used again.
///
/// # Errors
/// Those of [`embed`] and of [`evaluate_embedded`].
pub fn evaluate_model(
    model: &Model,
    weights: &[u8],
    manifest: &Manifest,
    protocol: Protocol,
    cache: &Path,
) -> Result<Report> {
    let images = [manifest.split(Split::Query), manifest.split(Split::Gallery)].concat();
    let raw = embed(model, weights, manifest, &images, cache)?;
    evaluate_embedded(model, weights, manifest, (&images, &raw), protocol)
}

/// Raw embeddings `[images, N]` of some images of a data set.
///
/// # Errors
/// Those of [`extract`]: an image that does not decode, or a cache that cannot be written.
pub fn embed(
    model: &Model,
    weights: &[u8],
    manifest: &Manifest,
    images: &[usize],
    cache: &Path,
) -> Result<Vec<f32>> {
    let config = model.config();
    let backbone = TensorFile::parse(weights)?.tensors_under(contents::BACKBONE_PREFIX)?;
    let run = |pixels: &[u8], batch: usize| model.features(pixels, batch);
    let extractor = Extractor {
        backbone: backbone_digest(&config.architecture.backbone, &backbone)?,
        features: config.architecture.features,
        preprocessing: &config.preprocessing,
        run: &run,
    };
    let features = extract(manifest, images, false, &extractor, cache)?;
    model.project(features, images.len())
}

/// Evaluates over the images that are embedded: their places in the data set, and their raw embeddings `[images, N]`.
///
/// # Errors
/// Those of [`evaluate`] and of [`predict`].
pub fn evaluate_embedded(
    model: &Model,
    weights: &[u8],
    manifest: &Manifest,
    (images, raw): (&[usize], &[f32]),
    protocol: Protocol,
) -> Result<Report> {
    let layout = model.layout();
    let rows = || images.iter().zip(raw.chunks_exact(layout.dimensions()));
    let mut embeddings = vec![None; manifest.images.len()];
    for (&image, row) in rows() {
        embeddings[image] = Some(Embedding::from_raw(layout, row)?);
    }
    let mut report = evaluate(manifest, &embeddings, &prototypes(model)?, protocol)?;
    let gallery = rows().filter(|(&i, _)| manifest.images[i].split == Split::Gallery);
    let (gallery, raw): (Vec<usize>, Vec<&[f32]>) = gallery.unzip();
    let points = Points::of(model, weights, protocol.predict_by)?;
    report.predicted_by = protocol.predict_by;
    report.predictions = predict(manifest, &gallery, &raw.concat(), &points)?;
    let tagged: Vec<(usize, &Embedding)> =
        gallery.iter().filter_map(|&i| Some((i, embeddings[i].as_ref()?))).collect();
    report.tags = tags(model, weights, manifest, &tagged)?;
    Ok(report)
}

/// The queries that a model stores.
///
/// # Errors
/// If they are not of the model's shape.
pub fn prototypes(model: &Model) -> Result<Prototypes> {
    let config: &ModelConfig = model.config();
    let layout = model.layout();
    let named = |name: &str,
                 names: &[Named],
                 targets: &[Option<Vec<f32>>],
                 query: &dyn Fn(&[f32]) -> Result<Query>| {
        let queries = names
            .iter()
            .zip(targets)
            .map(|(n, target)| Ok((n.name.clone(), target.as_deref().map(query).transpose()?)))
            .collect::<Result<_>>()?;
        Ok(NamedQueries { name: name.to_owned(), queries })
    };
    let attributes = config.attributes.iter().enumerate().map(|(k, a)| {
        named(&a.name, &a.values, model.prototypes().attribute_queries(k), &|t| Query::subspace(layout, k, t))
    });
    let categories = model.prototypes().category_queries();
    Ok(Prototypes {
        instance: Place::Whole,
        attributes: attributes.collect::<Result<_>>()?,
        categories: named("category", &config.categories, categories, &|t| {
            Query::superspace(layout, t.to_vec())
        })?,
    })
}
