//! Tags: which values an embedding shows, with probabilities. They are the softmax of Eq. 2 and 5 over proxies, at a
//! temperature learned on images that training has not seen.
//!
//! Embeddings are stored at unit length in each subspace, while proxies are where raw embeddings were drawn to. So an
//! embedding is first put at the length that raw ones have there on average.

use super::config::ModelConfig;
use super::prototypes::Proxies;
use crate::error::{Error, Kind, Result};
use crate::space::{normalize_subspaces, EmbeddingRef, Layout};
use serde::{Deserialize, Serialize};

/// What turns distances from proxies into probabilities; in a model's config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tagging {
    /// Whether training compared unit vectors: then proxies count at unit length in each subspace, and radii are 1.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unit: bool,
    /// `[K]`: how long raw embeddings are in each subspace, on average.
    pub radii: Vec<f32>,
    /// `[K]`.
    pub attributes: Vec<Calibration>,
    /// Of the softmax over categories, in squared distances.
    pub category_temperature: f64,
    /// Images that temperatures and presence were learned from; with none they are those of training.
    pub held_out_images: usize,
}

/// Of one attribute.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Of the softmax over its values, in squared distances.
    pub temperature: f64,
    /// How to tell images without a value; none where all images have one, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<Presence>,
}

/// An image has a value with probability σ(slope · score + offset); see [`ValuePoints::score`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Presence {
    /// Not negative.
    pub slope: f64,
    /// Log-odds at a score of 0.
    pub offset: f64,
}

impl Tagging {
    /// Fails on numbers that no probability can come from.
    ///
    /// # Errors
    /// [`Kind::InvalidModel`].
    pub(super) fn check(&self, attributes: usize) -> Result<()> {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let presence = |p: &Presence| p.slope.is_finite() && p.slope >= 0.0 && p.offset.is_finite();
        let fine = self.radii.len() == attributes
            && self.attributes.len() == attributes
            && self.radii.iter().all(|r| positive(f64::from(*r)))
            && positive(self.category_temperature)
            && self
                .attributes
                .iter()
                .all(|c| positive(c.temperature) && c.presence.as_ref().is_none_or(presence));
        if fine {
            return Ok(());
        }
        Err(Error::new(Kind::InvalidModel, "config.json does not describe a usable model").detail(
            "\"tagging\" needs a radius and a temperature, each positive, for every attribute, and presence with finite numbers.",
        ))
    }
}

/// Proxies of one attribute, of which some stand for nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct ValuePoints {
    /// `[V, n]`.
    pub values: Vec<f32>,
    /// `[V]`: whether training images showed the value; the others' proxies are nowhere in particular.
    pub known: Vec<bool>,
    /// `[n]`: the proxy of images without a value, where the model learned one.
    pub absent: Option<Vec<f32>>,
}

impl ValuePoints {
    /// Squared distances of a point `[n]` from the known values' proxies; of the others `None`.
    pub fn distances(&self, point: &[f32]) -> Vec<Option<f64>> {
        let rows = self.values.chunks_exact(point.len()).zip(&self.known);
        rows.map(|(row, &known)| known.then(|| squared(point, row))).collect()
    }

    /// How much a point looks as if it had a value: the logarithm of the sum of exp(−D/T) over the values, against that of the
    /// proxy for absence if there is one.
    pub fn score(&self, point: &[f32], temperature: f64) -> f64 {
        let logits = self.distances(point).into_iter().flatten().map(|d| -d / temperature);
        let absent = self.absent.as_ref().map_or(0.0, |a| squared(point, a) / temperature);
        log_sum_exp(&logits.collect::<Vec<_>>()) + absent
    }
}

/// All that tags come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Tagger {
    tagging: Tagging,
    attributes: Vec<ValuePoints>,
    /// `[C, K·n]`, and which of them stand for something.
    categories: (Vec<f32>, Vec<bool>),
}

