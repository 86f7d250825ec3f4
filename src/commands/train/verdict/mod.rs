//! The verdict after a training: whether it paid against untrained features, which attributes are weak, and why.
//!
//! | file | what is in it |
//! |---|---|
//! | `untrained` | the figures of features that nothing was learned from |
//! | `label_checks` | what may be wrong with the labels of an attribute |
//! | `alike_pairs` | pairs of training images that look alike, which should have equal labels |
//! | `text` | the verdict in words, for the terminal and for the model card |

mod alike_pairs;
mod label_checks;
#[cfg(test)]
mod tests;
mod text;
mod untrained;

use crate::data::manifest::{Manifest, Split};
use crate::error::Result;
use crate::eval::metrics::mean;
use crate::eval::results::{AttributeResult, EvaluationResults};
use alike_pairs::alike_pairs;
use label_checks::LabelCheck;
use std::borrow::Cow;
use untrained::evaluate_untrained;
pub use untrained::UntrainedFeatures;

/// An attribute is weak if its mAP covers less than this part of the way from the mAP of a random order to 1.
const WEAK: f64 = 0.3;

/// What came of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What the figures were measured on.
    pub measured_on: MeasuredOn,
    /// The figures of the trained model, and after it those of each kind of untrained features; empty if nothing could be measured.
    pub figures: Vec<Figures>,
    /// Per attribute of the data set, what was found about it.
    pub attributes: Vec<AttributeVerdict>,
}

/// The images that figures were measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeasuredOn {
    /// The gallery; so many images asked for their instance.
    Gallery {
        /// Queries that have a match.
        queries: usize,
    },
    /// Training images that were held out; so many of them.
    HeldOut {
        /// Their number.
        images: usize,
    },
    /// There are no such images.
    Nothing,
}

/// The figures that are compared; fractions, not percent.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Whose figures: `trained`, or the name of untrained features.
    pub name: String,
    /// Instance R@1, attribute mAP and category mAP.
    pub three: [Option<f64>; 3],
    /// The mAP of each attribute.
    pub by_attribute: Vec<Option<f64>>,
}

/// What was found about an attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributeVerdict {
    /// The attribute's name.
    pub name: String,
    /// The mAP of the trained model, if it was measured.
    pub map: Option<f64>,
    /// The mAP of a random order: the mean share of a value in the gallery.
    pub chance: Option<f64>,
    /// The mAP of the best untrained features.
    pub untrained: Option<f64>,
    /// What may be wrong with its labels.
    pub check: LabelCheck,
}

impl Verdict {
    /// Judges a model that learned from the training images of `manifest`. `results` are its figures on the set from [`measured_set`], `None`
    /// if there is no such set. `untrained` are features of the images of `manifest` before training; the last ones tell which images look
    /// alike.
    ///
    /// # Errors
    /// If features do not fit the manifest or are not finite.
    pub fn new(
        manifest: &Manifest,
        measured: Option<(&Manifest, &EvaluationResults)>,
        untrained: &[UntrainedFeatures],
    ) -> Result<Self> {
        let mut figures = Vec::new();
        if let Some((measured, results)) = measured {
            figures.push(Figures::new("trained", results));
            for features in untrained {
                let results = evaluate_untrained(features, manifest, measured)?;
                figures.push(Figures::new(&features.name, &results));
            }
        }
        let pairs =
            untrained.last().map_or(Ok(Vec::new()), |features| alike_pairs(&features.rows, manifest))?;
        let attributes = manifest.attributes.iter().enumerate().map(|(k, attribute)| AttributeVerdict {
            name: attribute.name.clone(),
            map: figures.first().and_then(|trained| trained.by_attribute[k]),
            chance: measured.and_then(|(_, r)| chance(&r.attributes.groups[k], r.sizes.gallery)),
            untrained: best(figures.iter().skip(1).map(|f| f.by_attribute[k])),
            check: LabelCheck::new(manifest, k, &pairs),
        });
        let attributes = attributes.collect();
        Ok(Self { measured_on: MeasuredOn::of(manifest, measured), figures, attributes })
    }

