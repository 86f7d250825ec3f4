//! Evaluation of what a method has learned, before (or without) a model being made of it: on features that are there already.

use crate::data::manifest::{Manifest, Split};
use crate::error::Result;
use crate::eval::ordered::{predict, AttributePoints, Points, Reference};
use crate::eval::protocol::{evaluate, NamedQueries, Protocol, Prototypes};
use crate::eval::results::Report;
use crate::model::Named;
use crate::space::{normalize_subspaces, Embedding, Layout, Query};
use crate::space::{Part, TaskLayout};
use crate::train::mean_queries::MeanQueries;
use crate::train::method::Method;
use crate::train::settings::Settings;
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
/// corrupted) and asks them, as each task would, in the part of the embedding that is its own. Where there are proxies, they
/// also say the gallery images' values.
///
/// # Errors
/// If an embedding is not finite; those of [`evaluate`].
pub fn evaluate_method(
    method: &dyn Method,
    data: &Featured,
    labels: &Manifest,
    settings: &Settings,
    protocol: Protocol,
) -> Result<Report> {
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
    let mut report = evaluate(&data.manifest, &test, &prototypes(&queries, layout, &space)?, protocol)?;
    if let Some(learned) = method.cooperative() {
        let points = points(&learned.attribute_proxies, &queries, layout, settings.normalize)?;
        let gallery =
            |&(image, _): &(&usize, &Vec<f32>)| data.manifest.images[*image].split == Split::Gallery;
        let (images, rows): (Vec<usize>, Vec<&[f32]>) =
            data.test_images.iter().zip(&raw).filter(gallery).map(|(i, row)| (*i, row.as_slice())).unzip();
        report.predicted_by = Reference::Proxy;
        report.predictions = predict(&data.manifest, &images, &rows.concat(), &points)?;
    }
    Ok(report)
}

/// The values' proxies, in the geometry of training: raw, or all at unit length.
fn points(proxies: &[Tensor], queries: &MeanQueries, layout: Layout, unit: bool) -> Result<Points> {
    let one = Layout::new(1, layout.subspace_dim(), 0)?;
    let mut attributes = Vec::with_capacity(proxies.len());
    for (proxies, attribute) in proxies.iter().zip(&queries.vocabulary) {
        let mut values = Vec::with_capacity(attribute.values.len());
        for (mut point, value) in proxies.detach().to_vec2::<f32>()?.into_iter().zip(&attribute.values) {
            if unit {
                normalize_subspaces(one, &mut point)?;
            }
            // A value without training images has a proxy that nothing moved.
            values.push((value.name.clone(), (value.images > 0).then_some(point)));
        }
        attributes.push(AttributePoints { name: attribute.name.clone(), ordered: attribute.ordered, values });
    }
    Ok(Points { layout, unit, attributes })
}

fn embeddings(method: &dyn Method, features: &Tensor) -> Result<Vec<Vec<f32>>> {
    let images = features.dim(0)?;
    let mut all = Vec::with_capacity(images);
    // Features are kept in main memory, and the method may have learned elsewhere.
    let parameters = method.parameters();
    let device = parameters.first().map_or(features.device(), |p| p.var.device());
    for start in (0..images).step_by(BATCH) {
        let rows = features.narrow(0, start, BATCH.min(images - start))?.to_device(device)?;
        all.extend(method.embed(&rows)?.detach().to_vec2::<f32>()?);
    }
    Ok(all)
}

fn prototypes(queries: &MeanQueries, layout: Layout, space: &TaskLayout) -> Result<Prototypes> {
    let named = |name: &str, names: &[Named], targets: &[f32], place: Part| -> Result<NamedQueries> {
        let targets = targets.chunks_exact(space.range(place).len());
        let query = |target: &[f32]| match place {
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
    Ok(Prototypes {
        instance: space.instance,
        attributes: attributes
            .map(|((a, targets), &place)| named(&a.name, &a.values, targets, place))
            .collect::<Result<_>>()?,
        categories: named("category", &queries.named_categories, &queries.categories, space.category)?,
    })
}
