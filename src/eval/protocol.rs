//! The three retrieval tasks on the query and gallery images of a data set: instances, attribute values, categories.

use super::first_hit_ranks::first_hit_ranks;
use super::metrics::{average_precision, mean, ranking};
use super::results::{
    Absent, AttributeResult, DatasetSizes, EvaluationResults, InstanceResult, RankedResult, ScoredName,
};
use super::stored_queries::{NamedQueries, StoredQueries};
use super::value_prediction::PredictBy;
use crate::data::manifest::{Manifest, Split};
use crate::error::{Error, Kind, Result};
use crate::space::Part;
use crate::space::{distance, Embedding};
use rayon::prelude::*;

/// The options of an evaluation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Protocol {
    /// How images without an attribute count in the rankings of its values.
    pub absent: Absent,
    /// Whether each gallery image queries the others for its instance, even if there are query images.
    pub leave_one_out: bool,
    /// Which point represents a value when the values of images are predicted.
    pub predict_by: PredictBy,
}

/// The query and gallery images of a data set, as indices in the manifest with their embeddings.
struct TestImages<'a> {
    manifest: &'a Manifest,
    gallery: Vec<(usize, &'a Embedding)>,
    queries: Vec<(usize, &'a Embedding)>,
}

/// Evaluates `embeddings`, one per image of the manifest; those of training images are not used. Predictions and tags are left empty:
/// predictions need raw embeddings ([`super::value_prediction::predict`]).
///
/// # Errors
/// [`Kind::InvalidData`] without gallery images, or if the data set has no attribute of the model.
pub fn evaluate(
    manifest: &Manifest,
    embeddings: &[Option<Embedding>],
    queries: &StoredQueries,
    protocol: Protocol,
) -> Result<EvaluationResults> {
    let of = |split: Split| -> Vec<(usize, &Embedding)> {
        manifest.split(split).into_iter().filter_map(|i| Some((i, embeddings[i].as_ref()?))).collect()
    };
    let test = TestImages { manifest, gallery: of(Split::Gallery), queries: of(Split::Query) };
    if test.gallery.is_empty() {
        return Err(Error::new(
            Kind::InvalidData,
            format!("the data set \"{}\" has no gallery images", manifest.root.display()),
        )
        .hint("Evaluation searches the images whose split is gallery."));
    }
    let known = |name: &String| manifest.attributes.iter().any(|a| a.name == *name);
    if !queries.attributes.iter().any(|a| known(&a.name)) {
        return Err(Error::new(Kind::InvalidData, "the data set has no attribute of the model")
            .detail(format!("The model's are {}.", quoted(queries.attributes.iter().map(|a| &a.name))))
            .hint("Evaluate on a set labelled with the model's attributes."));
    }
    Ok(EvaluationResults {
        sizes: sizes(&test),
        instance: test.instances(queries.instance, protocol.leave_one_out)?,
        attributes: test.attributes(queries, protocol.absent)?,
        categories: test.categories(&queries.categories)?,
        predicted_by: protocol.predict_by,
        predictions: Vec::new(),
        tags: Vec::new(),
    })
}

impl TestImages<'_> {
    /// Recall at 1 and 10: whether one of the nearest gallery images shows the instance of the query image.
    fn instances(&self, part: Part, leave_one_out: bool) -> Result<InstanceResult> {
        let leave_one_out = leave_one_out || self.queries.is_empty();
        let queries = if leave_one_out { &self.gallery } else { &self.queries };
        let instance = |image: usize| self.manifest.images[image].instance;
        let ranks = first_hit_ranks(queries, &self.gallery, part, &instance)?;
        let found: Vec<usize> = ranks.iter().flatten().copied().collect();
        let recall = |k: usize| mean(found.iter().map(|&rank| f64::from(u8::from(rank < k))));
        Ok(InstanceResult {
            protocol: if leave_one_out { "leave-one-out" } else { "query-gallery" }.into(),
            queries: found.len(),
            queries_without_match: ranks.len() - found.len(),
            gallery: self.gallery.len(),
            recall_at_1: recall(1),
            recall_at_10: recall(10),
        })
    }

    /// The average precision of every value's query on the gallery.
    fn attributes(&self, queries: &StoredQueries, absent: Absent) -> Result<RankedResult> {
        let mut groups = Vec::new();
        for attribute in &queries.attributes {
            let Some(column) = self.manifest.attributes.iter().position(|a| a.name == attribute.name) else {
                let skipped = "the data set does not have the attribute";
                groups.push(AttributeResult::skipped(attribute, skipped));
                continue;
            };
            let shown = |image: usize| &self.manifest.images[image].values[column];
            let ranked: Vec<(usize, &Embedding)> = match absent {
                Absent::Negative => self.gallery.clone(),
                Absent::Exclude => {
                    self.gallery.iter().copied().filter(|(i, _)| !shown(*i).is_empty()).collect()
                }
            };
            let values = &self.manifest.attributes[column].values;
            let scores = score_queries(attribute, &ranked, |name| {
                let value = values.iter().position(|v| v == name)? as u32;
                Some(move |image: usize| shown(image).contains(value))
            })?;
            let labelled = self.gallery.iter().filter(|(i, _)| !shown(*i).is_empty()).count();
            groups.push(AttributeResult::new(attribute.name.clone(), labelled, scores));
        }
        Ok(RankedResult::new(groups, absent))
    }

    /// The average precision of every category's query on the gallery, in the superspace.
    fn categories(&self, queries: &NamedQueries) -> Result<RankedResult> {
        let scores = score_queries(queries, &self.gallery, |name| {
            let category = self.manifest.categories.iter().position(|c| c == name)? as u32;
            Some(move |image: usize| self.manifest.images[image].category == category)
        })?;
        let group = AttributeResult::new(queries.name.clone(), self.gallery.len(), scores);
        Ok(RankedResult::new(vec![group], Absent::Negative))
    }
}

