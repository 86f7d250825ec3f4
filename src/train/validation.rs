//! The validation score: how well held-out images retrieve each other.

use super::feature_source::FeatureSource;
use super::geometry::unit_subspaces;
use super::method::Method;
use crate::data::manifest::{Manifest, ValueSet};
use crate::error::{Error, Kind, Result};
use crate::space::{Part, TaskLayout};
use candle_core::{DType, Device, Tensor};

/// Images whose features are computed together.
const BATCH: usize = 64;

/// The labels of held-out images. In the feature source they follow the images that learn.
#[derive(Debug, Clone)]
pub struct Validation {
    /// Index of the first held-out image in the feature source.
    pub(super) first: u32,
    pub(super) instances: Vec<u32>,
    pub(super) categories: Vec<u32>,
    pub(super) values: Vec<Vec<ValueSet>>,
}

impl Validation {
    /// `images` are indices in the manifest; in the feature source they start at index `first`.
    pub fn new(manifest: &Manifest, images: &[usize], first: usize) -> Self {
        let entries = || images.iter().map(|&i| &manifest.images[i]);
        Self {
            first: first as u32,
            instances: entries().map(|e| e.instance).collect(),
            categories: entries().map(|e| e.category).collect(),
            values: entries().map(|e| e.values.clone()).collect(),
        }
    }

    /// The score, from 0 to 1: recall at 1 of each image among the others, averaged over the three tasks. For instances an image of the
    /// same instance is relevant. For the category and each attribute an image of *another* instance with the same label is relevant (of
    /// several values, one in common), so that recognising the instance does not help. Images without a relevant image are left out.
    ///
    /// # Errors
    /// Those of the source; [`Kind::InvalidData`] if no image has a relevant image.
    pub fn score(&self, method: &dyn Method, source: &mut dyn FeatureSource) -> Result<f64> {
        let last = self.first + self.instances.len() as u32;
        let mut rows = Vec::new();
        for images in (self.first..last).collect::<Vec<_>>().chunks(BATCH) {
            let embedded = method.embed(&source.evaluation_batch(images)?.detach())?.detach();
            rows.push(embedded.to_device(&Device::Cpu)?);
        }
        self.score_of(&Tensor::cat(&rows, 0)?, &method.task_layout())
    }

    /// [`Validation::score`] from raw embeddings `[images, S·d]`.
    fn score_of(&self, embeddings: &Tensor, space: &TaskLayout) -> Result<f64> {
        let unit = unit_subspaces(embeddings, space.subspaces)?;
        let similarities = |part: Part| -> Result<Vec<Vec<f32>>> {
            let columns = match part {
                Part::Superspace => unit.clone(),
                Part::Subspace(s) => unit.narrow(1, s * space.dim, space.dim)?.contiguous()?,
            };
            Ok(columns.matmul(&columns.t()?)?.to_dtype(DType::F32)?.to_vec2()?)
        };
        let same_instance = |i: usize, j: usize| self.instances[i] == self.instances[j];
        let instance =
            recall_at_1(&similarities(space.instance)?, |i, j| Some((same_instance(i, j), i != j)));
        let category = recall_at_1(&similarities(space.category)?, |i, j| {
            Some((self.categories[i] == self.categories[j], !same_instance(i, j)))
        });
        let mut attributes = Vec::new();
        for (k, &part) in space.attributes.iter().enumerate() {
            attributes.push(recall_at_1(&similarities(part)?, |i, j| {
                let (a, b) = (&self.values[i][k], &self.values[j][k]);
                (!a.is_empty() && !b.is_empty()).then(|| (a.shares_value(b), !same_instance(i, j)))
            }));
        }
        let attributes = mean(attributes.into_iter().flatten());
        mean([instance, attributes, category].into_iter().flatten()).ok_or_else(|| {
            Error::new(Kind::InvalidData, "the images held out have no label in common")
                .hint("Hold out more of them with --validation.")
        })
    }
}

/// The share of images whose most similar candidate is relevant, among images that have a relevant candidate. `judge(i, j)` returns whether j
/// is relevant for i and whether it is a candidate; `None` if one of them has no label.
fn recall_at_1(
    similarities: &[Vec<f32>],
    judge: impl Fn(usize, usize) -> Option<(bool, bool)>,
) -> Option<f64> {
    let hit = |(i, row): (usize, &Vec<f32>)| {
        let candidates = row.iter().enumerate().filter_map(|(j, s)| match judge(i, j) {
            Some((right, true)) => Some((*s, right)),
            _ => None,
        });
        let (mut best, mut hit, mut any) = (f32::NEG_INFINITY, false, false);
        for (similarity, right) in candidates {
            any |= right;
            if similarity > best {
                (best, hit) = (similarity, right);
            }
        }
        any.then_some(f64::from(u8::from(hit)))
    };
    mean(similarities.iter().enumerate().filter_map(hit))
}

/// The mean; `None` if there are no values.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0usize, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::fixture::value_sets;

    /// Embeddings with two subspaces of two dimensions, each given by its angle.
    fn embeddings(angles: &[[f64; 2]]) -> Tensor {
        let numbers: Vec<f64> = angles.iter().flatten().flat_map(|a| [a.cos(), a.sin()]).collect();
        Tensor::from_vec(numbers, (angles.len(), 4), &Device::Cpu).unwrap()
    }

    #[test]
    fn the_score_by_hand() {
        let validation = Validation {
            first: 0,
            instances: vec![0, 0, 1, 2],
            categories: vec![0, 0, 0, 1],
            values: [[Some(0), None], [Some(0), Some(1)], [Some(0), Some(1)], [Some(1), Some(0)]]
                .map(value_sets)
                .into(),
        };
        let x = embeddings(&[[0.0, 0.0], [0.1, 0.1], [0.9, 0.3], [0.5, 2.0]]);
        // Instances: 0 and 1 find each other; 2 and 3 are alone. 1.
        // Categories (other instances, both subspaces): 0 finds 2 (cos .9 + cos .3 = 1.58 against .88 - .42 = .46), right;
        // 1 finds 2, right; 2 finds 1 (.70 + .98), right; 3 has none. 1.
        // First attribute: 0 is nearest to 3 (.5), wrong; 1 to 3 (.4), wrong; 2 to 3 (.4), wrong; 3 has none. 0.
        // Second: 1 finds 2 (.2), 2 finds 1, right; 0 has no value, 3 none like it. 1. Attributes: .5.
        let score = validation.score_of(&x, &TaskLayout::cooperative(2, 2)).unwrap();
        assert!((score - 2.5 / 3.0).abs() < 1e-12, "{score}");
    }
}
