//! What an evaluation found: a value to serialise, and a table to read.

use super::metrics::mean;
use super::ordered::{Averages, PredictionReport, Reference};
use super::protocol::NamedQueries;
use super::tags::TagReport;
use serde::{Deserialize, Serialize};
use std::fmt;

/// All figures of one evaluation; fractions, not percent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// How large everything is.
    pub sizes: Sizes,
    /// This very instance.
    pub instance: InstanceReport,
    /// Anything with a value.
    pub attributes: RankedReport,
    /// Anything of a category: one group.
    pub categories: RankedReport,
    /// What stood for a value in the predictions.
    pub predicted_by: Reference,
    /// The values of gallery images as their nearest values, per attribute that the data set has.
    pub predictions: Vec<PredictionReport>,
    /// Tags of gallery images, per attribute and for the categories; nothing of models without them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<TagReport>,
}

/// Images of each split, and what the test half holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Training images.
    pub train: usize,
    /// Query images.
    pub queries: usize,
    /// Gallery images.
    pub gallery: usize,
    /// Instances among queries and gallery.
    pub test_instances: usize,
    /// Categories among queries and gallery.
    pub test_categories: usize,
}

/// Recall of instances.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstanceReport {
    /// `query-gallery`, or `leave-one-out`: each gallery image against the others.
    pub protocol: String,
    /// Queries that count.
    pub queries: usize,
    /// Queries of whose instance there is nothing to be found; they do not count.
    pub queries_without_match: usize,
    /// Gallery images.
    pub gallery: usize,
    /// Queries whose nearest image is of their instance, as a fraction.
    pub recall_at_1: Option<f64>,
    /// Queries with an image of their instance among the nearest ten.
    pub recall_at_10: Option<f64>,
}

/// What images without an attribute are in the rankings of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Absent {
    /// Wrong answers: the whole gallery is ranked.
    #[default]
    Negative,
    /// Not there: only images with some value of the attribute are ranked.
    Exclude,
}

/// Mean average precision over queries that are ranked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankedReport {
    /// How images without the attribute count.
    pub absent: Absent,
    /// Over all scored values of all groups.
    pub mean_average_precision: Option<f64>,
    /// How many values were scored.
    pub scored: usize,
    /// How many were not; each says why.
    pub skipped: usize,
    /// Per attribute, in the model's order.
    pub groups: Vec<AttributeReport>,
}

/// One attribute, or the categories.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttributeReport {
    /// Its name.
    pub name: String,
    /// Gallery images with some value.
    pub labelled: usize,
    /// Over its scored values.
    pub mean_average_precision: Option<f64>,
    /// How many of its values were scored.
    pub scored: usize,
    /// Per value.
    pub values: Vec<ScoredName>,
}

/// One value or category.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoredName {
    /// Its name.
    pub name: String,
    /// `None` if it was skipped.
    pub average_precision: Option<f64>,
    /// Right answers among the ranked images.
    pub positives: usize,
    /// Why it was not scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

impl AttributeReport {
    /// A group of scored values.
    pub fn new(name: String, labelled: usize, values: Vec<ScoredName>) -> Self {
        let scores = || values.iter().filter_map(|v| v.average_precision);
        Self { name, labelled, mean_average_precision: mean(scores()), scored: scores().count(), values }
    }

    /// A group of which nothing can be scored.
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

impl RankedReport {
    /// The summary of some groups.
    pub fn new(groups: Vec<AttributeReport>, absent: Absent) -> Self {
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

impl Report {
    /// The few figures that a model's config carries.
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
            "tags": self.tags.iter().map(|t| serde_json::json!({
                "name": t.name,
                "labelled": t.labelled,
                "absent": t.absent,
                "accuracy": t.accuracy,
                "accuracy_of_nearest_mean": t.accuracy_of_nearest_mean,
                "presence_accuracy": t.presence_accuracy,
                "expected_calibration_error": t.expected_calibration_error,
            })).collect::<Vec<_>>(),
        })
    }
}

/// A fraction as percent, for people.
pub(crate) fn percent(x: Option<f64>) -> String {
    x.map_or("-".into(), |x| format!("{:.1}", 100.0 * x))
}

/// The table that `coopembed eval` prints.
impl fmt::Display for Report {
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
        ranked(f, &self.attributes)?;
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
        ranked(f, &self.categories)?;
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

impl Report {
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
        Ok(())
    }

    /// Percent, but for the errors, which are in ranks; then the confusion of each ordered attribute.
    fn write_predictions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.predictions.is_empty() {
            return Ok(());
        }
        let reference = match self.predicted_by {
            Reference::Proxy => "proxy",
            Reference::Mean => "mean query",
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

/// Rows are the right values, columns the nearest ones; wide names are cut.
fn confusion(f: &mut fmt::Formatter<'_>, p: &PredictionReport) -> fmt::Result {
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

fn ranked(f: &mut fmt::Formatter<'_>, r: &RankedReport) -> fmt::Result {
    let map = percent(r.mean_average_precision);
    writeln!(f, "  mAP {map}   {} scored, {} skipped", r.scored, r.skipped)
}
