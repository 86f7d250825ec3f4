//! How accurate tags are, and how well their probabilities are calibrated.

use super::metrics::mean;
use crate::data::manifest::Manifest;
use crate::error::Result;
use crate::model::{Model, Proxies, Tagger, ValueProbabilities, SHOWN_FROM};
use crate::space::{Embedding, EmbeddingRef};
use serde::Serialize;

/// The number of bins of equal width between probabilities 0 and 1.
const BINS: usize = 15;

/// The tags of one attribute, or of the categories.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TagAccuracy {
    /// The attribute's name, or "category".
    pub name: String,
    /// Images with a value that some training image shows.
    pub labelled: usize,
    /// Images without a value.
    pub absent: usize,
    /// The fraction of labelled images whose likeliest value is right.
    pub accuracy: Option<f64>,
    /// The fraction of labelled images whose value with the nearest stored query is right.
    pub accuracy_of_nearest_mean: Option<f64>,
    /// The fraction of all images for which it is right whether they have a value; only if the model can tell.
    pub presence_accuracy: Option<f64>,
    /// The expected calibration error: the mean difference, over bins of probability, between the probability of the likeliest answer and
    /// the fraction of right answers. "No value" is an answer if the model can tell; otherwise only labelled images count.
    pub expected_calibration_error: Option<f64>,
    /// Of an attribute with several values: how many of its tags are right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub several: Option<SeveralTags>,
    /// The bins of the expected calibration error.
    pub bins: Vec<Bin>,
}

/// The tags of an attribute whose images may show several values: all values with at least the probability [`SHOWN_FROM`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SeveralTags {
    /// The fraction of tags whose value the image shows.
    pub precision: Option<f64>,
    /// The fraction of the values that images show which are among their tags.
    pub recall: Option<f64>,
}

/// The answers with about the same probability.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Bin {
    /// The number of answers.
    pub answers: usize,
    /// Their mean probability.
    pub confidence: f64,
    /// The fraction of right answers.
    pub accuracy: f64,
}

/// Measures the tags of embedded images of a data set, for the model's attributes first and its categories last; empty if the model was
/// made without tags.
///
/// # Errors
/// If the model's proxies do not fit its config.
pub fn tag_accuracy(
    model: &Model,
    weights: &[u8],
    manifest: &Manifest,
    images: &[(usize, &Embedding)],
) -> Result<Vec<TagAccuracy>> {
    let config = model.config();
    if config.tagging.is_none() {
        return Ok(Vec::new());
    }
    let tagger = Tagger::new(config, Proxies::from_parts(config, weights)?)?;
    let mut reports = Vec::new();
    for (k, attribute) in config.attributes.iter().enumerate() {
        // The data set may have other attributes, or the same values in another order.
        let Some(column) = manifest.attributes.iter().position(|a| a.name == attribute.name) else {
            continue;
        };
        let value_of_label: Vec<Option<usize>> = (manifest.attributes[column].values.iter())
            .map(|name| attribute.values.iter().position(|v| v.name == *name && v.images > 0))
            .collect();
        let queries = model.prototypes().attribute_queries(k);
        let mut tally = AnswerTally::new(attribute.name.clone(), tagger.is_multi(k));
        for (image, e) in images {
            let labels = &manifest.images[*image].values[column];
            let shown: Vec<usize> = labels.iter().filter_map(|v| value_of_label[v as usize]).collect();
            let slice = &e.as_ref().to_f32()[model.layout().range(k)];
            let shown = (!labels.is_empty()).then_some(&shown[..]);
            tally.add(shown, &tagger.attribute(e.as_ref(), k), nearest(slice, queries));
        }
        reports.push(tally.finish());
    }
    let category_of_label: Vec<Option<usize>> = (manifest.categories.iter())
        .map(|name| config.categories.iter().position(|c| c.name == *name && c.images > 0))
        .collect();
    let mut tally = AnswerTally::new("category".into(), false);
    for (image, e) in images {
        let label = category_of_label[manifest.images[*image].category as usize];
        let e: EmbeddingRef<'_> = e.as_ref();
        let probabilities = ValueProbabilities { values: tagger.category(e), none: None };
        let mean = nearest(&e.to_f32(), model.prototypes().category_queries());
        tally.add(Some(label.as_slice()), &probabilities, mean);
    }
    reports.push(tally.finish());
    Ok(reports)
}

/// The index of the nearest stored query.
fn nearest(point: &[f32], queries: &[Option<Vec<f32>>]) -> Option<usize> {
    let distance =
        |q: &[f32]| q.iter().zip(point).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>();
    let known = queries.iter().enumerate().filter_map(|(i, q)| Some((i, distance(q.as_ref()?))));
    known.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i)
}

/// Counts the tags of an attribute with several values.
#[derive(Default)]
struct SeveralTally {
    tags: usize,
    shown: usize,
    right: usize,
}

impl SeveralTally {
    fn add(&mut self, shown: &[usize], probabilities: &[f64]) {
        let tags = || (0..probabilities.len()).filter(|&v| probabilities[v] >= SHOWN_FROM);
        self.tags += tags().count();
        self.shown += shown.len();
        self.right += tags().filter(|value| shown.contains(value)).count();
    }

    fn finish(&self) -> SeveralTags {
        let share = |of: usize| (of > 0).then(|| self.right as f64 / of as f64);
        SeveralTags { precision: share(self.tags), recall: share(self.shown) }
    }
}

/// Counts right answers.
struct AnswerTally {
    name: String,
    several: Option<SeveralTally>,
    absent: usize,
    right: Vec<bool>,
    right_mean: Vec<bool>,
    right_presence: Vec<bool>,
    answers: Vec<(f64, bool)>,
}

