//! Gathers everything that the page shows.

use super::image_sample::{self, EmbeddedSample};
use super::page_data::{ReportPage, SampleSizes};
use super::thumbnails::Thumbnails;
use super::transitions::CategoryPair;
use super::{
    curves, example_queries, model_facts, subspace_map, suspect_labels, transitions, typical_images,
};
use crate::data::manifest::Manifest;
use crate::error::Result;
use crate::eval::label_issues::LabelIssue;
use crate::eval::model_evaluation::{embed, evaluate_embedded, stored_queries};
use crate::eval::protocol::Protocol;
use crate::model::Model;
use rand::rngs::StdRng;
use rand::SeedableRng as _;
use std::path::Path;

/// How much of a data set the page shows.
#[derive(Debug, Clone)]
pub struct ReportOptions {
    /// Maximum number of query and gallery images. Of a larger set, whole instances are drawn until there are as many.
    pub images: usize,
    /// Number of example queries of each task.
    pub queries: usize,
    /// Pairs of categories between which a path is shown; if there are none, some are drawn.
    pub transitions: Vec<CategoryPair>,
    /// Seed of the random choices.
    pub seed: u64,
}

/// What the page is made from.
pub struct ReportSources<'a> {
    /// The model, and the bytes of its `model.safetensors`.
    pub model: (&'a Model, &'a [u8]),
    /// The data set.
    pub manifest: &'a Manifest,
    /// The file with the losses of the training.
    pub log: &'a Path,
    /// Labels that are probably wrong, the most certain first.
    pub issues: &'a [LabelIssue],
}

/// Everything that the page shows except the thumbnails, and which thumbnails it needs.
///
/// # Errors
/// Those of embedding and evaluating; [`crate::error::Kind::InvalidParameter`] for a pair that does not name two categories. A missing or
/// damaged log is a note on the page.
pub fn collect(
    title: String,
    sources: &ReportSources<'_>,
    cache: &Path,
    options: &ReportOptions,
) -> Result<(ReportPage, Thumbnails)> {
    let ReportSources { model: (model, weights), manifest, log, issues } = *sources;
    let mut rng = StdRng::seed_from_u64(options.seed);
    let images = image_sample::test_images(manifest, options.images, &mut rng);
    // Before the work, rather than after it.
    let pairs = transitions::find_pairs(manifest, &images, &options.transitions)?;
    let raw = embed(model, weights, manifest, &images, cache)?;
    let scores = evaluate_embedded(model, weights, manifest, (&images, &raw), Protocol::default())?;
    let sample = EmbeddedSample::new(manifest, model.layout(), &images, &raw)?;
    let stored = stored_queries(model)?;

    let mut thumbnails = Thumbnails::default();
    let suspects = suspect_labels::suspect_labels(manifest, issues, &mut thumbnails);
    let questions = example_queries::draw(&sample, &stored, options.queries, &mut rng, &mut thumbnails)?;
    let ranked = typical_images::rank_categories(&sample)?;
    let categories = typical_images::ends(&sample, &ranked, &mut thumbnails);
    let transitions = transitions::transitions(&sample, model, &ranked, &pairs, &mut rng, &mut thumbnails)?;
    let maps = subspace_map::maps(&sample, model, &mut rng, &mut thumbnails);
    let mut notes = manifest.warnings.clone();
    let curves = curves::read(log).unwrap_or_else(|e| {
        notes.push(format!("There are no training curves: {e}."));
        None
    });
    let of = image_sample::test_size(manifest);
    let page = ReportPage {
        title,
        sizes: SampleSizes { images: images.len(), of, seed: options.seed },
        recorded: model.config().metrics.clone(),
        facts: model_facts::facts(model, manifest),
        notes,
        suspects,
        scores,
        questions,
        categories,
        transitions,
        maps,
        curves,
        images: thumbnails.paths(manifest),
    };
    Ok((page, thumbnails))
}