/// The average precision of each query. `relevance` returns a predicate for a name that tells the relevant images; `None` if the data set
/// does not have the name.
fn score_queries<R: Fn(usize) -> bool + Sync>(
    of: &NamedQueries,
    ranked: &[(usize, &Embedding)],
    relevance: impl Fn(&str) -> Option<R> + Sync,
) -> Result<Vec<ScoredName>> {
    of.queries
        .par_iter()
        .map(|(name, query)| {
            let relevant = relevance(name);
            let positives = relevant.as_ref().map_or(0, |r| ranked.iter().filter(|(i, _)| r(*i)).count());
            let skipped = match (query, positives) {
                (None, _) => Some("no training image shows it"),
                (_, 0) => Some("no gallery image shows it"),
                _ => None,
            };
            let mut average = None;
            if let (Some(query), Some(relevant), None) = (query, relevant, skipped) {
                let distances = ranked
                    .iter()
                    .map(|(_, e)| distance(e.as_ref(), query.as_ref()))
                    .collect::<Result<Vec<f64>>>()?;
                average = average_precision(ranking(&distances).into_iter().map(|i| relevant(ranked[i].0)));
            }
            let skipped = skipped.map(str::to_owned);
            Ok(ScoredName { name: name.clone(), average_precision: average, positives, skipped })
        })
        .collect()
}

fn sizes(test: &TestImages<'_>) -> DatasetSizes {
    let distinct = |of: &dyn Fn(usize) -> u32| {
        let all = test.gallery.iter().chain(&test.queries).map(|(i, _)| of(*i));
        all.collect::<std::collections::HashSet<_>>().len()
    };
    DatasetSizes {
        train: test.manifest.split(Split::Train).len(),
        queries: test.queries.len(),
        gallery: test.gallery.len(),
        test_instances: distinct(&|i| test.manifest.images[i].instance),
        test_categories: distinct(&|i| test.manifest.images[i].category),
    }
}

fn quoted<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
