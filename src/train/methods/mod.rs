//! The ways to learn an embedding: the paper's, and its rivals (Section 5.4) on the same features.

pub mod cooperative;
pub mod layers;
pub mod multitask;
pub mod separate;
pub mod sum;
pub mod triplets;

use super::method::Method;
use super::settings::Settings;
use super::training_set::TrainingSet;
use crate::error::Result;
pub use cooperative::Cooperative;
use layers::Initializer;
use multitask::Multitask;
use separate::Separate;
use serde::{Deserialize, Serialize};

/// Which method learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum MethodKind {
    /// The paper's: proxies and all losses together; what PostgreSQL can load
    #[default]
    Cooperative,
    /// One embedding with a classifier per task
    Multitask,
    /// The same with triplets of instances beside
    MultitaskTriplet,
    /// K + 2 slices of one projection, each learned by triplets
    Concatenation,
    /// K + 2 embeddings of modulated features, each learned by triplets
    Modulation,
}

impl MethodKind {
    /// Makes it the method of some settings. Triplets need several images of an instance in a batch: four, unless the
    /// settings say how many.
    pub fn choose(self, settings: &mut Settings) {
        settings.method = self;
        if matches!(self, Self::MultitaskTriplet | Self::Concatenation | Self::Modulation) {
            settings.images_per_instance.get_or_insert(4);
        }
    }

    /// A fresh start of any method on features of length `features`.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn start<'a>(
        self,
        set: &'a TrainingSet,
        features: usize,
        settings: &Settings,
        start: Initializer<'_>,
    ) -> Result<Box<dyn Method + 'a>> {
        Ok(match self {
            Self::Cooperative => Box::new(Cooperative::new(set, features, settings, start)?),
            Self::Multitask => Box::new(Multitask::new(set, features, settings, false, start)?),
            Self::MultitaskTriplet => Box::new(Multitask::new(set, features, settings, true, start)?),
            Self::Concatenation => Box::new(Separate::concatenation(set, features, settings, start)?),
            Self::Modulation => Box::new(Separate::modulation(set, features, settings, start)?),
        })
    }
}

#[cfg(test)]
mod tests;
