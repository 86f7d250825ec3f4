//! The additional trainings that calibrate the probabilities of tags by cross-fitting.

use super::model_assembly::assemble;
use super::training_context::{Learned, TrainingContext};
use crate::error::{Error, Kind, Result};
use crate::train::calibration::CalibrationFold;
use crate::train::holdout::Holdout;
use crate::train::method_kind::MethodKind;
use crate::train::training_set::TrainingSet;

/// Trains once per fold, each time without another part of the training images, and returns these images as the trained model embeds
/// them. Empty if there are no folds to train: if none were asked for, or if `split`, that of the last training, holds out images already.
///
/// # Errors
/// Those of the trainings.
pub fn calibration_folds(context: &TrainingContext<'_>, split: &Holdout) -> Result<Vec<CalibrationFold>> {
    let settings = context.settings;
    let count = settings.calibration_folds;
    if count == 0 || !split.held_out.is_empty() || settings.method != MethodKind::Cooperative {
        return Ok(Vec::new());
    }
    let splits = Holdout::folds(context.data.manifest, count, settings.seed)?;
    eprintln!("calibration: {} trainings before the last one", splits.len());
    let fold = |(split, number): (&Holdout, usize)| {
        let set = TrainingSet::of_images(context.data.manifest, split.train.clone())?;
        let Learned { method, backbone, scaling, features } = context.train(split, &set, Some(number))?;
        let parameters = method
            .cooperative()
            .ok_or_else(|| Error::new(Kind::Internal, "a cooperative training without its parameters"))?;
        Ok(assemble(&context.assembly_inputs(split, scaling.as_ref()), &backbone, &features, parameters)?
            .fold)
    };
    splits.iter().zip(1..).map(fold).collect()
}
