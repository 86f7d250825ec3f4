//! Evaluates a trained model on a data set: embeds its images as the server would, and runs the retrieval protocol.

use super::protocol::{evaluate, Protocol};
use super::results::EvaluationResults;
use super::stored_queries::{NamedQueries, StoredQueries};
use super::tag_accuracy::tag_accuracy;
use super::value_prediction::{predict, ReferencePoints};
use crate::data::features::{backbone_digest, extract, Extractor, Rows};
use crate::data::manifest::{Manifest, Split};
use crate::data::view::View;
use crate::error::Result;
use crate::model::{tensor_names, Model, ModelConfig, TensorFile, VocabularyEntry};
use crate::space::{Embedding, Part, Query};
use std::path::Path;

/// Embeds query and gallery images as the server would, including half precision, and evaluates them. `weights` are the bytes of the
/// model's `model.safetensors`. Features that training has cached with the same backbone are used again.
///
/// # Errors
/// Those of [`embed`] and of [`evaluate_embedded`].
pub fn evaluate_model(
    model: &Model,
    weights: &[u8],
    manifest: &Manifest,
    protocol: Protocol,
    cache: &Path,
) -> Result<EvaluationResults> {
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
    let backbone = TensorFile::parse(weights)?.tensors_under(tensor_names::BACKBONE_PREFIX)?;
    let run = |pixels: &[u8], batch: usize| model.features(pixels, batch);
    let extractor = Extractor {
        backbone: backbone_digest(&config.architecture.backbone, &backbone)?,
        rows: Rows::Features(config.architecture.feature_set, config.architecture.features),
        preprocessing: &config.preprocessing,
        run: &run,
    };
    let features = extract(manifest, images, View::Plain, &extractor, Some(cache))?;
    model.project(features, images.len())
}

/// Evaluates the embedded images, given as indices in the data set and their raw embeddings `[images, N]`.
///
/// # Errors
/// Those of [`evaluate`] and of [`predict`].
pub fn evaluate_embedded(
    model: &Model,
    weights: &[u8],
    manifest: &Manifest,
    (images, raw): (&[usize], &[f32]),
    protocol: Protocol,
) -> Result<EvaluationResults> {
    let layout = model.layout();
    let rows = || images.iter().zip(raw.chunks_exact(layout.dimensions()));
    let mut embeddings = vec![None; manifest.images.len()];
    for (&image, row) in rows() {
        embeddings[image] = Some(Embedding::from_raw(layout, row)?);
    }
    let mut results = evaluate(manifest, &embeddings, &stored_queries(model)?, protocol)?;
    let gallery = rows().filter(|(&i, _)| manifest.images[i].split == Split::Gallery);
    let (gallery, raw): (Vec<usize>, Vec<&[f32]>) = gallery.unzip();
    let points = ReferencePoints::of(model, weights, protocol.predict_by)?;
    results.predicted_by = protocol.predict_by;
    results.predictions = predict(manifest, &gallery, &raw.concat(), &points)?;
    let tagged: Vec<(usize, &Embedding)> =
        gallery.iter().filter_map(|&i| Some((i, embeddings[i].as_ref()?))).collect();
    results.tags = tag_accuracy(model, weights, manifest, &tagged)?;
    Ok(results)
}

/// The queries that a model stores.
///
/// # Errors
/// If they do not fit the model's layout.
pub fn stored_queries(model: &Model) -> Result<StoredQueries> {
    let config: &ModelConfig = model.config();
    let layout = model.layout();
    let named = |name: &str,
                 names: &[VocabularyEntry],
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
    Ok(StoredQueries {
        instance: Part::Superspace,
        attributes: attributes.collect::<Result<_>>()?,
        categories: named("category", &config.categories, categories, &|t| {
            Query::superspace(layout, t.to_vec())
        })?,
    })
}
