//! The figures of an evaluation: serialised as JSON, printed as a table.

use super::metrics::mean;
use super::stored_queries::NamedQueries;
use super::tag_accuracy::TagAccuracy;
use super::value_prediction::{Averages, PredictBy, PredictionResult};
use crate::model::SHOWN_FROM;
use serde::{Deserialize, Serialize};
use std::fmt;

/// All figures of one evaluation; fractions, not percent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvaluationResults {
    /// The size of the data set.
    pub sizes: DatasetSizes,
    /// Instance retrieval.
    pub instance: InstanceResult,
    /// Attribute retrieval: one group per attribute.
    pub attributes: RankedResult,
    /// Category retrieval: a single group.
    pub categories: RankedResult,
    /// Which point represented a value in the predictions.
    pub predicted_by: PredictBy,
    /// The predicted values of gallery images, per attribute that the data set has.
    pub predictions: Vec<PredictionResult>,
    /// The tags of gallery images, per attribute and for the categories; empty for models without tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<TagAccuracy>,
}

/// The size of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DatasetSizes {
    /// Training images.
    pub train: usize,
    /// Query images.
    pub queries: usize,
    /// Gallery images.
    pub gallery: usize,
    /// Instances with query or gallery images.
    pub test_instances: usize,
    /// Categories with query or gallery images.
    pub test_categories: usize,
}

/// The recall of instance retrieval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstanceResult {
    /// `query-gallery`, or `leave-one-out` (each gallery image queries the others).
    pub protocol: String,
    /// Queries whose instance has another gallery image.
    pub queries: usize,
    /// Queries whose instance has no other gallery image; they do not count.
    pub queries_without_match: usize,
    /// Gallery images.
    pub gallery: usize,
    /// The fraction of queries whose nearest gallery image shows their instance.
    pub recall_at_1: Option<f64>,
    /// The fraction of queries with their instance among the ten nearest gallery images.
    pub recall_at_10: Option<f64>,
}

/// How images without an attribute count in the rankings of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Absent {
    /// As wrong: the whole gallery is ranked
    #[default]
    Negative,
    /// Not at all: only images that have a value of the attribute are ranked
    Exclude,
}

/// The mean average precision of attribute or category retrieval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankedResult {
    /// How images without the attribute count.
    pub absent: Absent,
    /// The mean over all scored values of all groups.
    pub mean_average_precision: Option<f64>,
    /// The number of values that were scored.
    pub scored: usize,
    /// The number of values that were not; each states why.
    pub skipped: usize,
    /// Per attribute, in the model's order.
    pub groups: Vec<AttributeResult>,
}

/// The result of one attribute, or of the categories.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttributeResult {
    /// The attribute's name, or "category".
    pub name: String,
    /// Gallery images that have a value.
    pub labelled: usize,
    /// The mean over its scored values.
    pub mean_average_precision: Option<f64>,
    /// The number of its values that were scored.
    pub scored: usize,
    /// The result of each value.
    pub values: Vec<ScoredName>,
}

/// The result of one value or category.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoredName {
    /// The name of the value or category.
    pub name: String,
    /// The average precision of its query; `None` if it was skipped.
    pub average_precision: Option<f64>,
    /// Relevant images in the ranking.
    pub positives: usize,
    /// Why it was not scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

impl AttributeResult {
    /// The result of a group from its scored values.
    pub fn new(name: String, labelled: usize, values: Vec<ScoredName>) -> Self {
        let scores = || values.iter().filter_map(|v| v.average_precision);
        Self { name, labelled, mean_average_precision: mean(scores()), scored: scores().count(), values }
    }

    /// The result of a group that cannot be scored, with the reason.
    pub fn skipped(of: &NamedQueries, why: &str) -> Self {
        let skip = |(name, _): &(String, _)| ScoredName {
            name: name.clone(),
            average_precision: None,
            positives: 0,
            skipped: Some(why.into()),
        };
        Self::new(of.name.clone(), 0, of.queries.iter().map(skip).collect())
    }
}

