//! Makes a method by its name.

use super::cooperative::Cooperative;
use super::multitask::Multitask;
use super::separate_embeddings::SeparateEmbeddings;
use crate::error::Result;
use crate::train::initializer::Initializer;
use crate::train::method::Method;
use crate::train::method_kind::MethodKind;
use crate::train::settings::Settings;
use crate::train::training_set::TrainingSet;

/// The method that the settings name, with fresh parameters, on features of length `features`.
///
/// # Errors
/// If the device fails.
pub fn create_method<'a>(
    set: &'a TrainingSet,
    features: usize,
    settings: &Settings,
    initializer: Initializer<'_>,
) -> Result<Box<dyn Method + 'a>> {
    Ok(match settings.method {
        MethodKind::Cooperative => Box::new(Cooperative::new(set, features, settings, initializer)?),
        MethodKind::Multitask => Box::new(Multitask::new(set, features, settings, false, initializer)?),
        MethodKind::MultitaskTriplet => Box::new(Multitask::new(set, features, settings, true, initializer)?),
        MethodKind::Concatenation => {
            Box::new(SeparateEmbeddings::concatenation(set, features, settings, initializer)?)
        }
        MethodKind::Modulation => {
            Box::new(SeparateEmbeddings::modulation(set, features, settings, initializer)?)
        }
    })
}
