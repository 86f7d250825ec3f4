//! The paper's hyper-parameters, and when a field has its default. serde takes both as functions, and passes references.

use super::{Schedule, Settings};
use crate::model::FeatureSet;
use crate::train::labels::MultiLabels;
use crate::train::losses::{LossWeights, OrdinalLabels};
use crate::train::method_kind::MethodKind;
use crate::train::optimizer::OptimizerKind;

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
            stages: Vec::new(),
            unfreeze_from: unfreeze_from(),
            optimizer: adam(),
            weight_decay: 5e-5,
            proxy_weight_decay: None,
            backbone_weight_decay: None,
            norm_weight_decay: None,
            clip_norm: None,
            ema: None,
            losses: LossWeights {
                instance: 1.0,
                attribute: 1.0,
                category: 1.0,
                regularization: 0.5,
                order: 0.0,
                order_sigma: 1.0,
                label_smoothing: 0.0,
                ordinal: OrdinalLabels::Hard,
                ordinal_tau: 1.0,
                multi_labels: MultiLabels::Uniform,
            },
            proxy_std: 0.125,
            train_backbone: false,
            frozen_batch_norm: false,
            mixed_precision: false,
            random_crop: false,
            crop_area: crop_area(),
            jitter: 0.0,
            jitter_hue: 0.0,
            rotate: 0.0,
            views: one(),
            validation: None,
            patience: None,
            calibration: 0.0,
            calibration_folds: 0,
            flip: true,
            normalize: false,
            scale: 16.0,
            learned_scale: false,
            features: FeatureSet::Last,
            standardize: None,
            layer_norm: false,
            absent_proxies: false,
            fixed_instance_proxies: false,
            fixed_attribute_proxies: false,
            margin: margin(),
            images_per_instance: None,
            renormalize_queries: false,
            tune: false,
            seed: 0,
        }
    }
}

/// Whether a number or a choice is its type's default.
pub fn is_default<T: Default + PartialEq>(x: &T) -> bool {
    *x == T::default()
}

/// The default of [`Settings::unfreeze_from`].
pub fn unfreeze_from() -> usize {
    6
}

/// Whether this is the default of [`Settings::unfreeze_from`].
pub fn is_unfreeze_from(x: &usize) -> bool {
    *x == unfreeze_from()
}

/// The default of [`Settings::crop_area`].
pub fn crop_area() -> [f32; 2] {
    [0.2, 1.0]
}

/// Whether this is the default of [`Settings::crop_area`].
pub fn is_crop_area(x: &[f32; 2]) -> bool {
    *x == crop_area()
}

/// The default of [`Settings::views`].
pub fn one() -> usize {
    1
}

/// Whether this is the default of [`Settings::views`].
pub fn is_one(x: &usize) -> bool {
    *x == one()
}

/// The default of [`Settings::backbone_rate`].
pub fn backbone_rate() -> f64 {
    0.1
}

/// The default of [`Settings::margin`].
pub fn margin() -> f64 {
    0.2
}

/// The default of [`Settings::optimizer`].
pub fn adam() -> OptimizerKind {
    OptimizerKind::Adam
}
