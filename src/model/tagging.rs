//! Tags: the values and the category that an embedding shows, with probabilities. A probability is the softmax of Eq. 2 or 5
//! over the distances from proxies, at a temperature fitted on images that training has not seen.
//!
//! Stored embeddings have unit length in each subspace, but training pulled raw embeddings, of any length, towards the proxies.
//! So each subspace of an embedding is first scaled to the mean length of raw embeddings there.
//!
//! Where images may show several values of an attribute, the values do not compete: each has the probability that the image shows it, and
//! those from [`SHOWN_FROM`] on are its tags.

use super::config::ModelConfig;
use super::prototypes::Proxies;
use super::tagging_config::{PresenceModel, TagCalibration, TaggingConfig};
use crate::error::{Error, Kind, Result};
use crate::space::{normalize_subspaces, EmbeddingRef, Layout};

/// A value of an attribute with several is a tag from this probability on.
pub const SHOWN_FROM: f64 = 0.5;
/// Log-odds are limited to this size, so that values which are out of the question do not decide how those in question are judged.
const MAX_LOG_ODDS: f64 = 12.0;

/// The proxies of one attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributeProxies {
    /// `[V, n]`: the proxies of the values.
    pub values: Vec<f32>,
    /// `[V]`: whether any training image showed the value. The proxies of the others never learned anything, and are ignored.
    pub known: Vec<bool>,
    /// `[n]`: the proxy of images without a value, where the model learned one.
    pub absent: Option<Vec<f32>>,
    /// Whether an image may show several values.
    pub multi: bool,
}

/// What an embedding shows of one attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueProbabilities {
    /// `[V]`: the probability of each value. They sum to 1 less `none`, unless an image may show several.
    pub values: Vec<f64>,
    /// The probability of no value; `None` if the model cannot tell.
    pub none: Option<f64>,
}

impl AttributeProxies {
    /// Squared distances of a point `[n]` from the values' proxies; `None` for values that are not known.
    pub fn distances(&self, point: &[f32]) -> Vec<Option<f64>> {
        let rows = self.values.chunks_exact(point.len()).zip(&self.known);
        rows.map(|(row, &known)| known.then(|| squared(point, row))).collect()
    }

    /// How much a point looks as if it had any value: log Σ exp(−D/T) over the known values, minus −D/T of the absent proxy if
    /// there is one.
    pub fn presence_score(&self, point: &[f32], temperature: f64) -> f64 {
        let logits = self.distances(point).into_iter().flatten().map(|d| -d / temperature);
        let absent = self.absent.as_ref().map_or(0.0, |a| squared(point, a) / temperature);
        log_sum_exp(&logits.collect::<Vec<_>>()) + absent
    }
}

/// Computes the tags of embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct Tagger {
    tagging: TaggingConfig,
    attributes: Vec<AttributeProxies>,
    /// `[C, K·n]`: the proxies of the categories.
    categories: Vec<f32>,
    /// `[C]`: whether the category had training instances.
    category_known: Vec<bool>,
}

impl Tagger {
    /// A tagger from a model's config and proxies.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] if the model was made without what tags need.
    pub fn new(config: &ModelConfig, proxies: Proxies) -> Result<Self> {
        let (Some(tagging), Some(categories)) = (&config.tagging, proxies.categories) else {
            return Err(Error::new(Kind::InvalidParameter, "the model was made without tags")
                .detail("Its config.json has no \"tagging\", or its weights no proxies of categories.")
                .hint("Train it again with this version's `coopembed train`."));
        };
        let (n, count) = (config.subspace_dim, config.attributes.len());
        let fits = proxies.attributes.len() == count
            && proxies.absent.len() == count
            && config.attributes.iter().zip(&proxies.attributes).all(|(a, p)| p.len() == a.values.len() * n)
            && proxies.absent.iter().flatten().all(|absent| absent.len() == n)
            && categories.len() == config.categories.len() * count * n;
        if !fits {
            return Err(Error::new(Kind::InvalidModel, "the model's proxies do not fit its config")
                .hint("Drop the model and load it again."));
        }
        let one = Layout::new(1, n, 0)?;
        let scaled = |mut rows: Vec<f32>| -> Result<Vec<f32>> {
            if tagging.unit {
                rows.chunks_exact_mut(config.subspace_dim)
                    .try_for_each(|row| normalize_subspaces(one, row))?;
            }
            Ok(rows)
        };
        let mut attributes = Vec::with_capacity(config.attributes.len());
        for ((a, values), absent) in config.attributes.iter().zip(proxies.attributes).zip(proxies.absent) {
            let (values, absent) = (scaled(values)?, absent.map(scaled).transpose()?);
            let known = a.values.iter().map(|v| v.images > 0).collect();
            attributes.push(AttributeProxies { values, known, absent, multi: a.multi });
        }
        // Category proxies are means of instance proxies that already had this scale, so they keep their length. A row of zeros
        // is a category without instances.
        let rows = categories.chunks_exact(config.subspace_dim * config.attributes.len());
        let category_known = rows.map(|row| row.iter().any(|x| *x != 0.0)).collect();
        Ok(Self { tagging: tagging.clone(), attributes, categories, category_known })
    }

