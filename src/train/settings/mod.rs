//! The hyper-parameters of a training: the paper's defaults, and the choices that the paper leaves open.
//!
//! | file | what is in it |
//! |---|---|
//! | `stage` | the stages of a training, and how their learning rates change |
//! | `preset` | named sets of hyper-parameters |
//! | `defaults` | the paper's hyper-parameters |
//! | `check` | which hyper-parameters are possible |

mod check;
mod defaults;
mod preset;
mod stage;

pub use preset::Preset;
pub use stage::{Schedule, Stage, StagePart};

use super::losses::LossWeights;
use super::method_kind::MethodKind;
use super::optimizer::{AdamSettings, OptimizerKind};
use crate::model::FeatureSet;
use serde::{Deserialize, Serialize};

/// The hyper-parameters of a training. A model's config records all of them.
///
/// Digests of checkpoints and keys of stored runs hash their serialised form. So that those of older trainings stay the same, fields that
/// were added later are not serialised at their default.
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
    #[serde(default = "defaults::backbone_rate")]
    pub backbone_rate: f64,
    /// The stages of the training, in their order. If there are none, the training has one stage, of the epochs, rates, warm-up and
    /// schedule given beside this field. See [`Settings::stages`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// The first block of the backbone that learns in [`StagePart::Upper`], counted from 1.
    #[serde(default = "defaults::unfreeze_from", skip_serializing_if = "defaults::is_unfreeze_from")]
    pub unfreeze_from: usize,
    /// Adam (coupled weight decay) or AdamW (decoupled).
    #[serde(default = "defaults::adam")]
    pub optimizer: OptimizerKind,
    /// Weight decay of everything that learns, where no other is given.
    pub weight_decay: f64,
    /// Weight decay of the proxies.
    #[serde(default)]
    pub proxy_weight_decay: Option<f64>,
    /// Weight decay of the backbone's filters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backbone_weight_decay: Option<f64>,
    /// Weight decay of the backbone's batch normalisation (γ and β).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norm_weight_decay: Option<f64>,
    /// Gradients whose common norm is larger are scaled down to this norm.
    #[serde(default)]
    pub clip_norm: Option<f64>,
    /// Decay per step of an exponential moving average of everything that learns. The averages are what is evaluated and saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
    /// λ of every loss, and what else the losses depend on.
    pub losses: LossWeights,
    /// Standard deviation per dimension of the normal distribution that proxies are drawn from. (With 1 the softmax over squared
    /// distances would be saturated at the start for N = 400.)
    pub proxy_std: f64,
    /// Whether the backbone learns too, all of it and from the first step on. With [`Settings::stages`], these say what learns.
    #[serde(default)]
    pub train_backbone: bool,
    /// Whether a backbone that learns normalises by the running statistics of its batch normalisation and leaves them unchanged.
    #[serde(default)]
    pub frozen_batch_norm: bool,
    /// Whether a backbone that learns convolves in bfloat16. Weights, gradients and normalisation stay in single precision. Needs a GPU.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mixed_precision: bool,
    /// Whether training sees random crops of the images. This and the augmentations below apply if the backbone learns, or if there are
    /// several views.
    #[serde(default)]
    pub random_crop: bool,
    /// The smallest and largest area of a random crop, as a fraction of the image's.
    #[serde(default = "defaults::crop_area", skip_serializing_if = "defaults::is_crop_area")]
    pub crop_area: [f32; 2],
    /// Strength of random changes of brightness, contrast and saturation: each is scaled by a factor in 1 ± `jitter`.
    #[serde(default, skip_serializing_if = "defaults::is_default")]
    pub jitter: f32,
    /// Random rotations of the hue, in either direction by at most this fraction of the colour circle (0 to 0.5).
    #[serde(default, skip_serializing_if = "defaults::is_default")]
    pub jitter_hue: f32,
    /// Random rotations, in either direction by at most so many degrees.
    #[serde(default, skip_serializing_if = "defaults::is_default")]
    pub rotate: f32,
    /// How many differently augmented versions of each image are made, once and in advance, for stages that need no gradient of the
    /// backbone's lower part. With 1, these stages see the images as they are (and mirrored).
    #[serde(default = "defaults::one", skip_serializing_if = "defaults::is_one")]
    pub views: usize,
    /// The fraction of the training instances that is held out for validation.
    #[serde(default)]
    pub validation: Option<f64>,
    /// Training stops after this many epochs without a better validation score.
    #[serde(default)]
    pub patience: Option<usize>,
    /// The fraction of the training instances that is held out to calibrate the probabilities of tags, unless instances are held out
    /// for validation.
    #[serde(default, skip_serializing_if = "defaults::is_default")]
    pub calibration: f64,
    /// The number of folds of cross-calibration: so many trainings each hold out another part of the training instances, and their
    /// held-out images calibrate the tags of a last training on all images. Ignored if instances are held out for validation or
    /// calibration.
    #[serde(default, skip_serializing_if = "defaults::is_default")]
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
    /// The features that are projected.
    #[serde(default, skip_serializing_if = "defaults::is_default")]
    pub features: FeatureSet,
    /// Beyond the paper: each feature, minus its mean over the training images, over its deviation, times this factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standardize: Option<f64>,
    /// Beyond the paper: LayerNorm (without gain and bias) of the features before the projection. Its serialised name is an old one.
    #[serde(default, rename = "standardize_features", alias = "layer_norm")]
    pub layer_norm: bool,
    /// Beyond the paper: images without a value of an attribute have a proxy of their own in its loss, instead of taking no part.
    ///
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent_proxies: bool,
    /// Whether the instance proxies keep their initial values.
    #[serde(default)]
    pub fixed_instance_proxies: bool,
    /// Whether the proxies of attribute values keep their initial values.
    #[serde(default)]
    pub fixed_attribute_proxies: bool,
    /// The margin of triplets, in squared distances of unit vectors.
    #[serde(default = "defaults::margin")]
    pub margin: f64,
    /// How many images of an instance are placed together in a batch; `None` shuffles images one by one.
    #[serde(default)]
    pub images_per_instance: Option<usize>,
    /// Beyond the paper: scale each subspace of a mean query to unit length again.
    #[serde(default)]
    pub renormalize_queries: bool,
    /// Whether a part of the training instances, held out for the purpose, decides between raw and unit-length embeddings before the
    /// training.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tune: bool,
    /// The seed of all random numbers.
    pub seed: u64,
}

