//! The labels of each photograph. They come with the program as CSV tables, described in the README beside them.

use crate::data::garments::attributes::{with_several_colours, Values, ATTRIBUTES, CATEGORIES, COLOUR};
use crate::error::{Error, Kind, Result};
use std::collections::{HashMap, HashSet};

const LABELS: &str = include_str!("labels.csv");
const SEVERAL_COLOURS: &str = include_str!("several_colours.csv");
const SECOND_LOOK: &str = include_str!("second_look.csv");
const SAME_GARMENT: &str = include_str!("same_garment.csv");
const TEST_CONTRIBUTORS: &str = include_str!("test_contributors.txt");

/// The category, and the value of each attribute in the order of [`ATTRIBUTES`]; `None` where the garment has no such thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labels {
    pub category: &'static str,
    pub values: Values,
}

/// A photograph of the set.
#[derive(Debug)]
pub struct Photograph {
    /// Name of its file, without `.jpg`.
    pub name: String,
    /// Name of the garment: that of its first photograph.
    pub garment: String,
    /// Whether the photographer is one of the test half.
    pub in_test: bool,
    pub labels: Labels,
    /// Labels by somebody who did not know the first, where there are any.
    pub second_labels: Option<Labels>,
}

/// All photographs, sorted by name.
///
/// # Errors
/// [`Kind::Internal`] if a table of the program is malformed.
pub fn read() -> Result<Vec<Photograph>> {
    let test: HashSet<&str> = TEST_CONTRIBUTORS.split_whitespace().collect();
    let second: HashMap<String, Labels> = Table::new("second_look.csv", SECOND_LOOK)?
        .read(|row| Ok((row.field("image")?.to_owned(), row.labels()?)))?
        .into_iter()
        .collect();
    let garments: HashMap<String, String> = Table::new("same_garment.csv", SAME_GARMENT)?
        .read(|row| Ok((row.field("image")?.to_owned(), row.field("garment")?.to_owned())))?
        .into_iter()
        .collect();
    let mut photographs = Table::new("labels.csv", LABELS)?.read(|row| {
        let name = row.field("image")?;
        Ok(Photograph {
            name: name.to_owned(),
            garment: garments.get(name).map_or(name, String::as_str).to_owned(),
            in_test: test.contains(row.field("contributor")?),
            labels: row.labels()?,
            second_labels: second.get(name).copied(),
        })
    })?;
    photographs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(photographs)
}

/// Replaces the colour `multi` by the garment's colours, with `|` between them.
///
/// # Errors
/// [`Kind::Internal`] if the table of colours is malformed, or lacks a garment.
pub fn name_several_colours(photographs: &mut [Photograph]) -> Result<()> {
    let file = "several_colours.csv";
    let colour = &with_several_colours()[COLOUR];
    let row = |line: &'static str| {
        let (name, colours) = line.split_once(',')?;
        colour.values_of(colours).all(|c| colour.values.contains(&c)).then_some((name, colours))
    };
    let rows = SEVERAL_COLOURS.lines().skip(1).map(|line| row(line).ok_or_else(|| malformed(file, &line)));
    let colours = rows.collect::<Result<HashMap<&str, &'static str>>>()?;
    for photograph in photographs {
        let value = &mut photograph.labels.values[COLOUR];
        if value.is_some_and(|value| !colour.values.contains(&value)) {
            let found = colours.get(photograph.name.as_str()).copied();
            *value = Some(found.ok_or_else(|| malformed(file, &format!("no row of {}", photograph.name)))?);
        }
    }
    Ok(())
}

/// One of the tables.
struct Table {
    file: &'static str,
    reader: csv::Reader<&'static [u8]>,
    header: csv::StringRecord,
}

impl Table {
    fn new(file: &'static str, text: &'static str) -> Result<Self> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().map_err(|e| malformed(file, &e))?.clone();
        Ok(Self { file, reader, header })
    }

    /// What `row` makes of each row.
    fn read<T>(mut self, row: impl Fn(Row) -> Result<T>) -> Result<Vec<T>> {
        let (file, header) = (self.file, &self.header);
        let records = self.reader.records();
        records.map(|r| row(Row { file, header, record: &r.map_err(|e| malformed(file, &e))? })).collect()
    }
}

/// A row of a table.
struct Row<'a> {
    file: &'static str,
    header: &'a csv::StringRecord,
    record: &'a csv::StringRecord,
}

impl<'a> Row<'a> {
    fn field(&self, name: &str) -> Result<&'a str> {
        let at = self.header.iter().position(|h| h == name);
        at.and_then(|i| self.record.get(i)).ok_or_else(|| malformed(self.file, &format!("no column {name}")))
    }

    fn labels(&self) -> Result<Labels> {
        let mut values = Values::default();
        for (value, attribute) in values.iter_mut().zip(&ATTRIBUTES) {
            let text = self.field(attribute.name)?;
            *value = if text.is_empty() { None } else { Some(self.known(text, attribute.values)?) };
        }
        Ok(Labels { category: self.known(self.field("category")?, CATEGORIES)?, values })
    }

    /// The word of a vocabulary.
    fn known(&self, text: &str, words: &[&'static str]) -> Result<&'static str> {
        let word = words.iter().find(|w| **w == text);
        word.copied().ok_or_else(|| malformed(self.file, &format!("\"{text}\" is not one of {words:?}")))
    }
}

fn malformed(file: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Internal, format!("{file} of the clothes set is malformed: {why}"))
}