    /// The weak attributes, the weakest first. If nothing was measured, those whose labels give a reason to be.
    pub fn weak_attributes(&self) -> Vec<&AttributeVerdict> {
        let mut weak: Vec<&AttributeVerdict> = self.attributes.iter().filter(|a| a.is_weak()).collect();
        weak.sort_by(|a, b| a.skill().unwrap_or(1.0).total_cmp(&b.skill().unwrap_or(1.0)));
        weak
    }

    /// Adds the untrained figures and the weak attributes to the figures of a model's config, if there are any.
    pub fn add_to(&self, metrics: &mut serde_json::Value) {
        if metrics.is_null() {
            return;
        }
        let untrained = self.figures.iter().skip(1).map(|f| {
            let [instance, attribute, category] = f.three;
            serde_json::json!({
                "name": f.name,
                "instance_recall_at_1": instance,
                "attribute_map": attribute,
                "category_map": category,
            })
        });
        metrics["untrained"] = untrained.collect();
        let weak = self.weak_attributes().into_iter();
        let weak = weak.map(|a| serde_json::json!({ "name": a.name, "reasons": a.check.reasons() }));
        metrics["weak_attributes"] = weak.collect();
    }
}

impl MeasuredOn {
    fn of(manifest: &Manifest, measured: Option<(&Manifest, &EvaluationResults)>) -> Self {
        match measured {
            None => Self::Nothing,
            Some(_) if manifest.split(Split::Gallery).is_empty() => {
                Self::HeldOut { images: measured.map_or(0, |(_, r)| r.sizes.gallery) }
            }
            Some((_, results)) => Self::Gallery { queries: results.instance.queries },
        }
    }
}

impl Figures {
    fn new(name: &str, results: &EvaluationResults) -> Self {
        let maps = |r: &AttributeResult| r.mean_average_precision;
        Self {
            name: name.to_owned(),
            three: [
                results.instance.recall_at_1,
                results.attributes.mean_average_precision,
                results.categories.mean_average_precision,
            ],
            by_attribute: results.attributes.groups.iter().map(maps).collect(),
        }
    }
}

impl AttributeVerdict {
    /// The part of the way from a random order to a perfect one.
    fn skill(&self) -> Option<f64> {
        let (map, chance) = (self.map?, self.chance?);
        (chance < 1.0).then(|| (map - chance) / (1.0 - chance))
    }

    fn is_weak(&self) -> bool {
        match self.map {
            Some(_) => self.skill().is_some_and(|skill| skill < WEAK),
            None => !self.check.reasons().is_empty(),
        }
    }
}

/// The data set that a model is measured on: the set itself if it has a gallery; otherwise its held-out training images as a gallery, whose
/// images ask for each other. `None` if there are none.
pub fn measured_set<'a>(manifest: &'a Manifest, held_out: &[usize]) -> Option<Cow<'a, Manifest>> {
    if !manifest.split(Split::Gallery).is_empty() {
        return Some(Cow::Borrowed(manifest));
    }
    if held_out.is_empty() {
        return None;
    }
    let mut measured = manifest.clone();
    // Query images would find no match.
    measured.images.iter_mut().for_each(|image| image.split = Split::Train);
    held_out.iter().for_each(|&image| measured.images[image].split = Split::Gallery);
    Some(Cow::Owned(measured))
}

/// The expected mAP of a random order, for long rankings: the mean share of the scored values.
fn chance(attribute: &AttributeResult, gallery: usize) -> Option<f64> {
    let scored = attribute.values.iter().filter(|v| v.average_precision.is_some());
    mean(scored.map(|v| v.positives as f64 / gallery as f64))
}

/// The largest of some figures, if there is one.
fn best(figures: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    figures.flatten().max_by(f64::total_cmp)
}
