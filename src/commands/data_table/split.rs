//! The random split: which instances are for training, and which for query and gallery.
//!
//! Instances of one group stay together, and so do instances of which the same image is: otherwise a model would be measured on what it has
//! learned by heart. A part's place depends on the seed and the name of one instance of it alone, so that others may come and go.

use crate::data::builder::seeded_hash::hash_fraction;
use crate::data::manifest::Split;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What the split needs to know of an image.
#[derive(Debug, Clone)]
pub struct SplitImage<'a> {
    /// Its instance.
    pub instance: u32,
    /// The group of its instance.
    pub group: Option<u32>,
    /// What identifies the file.
    pub content: &'a str,
    /// What training should see at least once: its category and values, as numbers that tell them all apart.
    pub labels: Vec<(usize, u32)>,
}

/// The split of each image, for names of instances.
pub fn split(images: &[SplitImage<'_>], instances: &[String], share: f64, seed: u64) -> Vec<Split> {
    let parts = parts(images, instances.len());
    let mut names: HashMap<u32, &str> = HashMap::new();
    for (instance, name) in instances.iter().enumerate() {
        let first = names.entry(parts[instance]).or_insert(name);
        *first = (*first).min(name);
    }
    let seed = seed.to_string();
    let mut test: BTreeSet<u32> = names
        .iter()
        .filter(|(_, name)| hash_fraction(&["split", &seed, name]) < share)
        .map(|(part, _)| *part)
        .collect();
    keep_labels_in_training(images, &parts, &names, &mut test);
    query_and_gallery(images, instances, &parts, &test, &seed)
}

/// For each instance, the smallest of those that it has to stay together with.
fn parts(images: &[SplitImage<'_>], instances: usize) -> Vec<u32> {
    let mut parent: Vec<u32> = (0..instances as u32).collect();
    let (mut of_group, mut of_content): (HashMap<u32, u32>, HashMap<&str, u32>) = Default::default();
    for image in images {
        let group = image.group.map(|g| *of_group.entry(g).or_insert(image.instance));
        let content = *of_content.entry(image.content).or_insert(image.instance);
        for other in group.into_iter().chain([content]) {
            let (a, b) = (root(&mut parent, image.instance), root(&mut parent, other));
            parent[a.max(b) as usize] = a.min(b);
        }
    }
    (0..instances as u32).map(|i| root(&mut parent, i)).collect()
}

fn root(parent: &mut [u32], mut of: u32) -> u32 {
    while parent[of as usize] != of {
        parent[of as usize] = parent[parent[of as usize] as usize];
        of = parent[of as usize];
    }
    of
}

/// Moves parts to training until each label has an image there.
fn keep_labels_in_training(
    images: &[SplitImage<'_>],
    parts: &[u32],
    names: &HashMap<u32, &str>,
    test: &mut BTreeSet<u32>,
) {
    let mut with: BTreeMap<(usize, u32), BTreeSet<u32>> = BTreeMap::new();
    for image in images {
        for label in &image.labels {
            with.entry(*label).or_default().insert(parts[image.instance as usize]);
        }
    }
    for of_label in with.values() {
        if of_label.is_subset(test) {
            if let Some(moved) = of_label.iter().min_by_key(|part| names.get(part)) {
                test.remove(moved);
            }
        }
    }
}

/// Of each instance that is not for training, one image is a query, and the others are what it should find.
fn query_and_gallery(
    images: &[SplitImage<'_>],
    instances: &[String],
    parts: &[u32],
    test: &BTreeSet<u32>,
    seed: &str,
) -> Vec<Split> {
    let mut of_instance: HashMap<u32, BTreeSet<&str>> = HashMap::new();
    for image in images {
        of_instance.entry(image.instance).or_default().insert(image.content);
    }
    let chosen = |image: &SplitImage<'_>| {
        let name = &instances[image.instance as usize];
        let others = &of_instance[&image.instance];
        let key = |content: &&&str| (hash_fraction(&["query", seed, name, content]) * 2f64.powi(52)) as u64;
        others.len() > 1 && others.iter().min_by_key(key) == Some(&image.content)
    };
    let one = |image: &SplitImage<'_>| match test.contains(&parts[image.instance as usize]) {
        false => Split::Train,
        true if chosen(image) => Split::Query,
        true => Split::Gallery,
    };
    images.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` instances of three images each, in groups of `group`, with a label that each second instance has.
    fn images(count: u32, group: u32, contents: &[String]) -> Vec<SplitImage<'_>> {
        let one = |i: u32| SplitImage {
            instance: i / 3,
            group: (group > 0).then_some(i / 3 / group.max(1)),
            content: &contents[i as usize],
            labels: vec![(0, i / 3 % 2)],
        };
        (0..3 * count).map(one).collect()
    }

    fn contents(count: u32) -> Vec<String> {
        (0..3 * count).map(|i| format!("content {i}")).collect()
    }

    fn names(count: u32) -> Vec<String> {
        (0..count).map(|i| format!("sku-{i}")).collect()
    }

    /// The instances of which an image is in the half.
    fn half(images: &[SplitImage<'_>], splits: &[Split], train: bool) -> BTreeSet<u32> {
        let of = images.iter().zip(splits).filter(|(_, s)| (**s == Split::Train) == train);
        of.map(|(i, _)| i.instance).collect()
    }

    #[test]
    fn an_instance_is_in_one_half_and_each_query_has_something_to_find() {
        let contents = contents(500);
        let images = images(500, 0, &contents);
        let splits = split(&images, &names(500), 0.2, 7);
        let (train, test) = (half(&images, &splits, true), half(&images, &splits, false));
        assert!(train.is_disjoint(&test) && (70..130).contains(&test.len()), "{}", test.len());
        for instance in test {
            let of: Vec<Split> =
                images.iter().zip(&splits).filter(|(i, _)| i.instance == instance).map(|(_, s)| *s).collect();
            assert_eq!(of.iter().filter(|s| **s == Split::Query).count(), 1);
            assert_eq!(of.iter().filter(|s| **s == Split::Gallery).count(), 2);
        }
        assert_eq!(split(&images, &names(500), 0.2, 7), splits);
        assert_ne!(split(&images, &names(500), 0.2, 8), splits);
        assert!(half(&images, &split(&images, &names(500), 0.0, 7), false).is_empty());
    }

    #[test]
    fn an_instance_stays_where_it_is_when_others_are_added() {
        let contents = contents(500);
        let (few, all) = (images(400, 0, &contents), images(500, 0, &contents));
        let before = split(&few, &names(400), 0.2, 1);
        assert_eq!(before, split(&all, &names(500), 0.2, 1)[..before.len()]);
    }

    #[test]
    fn groups_and_instances_with_the_same_image_stay_together() {
        let mut contents = contents(300);
        // Instances 0 and 299 have an image in common, which joins their groups.
        contents[899] = contents[0].clone();
        let images = images(300, 4, &contents);
        for seed in 0..20 {
            let splits = split(&images, &names(300), 0.3, seed);
            let test = half(&images, &splits, false);
            assert!(half(&images, &splits, true).is_disjoint(&test));
            let groups: BTreeSet<u32> = test.iter().map(|i| i / 4).collect();
            assert_eq!(test.len(), groups.len() * 4);
            assert_eq!(groups.contains(&0), groups.contains(&74));
        }
    }

    #[test]
    fn each_label_has_an_image_for_training() {
        let contents = contents(12);
        let mut images = images(12, 0, &contents);
        images.iter_mut().for_each(|i| i.labels = vec![(0, 0), (1, i.instance / 2)]);
        for seed in 0..50 {
            let splits = split(&images, &names(12), 0.5, seed);
            let trained: BTreeSet<u32> = half(&images, &splits, true).iter().map(|i| i / 2).collect();
            assert_eq!(trained.len(), 6);
        }
    }

    #[test]
    fn a_single_image_is_no_query() {
        let images: Vec<SplitImage<'_>> = ["a", "b", "c", "d", "e", "f"]
            .iter()
            .zip(0..)
            .map(|(content, instance)| SplitImage { instance, group: None, content, labels: vec![] })
            .collect();
        let splits = split(&images, &names(6), 0.9, 3);
        assert!(splits.contains(&Split::Gallery) && !splits.contains(&Split::Query));
    }
}
