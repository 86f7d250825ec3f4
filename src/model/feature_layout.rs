//! Which numbers make up the feature vector of an image, and where they stand in it.

use super::layers::ConvNet;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The maps of a backbone from which features are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum FeatureSet {
    /// The mean of the last map, as in the paper
    #[default]
    Last,
    /// Beside it the mean and the deviation of the stem's map and of each stage's: they keep colour, texture and shape, which the last map
    /// has forgotten
    Levels,
}

impl FeatureSet {
    /// Whether it is the paper's; serialisation leaves that one out.
    pub fn is_last(&self) -> bool {
        *self == Self::Last
    }
}

/// A map on the way through a backbone whose statistics are features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tap {
    /// How many blocks the map has passed: 0 for the stem's (after the max pool, if there is one).
    pub blocks: usize,
    /// Channels of the map.
    pub channels: usize,
}

/// Where the statistics of a [`Tap`] stand in a feature vector: one number per channel each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapColumns {
    /// The map.
    pub tap: Tap,
    /// The means over the map's positions; empty if the map is the last one, whose mean comes first anyway.
    pub mean: Range<usize>,
    /// The deviations over the map's positions.
    pub deviation: Range<usize>,
}

/// The order of a feature vector: the mean of the last map, then the means of the taps, then their deviations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureLayout {
    /// F, the length of a feature vector.
    pub len: usize,
    /// Channels of the last map, whose mean is the first part.
    pub last: usize,
    /// The taps, first to last; none for [`FeatureSet::Last`].
    pub taps: Vec<TapColumns>,
}

impl FeatureLayout {
    /// The layout of a network's features.
    pub fn new<L>(network: &ConvNet<L>, set: FeatureSet) -> Self {
        let last = network.channels;
        let taps: &[Tap] = if set == FeatureSet::Levels { &network.taps } else { &[] };
        let is_last = |tap: &Tap| network.head.is_none() && tap.blocks == network.blocks.len();
        let mut len = last;
        let mut take = |count: usize| {
            len += count;
            len - count..len
        };
        let means: Vec<Range<usize>> =
            taps.iter().map(|tap| take(if is_last(tap) { 0 } else { tap.channels })).collect();
        let deviations: Vec<Range<usize>> = taps.iter().map(|tap| take(tap.channels)).collect();
        let columns = taps.iter().zip(means).zip(deviations);
        let taps = columns.map(|((&tap, mean), deviation)| TapColumns { tap, mean, deviation }).collect();
        Self { len, last, taps }
    }

    /// The tap after so many blocks, if there is one.
    pub fn tap(&self, blocks: usize) -> Option<&TapColumns> {
        self.taps.iter().find(|columns| columns.tap.blocks == blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::architectures::Arch;

    #[test]
    fn every_column_is_used_once() {
        for (arch, levels) in Arch::ALL.into_iter().zip([
            // Last map, means of the stem's and of three stages' maps, five deviations.
            512 + (64 + 64 + 128 + 256) + (64 + 64 + 128 + 256 + 512),
            512 + (64 + 64 + 128 + 256) + (64 + 64 + 128 + 256 + 512),
            2048 + (64 + 256 + 512 + 1024) + (64 + 256 + 512 + 1024 + 2048),
            // Last map (after the head), means and deviations of the stem's and of seven stages' maps.
            1280 + 2 * (32 + 16 + 24 + 40 + 80 + 112 + 192 + 320),
        ]) {
            let network = arch.description();
            let layout = FeatureLayout::new(&network, FeatureSet::Levels);
            assert_eq!(layout.len, levels, "{arch}");
            let mut columns: Vec<usize> = (0..layout.last).collect();
            columns.extend(layout.taps.iter().flat_map(|t| t.mean.clone()));
            columns.extend(layout.taps.iter().flat_map(|t| t.deviation.clone()));
            assert_eq!(columns, (0..levels).collect::<Vec<_>>());
            assert_eq!(layout.taps.last().unwrap().tap.blocks, network.blocks.len());
            let last = FeatureLayout::new(&network, FeatureSet::Last);
            assert_eq!((last.len, last.taps.len()), (network.channels, 0));
        }
    }
}
