//! What may be wrong with the labels of an attribute: few images, labels that disagree, labels that are absent.

use crate::data::manifest::{Manifest, Split, ValueSet};
use std::collections::BTreeMap;

/// A value with fewer training images is rare.
const FEW_IMAGES: usize = 24;
/// Rare values are a reason from this share of the values on.
const RARE_VALUES: f64 = 1.0 / 3.0;
/// Absent labels are a reason if a smaller share of the training images has one.
const LABELLED: f64 = 0.2;
/// Instances whose images have different values are a reason from this share of the instances on.
const DISAGREEING_INSTANCES: f64 = 0.1;
/// Pairs of images that look alike and have different values are a reason from this part of the share that chance would give.
const DISAGREEING_PAIRS: f64 = 0.5;
/// Fewer instances or pairs say nothing.
const ENOUGH: usize = 20;

/// Counts of the labels of an attribute among the training images.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelCheck {
    /// Training images.
    pub images: usize,
    /// Training images with a value.
    pub labelled: usize,
    /// Values with training images.
    pub values: usize,
    /// Values with some training images, but fewer than 24.
    pub rare_values: usize,
    /// The value with the fewest training images, and their number.
    pub rarest: Option<(String, usize)>,
    /// Instances with several labelled training images.
    pub instances: usize,
    /// Those of them whose images have different values: none in common.
    pub disagreeing_instances: usize,
    /// Pairs of labelled training images that look alike.
    pub pairs: usize,
    /// Those of them with different values.
    pub disagreeing_pairs: usize,
    /// The probability that two labelled training images have different values: none in common.
    pub chance: f64,
}

impl LabelCheck {
    /// Counts the labels of attribute `k`. `alike` are pairs of training images that look alike, as indices of images.
    pub fn new(manifest: &Manifest, k: usize, alike: &[(usize, usize)]) -> Self {
        let train = manifest.split(Split::Train);
        let shown = |image: usize| Some(&manifest.images[image].values[k]).filter(|set| !set.is_empty());
        let mut counts = vec![0usize; manifest.attributes[k].values.len()];
        let mut of_instance: BTreeMap<u32, Vec<&ValueSet>> = BTreeMap::new();
        let mut sets: BTreeMap<&ValueSet, usize> = BTreeMap::new();
        for &image in &train {
            let Some(set) = shown(image) else { continue };
            set.iter().for_each(|value| counts[value as usize] += 1);
            *sets.entry(set).or_default() += 1;
            of_instance.entry(manifest.images[image].instance).or_default().push(set);
        }
        let labelled: usize = sets.values().sum();
        let rarest = (0..counts.len()).filter(|&v| counts[v] > 0).min_by_key(|&v| counts[v]);
        of_instance.retain(|_, values| values.len() > 1);
        let pairs = || alike.iter().filter_map(|&(a, b)| Some((shown(a)?, shown(b)?)));
        let share = |count: usize| count as f64 / labelled.max(1) as f64;
        let in_common = sets.iter().flat_map(|(a, &m)| {
            let alike = sets.iter().filter(|(b, _)| a.shares_value(b));
            alike.map(move |(_, &n)| share(m) * share(n))
        });
        Self {
            images: train.len(),
            labelled,
            values: counts.iter().filter(|&&c| c > 0).count(),
            rare_values: counts.iter().filter(|&&c| c > 0 && c < FEW_IMAGES).count(),
            rarest: rarest.map(|v| (manifest.attributes[k].values[v].clone(), counts[v])),
            instances: of_instance.len(),
            disagreeing_instances: of_instance
                .values()
                .filter(|v| v.iter().any(|x| !x.shares_value(v[0])))
                .count(),
            pairs: pairs().count(),
            disagreeing_pairs: pairs().filter(|(a, b)| !a.shares_value(b)).count(),
            chance: 1.0 - in_common.sum::<f64>(),
        }
    }

    /// Why a model may be weak at the attribute, in words. Empty if the labels give no reason.
    pub fn reasons(&self) -> Vec<String> {
        let reasons =
            [self.rare_values_reason(), self.absence_reason(), self.instances_reason(), self.pairs_reason()];
        reasons.into_iter().flatten().collect()
    }

    fn rare_values_reason(&self) -> Option<String> {
        let (rarest, images) = self.rarest.as_ref()?;
        (self.rare_values > 0 && share(self.rare_values, self.values) >= RARE_VALUES).then(|| {
            format!(
                "{} of {} values have fewer than {FEW_IMAGES} training images (\"{rarest}\" has {images})",
                self.rare_values, self.values
            )
        })
    }

