//! A model directory against a data set: embeds its images as the server would, and evaluates.

use super::ordered::{predict, Points};
use super::protocol::{evaluate, NamedQueries, Protocol, Prototypes};
use super::results::Report;
use super::tags::tags;
use crate::data::features::{backbone_digest, extract, Extractor};
use crate::data::manifest::{Manifest, Split};
use crate::error::Result;
use crate::model::{contents, Model, ModelConfig, Named, TensorFile};
use crate::space::{Embedding, Part, Query};
use std::path::Path;

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
        instance: Part::Superspace,
        attributes: attributes.collect::<Result<_>>()?,
        categories: named("category", &config.categories, categories, &|t| {
            Query::superspace(layout, t.to_vec())
        })?,
    })
}
