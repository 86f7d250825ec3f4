//! The rows of the table with their labels, by number.

use super::selection::Selection;
use super::vocabulary::Vocabulary;
use crate::data::manifest::Split;
use crate::error::{abridged, Error, Kind, Result};
use crate::image::CropBox;
use std::collections::HashMap;
use tokio_postgres::types::FromSqlOwned;
use tokio_postgres::Row;

/// The columns before the attributes; see [`Selection::statement`].
const FIRST_ATTRIBUTE: usize = 12;

/// A row with an instance, a category and an image.
#[derive(Debug)]
pub struct LabelledRow {
    /// The values of the columns that identify it.
    pub id: Vec<String>,
    /// Number of its instance, in [`Table::instances`].
    pub instance: u32,
    /// Number of its category.
    pub category: u32,
    /// Number of its group.
    pub group: Option<u32>,
    /// What the column of splits says.
    pub split: Option<Split>,
    /// The part of the image that shows it.
    pub crop: Option<CropBox>,
    /// Per attribute, the numbers of its values.
    pub values: Vec<Vec<u32>>,
    /// Number of its image.
    pub image: usize,
}

/// A row that is not exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The values of the columns that identify it.
    pub id: Vec<String>,
    /// Its instance, if it has one.
    pub instance: String,
    /// Path, URL or oid of its image; empty for one in the row.
    pub image: String,
    /// What kind of reason it is.
    pub reason: Reason,
    /// The reason in words.
    pub why: String,
}

/// Why a row is not exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It has no image.
    NoImage,
    /// It does not say which instance it is of.
    NoInstance,
    /// It does not say of which category it is.
    NoCategory,
    /// Its box has no area, or lies outside of the image.
    BadBox,
    /// Its image could not be read from where it is.
    Unreadable,
    /// Its image is larger than the limit.
    TooLarge,
    /// Its image could not be decoded.
    Undecodable,
    /// Another row has the same instance and image.
    Repeated,
}

/// All rows, with the values of their columns.
#[derive(Debug, Default)]
pub struct Table {
    /// The rows.
    pub rows: Vec<LabelledRow>,
    /// Rows that lack something.
    pub left_out: Vec<LeftOut>,
    /// Values of the column of instances.
    pub instances: Vocabulary,
    /// Values of the column of categories.
    pub categories: Vocabulary,
    /// Values of the column of groups.
    pub groups: Vocabulary,
    /// Values of each attribute.
    pub attributes: Vec<Vocabulary>,
    /// Paths, URLs or oids of images by their numbers; of images in the rows there are none.
    pub image_names: HashMap<usize, String>,
}

/// The image of a row, as the server sent it.
#[derive(Debug)]
pub struct SentImage {
    /// What it is recognised by in a later run.
    pub token: Option<String>,
    /// The image.
    pub value: ImageValue,
}

/// Where the image of a row is.
#[derive(Debug)]
pub enum ImageValue {
    /// Here.
    Bytes(Vec<u8>),
    /// In the row, with this many bytes; it was not sent.
    NotSent(i64),
    /// In the large object, or behind the path or URL, that the token says.
    Elsewhere,
}

impl Table {
    /// No rows yet, of a table with so many attributes.
    pub fn new(attributes: usize) -> Self {
        Self { attributes: (0..attributes).map(|_| Vocabulary::default()).collect(), ..Self::default() }
    }