    fn absence_reason(&self) -> Option<String> {
        let labelled = share(self.labelled, self.images);
        (labelled < LABELLED)
            .then(|| format!("only {:.0} % of the training images have a value", 100.0 * labelled))
    }

    fn instances_reason(&self) -> Option<String> {
        let disagreeing = share(self.disagreeing_instances, self.instances);
        (self.instances >= ENOUGH && disagreeing >= DISAGREEING_INSTANCES).then(|| {
            let percent = 100.0 * disagreeing;
            format!("images of one instance have different values in {percent:.0} % of {}", self.instances)
        })
    }

    fn pairs_reason(&self) -> Option<String> {
        let disagreeing = share(self.disagreeing_pairs, self.pairs);
        (self.pairs >= ENOUGH && self.chance > 0.0 && disagreeing >= DISAGREEING_PAIRS * self.chance).then(|| {
            format!(
                "of {} pairs of training images that look alike, {:.0} % have different values (random pairs: {:.0} %)",
                self.pairs,
                100.0 * disagreeing,
                100.0 * self.chance
            )
        })
    }
}

/// `part` of `whole`; 0 of nothing.
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::fixture::manifest;

    #[test]
    fn labels_that_are_many_and_agree_give_no_reason() {
        let check = LabelCheck::new(&manifest(), 0, &[]);
        // 50 instances of two training images; their colours are 0, 1, 2, 0, ...: 34, 34 and 32 images.
        assert_eq!((check.images, check.labelled, check.values, check.rare_values), (100, 100, 3, 0));
        assert_eq!((check.rarest.clone(), check.instances), (Some(("2".into(), 32)), 50));
        assert!((check.chance - (1.0 - (2.0 * 0.34 * 0.34 + 0.32 * 0.32))).abs() < 1e-12);
        assert!(check.reasons().is_empty(), "{:?}", check.reasons());
    }

    #[test]
    fn each_fault_of_labels_is_a_reason_of_its_own() {
        let mut m = manifest();
        // The second training image of every fifth instance gets another colour.
        let disagree = |i: &&mut crate::data::manifest::ImageEntry| i.instance.is_multiple_of(5);
        m.images.iter_mut().skip(1).step_by(3).filter(disagree).for_each(|i| i.values[0] = Some(1).into());
        let [reason] = &LabelCheck::new(&m, 0, &[]).reasons()[..] else { panic!("not one reason") };
        // Instances 5, 15, ... and 0, 10, ... but for those whose colour is 1 anyway: 10, 25 and 40.
        assert_eq!(reason, "images of one instance have different values in 14 % of 50");

        let mut m = manifest();
        m.images.iter_mut().skip(45).for_each(|i| i.values[0] = None.into());
        let reasons = LabelCheck::new(&m, 0, &[]).reasons();
        assert_eq!(reasons, ["3 of 3 values have fewer than 24 training images (\"0\" has 10)"]);
        m.images.iter_mut().skip(24).for_each(|i| i.values[0] = None.into());
        let reasons = LabelCheck::new(&m, 0, &[]).reasons();
        assert_eq!(reasons[1..], ["only 16 % of the training images have a value"]);

        // Images of the instances i and i + 1 look alike, and never have the same colour.
        let alike: Vec<(usize, usize)> = (0..20).map(|i| (3 * i, 3 * i + 3)).collect();
        let reasons = LabelCheck::new(&manifest(), 0, &alike).reasons();
        let want = "of 20 pairs of training images that look alike, 100 % have different values (random pairs: 67 %)";
        assert_eq!(reasons, [want]);
        assert!(LabelCheck::new(&manifest(), 0, &alike[1..]).reasons().is_empty(), "too few to tell");
        // All images have the same size.
        assert!(LabelCheck::new(&manifest(), 1, &alike).reasons().is_empty());
    }
    #[test]
    fn images_with_several_values_agree_if_they_share_one() {
        let mut m = manifest();
        // Colour 0 is now shown together with 1, so only 0 and 2 and 1 and 2 have nothing in common.
        let zero = m.images.iter_mut().filter(|i| i.values[0] == Some(0));
        zero.for_each(|i| i.values[0] = [0, 1].into_iter().collect());
        let alike: Vec<(usize, usize)> = (0..20).map(|i| (3 * i, 3 * i + 3)).collect();
        let check = LabelCheck::new(&m, 0, &alike);
        assert_eq!((check.labelled, check.values, check.rarest.clone()), (100, 3, Some(("2".into(), 32))));
        assert_eq!((check.disagreeing_instances, check.pairs, check.disagreeing_pairs), (0, 20, 13));
        assert!((check.chance - 2.0 * 0.32 * 0.68).abs() < 1e-12, "{}", check.chance);
    }
}
