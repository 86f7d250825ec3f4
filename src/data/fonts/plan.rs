//! Which pictures there are: words, sides of the split, queries.

use super::family::Family;
use super::mersenne::Mersenne;
use super::FontArgs;
use crate::data::builder::seeded_hash::hashed;
use std::collections::{BTreeMap, HashMap};

/// What an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Instance {
    /// A family with all its faces.
    Family,
    /// One weight and style of a family.
    Face,
}

/// One picture to draw.
#[derive(Debug)]
pub struct Picture {
    /// Index of the family.
    pub family: usize,
    /// Index of the face in it.
    pub face: usize,
    /// The words as they are set.
    pub words: [String; 2],
    /// Below `images/`.
    pub name: String,
    /// `train`, `query` or `gallery`.
    pub split: &'static str,
    /// Of what is left to chance in drawing.
    pub seed: u64,
}

/// Families of more faces than this have [`FontArgs::per_family`] pictures, shared among the faces.
const FEW_FACES: usize = 3;
/// Families of fewer faces have [`FontArgs::min_images`] pictures, and so many more for each face but the first.
const PER_FURTHER_FACE: usize = 13;
/// A face has at least this many pictures.
const PER_FACE: usize = 3;
/// The share of a test face's pictures that are queries.
const QUERIES: f64 = 0.3;

/// The families that train: of each category, every other one in the order of their hashes.
pub fn trains(families: &[Family]) -> Vec<bool> {
    let mut categories: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, family) in families.iter().enumerate() {
        categories.entry(&family.category).or_default().push(i);
    }
    let mut trains = vec![false; families.len()];
    for members in categories.values_mut() {
        members.sort_by_key(|&i| hashed(&["side", &families[i].name]));
        members.iter().step_by(2).for_each(|&i| trains[i] = true);
    }
    trains
}

/// The pictures of a family. No two of its words pairs are the same while the words last, so that what a query says
/// is not what the gallery says.
pub fn pictures(
    families: &[Family],
    index: usize,
    trains: bool,
    words: &[&str],
    args: &FontArgs,
) -> Vec<Picture> {
    let family = &families[index];
    let faces = family.faces.len();
    let total =
        if faces > FEW_FACES { args.per_family } else { args.min_images + PER_FURTHER_FACE * (faces - 1) };
    let per_face = ((total as f64 / faces as f64).round_ties_even() as usize).max(PER_FACE);
    let queries = ((per_face as f64 * QUERIES).round_ties_even() as usize).max(1);
    let mut random = Mersenne::new(hashed(&["words", &family.name]));
    let pool = random.sample(words.len(), words.len().min(2 * per_face * faces));
    let mut out = Vec::new();
    for (f, face) in family.faces.iter().enumerate() {
        for j in 0..per_face {
            let at = 2 * out.len();
            let case = random.below(CASES.len());
            let word = |i: usize| CASES[case](words[pool[i % pool.len()]]);
            // The specification's key has the face as Python writes a pair.
            let key = format!("('{}', '{}')", face.weight, face.style);
            out.push(Picture {
                family: index,
                face: f,
                words: [word(at), word(at + 1)],
                name: format!("{}/{}-{}-{j:02}.png", family.name, face.weight, face.style),
                split: match (trains, j < queries) {
                    (true, _) => "train",
                    (_, true) => "query",
                    _ => "gallery",
                },
                seed: hashed(&["img", &family.name, &key, &j.to_string()]),
            });
        }
    }
    out
}

/// Lower case, title case (twice as likely), capitals.
const CASES: [fn(&str) -> String; 4] = [str::to_owned, title, title, str::to_uppercase];

fn title(word: &str) -> String {
    let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
    first.to_uppercase() + rest
}

/// How many pictures each family has.
pub fn counts(pictures: &[Picture]) -> HashMap<usize, usize> {
    let mut out = HashMap::new();
    pictures.iter().for_each(|p| *out.entry(p.family).or_default() += 1);
    out
}
