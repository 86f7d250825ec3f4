//! Probabilities that keep their word: temperatures and the signs of absence, learned on images that training has not seen.

use crate::data::manifest::{Manifest, Split};
use crate::error::Result;
use crate::model::{softmax, Calibration, ModelConfig, Presence, Proxies, Tagger, Tagging};
use crate::space::Embedding;
use std::collections::HashSet;

/// With fewer labelled images held out, an attribute takes the temperature of all attributes together.
const FEW: usize = 20;
/// With fewer images held out of either kind, absence cannot be told.
const FEW_KINDS: usize = 5;
/// Temperatures are looked for between these.
const TEMPERATURES: (f64, f64) = (1e-3, 1e4);

/// Squared distances of an image from all values, and which is right.
type Sample = (Vec<Option<f64>>, usize);

/// What a training made of the images that it did not see.
pub struct Round {
    tagger: Tagger,
    /// Their places in the manifest.
    images: Vec<(usize, Embedding)>,
}

impl Round {
    /// Of a model, its tagging still that of training, and the images held out, with their embeddings.
    ///
    /// # Errors
    /// If the model lacks proxies.
    pub fn new(
        config: &ModelConfig,
        proxies: Proxies,
        manifest: &Manifest,
        images: Vec<(usize, Embedding)>,
    ) -> Result<Self> {
        // A value that only images held out show has a proxy that learned nothing.
        let held_out: HashSet<usize> = images.iter().map(|(image, _)| *image).collect();
        let mut config = config.clone();
        config.attributes.iter_mut().flat_map(|a| &mut a.values).for_each(|v| v.images = 0);
        for i in manifest.split(Split::Train).into_iter().filter(|i| !held_out.contains(i)) {
            for (attribute, value) in config.attributes.iter_mut().zip(&manifest.images[i].values) {
                if let Some(value) = value {
                    attribute.values[*value as usize].images += 1;
                }
            }
        }
        Ok(Self { tagger: Tagger::new(&config, proxies)?, images })
    }

    /// Distances of the images that have a value of attribute k which learned.
    fn labelled(&self, k: usize, manifest: &Manifest) -> Vec<Sample> {
        let sample = |(image, e): &(usize, Embedding)| {
            Some((self.tagger.distances(e.as_ref(), k), manifest.images[*image].values[k]? as usize))
        };
        self.images.iter().filter_map(sample).filter(is_known).collect()
    }

    /// The same for categories.
    fn of_categories(&self, manifest: &Manifest) -> Vec<Sample> {
        let sample = |(image, e): &(usize, Embedding)| {
            (self.tagger.category_distances(e.as_ref()), manifest.images[*image].category as usize)
        };
        self.images.iter().map(sample).filter(is_known).collect()
    }

    /// How much each image looks as if it had a value of attribute k, and whether it has.
    fn scores(&self, k: usize, temperature: f64, manifest: &Manifest) -> Vec<(f64, bool)> {
        let score = |(image, e): &(usize, Embedding)| {
            (self.tagger.score(e.as_ref(), k, temperature), manifest.images[*image].values[k].is_some())
        };
        self.images.iter().map(score).collect()
    }
}

/// The tagging that training itself gives a model: its temperatures, and absence is never told. `radii` (`[K]`) are those of
/// [`Tagging::radii`]; `scale` is that of the softmax, if training compared unit vectors.
pub fn uncalibrated(radii: Vec<f32>, scale: Option<f64>) -> Tagging {
    let attributes = radii.len();
    // A softmax over −scale times the mean of K squared distances has the temperature K / scale.
    let trained = scale.map_or(1.0, |scale| 1.0 / scale);
    Tagging {
        unit: scale.is_some(),
        radii,
        attributes: vec![Calibration { temperature: trained, presence: None }; attributes],
        category_temperature: scale.map_or(1.0, |scale| attributes as f64 / scale),
        held_out_images: 0,
    }
}

