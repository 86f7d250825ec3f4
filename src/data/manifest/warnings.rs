//! What is odd about a data set that can be used all the same.

use super::{AttributeEntry, ImageEntry, Split};
use std::collections::{BTreeMap, BTreeSet};

/// The names that images' numbers stand for.
pub struct Vocabulary<'a> {
    /// Of instances.
    pub instances: &'a [String],
    /// Of categories.
    pub categories: &'a [String],
    /// Of attributes and their values.
    pub attributes: &'a [AttributeEntry],
}

/// One sentence for each oddity, with a count and an example.
pub fn warnings(images: &[ImageEntry], names: &Vocabulary) -> Vec<String> {
    let in_split =
        |split| images.iter().filter(move |i| i.split == split).map(|i| i.instance).collect::<BTreeSet<_>>();
    let (train, query, gallery) = (in_split(Split::Train), in_split(Split::Query), in_split(Split::Gallery));
    let mut warnings = Vec::new();
    let mut about = |what: &str, of: Vec<u32>, names: &[String]| {
        if let Some(&first) = of.first() {
            warnings.push(format!("{} {what}, such as \"{}\".", of.len(), names[first as usize]));
        }
    };
    let between = |a: &BTreeSet<u32>, b: &BTreeSet<u32>| a.difference(b).copied().collect::<Vec<_>>();
    about("instances have query images but none in the gallery", between(&query, &gallery), names.instances);
    let both = train.intersection(&query).copied().collect();
    about("instances are both trained on and asked for", both, names.instances);
    let trained = || images.iter().filter(|i| i.split == Split::Train);
    let lone = once(trained().map(|i| i.instance));
    about("instances have a single training image", lone, names.instances);
    about("categories have a single training image", once(trained().map(|i| i.category)), names.categories);
    if train.len() == 1 {
        warnings.push("All training images show one instance: there is nothing to tell it from.".into());
    }
    if !train.is_empty() && query.is_empty() && gallery.is_empty() {
        warnings.push("No image is query or gallery: a model cannot be measured on this set.".into());
    } else if !query.is_empty() && gallery.is_empty() {
        warnings.push("There are query images but no gallery to search.".into());
    }
    for (k, attribute) in names.attributes.iter().enumerate() {
        let shown: BTreeSet<u32> = trained().filter_map(|i| i.values[k]).collect();
        match shown.first() {
            None if !train.is_empty() => {
                warnings.push(format!("No training image has a value of \"{}\".", attribute.name));
            }
            Some(&only) if shown.len() == 1 => warnings.push(format!(
                "All training images that have a value of \"{}\" have the same, \"{}\": it teaches nothing.",
                attribute.name, attribute.values[only as usize]
            )),
            _ => {}
        }
    }
    warnings
}

/// What occurs once.
fn once(of: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut counts = BTreeMap::new();
    of.for_each(|x| *counts.entry(x).or_insert(0) += 1);
    counts.into_iter().filter(|(_, n)| *n == 1).map(|(x, _)| x).collect()
}
