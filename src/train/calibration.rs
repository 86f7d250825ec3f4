//! Calibrates the probabilities of tags: fits temperatures and presence models to images that training has not seen.

use crate::data::manifest::{Manifest, Split};
use crate::error::Result;
use crate::model::{
    log_odds, softmax, ModelConfig, PresenceModel, Proxies, TagCalibration, Tagger, TaggingConfig,
};
use crate::space::Embedding;
use std::collections::HashSet;

/// An attribute with fewer labelled held-out images gets the temperature of all attributes together.
const MIN_LABELLED: usize = 20;
/// With fewer held-out images that have a value, or fewer that have none, no presence model is fitted.
const MIN_PER_CLASS: usize = 5;
/// Range in which temperatures are searched.
const TEMPERATURES: (f64, f64) = (1e-3, 1e4);

/// The squared distances of an image from the proxies of all values (`None` for those that cannot be predicted), and the right values that
/// can be.
type LabelledDistances = (Vec<Option<f64>>, Vec<usize>);

/// The held-out images of one training, embedded by that training, with its tagger.
pub struct CalibrationFold {
    tagger: Tagger,
    /// The held-out images: index in the manifest, and embedding.
    images: Vec<(usize, Embedding)>,
}

impl CalibrationFold {
    /// A fold from the trained model (with the tagging of [`uncalibrated`]) and its held-out images with their embeddings.
    ///
    /// # Errors
    /// If the model lacks proxies.
    pub fn new(
        config: &ModelConfig,
        proxies: Proxies,
        manifest: &Manifest,
        images: Vec<(usize, Embedding)>,
    ) -> Result<Self> {
        // Count the images that this training saw: the proxy of a value that only held-out images show has not learned anything.
        let held_out: HashSet<usize> = images.iter().map(|(image, _)| *image).collect();
        let mut config = config.clone();
        config.attributes.iter_mut().flat_map(|a| &mut a.values).for_each(|v| v.images = 0);
        for i in manifest.split(Split::Train).into_iter().filter(|i| !held_out.contains(i)) {
            for (attribute, value) in config.attributes.iter_mut().zip(&manifest.images[i].values) {
                value.iter().for_each(|value| attribute.values[value as usize].images += 1);
            }
        }
        Ok(Self { tagger: Tagger::new(&config, proxies)?, images })
    }

    /// The held-out images, as indices in the manifest, with the embeddings by this training.
    pub fn images(&self) -> &[(usize, Embedding)] {
        &self.images
    }

    /// The tagger of this training, which knows the values that its images show.
    pub fn tagger(&self) -> &Tagger {
        &self.tagger
    }

    /// Distances of the images whose value of attribute k this training has seen.
    fn attribute_distances(&self, k: usize, manifest: &Manifest) -> Vec<LabelledDistances> {
        let sample = |(image, e): &(usize, Embedding)| {
            labelled(self.tagger.distances(e.as_ref(), k), manifest.images[*image].values[k].iter())
        };
        self.images.iter().filter_map(sample).collect()
    }

    /// Distances of the images whose category this training has seen.
    fn category_distances(&self, manifest: &Manifest) -> Vec<LabelledDistances> {
        let sample = |(image, e): &(usize, Embedding)| {
            labelled(self.tagger.category_distances(e.as_ref()), [manifest.images[*image].category])
        };
        self.images.iter().filter_map(sample).collect()
    }

    /// Per image, the presence score for attribute k and whether the image has a value.
    fn presence_scores(&self, k: usize, temperature: f64, manifest: &Manifest) -> Vec<(f64, bool)> {
        let score = |(image, e): &(usize, Embedding)| {
            (
                self.tagger.presence_score(e.as_ref(), k, temperature),
                !manifest.images[*image].values[k].is_empty(),
            )
        };
        self.images.iter().map(score).collect()
    }
}

/// The tagging before calibration: the temperatures of training, without presence models. `radii` (`[K]`) are those of
/// [`TaggingConfig::radii`]; `scale` is the inverse temperature of the softmax, if training compared unit vectors.
pub fn uncalibrated(radii: Vec<f32>, scale: Option<f64>) -> TaggingConfig {
    let attributes = radii.len();
    // A softmax over −scale times the squared distance has the temperature 1 / scale; over the mean of K squared distances K / scale.
    let temperature = scale.map_or(1.0, |scale| 1.0 / scale);
    TaggingConfig {
        unit: scale.is_some(),
        radii,
        attributes: vec![TagCalibration { temperature, presence: None, shown: None }; attributes],
        category_temperature: scale.map_or(1.0, |scale| attributes as f64 / scale),
        held_out_images: 0,
    }
}

