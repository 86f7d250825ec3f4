//! Named sets of hyper-parameters.

use super::stage::{Schedule, Stage, StagePart};
use super::Settings;
use crate::model::FeatureSet;
use serde::{Deserialize, Serialize};

/// A named set of hyper-parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// The paper's defaults
    #[default]
    Paper,
    /// What wins on the data sets of RESULTS.md together: features of every level, then a backbone whose upper blocks learn. Five
    /// folds calibrate the probabilities of tags
    Recommended,
    /// Features of every level of a frozen backbone, and few epochs: minutes where `recommended` takes hours
    Fast,
}

impl Preset {
    /// The preset's stage for a part, also for a part that its own training leaves out.
    pub fn stage(self, part: StagePart) -> Stage {
        let settings = Settings::of(self);
        let own = settings.stages.iter().find(|s| s.part == part);
        own.copied().unwrap_or_else(|| match self {
            Self::Paper => settings.flat_stage(part),
            Self::Recommended | Self::Fast => learning_backbone(&settings, part),
        })
    }
}

/// The stage of a backbone that learns after the head; that of the head itself is the flat one.
fn learning_backbone(flat: &Settings, part: StagePart) -> Stage {
    let stage = flat.flat_stage(part);
    let backbone_rate = match part {
        StagePart::Head => return stage,
        StagePart::Upper => 0.5,
        StagePart::All => 0.1,
    };
    let schedule = Schedule::Cosine;
    Stage { epochs: 4, learning_rate: 3e-4, backbone_rate, warmup_epochs: 0.5, schedule, ..stage }
}

impl Settings {
    /// The hyper-parameters of a preset.
    pub fn of(preset: Preset) -> Self {
        match preset {
            Preset::Paper => Self::default(),
            Preset::Recommended => {
                let flat = Self { epochs: 12, frozen_batch_norm: true, tune: true, ..Self::every_level() };
                let stages =
                    [StagePart::Head, StagePart::Upper].map(|part| learning_backbone(&flat, part)).into();
                Self { stages, calibration_folds: 5, ..flat }
            }
            Preset::Fast => Self { epochs: 6, flip: false, calibration: 0.1, ..Self::every_level() },
        }
    }

    /// What `recommended` and `fast` have in common: a head on standardised features of every level.
    fn every_level() -> Self {
        let mut settings = Self {
            features: FeatureSet::Levels,
            standardize: Some(0.5),
            learning_rate: 2e-4,
            weight_decay: 4e-3,
            backbone_weight_decay: Some(5e-5),
            norm_weight_decay: Some(0.0),
            proxy_std: 0.03,
            absent_proxies: true,
            ..Self::default()
        };
        settings.losses.regularization = 0.05;
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_possible_and_the_paper_has_one_stage() {
        for preset in [Preset::Paper, Preset::Recommended, Preset::Fast] {
            Settings::of(preset).check().unwrap();
        }
        let stages = |preset| Settings::of(preset).stages();
        assert_eq!(stages(Preset::Paper), [Preset::Paper.stage(StagePart::Head)]);
        assert_eq!(stages(Preset::Fast), [Preset::Fast.stage(StagePart::Head)]);
        let [head, upper] = stages(Preset::Recommended).try_into().unwrap();
        assert_eq!((head.part, head.epochs, head.learning_rate), (StagePart::Head, 12, 2e-4));
        assert_eq!((upper.part, upper.epochs, upper.backbone_rate), (StagePart::Upper, 4, 0.5));
        assert_eq!(Preset::Fast.stage(StagePart::Upper), upper);
    }

    /// Digests of checkpoints and keys of stored runs hash this text.
    #[test]
    fn the_papers_settings_are_serialised_as_in_the_first_release() {
        let text = serde_json::to_string(&Settings::default()).unwrap();
        assert_eq!(text, PAPER);
        assert_eq!(serde_json::from_str::<Settings>(PAPER).unwrap(), Settings::default());
    }

    const PAPER: &str = concat!(
        r#"{"method":"cooperative","subspace_dim":50,"epochs":30,"batch_size":128,"learning_rate":0.0001,"#,
        r#""proxy_rate":10.0,"schedule":"constant","warmup_epochs":0.0,"backbone_rate":0.1,"#,
        r#""optimizer":"adam","weight_decay":0.00005,"proxy_weight_decay":null,"clip_norm":null,"#,
        r#""losses":{"instance":1.0,"attribute":1.0,"category":1.0,"regularization":0.5,"order":0.0,"#,
        r#""order_sigma":1.0},"proxy_std":0.125,"train_backbone":false,"frozen_batch_norm":false,"#,
        r#""random_crop":false,"validation":null,"patience":null,"flip":true,"normalize":false,"#,
        r#""scale":16.0,"learned_scale":false,"standardize_features":false,"#,
        r#""fixed_instance_proxies":false,"fixed_attribute_proxies":false,"margin":0.2,"#,
        r#""images_per_instance":null,"renormalize_queries":false,"seed":0}"#,
    );
}
