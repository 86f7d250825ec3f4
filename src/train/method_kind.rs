//! The names of the methods, in settings and on the command line.

use serde::{Deserialize, Serialize};

/// A method, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum MethodKind {
    /// The paper's method: proxies, and all losses together. Only its models can be loaded into PostgreSQL
    #[default]
    Cooperative,
    /// Baseline: one embedding with a classifier per task
    Multitask,
    /// Baseline: the same with a triplet loss on instances in addition
    MultitaskTriplet,
    /// Baseline: K + 2 slices of one projection, each learned with triplets
    Concatenation,
    /// Baseline: K + 2 embeddings of modulated features, each learned with triplets
    Modulation,
}

impl MethodKind {
    /// Whether the lengths of its embeddings matter in training, so that the norm term of Eq. 7 can act on them.
    pub fn has_lengths(self) -> bool {
        matches!(self, Self::Cooperative | Self::Multitask | Self::MultitaskTriplet)
    }

    /// Whether the method samples triplets, and so needs several images of an instance in a batch.
    pub fn uses_triplets(self) -> bool {
        matches!(self, Self::MultitaskTriplet | Self::Concatenation | Self::Modulation)
    }
}
