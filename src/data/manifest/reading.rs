//! Recognises the layout of a data set's folder and reads it.

use super::attributes_json::{self, DeclaredAttributes};
use super::dataset::Manifest;
use super::label_table::LabelTable;
use super::problems::Problems;
use super::separator::Separator;
use super::{compcars, images_csv, in_shop};
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A layout of a data set's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// images.csv and attributes.json
    Manifest,
    /// DeepFashion's In-shop Clothes Retrieval: Eval/list_eval_partition.txt
    InShop,
    /// CompCars: data/image and misc/attributes.txt
    #[value(name = "compcars")]
    #[serde(rename = "compcars")]
    CompCars,
}

/// How to read a data set's folder.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
#[command(next_help_heading = "Reading the data set ([reading] in the TOML file)")]
pub struct ReadingArgs {
    /// Layout of the folder [default: recognised from its files]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// In-Shop only: CSV file of item_id and one column per attribute [default: the set's own yes/no labels]
    #[arg(long, value_name = "FILE")]
    pub attribute_labels: Option<PathBuf>,
    /// Use only these attributes
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub attributes: Option<Vec<String>>,
    /// Text between the values of an image, where it shows several of one attribute. With this option, attributes that
    /// attributes.json does not declare have several values too, where a field has this text in it [default: |, in attributes
    /// that are declared with "multi": true]
    #[arg(long, value_name = "TEXT")]
    pub multi_separator: Option<String>,
    /// Skip images whose files are missing, and report how many [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub skip_missing: Option<bool>,
}

impl ReadingArgs {
    /// Reads the data set in `root`, and checks that every image exists.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] with all problems in its DETAIL, one line each, or if the folder has no known layout;
    /// [`Kind::UnknownName`] for an attribute that the set does not have; [`Kind::InvalidParameter`] for an empty separator; [`Kind::Io`] if a list of images cannot be read at
    /// all.
    pub fn read(&self, root: &Path) -> Result<Manifest> {
        let format = self.format.map_or_else(|| recognize(root), Ok)?;
        if self.attribute_labels.is_some() && format != Format::InShop {
            return Err(Error::new(Kind::InvalidParameter, "--attribute-labels is for In-Shop Clothes")
                .detail("The other layouts include their labels.")
                .hint("Remove it, or add --format in-shop."));
        }
        let hint = match format {
            Format::Manifest => images_csv::hint(),
            Format::InShop => in_shop::HINT.to_owned(),
            Format::CompCars => compcars::HINT.to_owned(),
        };
        let separator = Separator::new(self.multi_separator.as_deref())?;
        let mut problems = Problems::new(hint, self.skip_missing.unwrap_or(false));
        let (mut table, declared) = match format {
            Format::Manifest => read_manifest(root, &mut problems)?,
            Format::InShop => in_shop::read(root, self.attribute_labels.as_deref(), &mut problems)?,
            Format::CompCars => compcars::read(root, &mut problems)?,
        };
        if let Some(declared) = &declared {
            table.forbid_mirroring(declared);
        }
        let table = match &self.attributes {
            Some(names) => table.with_attributes(names)?,
            None => table,
        };
        let manifest = table.resolve(root, declared.as_ref(), separator, &mut problems);
        problems.into_result(root)?;
        Ok(manifest)
    }
}

impl Manifest {
    /// Reads a data set in the layout that its files show, and checks that every image exists.
    ///
    /// # Errors
    /// Those of [`ReadingArgs::read`].
    pub fn read(root: &Path) -> Result<Self> {
        ReadingArgs::default().read(root)
    }
}

/// Reads `images.csv` and `attributes.json`.
fn read_manifest(root: &Path, problems: &mut Problems) -> Result<(LabelTable, Option<DeclaredAttributes>)> {
    let declared = attributes_json::read(&root.join("attributes.json"), problems)?;
    let table = images_csv::read(&root.join("images.csv"), declared.as_ref(), problems)?;
    Ok((table, declared))
}

/// The layout that a folder's files show.
fn recognize(root: &Path) -> Result<Format> {
    if root.join("images.csv").is_file() {
        Ok(Format::Manifest)
    } else if in_shop::find_partition(root).is_some() {
        Ok(Format::InShop)
    } else if compcars::is_compcars(root) {
        Ok(Format::CompCars)
    } else {
        let what = if root.is_dir() { "is not a data set of a known layout" } else { "is not a folder" };
        Err(Error::new(Kind::InvalidData, format!("\"{}\" {what}", root.display()))
            .detail(
                "Looked for images.csv, Eval/list_eval_partition.txt (In-Shop Clothes), and misc/attributes.txt \
                 beside data/image (CompCars).",
            )
            .hint("Name the folder that contains these files, or choose a layout with --format."))
    }
}
