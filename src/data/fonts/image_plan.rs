//! Plans the images of the set: which words in which face, and which split.

use super::family::Family;
use super::python_random::PythonRandom;
use crate::data::builder::seeded_hash::hash_u64;
use std::collections::{BTreeMap, HashMap};

/// What an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum InstanceKind {
    /// A family with all its faces.
    Family,
    /// One weight and style of a family.
    Face,
}

/// An image to draw.
#[derive(Debug)]
pub struct PlannedImage {
    /// Index of the family.
    pub family: usize,
    /// Index of the face in the family.
    pub face: usize,
    /// The words in the case in which they are drawn.
    pub words: [String; 2],
    /// Path below `images/`.
    pub name: String,
    /// `train`, `query` or `gallery`.
    pub split: &'static str,
    /// Seed of everything random in drawing.
    pub seed: u64,
}

/// How many images families get; see [`super::args::FontArgs`].
#[derive(Debug, Clone, Copy)]
pub struct ImageCounts {
    /// Images of a family with four or more faces.
    pub per_family: usize,
    /// Images of a family with one face.
    pub min_images: usize,
}

/// Families with more faces than this get `per_family` images, divided among the faces.
const MAX_FEW_FACES: usize = 3;
/// The others get `min_images` images, and this many more for each face after the first.
const PER_FURTHER_FACE: usize = 13;
/// A face gets at least this many images.
const MIN_PER_FACE: usize = 3;
/// The share of the images of a face in the test half that are queries.
const QUERY_SHARE: f64 = 0.3;

/// Chooses the families for training: every other one of each category, in the order of their hashes.
pub fn choose_training(families: &[Family]) -> Vec<bool> {
    let mut categories: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, family) in families.iter().enumerate() {
        categories.entry(&family.category).or_default().push(i);
    }
    let mut in_training = vec![false; families.len()];
    for members in categories.values_mut() {
        members.sort_by_key(|&i| hash_u64(&["side", &families[i].name]));
        members.iter().step_by(2).for_each(|&i| in_training[i] = true);
    }
    in_training
}

/// Plans the images of a family, which is number `index`. Each word is used once until all are used, so a query and the gallery do
/// not show the same words.
pub fn plan(
    family: &Family,
    index: usize,
    in_training: bool,
    words: &[&str],
    counts: ImageCounts,
) -> Vec<PlannedImage> {
    let faces = family.faces.len();
    let total = if faces > MAX_FEW_FACES {
        counts.per_family
    } else {
        counts.min_images + PER_FURTHER_FACE * (faces - 1)
    };
    let per_face = ((total as f64 / faces as f64).round_ties_even() as usize).max(MIN_PER_FACE);
    let queries = ((per_face as f64 * QUERY_SHARE).round_ties_even() as usize).max(1);
    let mut random = PythonRandom::new(hash_u64(&["words", &family.name]));
    let pool = random.sample(words.len(), words.len().min(2 * per_face * faces));
    let mut out = Vec::new();
    for (f, face) in family.faces.iter().enumerate() {
        for j in 0..per_face {
            let at = 2 * out.len();
            let case = random.below(CASES.len());
            let word = |i: usize| CASES[case](words[pool[i % pool.len()]]);
            // The face as Python prints a pair of strings.
            let key = format!("('{}', '{}')", face.weight, face.style);
            out.push(PlannedImage {
                family: index,
                face: f,
                words: [word(at), word(at + 1)],
                name: format!("{}/{}-{}-{j:02}.png", family.name, face.weight, face.style),
                split: match (in_training, j < queries) {
                    (true, _) => "train",
                    (_, true) => "query",
                    _ => "gallery",
                },
                seed: hash_u64(&["img", &family.name, &key, &j.to_string()]),
            });
        }
    }
    out
}

/// Lower case, title case (twice as likely), capitals.
const CASES: [fn(&str) -> String; 4] = [str::to_owned, title_case, title_case, str::to_uppercase];

/// Capitalises the first letter.
fn title_case(word: &str) -> String {
    let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
    first.to_uppercase() + rest
}

/// The number of images of each family, by the family's index.
pub fn count_by_family(images: &[PlannedImage]) -> HashMap<usize, usize> {
    let mut out = HashMap::new();
    images.iter().for_each(|p| *out.entry(p.family).or_default() += 1);
    out
}
