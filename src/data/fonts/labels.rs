//! From measures to attribute values: fifths over all faces, serifs by family.

use super::family::Family;
use super::measure::{quantile, Measures};
use super::vocabulary::{ATTRIBUTES, CAPS, FIFTHS};
use std::collections::BTreeMap;

/// Faces of this category have no serifs to speak of.
const HANDWRITING: &str = "handwriting";
/// A family has what at least this share of its roman faces has.
const AGREED: f64 = 0.6;

/// The attribute values of a face, in the order of [`ATTRIBUTES`].
pub type Labels = [Option<&'static str>; ATTRIBUTES.len()];

/// What a face measures on a scale.
type Scale = fn(&Measures) -> Option<f64>;

/// What is measured on a scale, by the name of its attribute.
const SCALES: [(&str, Scale); 3] =
    [("contrast", |m| m.contrast), ("x_height", |m| Some(m.x_height)), ("width", |m| Some(m.width))];

/// For each attribute that is measured on a scale, the four edges between the fifths of all faces.
pub fn edges(measures: &[Vec<Measures>]) -> BTreeMap<&'static str, Vec<f64>> {
    let of = |scale: Scale| {
        let mut all: Vec<f64> = measures.iter().flatten().filter_map(scale).collect();
        [0.2, 0.4, 0.6, 0.8].into_iter().filter_map(|q| quantile(&mut all, q)).collect()
    };
    SCALES.iter().map(|(name, scale)| (*name, of(*scale))).collect()
}

/// The labels of each face of a family.
pub fn labels(family: &Family, measures: &[Measures], edges: &BTreeMap<&str, Vec<f64>>) -> Vec<Labels> {
    let serif = serif(family, measures);
    let label = |face: usize, attribute: &str| {
        let (face, measured) = (&family.faces[face], &measures[face]);
        match attribute {
            "weight" => Some(face.weight),
            "style" => Some(face.style),
            "serif" => serif,
            "caps" => Some(CAPS[usize::from(!measured.caps)]),
            scale => {
                let (_, of) = SCALES.iter().find(|(name, _)| *name == scale)?;
                let value = of(measured)?;
                Some(FIFTHS[edges[scale].iter().filter(|edge| **edge < value).count()])
            }
        }
    };
    (0..family.faces.len()).map(|face| ATTRIBUTES.each_ref().map(|a| label(face, a.name))).collect()
}

/// What most roman faces show; true italics have no feet, so that they do not count.
fn serif(family: &Family, measures: &[Measures]) -> Option<&'static str> {
    if family.category == HANDWRITING {
        return None;
    }
    let faces = family.faces.iter().zip(measures).filter(|(face, _)| face.style == "normal");
    let roman: Vec<Option<&'static str>> = faces.map(|(_, m)| m.serif).collect();
    let agreed = |of: &&Option<&'static str>| {
        roman.iter().filter(|other| other == of).count() as f64 >= AGREED * roman.len() as f64
    };
    roman.iter().find(agreed).copied().flatten()
}
