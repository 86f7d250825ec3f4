//! From measurements to attribute values: fifths over all faces, and serifs by family.

use super::attributes::{ATTRIBUTES, CAPS, FIFTHS};
use super::family::Family;
use super::measurements::{quantile, Measurements};
use std::collections::BTreeMap;

/// Families of this category get no serif label.
const HANDWRITING: &str = "handwriting";
/// A family gets a serif label that at least this share of its roman faces has.
const MIN_AGREEMENT: f64 = 0.6;

/// The attribute values of a face, in the order of [`ATTRIBUTES`].
pub type Labels = [Option<&'static str>; ATTRIBUTES.len()];

/// A measurement on a scale.
type Scale = fn(&Measurements) -> Option<f64>;

/// The measurements on a scale, by the name of their attribute.
const SCALES: [(&str, Scale); 3] =
    [("contrast", |m| m.contrast), ("x_height", |m| Some(m.x_height)), ("width", |m| Some(m.width))];

/// For each attribute on a scale, the four thresholds between the fifths of all faces.
pub fn thresholds(measurements: &[Vec<Measurements>]) -> BTreeMap<&'static str, Vec<f64>> {
    let fifths = |scale: Scale| {
        let mut all: Vec<f64> = measurements.iter().flatten().filter_map(scale).collect();
        [0.2, 0.4, 0.6, 0.8].into_iter().filter_map(|q| quantile(&mut all, q)).collect()
    };
    SCALES.iter().map(|(name, scale)| (*name, fifths(*scale))).collect()
}

/// The labels of each face of a family.
pub fn labels(
    family: &Family,
    measurements: &[Measurements],
    thresholds: &BTreeMap<&str, Vec<f64>>,
) -> Vec<Labels> {
    let serif = serif_label(family, measurements);
    let label = |face: usize, attribute: &str| {
        let (face, measured) = (&family.faces[face], &measurements[face]);
        match attribute {
            "weight" => Some(face.weight),
            "style" => Some(face.style),
            "serif" => serif,
            "caps" => Some(CAPS[usize::from(!measured.caps)]),
            scale => {
                let (_, measurement) = SCALES.iter().find(|(name, _)| *name == scale)?;
                let value = measurement(measured)?;
                Some(FIFTHS[thresholds[scale].iter().filter(|threshold| **threshold < value).count()])
            }
        }
    };
    (0..family.faces.len()).map(|face| ATTRIBUTES.each_ref().map(|a| label(face, a.name))).collect()
}

/// The label that most roman faces agree on. Italic faces do not count, because true italics have no serifs at the foot.
fn serif_label(family: &Family, measurements: &[Measurements]) -> Option<&'static str> {
    if family.category == HANDWRITING {
        return None;
    }
    let faces = family.faces.iter().zip(measurements).filter(|(face, _)| face.style == "normal");
    let roman: Vec<Option<&'static str>> = faces.map(|(_, m)| m.serif).collect();
    let is_agreed = |label: &&Option<&'static str>| {
        roman.iter().filter(|other| other == label).count() as f64 >= MIN_AGREEMENT * roman.len() as f64
    };
    roman.iter().find(is_agreed).copied().flatten()
}
