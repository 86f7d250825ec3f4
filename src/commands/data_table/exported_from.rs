//! `table.json`: the table and columns that a folder was exported from, for what corrects the table and for what follows a training.

use super::args::TableArgs;
use super::selection::{ImageKind, Selection};
use crate::error::{Error, Kind, Result};
use crate::model::replace_files;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const FILE: &str = "table.json";

/// The table that a folder was exported from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedFrom {
    /// The table's name for SQL, qualified and quoted.
    pub table: String,
    /// The column of instances, not quoted.
    pub instance: String,
    /// The column of categories, not quoted.
    pub category: String,
    /// The attributes whose columns are arrays.
    #[serde(default)]
    pub arrays: Vec<String>,
    /// The column of images, not quoted.
    pub image: String,
    /// Where its images are.
    pub images: ImagesAt,
}

/// Where images are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImagesAt {
    /// In the database.
    Database,
    /// In files below this folder.
    Root(PathBuf),
    /// Behind URLs.
    Http,
}

impl ExportedFrom {
    /// That of an export; `None` of a query, as what it reads has no columns to correct.
    pub fn new(selection: &Selection, args: &TableArgs) -> Option<Self> {
        let images = match (selection.image_kind, &args.images_at.root) {
            (ImageKind::Bytes | ImageKind::LargeObject, _) => ImagesAt::Database,
            (ImageKind::Named, Some(root)) => ImagesAt::Root(root.clone()),
            (ImageKind::Named, None) => ImagesAt::Http,
        };
        selection.is_table.then(|| Self {
            table: selection.from.clone(),
            instance: selection.instance.name.clone(),
            category: selection.category.name.clone(),
            arrays: selection.attributes.iter().filter(|a| a.multi).map(|a| a.name.clone()).collect(),
            image: selection.image_name.clone(),
            images,
        })
    }

    /// Writes it into the folder of the export.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self)
            .map_err(|e| Error::new(Kind::Internal, format!("could not write JSON: {e}")))?;
        replace_files(folder, &[(FILE, (json + "\n").as_bytes())])
    }

    /// That of a data set's folder; `None` if it was not exported from a table.
    ///
    /// # Errors
    /// [`Kind::Io`] and [`Kind::InvalidData`] for a file that is there and cannot be read.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", &path, &e)),
        };
        serde_json::from_str(&text).map(Some).map_err(|e| {
            Error::new(Kind::InvalidData, format!("\"{}\" could not be read", path.display()))
                .detail(format!("{e}."))
                .hint("coopembed data table writes it anew.")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(ExportedFrom::read(dir.path()).unwrap(), None);
        let table = ExportedFrom {
            table: r#"public."it's""#.into(),
            instance: "sku".into(),
            category: "kind".into(),
            arrays: vec!["colours".into()],
            image: "photo".into(),
            images: ImagesAt::Root("/srv/photos".into()),
        };
        table.write(dir.path()).unwrap();
        assert_eq!(ExportedFrom::read(dir.path()).unwrap(), Some(table));
        std::fs::write(dir.path().join(FILE), "{}").unwrap();
        assert!(ExportedFrom::read(dir.path()).unwrap_err().message.contains("could not be read"));
    }
}