/// Fits temperatures and presence models to the held-out images of one training, or of several that held out different images
/// (cross-fitting: each image is judged by a training that has not seen it, while the model itself may have seen all of them).
pub fn calibrate(tagging: &mut TaggingConfig, manifest: &Manifest, folds: &[CalibrationFold]) {
    tagging.held_out_images = folds.iter().map(|f| f.images.len()).sum();
    let labelled = |k| folds.iter().flat_map(|f| f.attribute_distances(k, manifest)).collect();
    let samples: Vec<Vec<LabelledDistances>> = (0..tagging.attributes.len()).map(labelled).collect();
    let all: Vec<LabelledDistances> = samples.iter().flatten().cloned().collect();
    let shared = (all.len() >= MIN_LABELLED).then(|| fit_temperature(&all));
    for (k, (calibration, samples)) in tagging.attributes.iter_mut().zip(&samples).enumerate() {
        calibration.temperature = match samples.len() {
            MIN_LABELLED.. => fit_temperature(samples),
            _ => shared.unwrap_or(calibration.temperature),
        };
        let scores = folds.iter().flat_map(|f| f.presence_scores(k, calibration.temperature, manifest));
        calibration.presence = fit_presence(&scores.collect::<Vec<_>>());
        if manifest.attributes[k].multi {
            calibration.shown = fit_presence(&value_scores(samples, calibration.temperature));
        }
    }
    let categories: Vec<LabelledDistances> =
        folds.iter().flat_map(|f| f.category_distances(manifest)).collect();
    if categories.len() >= MIN_LABELLED {
        tagging.category_temperature = fit_temperature(&categories);
    }
}

/// The distances with the right values that can be predicted: a value that no training image showed cannot. `None` if there are none.
fn labelled(distances: Vec<Option<f64>>, right: impl IntoIterator<Item = u32>) -> Option<LabelledDistances> {
    let is_known = |&value: &usize| distances.get(value).is_some_and(Option::is_some);
    let right: Vec<usize> = right.into_iter().map(|value| value as usize).filter(is_known).collect();
    (!right.is_empty()).then_some((distances, right))
}

/// Per image and value, the log-odds of the value in the softmax, and whether the image shows it.
fn value_scores(samples: &[LabelledDistances], temperature: f64) -> Vec<(f64, bool)> {
    let of = |(distances, right): &LabelledDistances| {
        let probabilities = softmax(distances, temperature);
        let known = (0..distances.len()).filter(|&value| distances[value].is_some());
        known.map(|value| (log_odds(probabilities[value]), right.contains(&value))).collect::<Vec<_>>()
    };
    samples.iter().flat_map(of).collect()
}

/// The temperature with the maximum likelihood of the right values; each of several right values counts with the same share. The negative log-likelihood is convex in 1/T and so has one minimum,
/// which a golden-section search over ln T finds.
fn fit_temperature(samples: &[LabelledDistances]) -> f64 {
    let loss = |ln_t: f64| -> f64 {
        let likelihood = |(distances, right): &LabelledDistances| {
            let probabilities = softmax(distances, ln_t.exp());
            right.iter().map(|&value| probabilities[value].max(1e-300).ln()).sum::<f64>() / right.len() as f64
        };
        -samples.iter().map(likelihood).sum::<f64>()
    };
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (TEMPERATURES.0.ln(), TEMPERATURES.1.ln());
    while high - low > 1e-4 {
        let (a, b) = (high - golden * (high - low), low + golden * (high - low));
        if loss(a) < loss(b) {
            high = b;
        } else {
            low = a;
        }
    }
    f64::midpoint(low, high).exp()
}