impl Settings {
    /// Chooses the method. Triplets need several images of an instance in a batch: four, unless the settings say how many. The norm term is
    /// the paper's for its own method; the others start without it.
    pub fn set_method(&mut self, method: MethodKind) {
        self.method = method;
        if method != MethodKind::Cooperative {
            self.losses.regularization = 0.0;
        }
        if method.uses_triplets() {
            self.images_per_instance.get_or_insert(4);
        }
    }

    /// Compares embeddings and proxies at unit length in each subspace, without the norm term: it would shrink lengths that no other
    /// loss depends on, and the gradients of the other losses grow as the lengths shrink.
    pub fn use_unit_length(&mut self) {
        self.normalize = true;
        self.losses.regularization = 0.0;
    }

    /// The stages of the training: [`Settings::stages`], or the one stage that the flat settings describe.
    pub fn stages(&self) -> Vec<Stage> {
        if self.stages.is_empty() {
            vec![self.flat_stage(if self.train_backbone { StagePart::All } else { StagePart::Head })]
        } else {
            self.stages.clone()
        }
    }

    /// A stage with the epochs, rates, warm-up and schedule of the flat settings.
    pub fn flat_stage(&self, part: StagePart) -> Stage {
        Stage {
            part,
            epochs: self.epochs,
            learning_rate: self.learning_rate,
            backbone_rate: self.backbone_rate,
            proxy_rate: self.proxy_rate,
            warmup_epochs: self.warmup_epochs,
            schedule: self.schedule,
        }
    }

    /// Whether any block of the backbone learns in any stage.
    pub fn trains_backbone(&self) -> bool {
        self.stages().iter().any(Stage::trains_backbone)
    }

    /// Whether images are changed at random beyond being mirrored.
    pub fn augments_pixels(&self) -> bool {
        self.random_crop || [self.jitter, self.jitter_hue, self.rotate].iter().any(|&x| x > 0.0)
    }

    /// The optimiser's share of the hyper-parameters.
    pub fn optimizer(&self) -> AdamSettings {
        AdamSettings {
            kind: self.optimizer,
            weight_decay: self.weight_decay,
            proxy_weight_decay: self.proxy_weight_decay.unwrap_or(self.weight_decay),
            backbone_weight_decay: self.backbone_weight_decay.unwrap_or(self.weight_decay),
            norm_weight_decay: self.norm_weight_decay.unwrap_or(self.weight_decay),
            clip_norm: self.clip_norm,
            ..Default::default()
        }
    }
}
