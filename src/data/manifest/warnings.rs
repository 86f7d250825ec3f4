//! Oddities of a data set that can still be used: labels that teach nothing, queries without an answer, and the like.

use super::dataset::{AttributeEntry, ImageEntry, Split};
use std::collections::{BTreeMap, BTreeSet};

/// The names that the numbers in [`ImageEntry`] stand for.
pub struct DatasetNames<'a> {
    /// Names of instances.
    pub instances: &'a [String],
    /// Names of categories.
    pub categories: &'a [String],
    /// Attributes with the names of their values.
    pub attributes: &'a [AttributeEntry],
}

/// One sentence for each oddity, with a count and an example.
pub fn find(images: &[ImageEntry], names: &DatasetNames) -> Vec<String> {
    let in_split =
        |split| images.iter().filter(move |i| i.split == split).map(|i| i.instance).collect::<BTreeSet<_>>();
    let (train, query, gallery) = (in_split(Split::Train), in_split(Split::Query), in_split(Split::Gallery));
    let mut warnings = Vec::new();
    let mut warn = |what: &str, which: Vec<u32>, names: &[String]| {
        if let Some(&first) = which.first() {
            warnings.push(format!("{} {what}, such as \"{}\".", which.len(), names[first as usize]));
        }
    };
    let missing = |a: &BTreeSet<u32>, b: &BTreeSet<u32>| a.difference(b).copied().collect::<Vec<_>>();
    warn("instances have query images but none in the gallery", missing(&query, &gallery), names.instances);
    let both = train.intersection(&query).copied().collect();
    warn("instances are in both train and query", both, names.instances);
    let train_images = || images.iter().filter(|i| i.split == Split::Train);
    let single = once(train_images().map(|i| i.instance));
    warn("instances have a single training image", single, names.instances);
    warn(
        "categories have a single training image",
        once(train_images().map(|i| i.category)),
        names.categories,
    );
    if train.len() == 1 {
        warnings.push("All training images show one instance, so there is nothing to tell it from.".into());
    }
    if !train.is_empty() && query.is_empty() && gallery.is_empty() {
        warnings.push("No image is query or gallery, so a model cannot be evaluated on this set.".into());
    } else if !query.is_empty() && gallery.is_empty() {
        warnings.push("There are query images but no gallery to search.".into());
    }
    for (k, attribute) in names.attributes.iter().enumerate() {
        let shown: BTreeSet<u32> = train_images().flat_map(|i| i.values[k].iter()).collect();
        match shown.first() {
            None if !train.is_empty() => {
                warnings.push(format!("No training image has a value of \"{}\".", attribute.name));
            }
            Some(&only) if shown.len() == 1 => warnings.push(format!(
                "All training images that have a value of \"{}\" have the same one, \"{}\", which teaches nothing.",
                attribute.name, attribute.values[only as usize]
            )),
            _ => {}
        }
    }
    warnings
}

/// The numbers that occur exactly once, sorted.
fn once(numbers: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut counts = BTreeMap::new();
    numbers.for_each(|x| *counts.entry(x).or_insert(0) += 1);
    counts.into_iter().filter(|(_, n)| *n == 1).map(|(x, _)| x).collect()
}
