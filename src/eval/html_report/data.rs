//! What the page shows, as its script and the JSON file read it.

use crate::eval::results::Report;
use serde::Serialize;

/// The whole page.
#[derive(Debug, Serialize)]
pub struct Page {
    /// The model's name.
    pub title: String,
    /// How much of the set was looked at.
    pub sizes: Sizes,
    /// The figures of the whole set that the model carries since its training; null if it was not evaluated.
    pub recorded: serde_json::Value,
    /// Groups of names and what they are.
    pub facts: Vec<Facts>,
    /// What is odd or missing, a sentence each.
    pub notes: Vec<String>,
    /// The figures of the images looked at.
    pub scores: Report,
    /// Figure 3, one group per kind of question.
    pub questions: Vec<Kind>,
    /// One per attribute that the data set has.
    pub maps: Vec<Map>,
    /// The losses over the epochs.
    pub curves: Option<Curves>,
    /// The pictures; others name them by their place here.
    pub images: Vec<Picture>,
}

/// How much of the set was looked at.
#[derive(Debug, Serialize)]
pub struct Sizes {
    /// Query and gallery images looked at.
    pub images: usize,
    /// Of so many.
    pub of: usize,
    /// What they were drawn with.
    pub seed: u64,
}

/// Some facts under a heading.
#[derive(Debug, Serialize)]
pub struct Facts {
    /// The heading.
    pub name: String,
    /// Names and values.
    pub rows: Vec<(String, String)>,
}

/// A picture of the data set.
#[derive(Debug, Serialize)]
pub struct Picture {
    /// As images.csv has it.
    pub path: String,
    /// A `data:` URI; nothing if it did not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
}

/// Questions of one kind: instance, attribute or category.
#[derive(Debug, Serialize)]
pub struct Kind {
    /// Which.
    pub name: &'static str,
    /// Drawn at random among those with a right answer.
    pub questions: Vec<Question>,
}

/// A question and its nearest answers.
#[derive(Debug, Serialize)]
pub struct Question {
    /// The instance, value or category asked for.
    pub text: String,
    /// The picture it is asked with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<usize>,
    /// Right answers in the gallery.
    pub positives: usize,
    /// Gallery images ranked.
    pub ranked: usize,
    /// The nearest ones, in order.
    pub answers: Vec<Answer>,
}

/// One gallery image.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The picture.
    pub image: usize,
    /// Whether it is what was asked for.
    pub right: bool,
    /// Its own instance, value or category.
    pub text: String,
    /// How far it is from the query.
    pub distance: f64,
}

/// Two dimensions of an attribute's subspace.
#[derive(Debug, Serialize)]
pub struct Map {
    /// The attribute.
    pub attribute: String,
    /// Whether its values have an order.
    pub ordered: bool,
    /// Names of the values.
    pub values: Vec<String>,
    /// Share of the variance along either axis.
    pub explained: [f64; 2],
    /// Images.
    pub points: Vec<Point>,
    /// Where the values' stored queries lie.
    pub queries: Vec<Point>,
}

/// An image or a query on a map.
#[derive(Debug, Serialize)]
pub struct Point {
    /// Along the first principal component.
    pub x: f64,
    /// Along the second.
    pub y: f64,
    /// Index of its value.
    pub value: usize,
    /// The picture, if it is an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<usize>,
}

/// The losses over the epochs.
#[derive(Debug, PartialEq, Serialize)]
pub struct Curves {
    /// The epochs.
    pub epochs: Vec<f64>,
    /// Columns that say something.
    pub series: Vec<Series>,
}

/// One column.
#[derive(Debug, PartialEq, Serialize)]
pub struct Series {
    /// As the file names it.
    pub name: String,
    /// Per epoch; nothing where the term took no part.
    pub values: Vec<Option<f64>>,
}
