//! Images held out of training, and how well they are retrieved among themselves.

use super::feature_source::FeatureSource;
use super::losses::unit_subspaces;
use super::method::Method;
use crate::data::manifest::{Manifest, Split};
use crate::error::{Error, Kind, Result};
use crate::space::{Part, TaskLayout};
use candle_core::{DType, Device, Tensor};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::SeedableRng;
use std::collections::BTreeSet;

/// Images whose features are computed together.
const BATCH: usize = 64;

/// The training images of a manifest, divided by group of instances: none has images on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldOut {
    /// Indices in [`Manifest::images`] of those that learn.
    pub train: Vec<usize>,
    /// Of those held out.
    pub validation: Vec<usize>,
}

impl HeldOut {
    /// Nothing held out: every training image learns.
    pub fn none(manifest: &Manifest) -> Self {
        Self { train: manifest.split(Split::Train), validation: Vec::new() }
    }

    /// Holds out `fraction` of the groups of training instances, which the seed picks.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] for a fraction outside (0, 1); [`Kind::InvalidData`] if one of the sides would be empty.
    pub fn new(manifest: &Manifest, fraction: f64, seed: u64) -> Result<Self> {
        if !(fraction > 0.0 && fraction < 1.0) {
            return Err(Error::new(
                Kind::InvalidParameter,
                format!("the validation fraction must be between 0 and 1, not {fraction}"),
            ));
        }
        let groups = shuffled_groups(manifest, seed);
        let count = (groups.len() as f64 * fraction).round() as usize;
        if count == 0 || count == groups.len() {
            return Err(Error::new(
                Kind::InvalidData,
                format!("{fraction} of {} groups of training instances cannot be held out", groups.len()),
            )
            .hint("Both sides need an instance: train without --validation and --calibration, or with another fraction."));
        }
        Ok(Self::of(manifest, &groups[..count]))
    }

    /// Divides the groups of training instances into `count` parts, as the seed shuffles them, and holds out each part once.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] if there are fewer groups than parts.
    pub fn folds(manifest: &Manifest, count: usize, seed: u64) -> Result<Vec<Self>> {
        let groups = shuffled_groups(manifest, seed);
        if groups.len() < count.max(2) {
            return Err(Error::new(
                Kind::InvalidData,
                format!("{} groups of training instances cannot be divided into {count} parts", groups.len()),
            )
            .hint("Train with --calibration-folds 0, or with fewer of them."));
        }
        let start = |fold: usize| fold * groups.len() / count;
        Ok((0..count).map(|fold| Self::of(manifest, &groups[start(fold)..start(fold + 1)])).collect())
    }

    fn of(manifest: &Manifest, held_out: &[u32]) -> Self {
        let held_out: BTreeSet<&u32> = held_out.iter().collect();
        let group = |i: &usize| &manifest.instance_group[manifest.images[*i].instance as usize];
        let (validation, train) =
            manifest.split(Split::Train).into_iter().partition(|i| held_out.contains(group(i)));
        Self { train, validation }
    }
}

/// The groups that have training images, in an order that the seed picks.
fn shuffled_groups(manifest: &Manifest, seed: u64) -> Vec<u32> {
    let of = |i: usize| manifest.instance_group[manifest.images[i].instance as usize];
    let groups: BTreeSet<u32> = manifest.split(Split::Train).into_iter().map(of).collect();
    let mut groups: Vec<u32> = groups.into_iter().collect();
    groups.shuffle(&mut StdRng::seed_from_u64(seed));
    groups
}

/// Labels of the images held out; their features follow those of the training images in the source.
#[derive(Debug, Clone)]
pub struct Validation {
    /// The source's index of the first.
    first: u32,
    instances: Vec<u32>,
    categories: Vec<u32>,
    values: Vec<Vec<Option<u32>>>,
}

impl Validation {
    /// `images` index the manifest; they are the source's from `first` on.
    pub fn new(manifest: &Manifest, images: &[usize], first: usize) -> Self {
        let entries = || images.iter().map(|&i| &manifest.images[i]);
        Self {
            first: first as u32,
            instances: entries().map(|e| e.instance).collect(),
            categories: entries().map(|e| e.category).collect(),
            values: entries().map(|e| e.values.clone()).collect(),
        }
    }

    /// From 0 to 1: how often the nearest other image is right, averaged over the three kinds of question. For instances that is
    /// the same instance; for a category and for each attribute, an image of *another* instance with the same label, so that
    /// knowing the instance is no answer. Images whose question has no right answer here are left out.
    ///
    /// # Errors
    /// Those of the source; [`Kind::InvalidData`] if no question has an answer.
    pub fn score(&self, method: &dyn Method, source: &mut dyn FeatureSource) -> Result<f64> {
        let last = self.first + self.instances.len() as u32;
        let mut rows = Vec::new();
        for images in (self.first..last).collect::<Vec<_>>().chunks(BATCH) {
            let embedded = method.embed(&source.plain(images)?.detach())?.detach();
            rows.push(embedded.to_device(&Device::Cpu)?);
        }
        self.of_embeddings(&Tensor::cat(&rows, 0)?, &method.task_layout())
    }