impl RankedResult {
    /// The summary of the groups.
    pub fn new(groups: Vec<AttributeResult>, absent: Absent) -> Self {
        let all = || groups.iter().flat_map(|g| &g.values);
        Self {
            absent,
            mean_average_precision: mean(all().filter_map(|v| v.average_precision)),
            scored: all().filter(|v| v.skipped.is_none()).count(),
            skipped: all().filter(|v| v.skipped.is_some()).count(),
            groups,
        }
    }
}

impl EvaluationResults {
    /// The figures that are stored in a model's config.
    pub fn summary(&self) -> serde_json::Value {
        let per_attribute: serde_json::Map<String, serde_json::Value> = self
            .attributes
            .groups
            .iter()
            .map(|g| (g.name.clone(), g.mean_average_precision.into()))
            .collect();
        serde_json::json!({
            "sizes": self.sizes,
            "instance_recall_at_1": self.instance.recall_at_1,
            "instance_recall_at_10": self.instance.recall_at_10,
            "attribute_map": self.attributes.mean_average_precision,
            "attribute_values_scored": self.attributes.scored,
            "attribute_map_by_attribute": per_attribute,
            "category_map": self.categories.mean_average_precision,
            "categories_scored": self.categories.scored,
            "tags": self.tags.iter().map(tag_summary).collect::<Vec<_>>(),
        })
    }
}

/// The figures of one attribute's tags that are stored in a model's config.
fn tag_summary(t: &TagAccuracy) -> serde_json::Value {
    let mut summary = serde_json::json!({
        "name": t.name,
        "labelled": t.labelled,
        "absent": t.absent,
        "accuracy": t.accuracy,
        "accuracy_of_nearest_mean": t.accuracy_of_nearest_mean,
        "presence_accuracy": t.presence_accuracy,
        "expected_calibration_error": t.expected_calibration_error,
    });
    if let (Some(several), Some(figures)) = (t.several, summary.as_object_mut()) {
        figures.insert("several".into(), serde_json::json!(several));
    }
    summary
}

/// A fraction as percent with one decimal; "-" if there is none.
pub(crate) fn percent(x: Option<f64>) -> String {
    x.map_or("-".into(), |x| format!("{:.1}", 100.0 * x))
}

/// The table that `coopembed eval` prints.
impl fmt::Display for EvaluationResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (s, i) = (&self.sizes, &self.instance);
        writeln!(
            f,
            "{} gallery images, {} query images, {} instances, {} categories",
            s.gallery, s.queries, s.test_instances, s.test_categories
        )?;
        writeln!(f, "\ninstance ({})", i.protocol)?;
        writeln!(f, "  R@1 {}   R@10 {}", percent(i.recall_at_1), percent(i.recall_at_10))?;
        writeln!(f, "  {} queries scored, {} without a match", i.queries, i.queries_without_match)?;
        let how = match self.attributes.absent {
            Absent::Negative => "absent counts as wrong",
            Absent::Exclude => "absent is left out",
        };
        writeln!(f, "\nattribute ({how})")?;
        write_mean(f, &self.attributes)?;
        writeln!(f, "  {:<18} {:>6} {:>8} {:>10}", "", "mAP", "values", "labelled")?;
        for g in &self.attributes.groups {
            let map = percent(g.mean_average_precision);
            writeln!(
                f,
                "  {:<18} {map:>6} {:>4}/{:<3} {:>10}",
                g.name,
                g.scored,
                g.values.len(),
                g.labelled
            )?;
        }
        writeln!(f, "\ncategory")?;
        write_mean(f, &self.categories)?;
        self.write_predictions(f)?;
        self.write_tags(f)?;
        let groups = self.attributes.groups.iter().chain(&self.categories.groups);
        let skipped: Vec<String> = groups
            .flat_map(|g| g.values.iter().map(move |v| (g, v)))
            .filter_map(|(g, v)| Some(format!("  {} = {}: {}", g.name, v.name, v.skipped.as_ref()?)))
            .collect();
        if !skipped.is_empty() {
            writeln!(f, "\nskipped\n{}", skipped.join("\n"))?;
        }
        Ok(())
    }
}