impl Tagger {
    /// From a model's config and proxies.
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
        let shaped = |mut rows: Vec<f32>| -> Result<Vec<f32>> {
            if tagging.unit {
                rows.chunks_exact_mut(config.subspace_dim)
                    .try_for_each(|row| normalize_subspaces(one, row))?;
            }
            Ok(rows)
        };
        let mut attributes = Vec::with_capacity(config.attributes.len());
        for ((a, values), absent) in config.attributes.iter().zip(proxies.attributes).zip(proxies.absent) {
            let (values, absent) = (shaped(values)?, absent.map(shaped).transpose()?);
            let known = a.values.iter().map(|v| v.images > 0).collect();
            attributes.push(ValuePoints { values, known, absent });
        }
        // Categories' proxies are means of shaped ones, and stay as long as they are; zeros are those of no instance.
        let rows = categories.chunks_exact(config.subspace_dim * config.attributes.len());
        let known = rows.map(|row| row.iter().any(|x| *x != 0.0)).collect();
        Ok(Self { tagging: tagging.clone(), attributes, categories: (categories, known) })
    }

    /// Squared distances of an embedding from the proxies of attribute k's values, as [`ValuePoints::distances`].
    pub fn distances(&self, e: EmbeddingRef<'_>, k: usize) -> Vec<Option<f64>> {
        self.attributes[k].distances(&self.point(e, k))
    }

    /// [`ValuePoints::score`] of an embedding for attribute k at a temperature.
    pub fn score(&self, e: EmbeddingRef<'_>, k: usize, temperature: f64) -> f64 {
        self.attributes[k].score(&self.point(e, k), temperature)
    }

    /// Squared distances of an embedding from the categories' proxies; `None` for those without training images.
    pub fn category_distances(&self, e: EmbeddingRef<'_>) -> Vec<Option<f64>> {
        let point: Vec<f32> = (0..e.layout.subspaces()).flat_map(|k| self.point(e, k)).collect();
        let (rows, known) = &self.categories;
        let rows = rows.chunks_exact(point.len()).zip(known);
        rows.map(|(row, &known)| known.then(|| squared(&point, row))).collect()
    }

    /// `[V]`: the probability of each value of attribute k; what is missing to 1 is that of none.
    pub fn attribute(&self, e: EmbeddingRef<'_>, k: usize) -> Vec<f64> {
        let Calibration { temperature, presence } = self.tagging.attributes[k];
        let (points, point) = (&self.attributes[k], self.point(e, k));
        let present = presence
            .map_or(1.0, |p| 1.0 / (1.0 + (-(p.slope * points.score(&point, temperature) + p.offset)).exp()));
        let mut probabilities = softmax(&points.distances(&point), temperature);
        probabilities.iter_mut().for_each(|p| *p *= present);
        probabilities
    }

    /// Whether images without a value of attribute k are told from those with one.
    pub fn knows_absence(&self, k: usize) -> bool {
        self.tagging.attributes[k].presence.is_some()
    }

    /// `[C]`: the probability of each category.
    pub fn category(&self, e: EmbeddingRef<'_>) -> Vec<f64> {
        softmax(&self.category_distances(e), self.tagging.category_temperature)
    }

    /// An embedding in subspace k, as long as raw ones are there.
    fn point(&self, e: EmbeddingRef<'_>, k: usize) -> Vec<f32> {
        let radius = self.tagging.radii[k];
        e.values[e.layout.range(k)].iter().map(|v| radius * v.to_f32()).collect()
    }
}

/// Squared Euclidean distance, in double precision.
fn squared(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum()
}

/// exp(−D/T), normalised; what has no distance has no probability.
pub fn softmax(distances: &[Option<f64>], temperature: f64) -> Vec<f64> {
    let least = distances.iter().flatten().copied().fold(f64::INFINITY, f64::min);
    let weights: Vec<f64> =
        distances.iter().map(|d| d.map_or(0.0, |d| ((least - d) / temperature).exp())).collect();
    let total = weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    weights.into_iter().map(|w| w / total).collect()
}

fn log_sum_exp(logits: &[f64]) -> f64 {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most + logits.iter().map(|l| (l - most).exp()).sum::<f64>().max(f64::MIN_POSITIVE).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::Embedding;

    fn tagger(presence: Option<Presence>, absent: Option<Vec<f32>>) -> Tagger {
        let calibration = Calibration { temperature: 2.0, presence };
        Tagger {
            tagging: Tagging {
                unit: false,
                radii: vec![2.0, 1.0],
                attributes: vec![calibration, Calibration { temperature: 1.0, presence: None }],
                category_temperature: 0.5,
                held_out_images: 10,
            },
            attributes: vec![
                ValuePoints {
                    values: vec![2.0, 0.0, 0.0, 2.0, 9.0, 9.0],
                    known: vec![true, true, false],
                    absent,
                },
                ValuePoints { values: vec![0.0, 1.0], known: vec![true], absent: None },
            ],
            categories: (vec![2.0, 0.0, 0.0, 1.0, 0.0, 2.0, 0.0, 1.0], vec![true, true]),
        }
    }

    fn embedding() -> Embedding {
        Embedding::from_raw(Layout::new(2, 2, 0).unwrap(), &[1.0, 0.0, 0.0, 3.0]).unwrap()
    }

    #[test]
    fn probabilities_by_hand() {
        // At radius 2 the first subspace is (2, 0): 0 from the first value, 8 from the second, the third is unknown.
        let e = embedding();
        let p = tagger(None, None).attribute(e.as_ref(), 0);
        let second = (-4.0f64).exp() / (1.0 + (-4.0f64).exp());
        assert!((p[0] - (1.0 - second)).abs() < 1e-12 && (p[1] - second).abs() < 1e-12 && p[2] == 0.0);
        assert_eq!(tagger(None, None).attribute(e.as_ref(), 1), [1.0]);
        let p = tagger(None, None).category(e.as_ref());
        let second = (-16.0f64).exp() / (1.0 + (-16.0f64).exp());
        assert!((p[1] - second).abs() < 1e-15, "{p:?}");
    }

    #[test]
    fn presence_divides_all_values_and_counts_from_the_proxy_for_absence() {
        let presence = Some(Presence { slope: 1.5, offset: -0.25 });
        let without = tagger(presence, None).attribute(embedding().as_ref(), 0);
        // ln(1 + e^-4) is the score; the proxy for absence at (0, 0) is 4 away, which adds 4 / 2.
        let score = (-4.0f64).exp().ln_1p();
        let expected = |score: f64| 1.0 / (1.0 + (0.25 - 1.5 * score).exp());
        assert!((without.iter().sum::<f64>() - expected(score)).abs() < 1e-12);
        let with = tagger(presence, Some(vec![0.0, 0.0])).attribute(embedding().as_ref(), 0);
        assert!((with.iter().sum::<f64>() - expected(score + 2.0)).abs() < 1e-12);
    }

    #[test]
    fn far_away_from_everything_is_still_a_distribution() {
        let far = [Some(1e9), Some(1e9 + 1.0), None];
        let p = softmax(&far, 1e-3);
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12 && p[0] == 1.0);
        assert_eq!(softmax(&[None], 1.0), [0.0]);
    }
}