    /// [`Validation::score`] of raw embeddings `[images, S·d]`.
    fn of_embeddings(&self, embeddings: &Tensor, space: &TaskLayout) -> Result<f64> {
        let unit = unit_subspaces(embeddings, space.subspaces)?;
        let similarities = |place: Part| -> Result<Vec<Vec<f32>>> {
            let part = match place {
                Part::Superspace => unit.clone(),
                Part::Subspace(s) => unit.narrow(1, s * space.dim, space.dim)?.contiguous()?,
            };
            Ok(part.matmul(&part.t()?)?.to_dtype(DType::F32)?.to_vec2()?)
        };
        let same_instance = |i: usize, j: usize| self.instances[i] == self.instances[j];
        let instance = nearest(&similarities(space.instance)?, |i, j| Some((same_instance(i, j), i != j)));
        let category = nearest(&similarities(space.category)?, |i, j| {
            Some((self.categories[i] == self.categories[j], !same_instance(i, j)))
        });
        let mut attributes = Vec::new();
        for (k, &place) in space.attributes.iter().enumerate() {
            attributes.push(nearest(&similarities(place)?, |i, j| {
                let (a, b) = (self.values[i][k]?, self.values[j][k]?);
                Some((a == b, !same_instance(i, j)))
            }));
        }
        let attributes = mean(attributes.into_iter().flatten());
        mean([instance, attributes, category].into_iter().flatten()).ok_or_else(|| {
            Error::new(Kind::InvalidData, "the images held out have no label in common")
                .hint("Hold out more of them with --validation.")
        })
    }
}

/// How often the most similar candidate is right. `judge(i, j)` says whether j is right for i and whether it is a candidate at
/// all; `None` if one of them has no label.
fn nearest(similarities: &[Vec<f32>], judge: impl Fn(usize, usize) -> Option<(bool, bool)>) -> Option<f64> {
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

/// `None` of nothing.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0usize, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::fixture::manifest;

    #[test]
    fn each_image_is_held_out_of_one_fold_and_variants_together() {
        let mut m = manifest();
        // Five groups of ten instances.
        m.instance_group.iter_mut().for_each(|g| *g /= 10);
        let folds = HeldOut::folds(&m, 3, 7).unwrap();
        let group = |i: &usize| m.instance_group[m.images[*i].instance as usize];
        let mut judged: Vec<usize> = Vec::new();
        for HeldOut { train, validation } in &folds {
            let groups: BTreeSet<u32> = validation.iter().map(group).collect();
            assert!((1..=2).contains(&groups.len()) && !train.iter().any(|i| groups.contains(&group(i))));
            assert_eq!(train.len() + validation.len(), 100);
            judged.extend(validation);
        }
        judged.sort_unstable();
        assert_eq!(judged, m.split(Split::Train));
        assert_eq!(folds, HeldOut::folds(&m, 3, 7).unwrap());
        assert_ne!(folds, HeldOut::folds(&m, 3, 8).unwrap());
        assert_eq!(HeldOut::folds(&m, 6, 7).unwrap_err().kind, Kind::InvalidData);
        let one = HeldOut::new(&m, 0.2, 7).unwrap();
        assert_eq!(one.validation.iter().map(group).collect::<BTreeSet<_>>().len(), 1);
    }

    /// Two attributes of one dimension each... in the plane: angles, so that every subspace has two dimensions.
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
            values: vec![
                vec![Some(0), None],
                vec![Some(0), Some(1)],
                vec![Some(0), Some(1)],
                vec![Some(1), Some(0)],
            ],
        };
        let x = embeddings(&[[0.0, 0.0], [0.1, 0.1], [0.9, 0.3], [0.5, 2.0]]);
        // Instances: 0 and 1 find each other; 2 and 3 are alone. 1.
        // Categories (other instances, both subspaces): 0 finds 2 (cos .9 + cos .3 = 1.58 against .88 - .42 = .46), right;
        // 1 finds 2, right; 2 finds 1 (.70 + .98), right; 3 has none. 1.
        // First attribute: 0 is nearest to 3 (.5), wrong; 1 to 3 (.4), wrong; 2 to 3 (.4), wrong; 3 has none. 0.
        // Second: 1 finds 2 (.2), 2 finds 1, right; 0 has no value, 3 none like it. 1. Attributes: .5.
        let score = validation.of_embeddings(&x, &TaskLayout::cooperative(2, 2)).unwrap();
        assert!((score - 2.5 / 3.0).abs() < 1e-12, "{score}");
    }
}