impl AnswerTally {
    fn new(name: String, is_multi: bool) -> Self {
        Self {
            name,
            several: is_multi.then(SeveralTally::default),
            absent: 0,
            right: Vec::new(),
            right_mean: Vec::new(),
            right_presence: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Counts one image. `shown` are its values: `None` if it has no value, and empty if its values do not occur in training, so that the
    /// image does not count.
    fn add(&mut self, shown: Option<&[usize]>, probabilities: &ValueProbabilities, mean: Option<usize>) {
        if shown.is_some_and(<[usize]>::is_empty) {
            return;
        }
        let (mut best, mut most) = (None, 0.0);
        for (value, &p) in probabilities.values.iter().enumerate() {
            if p > most {
                (best, most) = (Some(value), p);
            }
        }
        let is_shown = |value: Option<usize>| value.zip(shown).is_some_and(|(v, shown)| shown.contains(&v));
        if shown.is_some() {
            self.right.push(is_shown(best));
            self.right_mean.push(is_shown(mean));
        } else {
            self.absent += 1;
        }
        if let Some(several) = &mut self.several {
            several.add(shown.unwrap_or_default(), &probabilities.values);
        }
        if let Some(none) = probabilities.none {
            self.right_presence.push((none < 0.5) == shown.is_some());
            self.answers.push(if none > most { (none, shown.is_none()) } else { (most, is_shown(best)) });
        } else if shown.is_some() {
            self.answers.push((most, is_shown(best)));
        }
    }

    fn finish(self) -> TagAccuracy {
        let share = |right: &[bool]| mean(right.iter().map(|&r| f64::from(u8::from(r))));
        let mut bins = [Bin::default(); BINS];
        for &(p, right) in &self.answers {
            let bin = &mut bins[((p * BINS as f64) as usize).min(BINS - 1)];
            bin.answers += 1;
            bin.confidence += p;
            bin.accuracy += f64::from(u8::from(right));
        }
        let total = self.answers.len() as f64;
        let error = bins.iter().map(|b| (b.confidence - b.accuracy).abs()).sum::<f64>() / total;
        for bin in &mut bins {
            bin.confidence /= bin.answers.max(1) as f64;
            bin.accuracy /= bin.answers.max(1) as f64;
        }
        TagAccuracy {
            name: self.name,
            labelled: self.right.len(),
            absent: self.absent,
            accuracy: share(&self.right),
            accuracy_of_nearest_mean: share(&self.right_mean),
            presence_accuracy: share(&self.right_presence),
            expected_calibration_error: (total > 0.0).then_some(error),
            several: self.several.map(|several| several.finish()),
            bins: bins.into_iter().filter(|b| b.answers > 0).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two values: the first with this probability, the second with 0.05.
    fn probabilities(first: f64, none: Option<f64>) -> ValueProbabilities {
        ValueProbabilities { values: vec![first, 0.05], none }
    }

    #[test]
    fn tags_of_several_values_are_counted_one_by_one() {
        let mut tally = AnswerTally::new("colour".into(), true);
        let mut add = |shown: Option<&[usize]>, values: [f64; 3]| {
            let probabilities = ValueProbabilities { values: values.into(), none: Some(0.1) };
            tally.add(shown, &probabilities, Some(1));
        };
        add(Some(&[0, 1]), [0.9, 0.7, 0.2]); // both found
        add(Some(&[0, 2]), [0.3, 0.8, 0.6]); // one found, one missed, one wrong
        add(None, [0.6, 0.2, 0.1]); // one wrong
        add(Some(&[1]), [0.4, 0.45, 0.1]); // missed, but the likeliest
        let report = tally.finish();
        let several = report.several.unwrap();
        assert_eq!((several.precision, several.recall), (Some(3.0 / 5.0), Some(3.0 / 5.0)));
        assert_eq!((report.accuracy, report.accuracy_of_nearest_mean), (Some(2.0 / 3.0), Some(2.0 / 3.0)));
    }

    #[test]
    fn the_calibration_error_by_hand() {
        let mut tally = AnswerTally::new("size".into(), false);
        // Right at .9 and wrong at .9: one bin, .9 against .5. Right about having no value at .75. A value that training has not seen does not count.
        tally.add(Some(&[0]), &probabilities(0.9, Some(0.05)), Some(0));
        tally.add(Some(&[1]), &probabilities(0.9, Some(0.05)), Some(1));
        tally.add(None, &probabilities(0.2, Some(0.75)), None);
        tally.add(Some(&[]), &probabilities(0.9, Some(0.05)), None);
        let report = tally.finish();
        assert_eq!((report.labelled, report.absent), (2, 1));
        assert_eq!((report.accuracy, report.accuracy_of_nearest_mean), (Some(0.5), Some(1.0)));
        assert_eq!(report.presence_accuracy, Some(1.0));
        let expected = (2.0 * 0.4 + 0.25) / 3.0;
        assert!((report.expected_calibration_error.unwrap() - expected).abs() < 1e-12);
        assert_eq!(report.bins.len(), 2);
    }

    #[test]
    fn if_absence_is_not_detected_only_labelled_images_count() {
        let mut tally = AnswerTally::new("size".into(), false);
        tally.add(None, &probabilities(0.6, None), Some(0));
        tally.add(Some(&[0]), &probabilities(0.6, None), Some(1));
        let report = tally.finish();
        assert_eq!((report.presence_accuracy, report.bins.len(), report.absent), (None, 1, 1));
        assert!((report.expected_calibration_error.unwrap() - 0.4).abs() < 1e-12);
    }
}
