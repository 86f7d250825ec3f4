//! The hyper-parameters of a training: the paper's defaults, and the choices that the paper leaves open.

use super::losses::LossWeights;
use super::method_kind::MethodKind;
use super::optimizer::{AdamSettings, OptimizerKind};
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

/// The hyper-parameters of a training. A model's config records all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The method that learns.
    #[serde(default)]
    pub method: MethodKind,
    /// n, the dimensions of each attribute's subspace.
    pub subspace_dim: usize,
    /// Passes over the training images.
    pub epochs: usize,
    /// Images per step; the last batch of an epoch may be smaller.
    pub batch_size: usize,
    /// The learning rate of the projection.
    pub learning_rate: f64,
    /// The proxies' learning rate, as a multiple of the projection's.
    pub proxy_rate: f64,
    /// How the learning rate changes over the epochs.
    pub schedule: Schedule,
    /// Epochs over which the learning rate rises linearly from zero.
    pub warmup_epochs: f64,
    /// The backbone's learning rate, as a multiple of the projection's.
    #[serde(default = "backbone_rate")]
    pub backbone_rate: f64,
    /// Adam (coupled weight decay) or AdamW (decoupled).
    #[serde(default = "adam")]
    pub optimizer: OptimizerKind,
    /// Weight decay of everything that learns.
    pub weight_decay: f64,
    /// Weight decay of the proxies, if it differs from that of the rest.
    #[serde(default)]
    pub proxy_weight_decay: Option<f64>,
    /// Gradients whose common norm is larger are scaled down to this norm.
    #[serde(default)]
    pub clip_norm: Option<f64>,
    /// λ of every loss.
    pub losses: LossWeights,
    /// Standard deviation per dimension of the normal distribution that proxies are drawn from. (With 1 the softmax over squared
    /// distances would be saturated at the start for N = 400.)
    pub proxy_std: f64,
    /// Whether the backbone learns too.
    #[serde(default)]
    pub train_backbone: bool,
    /// Whether a backbone that learns normalises by the running statistics of its batch normalisation and leaves them unchanged.
    #[serde(default)]
    pub frozen_batch_norm: bool,
    /// Whether a backbone that learns sees random crops of the images.
    #[serde(default)]
    pub random_crop: bool,
    /// The fraction of the training instances that is held out for validation.
    #[serde(default)]
    pub validation: Option<f64>,
    /// Training stops after this many epochs without a better validation score.
    #[serde(default)]
    pub patience: Option<usize>,
    /// The fraction of the training instances that is held out to calibrate the probabilities of tags, unless instances are held out
    /// for validation. (Not serialised if 0, so that the digest of older trainings stays the same.)
    #[serde(default, skip_serializing_if = "is_zero")]
    pub calibration: f64,
    /// The number of folds of cross-calibration: so many trainings each hold out another part of the training instances, and their
    /// held-out images calibrate the tags of a last training on all images. Ignored if instances are held out for validation or
    /// calibration. (Not serialised if 0, so that the digest of older trainings stays the same.)
    #[serde(default, skip_serializing_if = "is_zero")]
    pub calibration_folds: usize,
    /// Whether each training image is mirrored half of the time.
    pub flip: bool,
    /// Beyond the paper: compare embeddings and proxies at unit length in each subspace.
    pub normalize: bool,
    /// With `normalize`, the inverse temperature of the softmax.
    pub scale: f64,
    /// With `normalize`, whether the scale is learned too, starting at `scale`, at the learning rate of the proxies.
    #[serde(default)]
    pub learned_scale: bool,
    /// Beyond the paper: LayerNorm (without gain and bias) of the features before the projection.
    #[serde(default)]
    pub standardize_features: bool,
    /// Beyond the paper: images without a value of an attribute have a proxy of their own in its loss, instead of taking no part.
    /// (Not serialised if false, so that the digest of older trainings stays the same.)
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent_proxies: bool,
    /// Whether the instance proxies keep their initial values.
    #[serde(default)]
    pub fixed_instance_proxies: bool,
    /// Whether the proxies of attribute values keep their initial values.
    #[serde(default)]
    pub fixed_attribute_proxies: bool,
    /// The margin of triplets, in squared distances of unit vectors.
    #[serde(default = "margin")]
    pub margin: f64,
    /// How many images of an instance are placed together in a batch; `None` shuffles images one by one.
    #[serde(default)]
    pub images_per_instance: Option<usize>,
    /// Beyond the paper: scale each subspace of a mean query to unit length again.
    #[serde(default)]
    pub renormalize_queries: bool,
    /// The seed of all random numbers.
    pub seed: u64,
}