    /// Squared distances of an embedding from the proxies of attribute k's values; `None` for values without training images.
    pub fn distances(&self, e: EmbeddingRef<'_>, k: usize) -> Vec<Option<f64>> {
        self.attributes[k].distances(&self.point(e, k))
    }

    /// How much an embedding looks as if it had any value of attribute k: log Σ exp(−D/T) over the values, minus −D/T of the absent proxy
    /// if there is one.
    pub fn presence_score(&self, e: EmbeddingRef<'_>, k: usize, temperature: f64) -> f64 {
        self.attributes[k].presence_score(&self.point(e, k), temperature)
    }

    /// Squared distances of an embedding from the categories' proxies; `None` for those without training images.
    pub fn category_distances(&self, e: EmbeddingRef<'_>) -> Vec<Option<f64>> {
        let point: Vec<f32> = (0..e.layout.subspaces()).flat_map(|k| self.point(e, k)).collect();
        let rows = self.categories.chunks_exact(point.len()).zip(&self.category_known);
        rows.map(|(row, &known)| known.then(|| squared(&point, row))).collect()
    }

    /// The probabilities of the values of attribute k.
    pub fn attribute(&self, e: EmbeddingRef<'_>, k: usize) -> ValueProbabilities {
        let TagCalibration { temperature, presence, shown } = self.tagging.attributes[k];
        let (proxies, point) = (&self.attributes[k], self.point(e, k));
        let present = presence.map(|p| p.probability(proxies.presence_score(&point, temperature)));
        let mut values = softmax(&proxies.distances(&point), temperature);
        if proxies.multi {
            values = shown_probabilities(&values, shown);
        }
        values.iter_mut().for_each(|p| *p *= present.unwrap_or(1.0));
        ValueProbabilities { values, none: present.map(|present| 1.0 - present) }
    }

    /// Whether an image may show several values of attribute k.
    pub fn is_multi(&self, k: usize) -> bool {
        self.attributes[k].multi
    }

    /// `[C]`: the probability of each category.
    pub fn category(&self, e: EmbeddingRef<'_>) -> Vec<f64> {
        softmax(&self.category_distances(e), self.tagging.category_temperature)
    }

    /// `[n]`: subspace k of an embedding, scaled to the mean length of raw embeddings there.
    fn point(&self, e: EmbeddingRef<'_>, k: usize) -> Vec<f32> {
        let radius = self.tagging.radii[k];
        e.values[e.layout.range(k)].iter().map(|v| radius * v.to_f32()).collect()
    }
}

/// The log-odds of a probability, within limits.
pub fn log_odds(probability: f64) -> f64 {
    (probability / (1.0 - probability)).ln().clamp(-MAX_LOG_ODDS, MAX_LOG_ODDS)
}

/// The probability that an image shows each value, from those of the softmax. Training gave m values of an image the probability 1/m each:
/// without a calibration each is multiplied with the number of values that the softmax is spread over, the exponential of its entropy.
fn shown_probabilities(softmax: &[f64], calibration: Option<PresenceModel>) -> Vec<f64> {
    let entropy: f64 = softmax.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
    let shown = |&p: &f64| match calibration {
        _ if p <= 0.0 => 0.0,
        Some(model) => model.probability(log_odds(p)),
        None => (p * entropy.exp()).min(1.0),
    };
    softmax.iter().map(shown).collect()
}

/// Squared Euclidean distance, in double precision.
fn squared(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum()
}

/// exp(−D/T), normalised to a sum of 1; entries without a distance get probability 0.
pub fn softmax(distances: &[Option<f64>], temperature: f64) -> Vec<f64> {
    let least = distances.iter().flatten().copied().fold(f64::INFINITY, f64::min);
    let weights: Vec<f64> =
        distances.iter().map(|d| d.map_or(0.0, |d| ((least - d) / temperature).exp())).collect();
    let total = weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    weights.into_iter().map(|w| w / total).collect()
}

