//! Corrupts training labels on purpose, to measure how much that costs (Table 2b of the paper).

use super::manifest::{Manifest, Split};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How an attribute value is corrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Corruption {
    /// The label is removed.
    Absence,
    /// It is replaced by another value of the attribute.
    Swap,
    /// Either of the two, with probability 1/2 each.
    Both,
}

/// Returns the manifest with one attribute corrupted in a share of the training instances. All training images of an instance change
/// alike: a swap moves each value on by the same number of values. Attributes with a single value do not change, nor do query and
/// gallery images, so that evaluation stays correct.
pub fn corrupted(manifest: &Manifest, corruption: Corruption, share: f64, seed: u64) -> Manifest {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut corrupted = manifest.clone();
    let mut images: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for i in manifest.split(Split::Train) {
        images.entry(manifest.images[i].instance).or_default().push(i);
    }
    let labelled_attributes = |of: &[usize]| -> Vec<usize> {
        let attributes = of.iter().flat_map(|&i| {
            let values = manifest.images[i].values.iter().enumerate();
            values
                .filter_map(|(k, v)| (!v.is_empty() && manifest.attributes[k].values.len() > 1).then_some(k))
        });
        attributes.collect::<BTreeSet<_>>().into_iter().collect()
    };
    let mut candidates: Vec<(&Vec<usize>, Vec<usize>)> = images
        .values()
        .map(|of| (of, labelled_attributes(of)))
        .filter(|(_, shown)| !shown.is_empty())
        .collect();
    candidates.shuffle(&mut rng);
    let count = (images.len() as f64 * share).round() as usize;
    for (of, shown) in candidates.into_iter().take(count) {
        let Some(&k) = shown.choose(&mut rng) else { continue };
        let values = manifest.attributes[k].values.len() as u32;
        let shift = match corruption {
            Corruption::Absence => None,
            Corruption::Swap => Some(rng.random_range(1..values)),
            Corruption::Both => rng.random_bool(0.5).then(|| rng.random_range(1..values)),
        };
        for &i in of {
            let value = &mut corrupted.images[i].values[k];
            *value =
                shift.map(|shift| value.iter().map(|v| (v + shift) % values).collect()).unwrap_or_default();
        }
    }
    corrupted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::fixture::manifest;

    /// The number of instances with a changed label, of instances that lost a label, and the most attributes changed in one.
    fn changes(before: &Manifest, after: &Manifest) -> (usize, usize, usize) {
        let mut of: BTreeMap<u32, BTreeSet<(usize, bool)>> = BTreeMap::new();
        for (b, a) in before.images.iter().zip(&after.images) {
            for k in 0..3 {
                if b.values[k] != a.values[k] {
                    assert!(b.split == Split::Train && !b.values[k].is_empty() && k != 1);
                    of.entry(b.instance).or_default().insert((k, a.values[k].is_empty()));
                }
            }
        }
        let lost = of.values().filter(|c| c.iter().any(|&(_, none)| none)).count();
        (of.len(), lost, of.values().map(BTreeSet::len).max().unwrap_or(0))
    }

    #[test]
    fn one_attribute_changes_in_the_share_of_instances() {
        let m = manifest();
        assert_eq!(changes(&m, &corrupted(&m, Corruption::Absence, 0.2, 1)), (10, 10, 1));
        assert_eq!(changes(&m, &corrupted(&m, Corruption::Swap, 0.4, 1)), (20, 0, 1));
        let (instances, lost, most) = changes(&m, &corrupted(&m, Corruption::Both, 0.4, 1));
        assert!(instances == 20 && (4..=16).contains(&lost) && most == 1, "{lost}");
        assert_eq!(corrupted(&m, Corruption::Both, 0.4, 1), corrupted(&m, Corruption::Both, 0.4, 1));
        assert_ne!(corrupted(&m, Corruption::Both, 0.4, 1), corrupted(&m, Corruption::Both, 0.4, 2));
        assert_eq!(corrupted(&m, Corruption::Swap, 0.0, 1), m);
    }
    #[test]
    fn each_of_several_values_moves_on_by_the_same_number() {
        let mut m = manifest();
        m.images
            .iter_mut()
            .for_each(|i| i.values = vec![[0, 1].into_iter().collect(), None.into(), None.into()]);
        let swapped = corrupted(&m, Corruption::Swap, 1.0, 1);
        let train = swapped.images.iter().filter(|i| i.split == Split::Train);
        assert!(train.clone().all(|i| [[1, 2], [0, 2]].iter().any(|v| i.values[0].as_slice() == v)));
        let lost = corrupted(&m, Corruption::Absence, 1.0, 1);
        assert!(lost.images.iter().all(|i| i.values[0].is_empty() == (i.split == Split::Train)));
    }
}
