//! The figures of features that nothing was learned from: the nearest features for instances, the nearest mean for attributes and
//! categories.

use crate::commands::evaluate_method::stored_queries;
use crate::data::manifest::{Manifest, Split};
use crate::error::{Error, Kind, Result};
use crate::eval::protocol::{evaluate, Protocol};
use crate::eval::results::EvaluationResults;
use crate::space::{normalize_subspaces, Embedding, Layout, Part, TaskLayout};
use crate::train::mean_queries::MeanQueries;
use candle_core::Tensor;

/// Features of a backbone before training.
#[derive(Debug, Clone)]
pub struct UntrainedFeatures {
    /// What they are, such as `last mean`.
    pub name: String,
    /// `[images, F]`: those of all images of the data set, in its order.
    pub rows: Tensor,
}

/// Evaluates untrained features of the images of `manifest` on the query and gallery images of `measured`, in the same protocol as a model:
/// each image's features at unit length are its embedding, and the query of a value or category is the mean over the training images of
/// `manifest` that show it.
///
/// # Errors
/// [`Kind::Mismatch`] unless there is a row for each image; those of [`evaluate`].
pub fn evaluate_untrained(
    features: &UntrainedFeatures,
    manifest: &Manifest,
    measured: &Manifest,
) -> Result<EvaluationResults> {
    let (images, dim) = features.rows.dims2()?;
    if images != manifest.images.len() {
        let message = format!("expected features of {} images, not {images}", manifest.images.len());
        return Err(Error::new(Kind::Mismatch, message));
    }
    let layout = Layout::new(1, dim, 0)?;
    let whole = Part::Superspace;
    let attributes = vec![whole; manifest.attributes.len()];
    let space = TaskLayout { subspaces: 1, dim, instance: whole, attributes, category: whole };
    let mut rows: Vec<Vec<f32>> = features.rows.to_vec2()?;
    rows.iter_mut().try_for_each(|row| normalize_subspaces(layout, row))?;
    let mut test = vec![None; images];
    for image in [measured.split(Split::Query), measured.split(Split::Gallery)].concat() {
        test[image] = Some(Embedding::from_f32(layout, &rows[image])?);
    }
    let train: Vec<Vec<f32>> =
        manifest.split(Split::Train).into_iter().map(|image| std::mem::take(&mut rows[image])).collect();
    let means = MeanQueries::new(manifest, &space, &train);
    evaluate(measured, &test, &stored_queries(&means, layout, &space)?, Protocol::default())
}
