//! The part of `config.json` that turns distances from proxies into the probabilities of tags.

use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

/// How tags get their probabilities: a softmax over squared distances from proxies, see `tagging.rs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaggingConfig {
    /// Whether training compared unit vectors. If so, proxies are scaled to unit length in each subspace and all radii are 1.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unit: bool,
    /// `[K]`: the mean length of raw embeddings in each subspace.
    pub radii: Vec<f32>,
    /// `[K]`: one calibration per attribute.
    pub attributes: Vec<TagCalibration>,
    /// The temperature of the softmax over categories, in squared distances.
    pub category_temperature: f64,
    /// How many held-out images temperatures and presence were fitted on; 0 if the temperatures are those of training.
    pub held_out_images: usize,
}

/// The calibration of one attribute's tags.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TagCalibration {
    /// The temperature of the softmax over the values, in squared distances.
    pub temperature: f64,
    /// Tells images that have a value from images that have none. `None` if every training image had a value, or if too few
    /// images were held out to fit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<PresenceModel>,
    /// Of an attribute with several values: tells the values that an image shows from the others, by the log-odds of their probabilities
    /// in the softmax. `None` if too few images were held out to fit it. From format 5 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<PresenceModel>,
}

/// Logistic regression: the probability is σ(slope · score + offset). The score that tells whether an image has a value is
/// [`super::Tagger::presence_score`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PresenceModel {
    /// At least 0: a higher score never makes a value less likely.
    pub slope: f64,
    /// The log-odds at a score of 0.
    pub offset: f64,
}

impl PresenceModel {
    /// The probability at a score.
    pub fn probability(&self, score: f64) -> f64 {
        1.0 / (1.0 + (-(self.slope * score + self.offset)).exp())
    }
}

impl TaggingConfig {
    /// Fails on numbers that cannot yield probabilities; `attributes` is K.
    ///
    /// # Errors
    /// [`Kind::InvalidModel`].
    pub(super) fn check(&self, attributes: usize) -> Result<()> {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let presence = |p: &PresenceModel| p.slope.is_finite() && p.slope >= 0.0 && p.offset.is_finite();
        let valid = self.radii.len() == attributes
            && self.attributes.len() == attributes
            && self.radii.iter().all(|r| positive(f64::from(*r)))
            && positive(self.category_temperature)
            && self.attributes.iter().all(|c| {
                positive(c.temperature) && [&c.presence, &c.shown].into_iter().flatten().all(presence)
            });
        if valid {
            return Ok(());
        }
        Err(Error::new(Kind::InvalidModel, "config.json does not describe a usable model").detail(
            "\"tagging\" needs a radius and a temperature, each positive, for every attribute, and presence with finite numbers.",
        ))
    }
}
