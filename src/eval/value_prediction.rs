//! Predicts the attribute values of images as the nearest values, and measures the errors; for ordered attributes also in ranks.

use super::metrics::{mean, rank_of_first_hit, ranking};
use crate::data::manifest::Manifest;
use crate::error::Result;
use crate::model::{Model, Proxies};
use crate::space::{normalize_subspaces, Layout};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Which point represents a value when the value of an image is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PredictBy {
    /// The value's proxy, compared as in training: Eq. 2 is a classifier over the distances of raw embeddings from raw
    /// proxies, and this is its prediction. (An embedding of unit length must not be compared with proxies of another length: the longest
    /// proxy would be too far away, whatever its direction.) Models trained with --normalize compare unit vectors.
    #[default]
    Proxy,
    /// The value's stored query: the prediction is the nearest value in the server, by `emb <-> coop_attr_query(...)`.
    Mean,
}

/// The points that represent the values of each attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferencePoints {
    /// The layout of the subspaces.
    pub layout: Layout,
    /// Whether embeddings are compared at unit length.
    pub unit: bool,
    /// Per attribute of the model.
    pub attributes: Vec<AttributePoints>,
}

/// The points of one attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributePoints {
    /// The attribute's name.
    pub name: String,
    /// Whether its values are ordered.
    pub ordered: bool,
    /// Per value, in order, its name and its point `[n]`; `None` if no training image shows it.
    pub values: Vec<(String, Option<Vec<f32>>)>,
}

impl ReferencePoints {
    /// The points of a trained model; `weights` are the bytes of its `model.safetensors`.
    ///
    /// # Errors
    /// [`crate::error::Kind::InvalidModel`] if the proxies do not fit the config.
    pub fn of(model: &Model, weights: &[u8], by: PredictBy) -> Result<Self> {
        let (config, layout) = (model.config(), model.layout());
        let normalized = config.training["settings"]["normalize"].as_bool().unwrap_or(false);
        let proxies = Proxies::from_parts(config, weights)?;
        let mut attributes = Vec::with_capacity(config.attributes.len());
        for (k, a) in config.attributes.iter().enumerate() {
            let mut points = match by {
                PredictBy::Mean => model.prototypes().attribute_queries(k).to_vec(),
                PredictBy::Proxy => {
                    let rows = proxies.attributes[k].chunks_exact(layout.subspace_dim());
                    // The proxy of a value without training images has not learned anything.
                    rows.zip(&a.values).map(|(row, v)| (v.images > 0).then(|| row.to_vec())).collect()
                }
            };
            if by == PredictBy::Proxy && normalized {
                let one = Layout::new(1, layout.subspace_dim(), layout.fingerprint())?;
                points.iter_mut().flatten().try_for_each(|p| normalize_subspaces(one, p))?;
            }
            let names = a.values.iter().map(|v| v.name.clone());
            attributes.push(AttributePoints {
                name: a.name.clone(),
                ordered: a.ordered,
                values: names.zip(points).collect(),
            });
        }
        Ok(Self { layout, unit: by == PredictBy::Mean || normalized, attributes })
    }
}

/// How well the values of one attribute are predicted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PredictionResult {
    /// The attribute.
    pub name: String,
    /// Whether its values are ordered.
    pub ordered: bool,
    /// Images that count: those with a value that some training image shows.
    pub images: usize,
    /// Images with another value of the attribute; they do not count.
    pub unseen: usize,
    /// The fraction of images whose nearest value is right, or one of several that are.
    pub accuracy: Averages,
    /// The mean of 1 / rank, for the rank of the right value among all values by distance.
    pub mean_reciprocal_rank: Averages,
    /// The mean difference in rank between the right and the nearest value; only for ordered attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_absolute_error: Option<Averages>,
    /// The names of the values.
    pub values: Vec<String>,
    /// `[right][predicted]`: numbers of images, those with several values left out.
    pub confusion: Vec<Vec<usize>>,
}

/// A mean over images and a mean over values; `None` without images.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Averages {
    /// The mean over images.
    pub micro: Option<f64>,
    /// The mean over values of the mean over the images of each value.
    #[serde(rename = "macro")]
    pub macro_: Option<f64>,
}

