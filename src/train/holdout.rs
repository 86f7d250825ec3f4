//! Which training images are held out of training, for validation or for calibration.

use crate::data::manifest::{Manifest, Split};
use crate::error::{Error, Kind, Result};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::SeedableRng;
use std::collections::{BTreeMap, BTreeSet};

/// The training images of a manifest, split into images that learn and images that are held out. Whole groups of instances (variants of
/// one thing) are held out, so that no group has images on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdout {
    /// The images that learn, as indices in [`Manifest::images`].
    pub train: Vec<usize>,
    /// The images that are held out, as indices in [`Manifest::images`].
    pub held_out: Vec<usize>,
}

impl Holdout {
    /// Holds out nothing: every training image learns.
    pub fn none(manifest: &Manifest) -> Self {
        Self { train: manifest.split(Split::Train), held_out: Vec::new() }
    }

    /// Holds out a fraction of the groups of training instances; the seed selects them.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] for a fraction outside (0, 1); [`Kind::InvalidData`] if one side would be empty.
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
        Ok(Self::of_groups(manifest, &groups[..count]))
    }

    /// The number of groups that have training images.
    pub fn group_count(manifest: &Manifest) -> usize {
        shuffled_groups(manifest, 0).len()
    }

    /// Folds for cross-fitting: divides the groups of training instances into `count` parts, shuffled by the seed, and holds out each part
    /// once. The parts are stratified: the groups of each category are dealt out one after the other, so that no training lacks more of a
    /// category than it must. With parts at random, held-out images would come most often from the categories that lack most.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] if there are fewer groups than parts.
    pub fn folds(manifest: &Manifest, count: usize, seed: u64) -> Result<Vec<Self>> {
        let mut groups = shuffled_groups(manifest, seed);
        if groups.len() < count.max(2) {
            return Err(Error::new(
                Kind::InvalidData,
                format!("{} groups of training instances cannot be divided into {count} parts", groups.len()),
            )
            .hint("Train with --calibration-folds 0, or with fewer of them."));
        }
        let category: BTreeMap<u32, u32> = (manifest.instance_group.iter().copied())
            .zip(manifest.instance_category.iter().copied())
            .collect();
        groups.sort_by_key(|group| category.get(group));
        let part = |fold: usize| groups.iter().copied().skip(fold).step_by(count).collect::<Vec<u32>>();
        Ok((0..count).map(|fold| Self::of_groups(manifest, &part(fold))).collect())
    }

    fn of_groups(manifest: &Manifest, groups: &[u32]) -> Self {
        let groups: BTreeSet<&u32> = groups.iter().collect();
        let group = |i: &usize| &manifest.instance_group[manifest.images[*i].instance as usize];
        let (held_out, train) =
            manifest.split(Split::Train).into_iter().partition(|i| groups.contains(group(i)));
        Self { train, held_out }
    }
}

/// The groups that have training images, shuffled by the seed.
fn shuffled_groups(manifest: &Manifest, seed: u64) -> Vec<u32> {
    let of = |i: usize| manifest.instance_group[manifest.images[i].instance as usize];
    let groups: BTreeSet<u32> = manifest.split(Split::Train).into_iter().map(of).collect();
    let mut groups: Vec<u32> = groups.into_iter().collect();
    groups.shuffle(&mut StdRng::seed_from_u64(seed));
    groups
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
        let folds = Holdout::folds(&m, 3, 7).unwrap();
        let group = |i: &usize| m.instance_group[m.images[*i].instance as usize];
        let mut seen: Vec<usize> = Vec::new();
        for Holdout { train, held_out } in &folds {
            let groups: BTreeSet<u32> = held_out.iter().map(group).collect();
            assert!((1..=2).contains(&groups.len()) && !train.iter().any(|i| groups.contains(&group(i))));
            assert_eq!(train.len() + held_out.len(), 100);
            seen.extend(held_out);
        }
        seen.sort_unstable();
        assert_eq!(seen, m.split(Split::Train));
        assert_eq!(folds, Holdout::folds(&m, 3, 7).unwrap());
        assert_ne!(folds, Holdout::folds(&m, 3, 8).unwrap());
        assert_eq!(Holdout::folds(&m, 6, 7).unwrap_err().kind, Kind::InvalidData);
        // Two categories of two groups and one of one: no half lacks a whole category that has two.
        m.instance_category = (0..m.instance_group.len()).map(|i| m.instance_group[i] / 2).collect();
        for half in Holdout::folds(&m, 2, 7).unwrap() {
            let learned: BTreeSet<u32> = half.train.iter().map(group).collect();
            for pair in [[0, 1], [2, 3]] {
                assert_eq!(pair.iter().filter(|g| learned.contains(g)).count(), 1, "{learned:?}");
            }
        }
        let one = Holdout::new(&m, 0.2, 7).unwrap();
        assert_eq!(one.held_out.iter().map(group).collect::<BTreeSet<_>>().len(), 1);
    }
}