/// Learns how sure a model's tags may be from the images held out of one training, or of several that each held out others
/// (cross-fitting: each image is judged by a training that has not seen it, and the model itself may have seen them all).
pub fn calibrate(tagging: &mut Tagging, manifest: &Manifest, rounds: &[Round]) {
    tagging.held_out_images = rounds.iter().map(|r| r.images.len()).sum();
    let labelled = |k| rounds.iter().flat_map(|r| r.labelled(k, manifest)).collect();
    let samples: Vec<Vec<Sample>> = (0..tagging.attributes.len()).map(labelled).collect();
    let all: Vec<Sample> = samples.iter().flatten().cloned().collect();
    let shared = (all.len() >= FEW).then(|| temperature(&all));
    for (k, (calibration, samples)) in tagging.attributes.iter_mut().zip(&samples).enumerate() {
        calibration.temperature = match samples.len() {
            FEW.. => temperature(samples),
            _ => shared.unwrap_or(calibration.temperature),
        };
        let scores = rounds.iter().flat_map(|r| r.scores(k, calibration.temperature, manifest));
        calibration.presence = presence(&scores.collect::<Vec<_>>());
    }
    let categories: Vec<Sample> = rounds.iter().flat_map(|r| r.of_categories(manifest)).collect();
    if categories.len() >= FEW {
        tagging.category_temperature = temperature(&categories);
    }
}

/// A value that no training image showed cannot be predicted.
fn is_known((distances, right): &Sample) -> bool {
    distances.get(*right).is_some_and(Option::is_some)
}

/// The temperature that makes the right values likeliest: the negative log-likelihood is convex in 1/T, so the golden section
/// of ln T finds it.
fn temperature(samples: &[Sample]) -> f64 {
    let loss = |ln_t: f64| -> f64 {
        let likelihood =
            |(distances, right): &Sample| softmax(distances, ln_t.exp())[*right].max(1e-300).ln();
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

/// Logistic regression of having a value on the score, by Newton's method on standardised scores. `None` if there are too few of
/// either kind, or if the score says nothing.
fn presence(scores: &[(f64, bool)]) -> Option<Presence> {
    let present = scores.iter().filter(|(_, present)| *present).count();
    if present < FEW_KINDS || scores.len() - present < FEW_KINDS {
        return None;
    }
    let count = scores.len() as f64;
    let mean = scores.iter().map(|(x, _)| x).sum::<f64>() / count;
    let deviation = (scores.iter().map(|(x, _)| (x - mean).powi(2)).sum::<f64>() / count).sqrt();
    if !(deviation.is_finite() && deviation > 1e-12) {
        return None;
    }
    // A weak pull to a slope of 0 keeps it finite where the two kinds do not overlap.
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
    // The nearer to a value, the likelier it has one; if the images held out say otherwise, that is chance.
    let slope = slope.max(0.0) / deviation;
    (slope > 0.0).then_some(Presence { slope, offset: offset - slope * mean })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    #[test]
    fn the_temperature_that_made_the_labels_is_found() {
        let mut rng = StdRng::seed_from_u64(1);
        for truth in [0.05, 1.0, 30.0] {
            let samples: Vec<Sample> = (0..20_000)
                .map(|_| {
                    let distances: Vec<Option<f64>> =
                        (0..4).map(|_| Some(rng.random::<f64>() * 4.0 * truth)).collect();
                    let mut left = rng.random::<f64>();
                    let p = softmax(&distances, truth);
                    let right = p.iter().position(|p| {
                        left -= p;
                        left <= 0.0
                    });
                    (distances, right.unwrap_or(3))
                })
                .collect();
            let found = temperature(&samples);
            assert!((found / truth - 1.0).abs() < 0.05, "{found}, not {truth}");
        }
    }

    #[test]
    fn the_presence_that_made_the_labels_is_found() {
        let mut rng = StdRng::seed_from_u64(2);
        let scores: Vec<(f64, bool)> = (0..20_000)
            .map(|_| {
                let x = rng.random::<f64>() * 40.0 - 30.0;
                (x, rng.random::<f64>() < 1.0 / (1.0 + (-(0.4 * x + 3.0)).exp()))
            })
            .collect();
        let found = presence(&scores).unwrap();
        assert!((found.slope - 0.4).abs() < 0.03 && (found.offset - 3.0).abs() < 0.2, "{found:?}");
    }

    #[test]
    fn absence_cannot_be_told_from_a_few_or_from_a_score_that_says_nothing() {
        let scores = |n: usize, x: fn(usize) -> f64| (0..n).map(|i| (x(i), i % 2 == 0)).collect::<Vec<_>>();
        assert_eq!(presence(&scores(8, |i| i as f64)), None);
        assert_eq!(presence(&scores(100, |_| 1.0)), None);
        // Wrong way round: images without a value are nearer.
        assert_eq!(presence(&scores(100, |i| (i % 2) as f64)), None);
        // Kinds that do not overlap still have a finite slope.
        let apart = presence(&scores(100, |i| -((i % 2) as f64))).unwrap();
        assert!(apart.slope.is_finite() && apart.slope > 1.0, "{apart:?}");
    }
}
