//! What a model answers, as one HTML file that opens without a network.

mod curves;
mod data;
mod facts;
mod map;
mod page;
mod projection;
mod queries;
mod sample;
mod thumbnails;

use super::model_evaluation::{embed, evaluate_embedded, prototypes};
use super::protocol::Protocol;
use crate::data::manifest::Manifest;
use crate::error::Result;
use crate::model::Model;
use data::Sizes;
use rand::rngs::StdRng;
use rand::SeedableRng as _;
use sample::Embedded;
use std::path::Path;

pub use data::Page;
pub use facts::title;
pub use page::document;
pub use thumbnails::Gallery;

/// How much of a data set a page shows.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Query and gallery images to embed; of a larger set, whole instances are drawn until there are as many.
    pub images: usize,
    /// Questions of each kind.
    pub questions: usize,
    /// Of the draws.
    pub seed: u64,
}

/// Everything that the page shows but the pictures, and which pictures it needs.
pub fn collect(
    title: String,
    (model, weights): (&Model, &[u8]),
    manifest: &Manifest,
    cache: &Path,
    choice: &Choice,
    log: &Path,
) -> Result<(Page, Gallery)> {
    let mut rng = StdRng::seed_from_u64(choice.seed);
    let images = sample::test_images(manifest, choice.images, &mut rng);
    let raw = embed(model, weights, manifest, &images, cache)?;
    let scores = evaluate_embedded(model, weights, manifest, (&images, &raw), Protocol::default())?;
    let set = Embedded::new(manifest, model.layout(), &images, &raw)?;
    let queries = prototypes(model)?;

    let mut gallery = Gallery::default();
    let questions = queries::draw(&set, &queries, choice.questions, &mut rng, &mut gallery)?;
    let maps = map::maps(&set, model, &mut rng, &mut gallery);
    let mut notes = manifest.warnings.clone();
    let curves = curves::read(log).unwrap_or_else(|e| {
        notes.push(format!("There are no training curves: {e}."));
        None
    });
    let sizes = Sizes { images: images.len(), of: sample::test_size(manifest), seed: choice.seed };
    let page = Page {
        title,
        sizes,
        recorded: model.config().metrics.clone(),
        facts: facts::facts(model, manifest),
        notes,
        scores,
        questions,
        maps,
        curves,
        images: gallery.paths(manifest),
    };
    Ok((page, gallery))
}
