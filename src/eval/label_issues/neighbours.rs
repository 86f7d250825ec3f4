//! How the labels of an image's nearest neighbours vote.

use super::{LabelColumn, Probabilities};
use crate::data::manifest::Manifest;
use crate::error::Result;
use candle_core::{Tensor, D};
use rayon::prelude::*;

/// Neighbours that vote on a label.
const NEIGHBOURS: usize = 10;
/// With fewer neighbours that have a label, there is no vote.
const MIN_NEIGHBOURS: usize = 5;
/// At most so many images are searched for neighbours; all images are asked.
const SEARCHED: usize = 10_000;
/// Images per product of matrices.
const BATCH: usize = 256;

/// Per image and column, the shares of the values among the image's nearest neighbours that have one, by the cosine of their features
/// (`rows`, `[images, F]` for all images of `manifest`). Neighbours are images of other groups of instances: images of one product were
/// labelled together, and share its mistakes.
///
/// # Errors
/// If the features are not a matrix with a row for each image.
pub fn neighbour_votes(rows: &Tensor, manifest: &Manifest) -> Result<Probabilities> {
    let all: Vec<usize> = (0..manifest.images.len()).collect();
    let searched: Vec<usize> = all.iter().copied().step_by(all.len().div_ceil(SEARCHED).max(1)).collect();
    let columns = LabelColumn::all(manifest);
    let transposed = unit_rows(rows, &searched)?.t()?;
    let mut votes = Probabilities::new();
    for batch in all.chunks(BATCH) {
        let cosines: Vec<f32> = unit_rows(rows, batch)?.matmul(&transposed)?.flatten_all()?.to_vec1()?;
        let found = batch.par_iter().zip(cosines.par_chunks_exact(searched.len())).flat_map_iter(
            |(&image, cosines)| {
                let others = nearest_first(manifest, image, &searched, cosines);
                let vote = |&column: &LabelColumn| Some(((image, column), vote(manifest, column, &others)?));
                columns.iter().filter_map(vote).collect::<Vec<_>>()
            },
        );
        votes.par_extend(found);
    }
    Ok(votes)
}

/// The searched images of other groups, the nearest first.
fn nearest_first(manifest: &Manifest, image: usize, searched: &[usize], cosines: &[f32]) -> Vec<usize> {
    let group = |image: usize| manifest.instance_group[manifest.images[image].instance as usize];
    let others = searched.iter().copied().zip(cosines).filter(|(other, _)| group(*other) != group(image));
    let mut others: Vec<(usize, &f32)> = others.collect();
    others.sort_by(|a, b| b.1.total_cmp(a.1).then(a.0.cmp(&b.0)));
    others.into_iter().map(|(other, _)| other).collect()
}

/// The shares of a column's values among the first of `others` that have one; `None` if there are too few.
fn vote(manifest: &Manifest, column: LabelColumn, others: &[usize]) -> Option<Vec<f64>> {
    let labels = others.iter().filter_map(|&other| column.label(&manifest.images[other]));
    let labels: Vec<usize> = labels.take(NEIGHBOURS).collect();
    if labels.len() < MIN_NEIGHBOURS {
        return None;
    }
    let mut shares = vec![0.0; column.values(manifest).len()];
    labels.iter().for_each(|&value| shares[value] += 1.0 / labels.len() as f64);
    Some(shares)
}

/// `[images, F]`: the features of some images at unit length. `rows` has a row for each image of the data set.
///
/// # Errors
/// If an image has no row.
pub fn unit_rows(rows: &Tensor, images: &[usize]) -> Result<Tensor> {
    let index: Vec<u32> = images.iter().map(|&i| i as u32).collect();
    let rows = rows.index_select(&Tensor::new(index, rows.device())?, 0)?;
    // Features that are all zeros have no direction.
    let lengths = rows.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?.maximum(1e-12)?;
    Ok(rows.broadcast_div(&lengths)?)
}
