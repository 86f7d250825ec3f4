//! What every built set consists of: rows of `images.csv` under a vocabulary of attributes.

/// One row of `images.csv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    /// Path of the picture below the set's folder.
    pub path: String,
    /// Name of the instance.
    pub instance: String,
    /// Name of the instances that look much like it, itself among them.
    pub group: &'a str,
    /// Its category.
    pub category: &'a str,
    /// `train`, `query` or `gallery`.
    pub split: &'static str,
    /// Its value of each attribute, in the order of the vocabulary.
    pub values: &'a [Option<&'static str>],
}

/// An attribute of a built set.
#[derive(Debug)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// True if the values have an order.
    pub ordered: bool,
    /// All values, in their order if they have one.
    pub values: &'static [&'static str],
    /// Where the labels come from, for people.
    pub source: &'static str,
}

impl Attribute {
    /// For tables of constants.
    pub const fn new(
        name: &'static str,
        ordered: bool,
        values: &'static [&'static str],
        source: &'static str,
    ) -> Self {
        Self { name, ordered, values, source }
    }
}

/// The numbers from one to twelve as ordered values are written.
pub const NUMBERS: [&str; 12] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"];
