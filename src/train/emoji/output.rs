//! The set on disk: pictures, `images.csv` and `attributes.json` as training reads them, and two tables for people.

use super::packages::remove_folder;
use super::vocabulary::{View, ATTRIBUTES};
use super::Instance;
use crate::error::{Error, Kind, Result};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder that a set is written to. Until everything is there, the pictures are in a folder of their own and the
/// tables of an earlier build stay as they are.
#[derive(Debug)]
pub struct Output {
    folder: PathBuf,
}

/// One row of `images.csv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    /// Path of the picture below the set's folder.
    pub path: String,
    /// Code of the instance, lower case.
    pub instance: String,
    /// Its category.
    pub category: &'a str,
    /// `train`, `query` or `gallery`.
    pub split: &'static str,
    /// Its value of each attribute.
    pub values: &'a [Option<&'static str>],
}

const TABLES: [&str; 3] = ["images.csv", "views.csv", "instances.csv"];

impl Output {
    /// Makes `folder` ready; what an interrupted build left in it goes away.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] if it holds pictures of something else, [`Kind::Io`].
    pub fn open(folder: &Path) -> Result<Self> {
        let out = Self { folder: folder.to_owned() };
        if out.images().exists() && TABLES.iter().any(|t| !folder.join(t).is_file()) {
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

    /// Makes a folder for the pictures of each view.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn make_views(&self, views: &[&View]) -> Result<()> {
        for view in views {
            let folder = self.partial().join(view.name);
            fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, &e))?;
        }
        Ok(())
    }

    /// Writes a picture of `code` by `view`.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn write_picture(&self, view: &View, code: &str, png: &[u8]) -> Result<()> {
        let path = self.partial().join(picture_name(view, code));
        fs::write(&path, png).map_err(|e| Error::io("write", &path, &e))
    }

    /// Takes a picture back that was written.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn remove_picture(&self, view: &View, code: &str) -> Result<()> {
        let path = self.partial().join(picture_name(view, code));
        fs::remove_file(&path).map_err(|e| Error::io("remove", &path, &e))
    }

    /// Puts pictures and tables in place; `images.csv` last, so that it never names a picture that is not there.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn finish(&self, rows: &[Row], views: &[&View], instances: &[Instance]) -> Result<()> {
        if self.images().exists() {
            rename(&self.images(), &self.previous())?;
        }
        rename(&self.partial(), &self.images())?;
        self.write("attributes.json", &attributes_json()?)?;
        self.write("views.csv", &views_csv(views, instances)?)?;
        self.write("instances.csv", &instances_csv(instances)?)?;
        self.write("images.csv", &images_csv(rows)?)?;
        remove_folder(&self.previous())
    }

    /// True if every picture of `rows` is in place.
    pub fn has_all(&self, rows: &[Row]) -> bool {
        rows.iter().all(|row| self.folder.join(&row.path).is_file())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let (path, partial) = (self.folder.join(name), self.folder.join(format!("{name}.partial")));
        fs::write(&partial, bytes).map_err(|e| Error::io("write", &partial, &e))?;
        rename(&partial, &path)
    }
}

/// Path of a picture below the folder of all pictures.
pub fn picture_name(view: &View, code: &str) -> String {
    format!("{}/{}.png", view.name, code.to_lowercase())
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|e| Error::io("rename", from, &e))
}

/// Lines of comma-separated fields.
fn csv<'a>(lines: impl Iterator<Item = Vec<&'a str>>) -> Result<Vec<u8>> {
    let internal =
        |e: &dyn std::fmt::Display| Error::new(Kind::Internal, format!("could not write a table: {e}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in lines {
        writer.write_record(line).map_err(|e| internal(&e))?;
    }
    writer.into_inner().map_err(|e| internal(&e))
}

fn images_csv(rows: &[Row]) -> Result<Vec<u8>> {
    let mut header = vec!["path", "instance", "category", "split"];
    header.extend(ATTRIBUTES.iter().map(|a| a.name));
    let lines = rows.iter().map(|row| {
        let mut line = vec![row.path.as_str(), &row.instance, row.category, row.split];
        line.extend(row.values.iter().map(|v| v.unwrap_or("")));
        line
    });
    csv(std::iter::once(header).chain(lines))
}

fn views_csv(views: &[&View], instances: &[Instance]) -> Result<Vec<u8>> {
    let header = vec!["view", "family", "package", "version", "licence", "author", "images"];
    let counts: Vec<String> = (0..views.len())
        .map(|v| instances.iter().filter(|i| i.looks.iter().any(|(view, _)| *view == v)).count().to_string())
        .collect();
    let lines = views
        .iter()
        .zip(&counts)
        .map(|(v, n)| vec![v.name, v.family, v.package, v.version, v.licence, v.author, n.as_str()]);
    csv(std::iter::once(header).chain(lines))
}

fn instances_csv(instances: &[Instance]) -> Result<Vec<u8>> {
    let header = ["instance", "concept", "name", "group", "subgroup", "side", "views"].map(str::to_owned);
    let lines = instances.iter().map(|i| {
        let e = &i.emoji;
        let (code, concept, views) =
            (e.code.to_lowercase(), i.concept.to_lowercase(), i.looks.len().to_string());
        [code, concept, e.name.clone(), e.group.clone(), e.subgroup.clone(), i.side.name().to_owned(), views]
    });
    let lines: Vec<[String; 7]> = std::iter::once(header).chain(lines).collect();
    csv(lines.iter().map(|l| l.iter().map(String::as_str).collect()))
}

/// The vocabulary by attribute: whether ordered, all values in order, where the labels come from.
fn attributes_json() -> Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Entry {
        ordered: bool,
        values: &'static [&'static str],
        source: &'static str,
    }
    let mut out = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b" ");
    let mut json = serde_json::Serializer::with_formatter(&mut out, indent);
    let entries = ATTRIBUTES.iter().map(|a| {
        let entry = Entry { ordered: a.ordered, values: a.values, source: a.source };
        (a.name, entry)
    });
    serde::Serializer::collect_map(&mut json, entries)
        .map_err(|e| Error::new(Kind::Internal, format!("could not write attributes.json: {e}")))?;
    Ok(out)
}