/// How the learning rate changes over the epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Constant after the warm-up
    Constant,
    /// Half a cosine, down to zero at the end
    Cosine,
}

/// A named set of hyper-parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// The paper's defaults
    #[default]
    Paper,
    /// Proxies that start close together, stronger weight decay, and proxies for absent values: better attribute figures and no worse
    /// ones on both data sets of RESULTS.md. Five folds calibrate the probabilities of tags
    Recommended,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            method: MethodKind::Cooperative,
            subspace_dim: 50,
            epochs: 30,
            batch_size: 128,
            learning_rate: 1e-4,
            proxy_rate: 10.0,
            schedule: Schedule::Constant,
            warmup_epochs: 0.0,
            backbone_rate: backbone_rate(),
            optimizer: adam(),
            weight_decay: 5e-5,
            proxy_weight_decay: None,
            clip_norm: None,
            losses: LossWeights {
                instance: 1.0,
                attribute: 1.0,
                category: 1.0,
                regularization: 0.5,
                order: 0.0,
                order_sigma: 1.0,
            },
            proxy_std: 0.125,
            train_backbone: false,
            frozen_batch_norm: false,
            random_crop: false,
            validation: None,
            patience: None,
            calibration: 0.0,
            calibration_folds: 0,
            flip: true,
            normalize: false,
            scale: 16.0,
            learned_scale: false,
            standardize_features: false,
            absent_proxies: false,
            fixed_instance_proxies: false,
            fixed_attribute_proxies: false,
            margin: margin(),
            images_per_instance: None,
            renormalize_queries: false,
            seed: 0,
        }
    }
}

fn is_zero<T: Default + PartialEq>(x: &T) -> bool {
    *x == T::default()
}

fn backbone_rate() -> f64 {
    0.1
}

fn margin() -> f64 {
    0.2
}

fn adam() -> OptimizerKind {
    OptimizerKind::Adam
}

impl Settings {
    /// The hyper-parameters of a preset.
    pub fn of(preset: Preset) -> Self {
        match preset {
            Preset::Paper => Self::default(),
            Preset::Recommended => Self {
                proxy_std: 0.03,
                weight_decay: 2e-3,
                epochs: 25,
                absent_proxies: true,
                calibration_folds: 5,
                ..Self::default()
            },
        }
    }

    /// Chooses the method. Triplets need several images of an instance in a batch: four, unless the settings say how many.
    pub fn set_method(&mut self, method: MethodKind) {
        self.method = method;
        if method.uses_triplets() {
            self.images_per_instance.get_or_insert(4);
        }
    }

    /// The optimiser's share of the hyper-parameters.
    pub fn optimizer(&self) -> AdamSettings {
        AdamSettings {
            kind: self.optimizer,
            weight_decay: self.weight_decay,
            proxy_weight_decay: self.proxy_weight_decay.unwrap_or(self.weight_decay),
            backbone_rate: self.backbone_rate,
            proxy_rate: self.proxy_rate,
            clip_norm: self.clip_norm,
            ..Default::default()
        }
    }

