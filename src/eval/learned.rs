//! Evaluation of what a method has learned, before (or without) a model being made of it: on features that are there already.

use super::protocol::{evaluate, NamedQueries, Protocol, Prototypes};
use super::report::Report;
use crate::error::Result;
use crate::model::Named;
use crate::space::{Embedding, Layout, Query};
use crate::train::manifest::Manifest;
use crate::train::method::{Method, Place, Space};
use crate::train::queries::MeanQueries;
use candle_core::Tensor;

/// Images whose embeddings are computed together.
const BATCH: usize = 1024;

/// A data set with the features of its images.
pub struct Featured {
    /// The set.
    pub manifest: Manifest,
    /// `[images, F]` of the training images, in the manifest's order.
    pub train: Tensor,
    /// Query and gallery images, as indices into the manifest.
    pub test_images: Vec<usize>,
    /// `[images, F]` of those.
    pub test: Tensor,
}

/// Embeds both halves, takes mean queries from the training half (of `labels`: the same images, whose labels may be
/// corrupted) and asks them, as each task would, in the part of the embedding that is its own.
///
/// # Errors
/// If an embedding is not finite; those of [`evaluate`].
pub fn evaluate_method(
    method: &dyn Method,
    data: &Featured,
    labels: &Manifest,
    renormalize_queries: bool,
    protocol: Protocol,
) -> Result<Report> {
    let space = method.space();
    let layout = Layout::new(space.subspaces, space.dim, 0)?;
    let mut train = embeddings(method, &data.train)?;
    train.iter_mut().try_for_each(|e| crate::space::normalize_subspaces(layout, e))?;
    let mut queries = MeanQueries::new(labels, &space, &train);
    if renormalize_queries {
        queries = queries.renormalized(space.dim);
    }
    let mut test = vec![None; data.manifest.images.len()];
    for (&image, raw) in data.test_images.iter().zip(embeddings(method, &data.test)?) {
        test[image] = Some(Embedding::from_raw(layout, &raw)?);
    }
    evaluate(&data.manifest, &test, &prototypes(&queries, layout, &space)?, protocol)
}

fn embeddings(method: &dyn Method, features: &Tensor) -> Result<Vec<Vec<f32>>> {
    let images = features.dim(0)?;
    let mut all = Vec::with_capacity(images);
    for start in (0..images).step_by(BATCH) {
        let rows = features.narrow(0, start, BATCH.min(images - start))?;
        all.extend(method.embed(&rows)?.detach().to_vec2::<f32>()?);
    }
    Ok(all)
}

fn prototypes(queries: &MeanQueries, layout: Layout, space: &Space) -> Result<Prototypes> {
    let named = |name: &str, names: &[Named], targets: &[f32], place: Place| -> Result<NamedQueries> {
        let targets = targets.chunks_exact(space.range(place).len());
        let query = |target: &[f32]| match place {
            Place::Whole => Query::superspace(layout, target.to_vec()),
            Place::Subspace(k) => Query::subspace(layout, k, target),
        };
        let queries = names
            .iter()
            .zip(targets)
            .map(|(n, target)| Ok((n.name.clone(), (n.images > 0).then(|| query(target)).transpose()?)));
        Ok(NamedQueries { name: name.to_owned(), queries: queries.collect::<Result<_>>()? })
    };
    let attributes = queries.vocabulary.iter().zip(&queries.attributes).zip(&space.attributes);
    Ok(Prototypes {
        instance: space.instance,
        attributes: attributes
            .map(|((a, targets), &place)| named(&a.name, &a.values, targets, place))
            .collect::<Result<_>>()?,
        categories: named("category", &queries.named_categories, &queries.categories, space.category)?,
    })
}
