//! The options for hyper-parameters.

use super::StageOption;
use crate::model::FeatureSet;
use crate::train::labels::MultiLabels;
use crate::train::losses::OrdinalLabels;
use crate::train::method_kind::MethodKind;
use crate::train::optimizer::OptimizerKind;
use crate::train::settings::{Preset, Schedule, StagePart};
use serde::{Deserialize, Serialize};

/// Hyper-parameters as options. The defaults, which the texts name, are those of the preset `paper`.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
#[command(next_help_heading = "Hyper-parameters ([training] in the TOML file)")]
pub struct HyperArgs {
    /// Hyper-parameters to start from; the other options change them [default: paper]
    #[arg(long, value_enum)]
    pub preset: Option<Preset>,
    /// Method to train [default: cooperative]
    #[arg(long, value_enum)]
    pub method: Option<MethodKind>,
    /// n, the dimensions of each attribute's subspace [default: 50]
    #[arg(long, value_name = "N")]
    pub subspace_dim: Option<usize>,
    /// A stage of the training, its part first: head (projection and proxies, on a frozen backbone), upper (also the backbone's blocks
    /// from --unfreeze-from on) or all; then what differs from the options for all stages or, without these, from the preset's stage
    /// of this part: head,epochs=10,rate=2e-4. Keys: epochs, rate, backbone-rate, proxy-rate, warmup, schedule. Once per stage
    #[arg(long, value_name = "PART,KEY=VALUE,...", conflicts_with = "stages")]
    pub stage: Option<Vec<StageOption>>,
    /// The preset's stages of these parts: head,upper [default: one stage, see --train-backbone]
    #[arg(long, value_enum, value_name = "PART,...", value_delimiter = ',')]
    pub stages: Option<Vec<StagePart>>,
    /// First block of the backbone that learns in the stage upper, counted from 1 [default: 6]
    #[arg(long, value_name = "BLOCK")]
    pub unfreeze_from: Option<usize>,
    /// Passes over the training images; this and the rates, schedule and warm-up below hold for every stage that does not name its
    /// own [default: 30]
    #[arg(long, value_name = "COUNT")]
    pub epochs: Option<usize>,
    /// Images per step [default: 128]
    #[arg(long, value_name = "COUNT")]
    pub batch_size: Option<usize>,
    /// Learning rate of the projection [default: 1e-4]
    #[arg(long, value_name = "RATE")]
    pub learning_rate: Option<f64>,
    /// Learning rate of the proxies, as a multiple of the projection's [default: 10]
    #[arg(long, value_name = "FACTOR")]
    pub proxy_rate: Option<f64>,
    /// If the backbone learns: its learning rate, as a multiple of the projection's [default: 0.1]
    #[arg(long, value_name = "FACTOR")]
    pub backbone_rate: Option<f64>,
    /// Optimiser: adam (coupled weight decay) or adamw (decoupled) [default: adam]
    #[arg(long, value_enum)]
    pub optimizer: Option<OptimizerKind>,
    /// Scale the gradients down to this norm if theirs is larger [default: never]
    #[arg(long, value_name = "NORM")]
    pub clip_norm: Option<f64>,
    /// How the learning rate changes over the epochs [default: constant]
    #[arg(long, value_enum)]
    pub schedule: Option<Schedule>,
    /// Number of epochs over which the learning rate rises from zero [default: 0]
    #[arg(long, value_name = "EPOCHS")]
    pub warmup_epochs: Option<f64>,
    /// Weight decay of everything for which no other is given [default: 5e-5]
    #[arg(long, value_name = "FACTOR")]
    pub weight_decay: Option<f64>,
    /// Weight decay of the proxies [default: as --weight-decay]
    #[arg(long, value_name = "FACTOR")]
    pub proxy_weight_decay: Option<f64>,
    /// If the backbone learns: weight decay of its filters [default: as --weight-decay]
    #[arg(long, value_name = "FACTOR")]
    pub backbone_weight_decay: Option<f64>,
    /// If the backbone learns: weight decay of its batch normalisation [default: as --weight-decay]
    #[arg(long, value_name = "FACTOR")]
    pub norm_weight_decay: Option<f64>,
    /// Evaluate and save exponential moving averages of everything that learns, with this decay per step, such as 0.999; 0: not
    /// [default: 0]
    #[arg(long, value_name = "DECAY")]
    pub ema: Option<f64>,
    /// Weight of the instance loss, Eq. 1 [default: 1]
    #[arg(long, value_name = "LAMBDA")]
    pub lambda_instance: Option<f64>,
    /// Weight of the attribute losses, Eq. 2 [default: 1]
    #[arg(long, value_name = "LAMBDA")]
    pub lambda_attribute: Option<f64>,
    /// Weight of the category loss, Eq. 5 [default: 1]
    #[arg(long, value_name = "LAMBDA")]
    pub lambda_category: Option<f64>,
    /// Weight of the squared norm of embeddings, Eq. 7 [default: 0.5; with --normalize 0]
    #[arg(long, value_name = "LAMBDA")]
    pub lambda_norm: Option<f64>,
    /// Weight of the order regulariser of ordered attributes, Eq. 3 [default: 0]
    #[arg(long, value_name = "LAMBDA")]
    pub lambda_order: Option<f64>,
    /// Width of the order regulariser in ranks, sigma of Eq. 4 [default: 1]
    #[arg(long, value_name = "SIGMA")]
    pub order_sigma: Option<f64>,
    /// Beyond the paper: labels of ordered attributes, hard or soft: also the neighbouring values, less with each rank [default: hard]
    #[arg(long, value_enum)]
    pub ordinal: Option<OrdinalLabels>,
    /// With --ordinal soft: how far the label spreads, in ranks [default: 1]
    #[arg(long, value_name = "TAU")]
    pub ordinal_tau: Option<f64>,
    /// Beyond the paper: labels of images that show several values of an attribute, uniform or sampled: one of them in each step
    /// [default: uniform]
    #[arg(long, value_enum)]
    pub multi_labels: Option<MultiLabels>,
    /// Beyond the paper: share of an instance's label that is spread evenly over all instances [default: 0]
    #[arg(long, value_name = "SHARE")]
    pub label_smoothing: Option<f64>,
    /// Standard deviation of the initial proxies [default: 0.125]
    #[arg(long, value_name = "STD")]
    pub proxy_std: Option<f64>,
    /// Mirror each training image half of the time [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub flip: Option<bool>,
    /// Train in one stage, with the whole backbone from the first step on (true) or without it (false), instead of the preset's
    /// stages [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub train_backbone: Option<bool>,
    /// If the backbone learns: normalise by the running statistics of batch normalisation and keep them [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub frozen_batch_norm: Option<bool>,
    /// If the backbone learns, on a GPU: convolve in bfloat16, which is faster and takes less memory [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub mixed_precision: Option<bool>,
    /// If the backbone learns, or with --views: crop each training image at random [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub random_crop: Option<bool>,
    /// Smallest and largest area of a random crop, as fractions of the image's; implies --random-crop [default: 0.2,1]
    #[arg(long, value_name = "LOW,HIGH", value_delimiter = ',')]
    pub crop_area: Option<Vec<f32>>,
    /// If the backbone learns, or with --views: change brightness, contrast and saturation at random by at most this fraction. Not for
    /// sets with shades as attributes [default: 0]
    #[arg(long, value_name = "STRENGTH")]
    pub jitter: Option<f32>,
    /// The same for the hue, by at most this fraction of the colour circle, up to 0.5. Not for sets with colours as attributes [default: 0]
    #[arg(long, value_name = "STRENGTH")]
    pub jitter_hue: Option<f32>,
    /// If the backbone learns, or with --views: rotate at random by at most this many degrees [default: 0]
    #[arg(long, value_name = "DEGREES")]
    pub rotate: Option<f32>,
    /// Differently augmented versions of each image that are made once and cached, for stages that keep the backbone or its lower
    /// blocks frozen. The first epochs take so many times as long [default: 1]
    #[arg(long, value_name = "COUNT")]
    pub views: Option<usize>,
    /// Hold out this fraction of the training instances for validation, and keep the best epoch [default: none]
    #[arg(long, value_name = "FRACTION")]
    pub validation: Option<f64>,
    /// Stop after this many epochs without a better validation score [default: never]
    #[arg(long, value_name = "EPOCHS")]
    pub patience: Option<usize>,
    /// Hold out this fraction of the training instances to calibrate the probabilities of tags; with --validation its instances
    /// are used [default: 0]
    #[arg(long, value_name = "FRACTION")]
    pub calibration: Option<f64>,
    /// Calibrate the probabilities of tags without holding out images: train this many times before, each time without another
    /// part of the training instances. Ignored with --validation or --calibration [default: 0]
    #[arg(long, value_name = "COUNT")]
    pub calibration_folds: Option<usize>,
    /// Beyond the paper: compare embeddings and proxies at unit length in each subspace; without the norm term, unless --lambda-norm is
    /// given too [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub normalize: Option<bool>,
    /// With --normalize: inverse temperature of the softmax [default: 16]
    #[arg(long, value_name = "FACTOR")]
    pub scale: Option<f64>,
    /// With --normalize: learn the scale too [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub learned_scale: Option<bool>,
    /// Features that are projected: last (mean of the backbone's last map, as in the paper) or levels (also mean and deviation of the
    /// stem's and each stage's map) [default: last]
    #[arg(long, value_enum)]
    pub features: Option<FeatureSet>,
    /// Beyond the paper: standardise each feature by its mean and deviation over the training images, times this factor, such as 0.5;
    /// 0: not [default: 0]
    #[arg(long, value_name = "FACTOR")]
    pub standardize: Option<f64>,
    /// Beyond the paper: LayerNorm of the features before the projection [default: false]
    #[arg(
        long,
        alias = "standardize-features",
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    #[serde(alias = "standardize-features")]
    pub layer_norm: Option<bool>,
    /// Beyond the paper: images without a value of an attribute get a proxy of their own [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub absent_proxies: Option<bool>,
    /// Keep the initial values of the instance proxies [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub fixed_instance_proxies: Option<bool>,
    /// Keep the initial values of the attribute values' proxies [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub fixed_attribute_proxies: Option<bool>,
    /// Margin of triplets, in squared distances of unit vectors [default: 0.2]
    #[arg(long, value_name = "DISTANCE")]
    pub margin: Option<f64>,
    /// Images of an instance that are placed together in a batch [default: 4 for methods with triplets, otherwise shuffled]
    #[arg(long, value_name = "COUNT")]
    pub images_per_instance: Option<usize>,
    /// Beyond the paper: scale mean queries to unit length again [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub renormalize_queries: Option<bool>,
    /// Hold out a part of the training instances to choose between raw and unit-length embeddings first [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub tune: Option<bool>,
    /// Seed of all random numbers [default: 0]
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
}
