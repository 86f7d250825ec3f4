//! A labelled data set with names resolved to numbers: images, instances, categories, attributes and their values.

use super::value_set::ValueSet;
use crate::image::CropBox;
use std::fmt::{Debug, Formatter};
use std::path::PathBuf;
use std::str::FromStr;

/// A data set, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The folder that paths are relative to.
    pub root: PathBuf,
    /// In the order of the list that they were read from.
    pub images: Vec<ImageEntry>,
    /// The K attributes, in the order of the columns of `images.csv`.
    pub attributes: Vec<AttributeEntry>,
    /// Names of instances, sorted; [`ImageEntry::instance`] is an index into them.
    pub instances: Vec<String>,
    /// Names of categories, sorted; [`ImageEntry::category`] is an index into them.
    pub categories: Vec<String>,
    /// The category of each instance, an index into [`Manifest::categories`].
    pub instance_category: Vec<u32>,
    /// The group of each instance: variants of one thing, such as a garment in all its colours. Instances of a group are held out of
    /// training together. Without a column `group` each instance is a group of its own.
    pub instance_group: Vec<u32>,
    /// Oddities of a set that can still be used, one sentence each.
    pub warnings: Vec<String>,
}

/// An image with its labels.
#[derive(Clone, PartialEq)]
pub struct ImageEntry {
    /// Path of its file, relative to [`Manifest::root`].
    pub path: String,
    /// Index into [`Manifest::instances`].
    pub instance: u32,
    /// Index into [`Manifest::categories`].
    pub category: u32,
    /// Whether it is for training, a query, or in the gallery.
    pub split: Split,
    /// The box to crop to, if the set has boxes.
    pub crop: Option<CropBox>,
    /// Per attribute, the values that it shows, as indices into [`AttributeEntry::values`]; none where the label is absent.
    pub values: Vec<ValueSet>,
    /// Whether training may show it mirrored.
    pub mirror: bool,
}

/// Checkpoints and finished experiments are recognised by a digest of this text, so it says only where an image must not be mirrored:
/// that of a set that forbids nothing is as it was before sets could.
impl Debug for ImageEntry {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { path, instance, category, split, crop, values, mirror } = self;
        let mut fields = f.debug_struct("ImageEntry");
        fields.field("path", path).field("instance", instance).field("category", category);
        fields.field("split", split).field("crop", crop).field("values", values);
        if !mirror {
            fields.field("mirror", mirror);
        }
        fields.finish()
    }
}

/// The digest of [`ImageEntry`] hashes this text too, so it names `multi` only where it is so.
impl Debug for AttributeEntry {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { name, ordered, multi, values } = self;
        let mut fields = f.debug_struct("AttributeEntry");
        fields.field("name", name).field("ordered", ordered);
        if *multi {
            fields.field("multi", multi);
        }
        fields.field("values", values).finish()
    }
}

/// The use of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// The model is trained on it.
    Train,
    /// Evaluation searches for images like it.
    Query,
    /// Evaluation searches among these images.
    Gallery,
}

/// An attribute with its values.
#[derive(Clone, PartialEq, Eq)]
pub struct AttributeEntry {
    /// The column's name.
    pub name: String,
    /// Whether its values have an order, such as sizes.
    pub ordered: bool,
    /// Whether an image may show several of its values, such as the colours of a striped shirt.
    pub multi: bool,
    /// Names of the values, in their order if they have one.
    pub values: Vec<String>,
}

impl Split {
    /// Its name in `images.csv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Query => "query",
            Self::Gallery => "gallery",
        }
    }
}

impl FromStr for Split {
    type Err = ();

    fn from_str(s: &str) -> std::result::Result<Self, ()> {
        match s {
            "train" => Ok(Self::Train),
            "query" => Ok(Self::Query),
            "gallery" => Ok(Self::Gallery),
            _ => Err(()),
        }
    }
}

impl Manifest {
    /// Indices of the images of a split, in order.
    pub fn split(&self, split: Split) -> Vec<usize> {
        (0..self.images.len()).filter(|&i| self.images[i].split == split).collect()
    }

    /// Path of an image's file.
    pub fn file(&self, image: &ImageEntry) -> PathBuf {
        self.root.join(&image.path)
    }
}
