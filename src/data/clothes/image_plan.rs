//! Plans the images of the set: which shots of which photograph, and in which split they are.

use super::labels::{Labels, Photograph};
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// An image of the set.
#[derive(Debug)]
pub struct PlannedImage<'a> {
    pub photograph: &'a Photograph,
    pub labels: &'a Labels,
    /// The photograph as it is, or the made shot of this number.
    pub shot: Option<usize>,
    /// `train`, `query` or `gallery`.
    pub split: &'static str,
}

impl PlannedImage<'_> {
    /// Path below `images/`.
    pub fn name(&self) -> String {
        match self.shot {
            None => format!("{}.jpg", self.photograph.name),
            Some(number) => format!("{}-shot{number}.jpg", self.photograph.name),
        }
    }
}

/// Plans all images of `photographs`, which are sorted by name. In the training half each photograph gets `shots` made ones. In the test
/// half all photographs are gallery, but for the second one of a garment, which is a query; of every third of the others one shot is made
/// as a query. With `second_look`, only what has second labels is in the test half, and has those.
pub fn plan(photographs: &[Photograph], shots: usize, second_look: bool) -> Vec<PlannedImage<'_>> {
    let (mut seen, mut out) = (HashSet::new(), Vec::new());
    for photograph in photographs {
        let labels = match &photograph.second_labels {
            Some(second) if second_look && photograph.in_test => second,
            None if second_look && photograph.in_test => continue,
            _ => &photograph.labels,
        };
        let first = seen.insert(photograph.garment.as_str());
        let (own_split, made_split, made) = match (photograph.in_test, first) {
            (false, _) => ("train", "train", shots),
            (true, true) => ("gallery", "query", usize::from(is_third(&photograph.name))),
            (true, false) => ("query", "query", 0),
        };
        let image = |shot, split| PlannedImage { photograph, labels, shot, split };
        out.push(image(None, own_split));
        out.extend((0..made).map(|shot| image(Some(shot), made_split)));
    }
    out
}

/// Whether a name is of the third of all names whose hash (SHA-256) is divisible by three.
fn is_third(name: &str) -> bool {
    // 256 leaves 1 when divided by 3, so a number and the sum of its bytes leave the same.
    Sha256::digest(name.as_bytes()).iter().map(|b| u32::from(*b)).sum::<u32>() % 3 == 0
}
