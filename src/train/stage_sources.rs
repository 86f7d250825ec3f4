//! Where the features of each stage of a training come from: the interface.

use super::feature_source::FeatureSource;
use super::settings::Stage;
use crate::error::Result;

/// Supplies a feature source for each stage.
pub trait StageSources {
    /// The source for a stage. Its parameters have their values from before training; the trainer sets those that have learned since.
    ///
    /// # Errors
    /// Those of reading images, and of the device.
    fn open(&self, stage: &Stage) -> Result<Box<dyn FeatureSource + '_>>;
}

/// A function that makes the source of a stage.
impl<F: Fn(&Stage) -> Result<Box<dyn FeatureSource>>> StageSources for F {
    fn open(&self, stage: &Stage) -> Result<Box<dyn FeatureSource + '_>> {
        self(stage)
    }
}