    /// Takes a row of [`Selection::statement`]. Without an instance, a category or an image it is left out. Otherwise its image gets the
    /// number that `number` gives it.
    ///
    /// # Errors
    /// [`Kind::InvalidEncoding`] for text that is none, [`Kind::InvalidData`] for a split that is not known; those of `number`.
    pub fn add(
        &mut self,
        row: &Row,
        selection: &Selection,
        number: &mut dyn FnMut(SentImage) -> Result<usize>,
    ) -> Result<()> {
        let texts: Vec<Option<String>> = get(row, 1)?;
        let id: Vec<String> = texts.into_iter().map(Option::unwrap_or_default).collect();
        let [instance, category, group, split] = [2, 3, 4, 5].map(|i| get::<Option<String>>(row, i));
        let (instance, category) = (present(instance?), present(category?));
        let image = sent_image(row, selection)?;
        let (Some(instance), Some(category), Some(image)) = (&instance, &category, image) else {
            let (reason, why) = match (&instance, &category) {
                (None, _) => (Reason::NoInstance, "it has no instance"),
                (_, None) => (Reason::NoCategory, "it has no category"),
                _ => (Reason::NoImage, "it has no image"),
            };
            let instance = instance.unwrap_or_default();
            self.left_out.push(LeftOut { id, instance, image: String::new(), reason, why: why.to_owned() });
            return Ok(());
        };
        let crop = match crop_box(row)? {
            Ok(crop) => crop,
            Err(why) => {
                let (instance, image) = (instance.clone(), String::new());
                self.left_out.push(LeftOut { id, instance, image, reason: Reason::BadBox, why });
                return Ok(());
            }
        };
        let mut values = Vec::with_capacity(self.attributes.len());
        for (k, vocabulary) in self.attributes.iter_mut().enumerate() {
            let texts: Vec<Option<String>> = get(row, FIRST_ATTRIBUTE + k)?;
            values.push(texts.iter().flatten().map(|text| vocabulary.intern(text)).collect());
        }
        self.rows.push(LabelledRow {
            instance: self.instances.intern(instance),
            category: self.categories.intern(category),
            group: present(group?).map(|g| self.groups.intern(&g)),
            split: present(split?).map(|s| parse_split(&s, &id)).transpose()?,
            id,
            crop,
            values,
            image: number(image)?,
        });
        Ok(())
    }
}

/// A text that is not blank.
fn present(text: Option<String>) -> Option<String> {
    text.filter(|t| !t.trim().is_empty())
}

fn parse_split(text: &str, id: &[String]) -> Result<Split> {
    text.trim().to_ascii_lowercase().parse().map_err(|()| {
        Error::new(Kind::InvalidData, format!("split is \"{}\", not train, query or gallery", abridged(text)))
            .detail(if id.is_empty() {
                "".to_owned()
            } else {
                format!("It is that of row {}.", id.join(", "))
            })
            .hint("Name the parts so in --query with CASE, or let --split make them.")
    })
}

/// The box of a row, or why it has none that can be used.
fn crop_box(row: &Row) -> Result<std::result::Result<Option<CropBox>, String>> {
    let mut corners = [None; 4];
    for (k, corner) in corners.iter_mut().enumerate() {
        *corner = get::<Option<f64>>(row, 6 + k)?;
    }
    Ok(match corners {
        [None, None, None, None] => Ok(None),
        [Some(x1), Some(y1), Some(x2), Some(y2)] => CropBox::from_corners([x1, y1, x2, y2])
            .map(Some)
            .ok_or_else(|| format!("({x1},{y1}),({x2},{y2}) is not a box of x1 < x2 and y1 < y2")),
        _ => Err("some corners of its box are NULL".to_owned()),
    })
}

/// `None` if the row has no image.
fn sent_image(row: &Row, selection: &Selection) -> Result<Option<SentImage>> {
    use super::selection::ImageKind;
    let value = match selection.image_kind {
        ImageKind::Bytes => match get::<Option<i64>>(row, 11)? {
            None => None,
            Some(size) => {
                Some(get::<Option<Vec<u8>>>(row, 10)?.map_or(ImageValue::NotSent(size), ImageValue::Bytes))
            }
        },
        ImageKind::LargeObject => get::<Option<u32>>(row, 10)?.map(|_| ImageValue::Elsewhere),
        ImageKind::Named => {
            get::<Option<String>>(row, 10)?.filter(|n| !n.is_empty()).map(|_| ImageValue::Elsewhere)
        }
    };
    let token = get(row, 0)?;
    Ok(value.map(|value| SentImage { token, value }))
}

fn get<T: FromSqlOwned>(row: &Row, index: usize) -> Result<T> {
    row.try_get(index).map_err(|e| {
        Error::new(Kind::InvalidEncoding, "a row could not be read")
            .detail(crate::connection::with_causes(&e))
            .hint("If the database's encoding is SQL_ASCII, its texts must be UTF-8.")
    })
}
