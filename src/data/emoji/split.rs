//! Splits the set: concepts into a training and a test half, and the test half's images into queries and gallery by designer.

use super::attributes::Labels;
use crate::data::builder::seeded_hash::hash_fraction;
use std::collections::{BTreeMap, HashMap};

/// A half of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Half {
    /// Images for training.
    Train,
    /// Query and gallery images.
    Test,
}

impl Half {
    /// As written in the column `side` of `instances.csv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

/// What the split depends on in an instance.
#[derive(Debug, Clone, Copy)]
pub struct SplitInput<'a> {
    /// All instances of a concept go to the same half.
    pub concept: &'a str,
    /// Name of the category.
    pub category: &'a str,
    /// The attribute values.
    pub labels: &'a Labels,
}

/// How many instances have a label: an attribute (or `category`) and its value.
type LabelCounts<'a> = BTreeMap<(&'a str, &'a str), usize>;

/// Balancing the category counts as much as balancing this many attribute values.
const CATEGORY_WEIGHT: f64 = 4.0;
const CATEGORY: &str = "category";

/// Assigns each concept to a half, so that every category and attribute value is divided as evenly as possible. Concepts are taken in
/// order of their rarest label, and each goes to the half that has fewer of its labels so far.
pub fn assign_halves<'a>(instances: impl Iterator<Item = SplitInput<'a>>) -> HashMap<String, Half> {
    let mut concepts: BTreeMap<&str, LabelCounts> = BTreeMap::new();
    let mut total = LabelCounts::new();
    for instance in instances {
        for label in std::iter::once((CATEGORY, instance.category)).chain(instance.labels.present()) {
            *concepts.entry(instance.concept).or_default().entry(label).or_default() += 1;
            *total.entry(label).or_default() += 1;
        }
    }
    let rarest = |labels: &LabelCounts| labels.keys().map(|l| total[l]).min().unwrap_or(0);
    let mut queue: Vec<(usize, f64, &str)> = concepts
        .iter()
        .map(|(concept, labels)| (rarest(labels), hash_fraction(&["side", concept]), *concept))
        .collect();
    queue.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));

    let mut assigned = [LabelCounts::new(), LabelCounts::new()];
    let mut out = HashMap::new();
    for (_, _, concept) in queue {
        let labels = &concepts[concept];
        let (train, test) = (
            fullness(&assigned[0], labels, &total, Half::Train, concept),
            fullness(&assigned[1], labels, &total, Half::Test, concept),
        );
        let to_train =
            train.0.total_cmp(&test.0).then(train.1.cmp(&test.1)).then(train.2.total_cmp(&test.2)).is_le();
        let (half, assigned) =
            if to_train { (Half::Train, &mut assigned[0]) } else { (Half::Test, &mut assigned[1]) };
        for (label, n) in labels {
            *assigned.entry(*label).or_default() += n;
        }
        out.insert(concept.to_owned(), half);
    }
    out
}

/// How full a half is from the point of view of `concept`, to compare: the shares of its labels that the half already has, then the
/// size of the half, then a hash.
fn fullness(
    assigned: &LabelCounts,
    labels: &LabelCounts,
    total: &LabelCounts,
    half: Half,
    concept: &str,
) -> (f64, usize, f64) {
    let share = |label: &(&str, &str)| {
        let weight = if label.0 == CATEGORY { CATEGORY_WEIGHT } else { 1.0 };
        assigned.get(label).copied().unwrap_or(0) as f64 / total[label] as f64 * weight
    };
    let shares: f64 = labels.keys().map(share).sum();
    // Rounded to six decimals, so that the order of addition does not matter.
    let shares = (shares * 1e6).round_ties_even();
    (shares, assigned.values().sum(), hash_fraction(&[half.name(), concept]))
}

/// Chooses a third (at least one) of the designer families that drew the test instance `code`. Their images are queries and those of
/// the other families are the gallery, so that a query never finds its own designer's drawing.
pub fn query_families<'a>(code: &str, families: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut drawn: Vec<(f64, &str)> =
        families.into_iter().map(|f| (hash_fraction(&["query", code, f]), f)).collect();
    drawn.sort_by(|a, b| a.0.total_cmp(&b.0));
    drawn.dedup();
    drawn.truncate((drawn.len() / 3).max(1));
    drawn.into_iter().map(|(_, f)| f).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs = &'static [(&'static str, &'static str)];

    fn labels(pairs: Pairs) -> Labels {
        let mut out = Labels::default();
        pairs.iter().for_each(|(attribute, value)| out.set(attribute, value));
        out
    }

    /// Concept, category and labels; the expected halves come from the prototype in Python.
    #[test]
    fn concepts_are_assigned_as_by_the_prototype() {
        let set: [(&str, &str, Pairs); 11] = [
            ("A", "x", &[("gender", "woman"), ("age", "2")]),
            ("A", "x", &[("gender", "man"), ("age", "2")]),
            ("B", "x", &[("gender", "woman"), ("age", "2")]),
            ("C", "y", &[("hair", "red")]),
            ("D", "y", &[("hair", "red"), ("gender", "man")]),
            ("E", "x", &[("gender", "man")]),
            ("F", "y", &[]),
            ("G", "y", &[("age", "2")]),
            ("H", "x", &[("age", "1")]),
            ("I", "x", &[("age", "1")]),
            ("J", "y", &[]),
        ];
        let set: Vec<_> =
            set.into_iter().map(|(concept, category, l)| (concept, category, labels(l))).collect();
        let instances =
            set.iter().map(|(concept, category, labels)| SplitInput { concept, category, labels });
        let halves = assign_halves(instances);
        let mut train: Vec<&str> =
            halves.iter().filter(|(_, s)| **s == Half::Train).map(|(c, _)| c.as_str()).collect();
        train.sort_unstable();
        assert_eq!(train, ["A", "D", "H", "J"]);
        assert_eq!(halves.len(), 10);
    }

    // fs = sorted(families, key=lambda f: rnd('query', code, f)); fs[:max(1, len(fs) // 3)]
    #[test]
    fn images_of_a_third_of_the_designers_are_queries() {
        let families = ["emojione", "fluent", "fxemoji", "noto", "noto-v1", "openmoji", "twemoji"];
        assert_eq!(query_families("1F600", families), ["noto-v1", "noto"]);
        assert_eq!(query_families("1F9D1", families), ["noto", "fluent"]);
        assert_eq!(query_families("1F600", ["noto", "noto-v1"]), ["noto-v1"]);
    }
}