impl EvaluationResults {
    /// Writes the accuracy and calibration of tags.
    fn write_tags(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tags.is_empty() {
            return Ok(());
        }
        writeln!(f, "\ntags (accuracy of the likeliest value; ECE: expected calibration error)")?;
        let head = ["accuracy", "nearest mean", "presence", "ECE", "labelled", "absent"];
        writeln!(f, "  {:<18}{}", "", head.map(|h| format!(" {h:>12}")).concat())?;
        for t in &self.tags {
            let figures =
                [t.accuracy, t.accuracy_of_nearest_mean, t.presence_accuracy, t.expected_calibration_error];
            let figures = figures.map(|x| format!(" {:>12}", percent(x))).concat();
            writeln!(f, "  {:<18}{figures} {:>12} {:>12}", t.name, t.labelled, t.absent)?;
        }
        for (t, several) in self.tags.iter().filter_map(|t| Some((t, t.several?))) {
            let (precision, recall) = (percent(several.precision), percent(several.recall));
            writeln!(
                f,
                "  several tags of {}, from a probability of {SHOWN_FROM} on: precision {precision}, recall {recall}",
                t.name
            )?;
        }
        Ok(())
    }

    /// Writes the predictions in percent (errors in ranks), and the confusion matrix of each ordered attribute.
    fn write_predictions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.predictions.is_empty() {
            return Ok(());
        }
        let reference = match self.predicted_by {
            PredictBy::Proxy => "proxy",
            PredictBy::Mean => "mean query",
        };
        writeln!(f, "\nnearest value, by {reference} (micro: over images, macro: over values)")?;
        writeln!(f, "  {:<18} {:>13} {:>13} {:>13} {:>8}", "", "accuracy", "MRR", "MAE in ranks", "images")?;
        writeln!(f, "  {:<18} {m} {m} {m}", "", m = " micro  macro")?;
        let ranks = |x: Option<f64>| x.map_or("-".into(), |x| format!("{x:.3}"));
        for p in &self.predictions {
            let pair = |a: Averages, text: fn(Option<f64>) -> String| {
                format!("{:>6} {:>6}", text(a.micro), text(a.macro_))
            };
            let error = p.mean_absolute_error.map_or(format!("{:13}", ""), |e| pair(e, ranks));
            let (accuracy, mrr) = (pair(p.accuracy, percent), pair(p.mean_reciprocal_rank, percent));
            writeln!(f, "  {:<18} {accuracy} {mrr} {error} {:>8}", p.name, p.images)?;
        }
        self.predictions.iter().filter(|p| p.ordered && p.images > 0).try_for_each(|p| confusion(f, p))
    }
}

/// Writes a confusion matrix: a row for each right value, a column for each nearest value. Long names are truncated.
fn confusion(f: &mut fmt::Formatter<'_>, p: &PredictionResult) -> fmt::Result {
    const WIDTH: usize = 7;
    let cut = |name: &str| name.chars().take(WIDTH).collect::<String>();
    writeln!(f, "\nconfusion of {} (rows: right, columns: nearest)", p.name)?;
    let columns: String = p.values.iter().map(|v| format!(" {:>WIDTH$}", cut(v))).collect();
    writeln!(f, "  {:<18}{columns}", "")?;
    for (value, row) in p.values.iter().zip(&p.confusion) {
        let counts: String = row.iter().map(|n| format!(" {n:>WIDTH$}")).collect();
        writeln!(f, "  {value:<18}{counts}")?;
    }
    Ok(())
}

/// Writes a line with the mean average precision.
fn write_mean(f: &mut fmt::Formatter<'_>, r: &RankedResult) -> fmt::Result {
    let map = percent(r.mean_average_precision);
    writeln!(f, "  mAP {map}   {} scored, {} skipped", r.scored, r.skipped)
}
