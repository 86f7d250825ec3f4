//! The data of the page, as its script and the JSON file read it. Field names are the keys of the JSON.

use crate::eval::label_issues::LabelIssue;
use crate::eval::results::EvaluationResults;
use serde::Serialize;

/// Everything that the page shows.
#[derive(Debug, Serialize)]
pub struct ReportPage {
    /// The model's name.
    pub title: String,
    /// How much of the data set the page shows.
    pub sizes: SampleSizes,
    /// The figures of the whole data set, recorded in the model after training; null if it was not evaluated.
    pub recorded: serde_json::Value,
    /// Facts about model, data set and training.
    pub facts: Vec<FactGroup>,
    /// Notes on what is odd or missing, a sentence each.
    pub notes: Vec<String>,
    /// Labels that are probably wrong.
    pub suspects: SuspectLabels,
    /// The figures of the images shown.
    pub scores: EvaluationResults,
    /// Example queries (Figure 3 of the paper), one group per task.
    pub questions: Vec<ExampleGroup>,
    /// Both ends of each category (Section 5.3 of the paper).
    pub categories: Vec<CategoryRange>,
    /// Paths between categories; `None` if the gallery has one category only.
    pub transitions: Option<Transitions>,
    /// A map of the subspace of each attribute that the data set has.
    pub maps: Vec<SubspaceMap>,
    /// The losses over the epochs.
    pub curves: Option<TrainingCurves>,
    /// The images. Other fields refer to them by their index here.
    pub images: Vec<PageImage>,
}

/// How much of the data set the page shows.
#[derive(Debug, Serialize)]
pub struct SampleSizes {
    /// Query and gallery images shown.
    pub images: usize,
    /// Query and gallery images in the data set.
    pub of: usize,
    /// The seed of the random choice.
    pub seed: u64,
}

/// Facts under a heading.
#[derive(Debug, Serialize)]
pub struct FactGroup {
    /// Heading of the group of facts.
    pub name: String,
    /// Names and values.
    pub rows: Vec<(String, String)>,
}

/// Labels that are probably wrong.
#[derive(Debug, Serialize)]
pub struct SuspectLabels {
    /// How many there are.
    pub count: usize,
    /// The most certain ones.
    pub shown: Vec<SuspectLabel>,
}

/// A label that is probably wrong.
#[derive(Debug, Serialize)]
pub struct SuspectLabel {
    /// Index into [`ReportPage::images`].
    pub image: usize,
    /// The label, and why it is probably wrong.
    #[serde(flatten)]
    pub issue: LabelIssue,
}

/// An image of the data set.
#[derive(Debug, Serialize)]
pub struct PageImage {
    /// Its path, as in images.csv.
    pub path: String,
    /// The thumbnail as a `data:` URI; `None` if it did not fit into the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
}

/// Example queries of one task: instance, attribute or category.
#[derive(Debug, Serialize)]
pub struct ExampleGroup {
    /// The task.
    pub name: &'static str,
    /// Drawn at random among those with a relevant image.
    pub questions: Vec<ExampleQuery>,
}

/// An example query and the nearest gallery images.
#[derive(Debug, Serialize)]
pub struct ExampleQuery {
    /// The instance, value or category that is searched.
    pub text: String,
    /// The query image, for instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<usize>,
    /// Relevant images in the gallery.
    pub positives: usize,
    /// Gallery images ranked.
    pub ranked: usize,
    /// The nearest images, in order.
    pub answers: Vec<ExampleResult>,
}

/// One of the nearest gallery images.
#[derive(Debug, Serialize)]
pub struct ExampleResult {
    /// The image.
    pub image: usize,
    /// Whether it is relevant.
    pub right: bool,
    /// Its own instance, value or category.
    pub text: String,
    /// How far it is from the query.
    pub distance: f64,
}

