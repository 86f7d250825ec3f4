//! The labels that are probably wrong, as training listed them.

use super::page_data::{SuspectLabel, SuspectLabels};
use super::thumbnails::Thumbnails;
use crate::data::manifest::Manifest;
use crate::eval::label_issues::LabelIssue;
use std::collections::HashMap;

/// How many are shown.
const SHOWN: usize = 60;

/// The first issues whose images the data set still has.
pub fn suspect_labels(
    manifest: &Manifest,
    issues: &[LabelIssue],
    thumbnails: &mut Thumbnails,
) -> SuspectLabels {
    let paths: HashMap<&str, usize> =
        manifest.images.iter().enumerate().map(|(i, image)| (image.path.as_str(), i)).collect();
    let known: Vec<(usize, &LabelIssue)> =
        issues.iter().filter_map(|issue| Some((*paths.get(issue.path.as_str())?, issue))).collect();
    let shown = known
        .iter()
        .take(SHOWN)
        .map(|(image, issue)| SuspectLabel { image: thumbnails.index_of(*image), issue: (*issue).clone() });
    SuspectLabels { shown: shown.collect(), count: known.len() }
}
