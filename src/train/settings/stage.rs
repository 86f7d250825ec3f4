//! The stages of a training: what learns, for how long, and how the learning rate changes.

use crate::train::optimizer::LearningRates;
use serde::{Deserialize, Serialize};

/// One stage of a training. Each has its own warm-up and schedule; what was learned is carried over from one to the next.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// What learns.
    pub part: StagePart,
    /// Passes over the training images.
    pub epochs: usize,
    /// The learning rate of the projection.
    pub learning_rate: f64,
    /// The backbone's learning rate, as a multiple of the projection's.
    pub backbone_rate: f64,
    /// The proxies' learning rate, as a multiple of the projection's.
    pub proxy_rate: f64,
    /// Epochs over which the learning rate rises linearly from zero.
    pub warmup_epochs: f64,
    /// How the learning rate changes over the epochs of the stage.
    pub schedule: Schedule,
}

/// What learns in a stage; each part contains the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum StagePart {
    /// Projection and proxies, on the features of a frozen backbone
    Head,
    /// Also the backbone's blocks from --unfreeze-from on
    Upper,
    /// Also the rest of the backbone
    All,
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

impl StagePart {
    /// The name in `--stage` and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Upper => "upper",
            Self::All => "all",
        }
    }
}

impl Schedule {
    /// The name in `--stage` and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Cosine => "cosine",
        }
    }
}

impl Stage {
    /// Whether blocks of the backbone learn.
    pub fn trains_backbone(&self) -> bool {
        self.part != StagePart::Head
    }

    /// The projection's learning rate after `progress` epochs of this stage, which may be a fraction.
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

    /// The learning rates of all groups of parameters after `progress` epochs of this stage.
    pub fn rates_at(&self, progress: f64) -> LearningRates {
        let projection = self.learning_rate_at(progress);
        LearningRates {
            projection,
            backbone: projection * self.backbone_rate,
            proxies: projection * self.proxy_rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::settings::Settings;

    #[test]
    fn warmup_rises_and_the_cosine_falls_to_zero() {
        let flat = Settings::default().stages()[0];
        let stage =
            Stage { learning_rate: 2.0, epochs: 12, warmup_epochs: 2.0, schedule: Schedule::Cosine, ..flat };
        let close = |at: f64, want: f64| assert!((stage.learning_rate_at(at) - want).abs() < 1e-12, "{at}");
        close(0.5, 0.5);
        close(2.0, 2.0);
        close(7.0, 1.0);
        close(12.0, 0.0);
        assert_eq!(flat.learning_rate_at(29.9), 1e-4);
        let rates = stage.rates_at(0.5);
        assert_eq!((rates.projection, rates.backbone, rates.proxies), (0.5, 0.05, 5.0));
    }
}
