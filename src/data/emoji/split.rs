//! Who trains and who tests: halves by concept, and queries by other designers than the gallery's.

use super::vocabulary::Labels;
use crate::data::builder::seeded_hash::draw;
use std::collections::{BTreeMap, HashMap};

/// A half of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Its pictures train.
    Train,
    /// Its pictures are queries and gallery.
    Test,
}

impl Side {
    /// As written in `instances.csv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

/// What the split looks at in an instance.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// All instances of a concept go to one side.
    pub concept: &'a str,
    /// The category.
    pub category: &'a str,
    /// The attribute values.
    pub labels: &'a Labels,
}

/// Attribute (or `category`) and value, with how many instances have it.
type Counts<'a> = BTreeMap<(&'a str, &'a str), usize>;

/// A category weighs as much as this many attribute values.
const CATEGORY_WEIGHT: f64 = 4.0;
const CATEGORY: &str = "category";

/// The side of each concept. Every category and every attribute value should fall on both sides as evenly as can
/// be: the concepts with the rarest label come first, and each goes to the side that has less of its labels so far.
pub fn sides<'a>(members: impl Iterator<Item = Member<'a>>) -> HashMap<String, Side> {
    let mut concepts: BTreeMap<&str, Counts> = BTreeMap::new();
    let mut total = Counts::new();
    for member in members {
        for label in std::iter::once((CATEGORY, member.category)).chain(member.labels.known()) {
            *concepts.entry(member.concept).or_default().entry(label).or_default() += 1;
            *total.entry(label).or_default() += 1;
        }
    }
    let rarest = |labels: &Counts| labels.keys().map(|l| total[l]).min().unwrap_or(0);
    let mut queue: Vec<(usize, f64, &str)> = concepts
        .iter()
        .map(|(concept, labels)| (rarest(labels), draw(&["side", concept]), *concept))
        .collect();
    queue.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));

    let mut have = [Counts::new(), Counts::new()];
    let mut out = HashMap::new();
    for (_, _, concept) in queue {
        let labels = &concepts[concept];
        let (train, test) = (
            load(&have[0], labels, &total, Side::Train, concept),
            load(&have[1], labels, &total, Side::Test, concept),
        );
        let first =
            train.0.total_cmp(&test.0).then(train.1.cmp(&test.1)).then(train.2.total_cmp(&test.2)).is_le();
        let (side, have) = if first { (Side::Train, &mut have[0]) } else { (Side::Test, &mut have[1]) };
        for (label, n) in labels {
            *have.entry(*label).or_default() += n;
        }
        out.insert(concept.to_owned(), side);
    }
    out
}

/// How full a side is as `concept` sees it: the shares of its labels that the side has, then the size of the side,
/// then a draw.
fn load(have: &Counts, labels: &Counts, total: &Counts, side: Side, concept: &str) -> (f64, usize, f64) {
    let share = |label: &(&str, &str)| {
        let weight = if label.0 == CATEGORY { CATEGORY_WEIGHT } else { 1.0 };
        have.get(label).copied().unwrap_or(0) as f64 / total[label] as f64 * weight
    };
    let need: f64 = labels.keys().map(share).sum();
    // Six decimals: the order in which the shares are added must not decide.
    let need = (need * 1e6).round_ties_even();
    (need, have.values().sum(), draw(&[side.name(), concept]))
}

/// Of the designer families that drew the test instance `code`, a third (at least one) whose pictures are queries;
/// the pictures of the others are gallery, so that every hit is across designers.
pub fn query_families<'a>(code: &str, families: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut drawn: Vec<(f64, &str)> = families.into_iter().map(|f| (draw(&["query", code, f]), f)).collect();
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

    /// Concept, category, labels; the side of each is what the working specification in Python gave.
    #[test]
    fn concepts_fall_on_the_sides_of_the_specification() {
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
        let members = set.iter().map(|(concept, category, labels)| Member { concept, category, labels });
        let sides = sides(members);
        let mut train: Vec<&str> =
            sides.iter().filter(|(_, s)| **s == Side::Train).map(|(c, _)| c.as_str()).collect();
        train.sort_unstable();
        assert_eq!(train, ["A", "D", "H", "J"]);
        assert_eq!(sides.len(), 10);
    }

    // fs = sorted(families, key=lambda f: rnd('query', code, f)); fs[:max(1, len(fs) // 3)]
    #[test]
    fn a_third_of_the_designers_are_queries() {
        let families = ["emojione", "fluent", "fxemoji", "noto", "noto-v1", "openmoji", "twemoji"];
        assert_eq!(query_families("1F600", families), ["noto-v1", "noto"]);
        assert_eq!(query_families("1F9D1", families), ["noto", "fluent"]);
        assert_eq!(query_families("1F600", ["noto", "noto-v1"]), ["noto-v1"]);
    }
}
