//! A labelled set of images: `images.csv` and, beside it, `attributes.json`; or a published set in its own layout (In-Shop
//! Clothes, CompCars).
//!
//! `images.csv` has the columns `path,instance,category,split` (train, query or gallery), optionally `group` (variants of
//! one thing, such as a garment in all its colours, have the same) and `x1,y1,x2,y2` (the box to crop to, in pixels), then one column per attribute; empty means absent. `attributes.json` is
//! `{"weight": {"ordered": true, "values": ["100", "200"]}, ...}`; without it an attribute's values are what occurs.

mod compcars;
mod images_csv;
mod in_shop;
mod matlab;
mod problems;
mod reading;
mod table;
#[cfg(test)]
mod tests;
mod warnings;

pub use reading::{Format, ReadingArgs};

use crate::error::Result;
use crate::image::CropBox;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A data set, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The folder that paths are relative to.
    pub root: PathBuf,
    /// In the order of the file.
    pub images: Vec<ImageEntry>,
    /// The K attributes, in the order of their columns.
    pub attributes: Vec<AttributeEntry>,
    /// Names of instances, sorted; [`ImageEntry::instance`] counts them.
    pub instances: Vec<String>,
    /// Names of categories, sorted.
    pub categories: Vec<String>,
    /// The category of each instance.
    pub instance_category: Vec<u32>,
    /// The group of each instance: variants of one thing, which are held out of training together. Without a column `group` each
    /// instance is one.
    pub instance_group: Vec<u32>,
    /// What is odd but usable, one sentence each.
    pub warnings: Vec<String>,
}

/// One image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageEntry {
    /// Relative to [`Manifest::root`], as the file has it.
    pub path: String,
    /// Index into [`Manifest::instances`].
    pub instance: u32,
    /// Index into [`Manifest::categories`].
    pub category: u32,
    /// What it is for.
    pub split: Split,
    /// What to crop to, if the set has boxes.
    pub crop: Option<CropBox>,
    /// Per attribute, the index of its value; `None` where it is absent.
    pub values: Vec<Option<u32>>,
}

/// What an image is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// Learned from.
    Train,
    /// Asked with.
    Query,
    /// Searched in.
    Gallery,
}

/// An attribute and its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeEntry {
    /// The column's name.
    pub name: String,
    /// Whether the order of its values means something.
    pub ordered: bool,
    /// In their order if they have one.
    pub values: Vec<String>,
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
    /// Reads a data set in whichever layout its files show, and checks that every image is there.
    ///
    /// # Errors
    /// Those of [`ReadingArgs::read`].
    pub fn read(root: &Path) -> Result<Self> {
        ReadingArgs::default().read(root)
    }

    /// Indices of the images of a split, in order.
    pub fn split(&self, split: Split) -> Vec<usize> {
        (0..self.images.len()).filter(|&i| self.images[i].split == split).collect()
    }

    /// Where an image's file is.
    pub fn file(&self, image: &ImageEntry) -> PathBuf {
        self.root.join(&image.path)
    }
}