    /// The projection's learning rate after `progress` epochs, which may be a fraction.
    pub fn learning_rate_at(&self, progress: f64) -> f64 {
        let warmup = if self.warmup_epochs > 0.0 { (progress / self.warmup_epochs).min(1.0) } else { 1.0 };
        let decay = match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Cosine => {
                let rest = (self.epochs as f64 - self.warmup_epochs).max(f64::MIN_POSITIVE);
                let done = ((progress - self.warmup_epochs) / rest).clamp(0.0, 1.0);
                (1.0 + (std::f64::consts::PI * done).cos()) / 2.0
            }
        };
        self.learning_rate * warmup * decay
    }

    /// Fails on impossible hyper-parameters, and lists all of them.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`].
    pub fn check(&self) -> Result<()> {
        let l = &self.losses;
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let not_negative = |x: f64| x.is_finite() && x >= 0.0;
        let lambdas = [l.instance, l.attribute, l.category, l.regularization, l.order];
        let checks = [
            (self.subspace_dim > 0, "the dimensions of a subspace must be at least 1"),
            (self.epochs > 0, "epochs must be at least 1"),
            (self.batch_size > 0, "the batch size must be at least 1"),
            (positive(self.learning_rate), "the learning rate must be positive"),
            (positive(self.proxy_rate), "the proxies' rate must be positive"),
            (positive(self.backbone_rate), "the backbone's rate must be positive"),
            (
                self.proxy_weight_decay.is_none_or(not_negative),
                "the proxies' weight decay must not be negative",
            ),
            (self.clip_norm.is_none_or(positive), "the norm to clip to must be positive"),
            (
                self.patience.is_none_or(|p| p > 0) && (self.patience.is_none() || self.validation.is_some()),
                "patience needs at least 1 epoch, and a validation",
            ),
            (
                self.train_backbone || !(self.random_crop || self.frozen_batch_norm),
                "random crops and frozen batch normalisation need --train-backbone",
            ),
            (
                (0.0..1.0).contains(&self.calibration),
                "the part held out for calibration must be at least 0 and less than 1",
            ),
            (self.calibration_folds != 1, "calibration needs two folds, or none"),
            (not_negative(self.warmup_epochs), "warm-up epochs must not be negative"),
            (not_negative(self.weight_decay), "weight decay must not be negative"),
            (lambdas.into_iter().all(not_negative), "the weight of a loss must not be negative"),
            (
                lambdas[..3].iter().any(|&x| x > 0.0),
                "one of the instance, attribute and category losses must count",
            ),
            (positive(l.order_sigma), "sigma must be positive"),
            (not_negative(self.proxy_std), "the proxies' standard deviation must not be negative"),
            (positive(self.scale), "the scale must be positive"),
            (positive(self.margin), "the margin must be positive"),
            (self.images_per_instance != Some(0), "images of an instance in a batch must be at least 1"),
        ];
        let wrong: Vec<&str> = checks.iter().filter(|(fine, _)| !fine).map(|(_, why)| *why).collect();
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Error::new(Kind::InvalidParameter, wrong.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warmup_rises_and_the_cosine_falls_to_zero() {
        let s = Settings {
            learning_rate: 2.0,
            epochs: 12,
            warmup_epochs: 2.0,
            schedule: Schedule::Cosine,
            ..Default::default()
        };
        let close = |at: f64, want: f64| assert!((s.learning_rate_at(at) - want).abs() < 1e-12, "{at}");
        close(0.5, 0.5);
        close(2.0, 2.0);
        close(7.0, 1.0);
        close(12.0, 0.0);
        assert_eq!(Settings::default().learning_rate_at(29.9), 1e-4);
    }

    #[test]
    fn impossible_numbers_are_listed_together() {
        let mut s = Settings { epochs: 0, learning_rate: f64::NAN, ..Default::default() };
        s.losses.order = -1.0;
        let e = s.check().unwrap_err();
        assert_eq!(e.message.split("; ").count(), 3, "{}", e.message);
        assert!(Settings::default().check().is_ok());
    }
}
