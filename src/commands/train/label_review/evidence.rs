//! What trainings think of labels that they have not seen.

use crate::data::manifest::{Manifest, Split};
use crate::error::{Error, Kind, Result};
use crate::eval::label_issues::{LabelColumn, Probabilities};
use crate::eval::model_evaluation::embed;
use crate::model::{softmax, Model, ModelConfig, Proxies, Tagger, TaggingConfig};
use crate::space::Embedding;
use crate::train::calibration::CalibrationFold;
use std::path::Path;

/// Probabilities of the values of query and gallery images by the model, whose files these are: it has not learned from any of them. Empty
/// for a model without tags.
///
/// # Errors
/// Those of the model and of embedding.
pub fn test_probabilities(
    (config, weights): (&str, &[u8]),
    manifest: &Manifest,
    cache: &Path,
) -> Result<Probabilities> {
    let model = Model::from_parts(config, weights)?;
    let mut probabilities = Probabilities::new();
    let Some(tagging) = &model.config().tagging else { return Ok(probabilities) };
    let images = [manifest.split(Split::Query), manifest.split(Split::Gallery)].concat();
    let tagger = Tagger::new(model.config(), Proxies::from_parts(model.config(), weights)?)?;
    let raw = embed(&model, weights, manifest, &images, cache)?;
    for (&image, raw) in images.iter().zip(raw.chunks_exact(model.layout().dimensions())) {
        let embedding = Embedding::from_raw(model.layout(), raw)?;
        add(&mut probabilities, (image, &embedding), &tagger, tagging, manifest);
    }
    Ok(probabilities)
}

/// Probabilities of the values of training images, each by a training that held it out, at the temperatures of the model's tags.
///
/// # Errors
/// [`Kind::InvalidModel`] if the config cannot be read.
pub fn held_out_probabilities(
    config: &str,
    manifest: &Manifest,
    folds: &[CalibrationFold],
) -> Result<Probabilities> {
    let config: ModelConfig = serde_json::from_str(config)
        .map_err(|e| Error::new(Kind::InvalidModel, format!("config.json: {e}")))?;
    let mut probabilities = Probabilities::new();
    let Some(tagging) = &config.tagging else { return Ok(probabilities) };
    for fold in folds {
        for (image, embedding) in fold.images() {
            add(&mut probabilities, (*image, embedding), fold.tagger(), tagging, manifest);
        }
    }
    Ok(probabilities)
}

/// Adds the probabilities of the values in each column for which the image has a label that the tagger knows. (Of a value that no image
/// showed, the tagger cannot say how probable it is.)
fn add(
    probabilities: &mut Probabilities,
    (image, embedding): (usize, &Embedding),
    tagger: &Tagger,
    tagging: &TaggingConfig,
    manifest: &Manifest,
) {
    for column in LabelColumn::all(manifest) {
        let (distances, temperature) = match column {
            LabelColumn::Attribute(k) => {
                (tagger.distances(embedding.as_ref(), k), tagging.attributes[k].temperature)
            }
            LabelColumn::Category => {
                (tagger.category_distances(embedding.as_ref()), tagging.category_temperature)
            }
        };
        let given = column.label(&manifest.images[image]);
        if given.is_some_and(|value| distances.get(value).is_some_and(Option::is_some)) {
            probabilities.insert((image, column), softmax(&distances, temperature));
        }
    }
}
