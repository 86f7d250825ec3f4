//! Evaluates what a method has learned, without a model directory, on features that have been computed already.

use crate::data::manifest::{Manifest, Split};
use crate::error::Result;
use crate::eval::protocol::{evaluate, Protocol};
use crate::eval::results::EvaluationResults;
use crate::eval::stored_queries::{NamedQueries, StoredQueries};
use crate::eval::value_prediction::{predict, AttributePoints, PredictBy, ReferencePoints};
use crate::model::VocabularyEntry;
use crate::space::{normalize_subspaces, Embedding, Layout, Part, Query, TaskLayout};
use crate::train::feature_scaling::FeatureScaling;
use crate::train::mean_queries::MeanQueries;
use crate::train::method::Method;
use crate::train::settings::Settings;
use candle_core::Tensor;

/// Images that are embedded together.
const BATCH: usize = 1024;

/// A data set with the features of its images, as a method takes them.
pub struct FeaturedDataset<'a> {
    /// The data set.
    pub manifest: &'a Manifest,
    /// `[images, F]`: features of the training images, in the manifest's order.
    pub train: Tensor,
    /// Query and gallery images, as indices in the manifest.
    pub test_images: &'a [usize],
    /// `[images, F]`: features of the query and gallery images.
    pub test: Tensor,
}

impl FeaturedDataset<'_> {
    /// The same with scaled features.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn scaled(mut self, scaling: Option<&FeatureScaling>) -> Result<Self> {
        if let Some(scaling) = scaling {
            (self.train, self.test) = (scaling.apply(&self.train)?, scaling.apply(&self.test)?);
        }
        Ok(self)
    }
}

/// Embeds all images, computes the mean queries of the training images, and evaluates each task in its part of the embedding. `labels` is
/// the manifest that the method has learned from: the same images, whose labels may be corrupted. If there are proxies, the values of
/// gallery images are predicted from them.
///
/// # Errors
/// If an embedding is not finite; those of [`evaluate`].
pub fn evaluate_method(
    method: &dyn Method,
    data: &FeaturedDataset<'_>,
    labels: &Manifest,
    settings: &Settings,
    protocol: Protocol,
) -> Result<EvaluationResults> {
    let space = method.task_layout();
    let layout = Layout::new(space.subspaces, space.dim, 0)?;
    let mut train = embeddings(method, &data.train)?;
    train.iter_mut().try_for_each(|e| normalize_subspaces(layout, e))?;
    let mut queries = MeanQueries::new(labels, &space, &train);
    if settings.renormalize_queries {
        queries = queries.renormalized(space.dim);
    }
    let raw = embeddings(method, &data.test)?;
    let mut test = vec![None; data.manifest.images.len()];
    for (&image, raw) in data.test_images.iter().zip(&raw) {
        test[image] = Some(Embedding::from_raw(layout, raw)?);
    }
    let mut results = evaluate(data.manifest, &test, &stored_queries(&queries, layout, &space)?, protocol)?;
    if let Some(learned) = method.cooperative() {
        let points = reference_points(&learned.attribute_proxies, &queries, layout, settings.normalize)?;
        let gallery =
            |&(image, _): &(&usize, &Vec<f32>)| data.manifest.images[*image].split == Split::Gallery;
        let (images, rows): (Vec<usize>, Vec<&[f32]>) =
            data.test_images.iter().zip(&raw).filter(gallery).map(|(i, row)| (*i, row.as_slice())).unzip();
        results.predicted_by = PredictBy::Proxy;
        results.predictions = predict(data.manifest, &images, &rows.concat(), &points)?;
    }
    Ok(results)
}

/// The proxies of the values as reference points, compared as in training: raw, or at unit length.
fn reference_points(
    proxies: &[Tensor],
    queries: &MeanQueries,
    layout: Layout,
    unit: bool,
) -> Result<ReferencePoints> {
    let one = Layout::new(1, layout.subspace_dim(), 0)?;
    let mut attributes = Vec::with_capacity(proxies.len());
    for (proxies, attribute) in proxies.iter().zip(&queries.vocabulary) {
        let mut values = Vec::with_capacity(attribute.values.len());
        for (mut point, value) in proxies.detach().to_vec2::<f32>()?.into_iter().zip(&attribute.values) {
            if unit {
                normalize_subspaces(one, &mut point)?;
            }
            // The proxy of a value without training images has not learned anything.
            values.push((value.name.clone(), (value.images > 0).then_some(point)));
        }
        attributes.push(AttributePoints { name: attribute.name.clone(), ordered: attribute.ordered, values });
    }
    Ok(ReferencePoints { layout, unit, attributes })
}

/// Raw embeddings of features, a batch at a time.
fn embeddings(method: &dyn Method, features: &Tensor) -> Result<Vec<Vec<f32>>> {
    let images = features.dim(0)?;
    let mut all = Vec::with_capacity(images);
    // Features are in main memory; the method may be on another device.
    let parameters = method.parameters();
    let device = parameters.first().map_or(features.device(), |p| p.var.device());
    for start in (0..images).step_by(BATCH) {
        let rows = features.narrow(0, start, BATCH.min(images - start))?.to_device(device)?;
        all.extend(method.embed(&rows)?.detach().to_vec2::<f32>()?);
    }
    Ok(all)
}

/// The mean queries as stored queries.
///
/// # Errors
/// If they do not fit the layout.
pub fn stored_queries(queries: &MeanQueries, layout: Layout, space: &TaskLayout) -> Result<StoredQueries> {
    let named =
        |name: &str, names: &[VocabularyEntry], targets: &[f32], part: Part| -> Result<NamedQueries> {
            let targets = targets.chunks_exact(space.range(part).len());
            let query = |target: &[f32]| match part {
                Part::Superspace => Query::superspace(layout, target.to_vec()),
                Part::Subspace(k) => Query::subspace(layout, k, target),
            };
            let queries = names
                .iter()
                .zip(targets)
                .map(|(n, target)| Ok((n.name.clone(), (n.images > 0).then(|| query(target)).transpose()?)));
            Ok(NamedQueries { name: name.to_owned(), queries: queries.collect::<Result<_>>()? })
        };
    let attributes = queries.vocabulary.iter().zip(&queries.attributes).zip(&space.attributes);
    Ok(StoredQueries {
        instance: space.instance,
        attributes: attributes
            .map(|((a, targets), &part)| named(&a.name, &a.values, targets, part))
            .collect::<Result<_>>()?,
        categories: named("category", &queries.category_vocabulary, &queries.categories, space.category)?,
    })
}