/// The images of a category that lie nearest to its centre, and farthest from it.
#[derive(Debug, Serialize)]
pub struct CategoryRange {
    /// The category's name, as in images.csv.
    pub name: String,
    /// Its images in the gallery.
    pub images: usize,
    /// The nearest, in order.
    pub typical: Vec<RankedImage>,
    /// The farthest, in order.
    pub atypical: Vec<RankedImage>,
}

/// An image and how far it is from its category's centre.
#[derive(Debug, Serialize)]
pub struct RankedImage {
    /// Index into [`ReportPage::images`].
    pub image: usize,
    /// Euclidean, over all subspaces, as `<->` gives it.
    pub distance: f64,
}

/// Paths in the graph of the gallery's nearest neighbours.
#[derive(Debug, Serialize)]
pub struct Transitions {
    /// Neighbours of each image in the graph.
    pub neighbours: usize,
    /// Where random paths between categories cross.
    pub shares: CrossingShares,
    /// Paths to look at.
    pub examples: Vec<TransitionExample>,
}

/// Whether a path's longest hop, rather than any other, leads into another category. Means over paths.
#[derive(Debug, Serialize)]
pub struct CrossingShares {
    /// Paths between random images of different categories.
    pub paths: usize,
    /// Pairs of images that no path connects; they do not count.
    pub without_path: usize,
    /// Hops of a path.
    pub hops: Option<f64>,
    /// Hops of a path that change the category.
    pub changes: Option<f64>,
    /// Longest hops that change the category.
    pub longest_hop: Option<Share>,
    /// Hops that do, which is what chance would give the longest one.
    pub any_hop: Option<Share>,
}

/// A share between 0 and 1.
#[derive(Debug, Serialize)]
pub struct Share {
    /// The mean of the paths' own shares.
    pub share: f64,
    /// Its standard error; `None` of a single path.
    pub standard_error: Option<f64>,
}

/// The path from one category's most typical image to another's.
#[derive(Debug, Serialize)]
pub struct TransitionExample {
    /// Name of the category where it starts.
    pub from: String,
    /// Name of the category where it ends.
    pub to: String,
    /// The attribute whose subspace alone counts; `None` for all.
    pub through: Option<String>,
    /// The images, both ends included; empty if there is no path.
    pub steps: Vec<TransitionStep>,
}

/// An image on a path.
#[derive(Debug, Serialize)]
pub struct TransitionStep {
    /// Index into [`ReportPage::images`].
    pub image: usize,
    /// Its category, and its value of the attribute.
    pub text: String,
    /// The hop that leads to it; `None` for the first.
    pub distance: Option<f64>,
    /// Whether that hop is the longest.
    pub is_crossing: bool,
}

/// A map of an attribute's subspace, in two dimensions.
#[derive(Debug, Serialize)]
pub struct SubspaceMap {
    /// Attribute whose subspace is mapped.
    pub attribute: String,
    /// Whether its values are ordered.
    pub ordered: bool,
    /// Names of the values.
    pub values: Vec<String>,
    /// The fraction of the variance along each axis.
    pub explained: [f64; 2],
    /// One point per image of the sample.
    pub points: Vec<MapPoint>,
    /// The stored queries of the values.
    pub queries: Vec<MapPoint>,
}

/// An image or a query on a map.
#[derive(Debug, Serialize)]
pub struct MapPoint {
    /// Along the first principal component.
    pub x: f64,
    /// Along the second principal component.
    pub y: f64,
    /// Index of its value.
    pub value: usize,
    /// The image; `None` for a query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<usize>,
}

/// The losses over the epochs.
#[derive(Debug, PartialEq, Serialize)]
pub struct TrainingCurves {
    /// Epoch numbers: the horizontal axis.
    pub epochs: Vec<f64>,
    /// The columns that change.
    pub series: Vec<CurveSeries>,
}

/// One column of the log.
#[derive(Debug, PartialEq, Serialize)]
pub struct CurveSeries {
    /// The name of the column.
    pub name: String,
    /// The value of each epoch; `None` if the loss took no part.
    pub values: Vec<Option<f64>>,
}
