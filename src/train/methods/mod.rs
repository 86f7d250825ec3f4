//! The ways to learn an embedding: the paper's, and its rivals (Section 5.4) on the same features.

pub mod cooperative;
pub mod layers;
pub mod multitask;
pub mod separate;
pub mod sum;
pub mod triplets;

use super::method::Method;
use super::set::TrainingSet;
use super::settings::Settings;
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
    /// Whether it learns from triplets, which need several images of an instance in a batch.
    pub fn has_triplets(self) -> bool {
        matches!(self, Self::MultitaskTriplet | Self::Concatenation | Self::Modulation)
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
mod parity_tests;