/// Logistic regression of having a value on the presence score, or of showing one value on its log-odds, by Newton's method on standardised scores. `None` if too few images have
/// a value or too few have none, or if the score does not help.
fn fit_presence(scores: &[(f64, bool)]) -> Option<PresenceModel> {
    let present = scores.iter().filter(|(_, present)| *present).count();
    if present < MIN_PER_CLASS || scores.len() - present < MIN_PER_CLASS {
        return None;
    }
    let count = scores.len() as f64;
    let mean = scores.iter().map(|(x, _)| x).sum::<f64>() / count;
    let deviation = (scores.iter().map(|(x, _)| (x - mean).powi(2)).sum::<f64>() / count).sqrt();
    if !(deviation.is_finite() && deviation > 1e-12) {
        return None;
    }
    // Weak regularisation towards a slope of 0 keeps it finite if the two classes do not overlap.
    let ridge = 1.0;
    let (mut slope, mut offset) = (0.0f64, 0.0f64);
    for _ in 0..50 {
        let (mut gradient, mut hessian) = ([ridge * slope, 0.0], [ridge, 0.0, 1e-9]);
        for &(x, present) in scores {
            let x = (x - mean) / deviation;
            let p = 1.0 / (1.0 + (-(slope * x + offset)).exp());
            let (error, curve) = (p - f64::from(u8::from(present)), p * (1.0 - p));
            gradient[0] += error * x;
            gradient[1] += error;
            hessian[0] += curve * x * x;
            hessian[1] += curve * x;
            hessian[2] += curve;
        }
        let determinant = hessian[0] * hessian[2] - hessian[1] * hessian[1];
        let step = [
            (hessian[2] * gradient[0] - hessian[1] * gradient[1]) / determinant,
            (hessian[0] * gradient[1] - hessian[1] * gradient[0]) / determinant,
        ];
        slope -= step[0].clamp(-2.0, 2.0);
        offset -= step[1].clamp(-2.0, 2.0);
        if step[0].abs() + step[1].abs() < 1e-9 {
            break;
        }
    }
    // A higher score cannot make a value less likely; if the held-out images say so, that is chance.
    let slope = slope.max(0.0) / deviation;
    (slope > 0.0).then_some(PresenceModel { slope, offset: offset - slope * mean })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    #[test]
    fn the_temperature_behind_the_labels_is_recovered() {
        let mut rng = StdRng::seed_from_u64(1);
        for truth in [0.05, 1.0, 30.0] {
            let samples: Vec<LabelledDistances> = (0..20_000)
                .map(|_| {
                    let distances: Vec<Option<f64>> =
                        (0..4).map(|_| Some(rng.random::<f64>() * 4.0 * truth)).collect();
                    let mut left = rng.random::<f64>();
                    let p = softmax(&distances, truth);
                    let right = p.iter().position(|p| {
                        left -= p;
                        left <= 0.0
                    });
                    (distances, vec![right.unwrap_or(3)])
                })
                .collect();
            let found = fit_temperature(&samples);
            assert!((found / truth - 1.0).abs() < 0.05, "{found}, not {truth}");
        }
    }

    #[test]
    fn the_presence_model_behind_the_labels_is_recovered() {
        let mut rng = StdRng::seed_from_u64(2);
        let scores: Vec<(f64, bool)> = (0..20_000)
            .map(|_| {
                let x = rng.random::<f64>() * 40.0 - 30.0;
                (x, rng.random::<f64>() < 1.0 / (1.0 + (-(0.4 * x + 3.0)).exp()))
            })
            .collect();
        let found = fit_presence(&scores).unwrap();
        assert!((found.slope - 0.4).abs() < 0.03 && (found.offset - 3.0).abs() < 0.2, "{found:?}");
    }

    #[test]
    fn values_that_share_the_softmax_are_told_from_those_that_are_not_shown() {
        // Half of the images show one of four values, the others two, as near to one as to the other.
        let distances =
            |shown: &[usize]| (0..4).map(|v| Some(if shown.contains(&v) { 0.0 } else { 6.0 })).collect();
        let shown = (0..200).map(|i| if i % 2 == 0 { vec![i % 4] } else { vec![i % 4, (i + 1) % 4] });
        let samples: Vec<LabelledDistances> = shown.map(|shown| (distances(&shown), shown)).collect();
        let temperature = fit_temperature(&samples);
        let model = fit_presence(&value_scores(&samples, temperature)).unwrap();
        for (distances, shown) in &samples[..2] {
            for (value, p) in softmax(distances, temperature).into_iter().enumerate() {
                let p = model.probability(log_odds(p));
                assert_eq!(p > 0.9, shown.contains(&value), "{value} {p}");
                assert!(!(0.1..=0.9).contains(&p), "{value} {p}");
            }
        }
    }

    #[test]
    fn a_value_that_training_has_not_seen_is_no_right_answer() {
        let known = vec![Some(1.0), None, Some(2.0)];
        assert_eq!(labelled(known.clone(), [0, 1]), Some((known.clone(), vec![0])));
        assert_eq!(labelled(known.clone(), [1]), None);
        assert_eq!(labelled(known, []), None);
    }

    #[test]
    fn presence_is_not_fitted_to_few_images_or_to_a_useless_score() {
        let scores = |n: usize, x: fn(usize) -> f64| (0..n).map(|i| (x(i), i % 2 == 0)).collect::<Vec<_>>();
        assert_eq!(fit_presence(&scores(8, |i| i as f64)), None);
        assert_eq!(fit_presence(&scores(100, |_| 1.0)), None);
        // Reversed: images without a value have the higher score.
        assert_eq!(fit_presence(&scores(100, |i| (i % 2) as f64)), None);
        // Classes that do not overlap still give a finite slope.
        let apart = fit_presence(&scores(100, |i| -((i % 2) as f64))).unwrap();
        assert!(apart.slope.is_finite() && apart.slope > 1.0, "{apart:?}");
    }
}
