//! A row of a built set's `images.csv`, and an attribute of its `attributes.json`.

/// One row of `images.csv`; the fields are its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltRow<'a> {
    /// Path of the image, relative to the set's folder.
    pub path: String,
    /// Name of the instance.
    pub instance: String,
    /// Name of the group: variants of one thing, which look alike.
    pub group: &'a str,
    /// Name of the category.
    pub category: &'a str,
    /// `train`, `query` or `gallery`.
    pub split: &'static str,
    /// The value of each attribute, in the order of the set's attributes; `None` where absent, and several with `|` between them.
    pub values: &'a [Option<&'static str>],
}

/// An attribute of a built set.
#[derive(Debug)]
pub struct BuiltAttribute {
    /// Name, also that of the column.
    pub name: &'static str,
    /// Whether the values have an order.
    pub ordered: bool,
    /// All values, in their order if they have one.
    pub values: &'static [&'static str],
    /// The source of the labels, for people.
    pub source: &'static str,
    /// Whether an image may show several values.
    pub multi: bool,
    /// Whether images that have a value of it may be mirrored.
    pub mirror: bool,
}

impl BuiltAttribute {
    /// A constructor for constants.
    pub const fn new(
        name: &'static str,
        ordered: bool,
        values: &'static [&'static str],
        source: &'static str,
    ) -> Self {
        Self { name, ordered, values, source, multi: false, mirror: true }
    }

    /// The same, but an image may show several values.
    pub const fn several(self) -> Self {
        Self { multi: true, ..self }
    }

    /// The values of a field of `images.csv`.
    pub fn values_of(&self, field: &'static str) -> impl Iterator<Item = &'static str> {
        let several = self.multi;
        field.split(move |c| several && c == '|')
    }

    /// The same, but its values do not survive mirroring.
    pub const fn not_mirrored(self) -> Self {
        Self { mirror: false, ..self }
    }
}

/// The numbers from 1 to 12, for use as names of ordered values.
pub const NUMBERS: [&str; 12] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"];
