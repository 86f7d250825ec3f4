//! The garments of the demo's gallery: a sample, in which every word of the vocabulary occurs often enough to be asked for.

use super::attributes::{values, ATTRIBUTES, CATEGORIES};
use super::drawing::{Garment, Wish};
use super::vocabulary::Sleeves;
use std::collections::HashSet;

/// Garments with each word, at least.
const PER_WORD: usize = 5;

/// Labels that occur together in as many garments, for queries that combine them.
const TOGETHER: [[(&str, &str); 2]; 2] =
    [[("pattern", "floral"), ("length", "knee")], [("category", "dress"), ("sleeves", "long")]];

/// One garment of the sample in so many comes again with long sleeves.
const TWIN_EVERY: usize = 8;

/// Garments with their names: `count` from number `first` on, the same with long sleeves for some of them, then as many more as it
/// takes for the rare words. Their numbers follow.
pub fn choose(first: u64, count: u64) -> Vec<(String, Garment)> {
    let mut garments: Vec<(String, Garment)> = Vec::new();
    for (i, number) in (first..first.saturating_add(count)).enumerate() {
        let garment = Garment::sample(number);
        let twin = match garment.sleeves {
            Some(Sleeves::Short | Sleeves::None) if i % TWIN_EVERY == 0 => {
                garment.with_sleeves(Sleeves::Long)
            }
            _ => None,
        };
        garments.push((number.to_string(), garment));
        garments.extend(twin.map(|twin| (format!("{number}-long-sleeves"), twin)));
    }
    let categories = CATEGORIES.iter().map(|word| vec![("category", *word)]);
    let words = ATTRIBUTES.iter().flat_map(|a| a.values.iter().map(|word| vec![(a.name, *word)]));
    let together = TOGETHER.iter().map(|labels| labels.to_vec());
    let mut number = first.saturating_add(count);
    for labels in categories.chain(words).chain(together) {
        let Some(wish) = labels.iter().try_fold(Wish::default(), |wish, (name, word)| wish.with(name, word))
        else {
            continue;
        };
        // A twin is no further example.
        let with_labels = |(name, garment): &&(String, Garment)| {
            let shown = labels_of(garment);
            !name.contains('-') && labels.iter().all(|label| shown.contains(label))
        };
        for _ in garments.iter().filter(with_labels).count()..PER_WORD {
            garments.extend(Garment::wished(number, &wish).map(|garment| (number.to_string(), garment)));
            number = number.saturating_add(1);
        }
    }
    garments
}

/// A garment's category and values, each with the name of its attribute.
fn labels_of(garment: &Garment) -> HashSet<(&'static str, &'static str)> {
    let values = ATTRIBUTES.iter().zip(values(garment)).filter_map(|(a, value)| Some((a.name, value?)));
    values.chain([("category", garment.category.word())]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_occurs_and_some_garments_come_again_with_long_sleeves() {
        let garments = choose(1_000_000, 100);
        let count = |label| garments.iter().filter(|(_, g)| labels_of(g).contains(&label)).count();
        for word in CATEGORIES {
            assert!(count(("category", word)) >= PER_WORD, "{word}");
        }
        for attribute in &ATTRIBUTES {
            for word in attribute.values {
                assert!(count((attribute.name, word)) >= PER_WORD, "{} {word}", attribute.name);
            }
        }
        let names: HashSet<&String> = garments.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), garments.len());
        assert!(names.iter().any(|name| name.ends_with("-long-sleeves")));
    }
}