/// log Σ exp(x), without overflow.
fn log_sum_exp(logits: &[f64]) -> f64 {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most + logits.iter().map(|l| (l - most).exp()).sum::<f64>().max(f64::MIN_POSITIVE).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tagging_config::PresenceModel;
    use crate::space::Embedding;

    fn tagger(presence: Option<PresenceModel>, absent: Option<Vec<f32>>) -> Tagger {
        let calibration = TagCalibration { temperature: 2.0, presence, shown: None };
        Tagger {
            tagging: TaggingConfig {
                unit: false,
                radii: vec![2.0, 1.0],
                attributes: vec![
                    calibration,
                    TagCalibration { temperature: 1.0, presence: None, shown: None },
                ],
                category_temperature: 0.5,
                held_out_images: 10,
            },
            attributes: vec![
                AttributeProxies {
                    values: vec![2.0, 0.0, 0.0, 2.0, 9.0, 9.0],
                    known: vec![true, true, false],
                    absent,
                    multi: false,
                },
                AttributeProxies { values: vec![0.0, 1.0], known: vec![true], absent: None, multi: false },
            ],
            categories: vec![2.0, 0.0, 0.0, 1.0, 0.0, 2.0, 0.0, 1.0],
            category_known: vec![true, true],
        }
    }

    fn embedding() -> Embedding {
        Embedding::from_raw(Layout::new(2, 2, 0).unwrap(), &[1.0, 0.0, 0.0, 3.0]).unwrap()
    }

    #[test]
    fn probabilities_by_hand() {
        // Scaled to radius 2 the first subspace is (2, 0): at distance 0 from the first value and 8 from the second; the third is
        // not known.
        let e = embedding();
        let p = tagger(None, None).attribute(e.as_ref(), 0).values;
        let second = (-4.0f64).exp() / (1.0 + (-4.0f64).exp());
        assert!((p[0] - (1.0 - second)).abs() < 1e-12 && (p[1] - second).abs() < 1e-12 && p[2] == 0.0);
        assert_eq!(tagger(None, None).attribute(e.as_ref(), 1).values, [1.0]);
        let p = tagger(None, None).category(e.as_ref());
        let second = (-16.0f64).exp() / (1.0 + (-16.0f64).exp());
        assert!((p[1] - second).abs() < 1e-15, "{p:?}");
    }

    #[test]
    fn presence_scales_all_values_and_is_measured_against_the_absent_proxy() {
        let presence = Some(PresenceModel { slope: 1.5, offset: -0.25 });
        let without = tagger(presence, None).attribute(embedding().as_ref(), 0);
        // The score is ln(1 + e^-4); the absent proxy at (0, 0) is at squared distance 4, which adds 4 / 2.
        let score = (-4.0f64).exp().ln_1p();
        let expected = |score: f64| 1.0 / (1.0 + (0.25 - 1.5 * score).exp());
        assert!((without.values.iter().sum::<f64>() - expected(score)).abs() < 1e-12);
        assert!((without.none.unwrap() - (1.0 - expected(score))).abs() < 1e-12);
        let with = tagger(presence, Some(vec![0.0, 0.0])).attribute(embedding().as_ref(), 0);
        assert!((with.values.iter().sum::<f64>() - expected(score + 2.0)).abs() < 1e-12);
    }

    #[test]
    fn several_values_do_not_compete() {
        // At the same distance from both known values: each has half of the softmax.
        let e = Embedding::from_raw(Layout::new(2, 2, 0).unwrap(), &[1.0, 1.0, 0.0, 3.0]).unwrap();
        let mut tagger = tagger(None, None);
        tagger.attributes[0].multi = true;
        let p = tagger.attribute(e.as_ref(), 0).values;
        assert!((p[0] - 1.0).abs() < 1e-9 && (p[1] - 1.0).abs() < 1e-9 && p[2] == 0.0, "{p:?}");
        // Held-out images said that log-odds of 0 mean a probability of σ(1.5), and that an image has a value with probability σ(-1).
        tagger.tagging.attributes[0].shown = Some(PresenceModel { slope: 0.5, offset: 1.5 });
        tagger.tagging.attributes[0].presence = Some(PresenceModel { slope: 0.0, offset: -1.0 });
        let (shown, present) = (1.0 / (1.0 + (-1.5f64).exp()), 1.0 / (1.0 + 1f64.exp()));
        let found = tagger.attribute(e.as_ref(), 0);
        assert!((found.values[0] - shown * present).abs() < 1e-6 && found.values[2] == 0.0, "{found:?}");
        assert!((found.none.unwrap() - (1.0 - present)).abs() < 1e-12);
    }

    #[test]
    fn without_calibration_a_sure_value_is_shown_alone() {
        let p = shown_probabilities(&[0.98, 0.01, 0.01, 0.0], None);
        assert!(p[0] == 1.0 && p[1] < 0.02 && p[3] == 0.0, "{p:?}");
        let p = shown_probabilities(&[1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 0.0], None);
        assert!(p[..3].iter().all(|p| (p - 1.0).abs() < 1e-12), "{p:?}");
        assert_eq!(log_odds(1.0), MAX_LOG_ODDS);
    }

    #[test]
    fn softmax_of_large_distances_is_still_a_distribution() {
        let far = [Some(1e9), Some(1e9 + 1.0), None];
        let p = softmax(&far, 1e-3);
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12 && p[0] == 1.0);
        assert_eq!(softmax(&[None], 1.0), [0.0]);
    }
}