/// The prediction of one image's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prediction {
    /// The right value; of several the nearest.
    pub right: usize,
    /// Whether there are several.
    pub several: bool,
    /// The nearest value.
    pub nearest: usize,
    /// The number of values that are nearer than the right one.
    pub nearer: usize,
}

impl Prediction {
    /// From the values that are right and the image's distance to each value, which is `None` for values that cannot be predicted. The
    /// result is `None` if no right value can be. Of equal distances the first counts as nearer.
    pub fn new(right: &[usize], distances: &[Option<f64>]) -> Option<Self> {
        let known: Vec<usize> = (0..distances.len()).filter(|&v| distances[v].is_some()).collect();
        let distances: Vec<f64> = distances.iter().flatten().copied().collect();
        let nearer = rank_of_first_hit(&distances, |i| right.contains(&known[i]))?;
        let order = ranking(&distances);
        let value = |rank: usize| order.get(rank).map(|&i| known[i]);
        Some(Self { right: value(nearer)?, several: right.len() > 1, nearest: value(0)?, nearer })
    }
}

impl PredictionResult {
    /// The figures of these predictions; `unseen` is the number of images with a value that cannot be predicted.
    pub fn new(
        name: String,
        ordered: bool,
        values: Vec<String>,
        predictions: &[Prediction],
        unseen: usize,
    ) -> Self {
        let mut confusion = vec![vec![0; values.len()]; values.len()];
        predictions.iter().filter(|p| !p.several).for_each(|p| confusion[p.right][p.nearest] += 1);
        let averages = |of: &dyn Fn(&Prediction) -> f64| Averages {
            micro: mean(predictions.iter().map(of)),
            macro_: mean(
                (0..values.len()).filter_map(|v| mean(predictions.iter().filter(|p| p.right == v).map(of))),
            ),
        };
        Self {
            name,
            ordered,
            images: predictions.len(),
            unseen,
            accuracy: averages(&|p| f64::from(u8::from(p.right == p.nearest))),
            mean_reciprocal_rank: averages(&|p| 1.0 / (p.nearer + 1) as f64),
            mean_absolute_error: ordered.then(|| averages(&|p| p.right.abs_diff(p.nearest) as f64)),
            values,
            confusion,
        }
    }
}

/// Predicts the values of `images`, whose raw embeddings are the rows of `raw` (`[images, N]`), and compares them with the labels.
/// Attributes that the data set does not have are left out.
///
/// # Errors
/// [`crate::error::Kind::InvalidParameter`] for an embedding that is not finite.
pub fn predict(
    manifest: &Manifest,
    images: &[usize],
    raw: &[f32],
    points: &ReferencePoints,
) -> Result<Vec<PredictionResult>> {
    let layout = points.layout;
    let mut raw = raw.to_vec();
    if points.unit {
        raw.par_chunks_mut(layout.dimensions()).try_for_each(|row| normalize_subspaces(layout, row))?;
    }
    let mut reports = Vec::new();
    for (k, attribute) in points.attributes.iter().enumerate() {
        let Some(column) = manifest.attributes.iter().position(|a| a.name == attribute.name) else {
            continue;
        };
        let names = &manifest.attributes[column].values;
        let predictions: Vec<Option<Prediction>> = images
            .par_iter()
            .zip(raw.par_chunks_exact(layout.dimensions()))
            .map(|(&image, row)| (&manifest.images[image].values[column], &row[layout.range(k)]))
            .filter(|(shown, _)| !shown.is_empty())
            .map(|(shown, slice)| {
                let place =
                    |value| attribute.values.iter().position(|(name, _)| *name == names[value as usize]);
                let right: Vec<usize> = shown.iter().filter_map(place).collect();
                let distance = |point: &Vec<f32>| squared_distance(slice, point);
                let distances: Vec<_> =
                    attribute.values.iter().map(|(_, p)| p.as_ref().map(distance)).collect();
                Prediction::new(&right, &distances)
            })
            .collect();
        let unseen = predictions.iter().filter(|p| p.is_none()).count();
        let predictions: Vec<Prediction> = predictions.into_iter().flatten().collect();
        let values = attribute.values.iter().map(|(name, _)| name.clone()).collect();
        reports.push(PredictionResult::new(
            attribute.name.clone(),
            attribute.ordered,
            values,
            &predictions,
            unseen,
        ));
    }
    Ok(reports)
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

#[cfg(test)]
mod tests;
