//! Writes a built set to its folder: images, `images.csv` and `attributes.json` as training reads them, and tables for people.

use super::packages::remove_folder;
use super::row::{BuiltAttribute, BuiltRow};
use crate::error::{Error, Kind, Result};
use ::image::codecs::jpeg::JpegEncoder;
use ::image::RgbImage;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder that a set is written to. Until the build is complete, new images are in a temporary folder inside it, and the images
/// and tables of an earlier build stay in place.
#[derive(Debug)]
pub struct OutputFolder {
    folder: PathBuf,
}

/// A file beside `images.csv`: its name and its bytes.
pub type ExtraFile = (&'static str, Vec<u8>);

impl OutputFolder {
    /// Prepares `folder`, and removes what an interrupted build left in it. A folder that has images but not all of `tables` is not
    /// from an earlier build of the same set.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] if it has other images, [`Kind::Io`].
    pub fn open(folder: &Path, tables: &[&str]) -> Result<Self> {
        let out = Self { folder: folder.to_owned() };
        if out.images().exists() && tables.iter().any(|t| !folder.join(t).is_file()) {
            return Err(Error::new(
                Kind::InvalidParameter,
                format!("\"{}\" is not from an earlier build of this set", out.images().display()),
            )
            .hint("Choose another --out, or move that folder away."));
        }
        for leftover in [out.partial(), out.previous()] {
            remove_folder(&leftover)?;
        }
        fs::create_dir_all(out.partial()).map_err(|e| Error::io("create", &out.partial(), &e))?;
        Ok(out)
    }

    fn images(&self) -> PathBuf {
        self.folder.join("images")
    }

    fn partial(&self) -> PathBuf {
        self.folder.join("images.partial")
    }

    fn previous(&self) -> PathBuf {
        self.folder.join("images.previous")
    }

    /// Creates these folders for images.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn make_folders<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
        for name in names {
            let folder = self.partial().join(name);
            fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, &e))?;
        }
        Ok(())
    }

    /// Writes an image; `name` is its path below `images/`, in a folder that has been created.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn write_image(&self, name: &str, png: &[u8]) -> Result<()> {
        let path = self.partial().join(name);
        fs::write(&path, png).map_err(|e| Error::io("write", &path, &e))
    }

    /// Removes an image that has been written.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn remove_image(&self, name: &str) -> Result<()> {
        let path = self.partial().join(name);
        fs::remove_file(&path).map_err(|e| Error::io("remove", &path, &e))
    }

    /// Moves the images into place, then writes `tables`, then `images.csv` with `rows`: last, so that it never names an image that does
    /// not exist.
    ///
    /// # Errors
    /// [`Kind::Io`]; [`Kind::Internal`] if an image of `rows` does not exist all the same.
    pub fn finish(
        &self,
        rows: &[BuiltRow],
        attributes: &[BuiltAttribute],
        tables: &[ExtraFile],
    ) -> Result<()> {
        let images_csv = ("images.csv", images_csv(rows, attributes)?);
        self.finish_with(&[tables, &[images_csv]].concat())?;
        if !rows.iter().all(|row| self.folder.join(&row.path).is_file()) {
            return Err(Error::new(Kind::Internal, "images.csv names an image that does not exist"));
        }
        Ok(())
    }

    /// Moves the images into place, then writes `tables`, one after the other.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn finish_with(&self, tables: &[ExtraFile]) -> Result<()> {
        if self.images().exists() {
            rename(&self.images(), &self.previous())?;
        }
        rename(&self.partial(), &self.images())?;
        for (name, bytes) in tables {
            self.write(name, bytes)?;
        }
        remove_folder(&self.previous())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let (path, partial) = (self.folder.join(name), self.folder.join(format!("{name}.partial")));
        fs::write(&partial, bytes).map_err(|e| Error::io("write", &partial, &e))?;
        rename(&partial, &path)
    }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|e| Error::io("rename", from, &e))
}

/// Encodes an image as JPEG; `quality` is 0 to 100.
///
/// # Errors
/// [`Kind::Internal`] if the encoder fails.
pub fn jpeg(image: &RgbImage, quality: u8) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode_image(image)
        .map_err(|e| Error::new(Kind::Internal, format!("could not encode an image: {e}")))?;
    Ok(bytes)
}

/// Writes lines of fields as CSV.
///
/// # Errors
/// [`Kind::Internal`] if the writer fails.
pub fn csv<'a>(lines: impl Iterator<Item = Vec<&'a str>>) -> Result<Vec<u8>> {
    let internal =
        |e: &dyn std::fmt::Display| Error::new(Kind::Internal, format!("could not write a table: {e}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in lines {
        writer.write_record(line).map_err(|e| internal(&e))?;
    }
    writer.into_inner().map_err(|e| internal(&e))
}

fn images_csv(rows: &[BuiltRow], attributes: &[BuiltAttribute]) -> Result<Vec<u8>> {
    let mut header = vec!["path", "instance", "category", "split", "group"];
    header.extend(attributes.iter().map(|a| a.name));
    let lines = rows.iter().map(|row| {
        let mut line = vec![row.path.as_str(), &row.instance, row.category, row.split, row.group];
        line.extend(row.values.iter().map(|v| v.unwrap_or("")));
        line
    });
    csv(std::iter::once(header).chain(lines))
}

/// Writes `attributes.json`. Per attribute: whether it is ordered, its values in order, the source of the labels, for measured
/// attributes the thresholds between the values, and that an image may show several values or must not be mirrored where that is so.
///
/// # Errors
/// [`Kind::Internal`] if it cannot be written as JSON.
pub fn attributes_json(attributes: &[BuiltAttribute], edges: &BTreeMap<&str, Vec<f64>>) -> Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Entry<'a> {
        ordered: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        multi: Option<bool>,
        values: &'static [&'static str],
        source: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        edges: Option<&'a Vec<f64>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        mirror: Option<bool>,
    }
    let mut out = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b" ");
    let mut json = serde_json::Serializer::with_formatter(&mut out, indent);
    let entries = attributes.iter().map(|a| {
        let (multi, edges, mirror) =
            (a.multi.then_some(true), edges.get(a.name), (!a.mirror).then_some(false));
        (a.name, Entry { ordered: a.ordered, multi, values: a.values, source: a.source, edges, mirror })
    });
    serde::Serializer::collect_map(&mut json, entries)
        .map_err(|e| Error::new(Kind::Internal, format!("could not write attributes.json: {e}")))?;
    Ok(out)
}
