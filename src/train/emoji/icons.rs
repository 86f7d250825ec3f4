//! Where each designer's drawing of an emoji is: by code point tables, by names, or by file names.

use super::codes::normal;
use super::ordered::Ordered;
use super::packages;
use super::vocabulary::View;
use crate::error::{Error, Kind, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// One drawing: the inner part of an SVG, with its view box where it is not the set's.
#[derive(Debug, Clone, serde::Deserialize)]
struct Icon {
    body: String,
    width: Option<f64>,
    height: Option<f64>,
    #[serde(default)]
    left: f64,
    #[serde(default)]
    top: f64,
}

/// Another name of a drawing, perhaps turned.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alias {
    parent: String,
    #[serde(default)]
    rotate: u32,
    #[serde(default)]
    h_flip: bool,
    #[serde(default)]
    v_flip: bool,
}

/// `icons.json` of an Iconify package.
#[derive(Debug, Clone, serde::Deserialize)]
struct IconSet {
    icons: Ordered<Icon>,
    #[serde(default)]
    aliases: Ordered<Alias>,
    #[serde(default = "default_side")]
    width: f64,
    #[serde(default = "default_side")]
    height: f64,
}

/// Iconify's own default.
fn default_side() -> f64 {
    16.0
}

impl IconSet {
    /// The SVG of the drawing called `name`; nothing for a turned copy of another drawing.
    fn svg(&self, name: &str) -> Option<String> {
        let icon = match (self.icons.get(name), self.aliases.get(name)) {
            (Some(icon), _) => icon,
            (None, Some(a)) if a.rotate == 0 && !a.h_flip && !a.v_flip => self.icons.get(&a.parent)?,
            _ => return None,
        };
        let (width, height) = (icon.width.unwrap_or(self.width), icon.height.unwrap_or(self.height));
        Some(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" \
             viewBox=\"{} {} {width} {height}\">{}</svg>",
            icon.left, icon.top, icon.body
        ))
    }
}

/// A picture that is still to be drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The text of an SVG.
    Svg(String),
    /// An image file.
    File(PathBuf),
}

/// The drawings of one view by code.
#[derive(Debug)]
enum Drawings {
    Icons { set: IconSet, names: HashMap<String, String> },
    Files(HashMap<String, PathBuf>),
}

/// Finds the drawings of all views.
#[derive(Debug)]
pub struct Atlas {
    views: Vec<Drawings>,
}

impl Atlas {
    /// Reads the packages of `views`, unpacked in `folders`.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] if a package is not as expected.
    pub fn read(views: &[&View], folders: &[PathBuf]) -> Result<Self> {
        let mut sets = Vec::new();
        for folder in folders {
            sets.push(if folder.join("icons.json").is_file() {
                Some((packages::read_json::<IconSet>(folder, "icons.json")?, code_table(folder)?))
            } else {
                None
            });
        }
        let names = NameIndex::new(sets.iter().flatten());
        let mut out = Vec::new();
        for ((set, folder), view) in sets.into_iter().zip(folders).zip(views) {
            let drawings = match set {
                None => Drawings::Files(image_files(folder)?),
                Some((set, chars)) if chars.is_empty() => {
                    let names = names.match_icons(&set);
                    Drawings::Icons { set, names }
                }
                Some((set, chars)) => {
                    let names = chars.into_iter().map(|(name, code)| (code, name)).collect();
                    Drawings::Icons { set, names }
                }
            };
            if drawings.is_empty() {
                return Err(Error::new(
                    Kind::InvalidData,
                    format!("\"{}\" has no drawings", folder.display()),
                )
                .detail(format!("Expected the {} package of view \"{}\".", view.package, view.name))
                .hint("Remove the folder and run this again."));
            }
            out.push(drawings);
        }
        Ok(Self { views: out })
    }

    /// The drawing of `code` in the view at `view`, if there is one.
    pub fn source(&self, view: usize, code: &str) -> Option<Source> {
        match &self.views[view] {
            Drawings::Files(files) => files.get(code).cloned().map(Source::File),
            Drawings::Icons { set, names } => set.svg(names.get(code)?).map(Source::Svg),
        }
    }
}

impl Drawings {
    fn is_empty(&self) -> bool {
        match self {
            Self::Files(files) => files.is_empty(),
            Self::Icons { names, .. } => names.is_empty(),
        }
    }
}

/// `chars.json`: the code of each icon name.
fn code_table(folder: &Path) -> Result<Ordered<String>> {
    let table: Ordered<String> = packages::read_json(folder, "chars.json")?;
    let mut out = Ordered::default();
    for (code, name) in table {
        out.insert(name, normal(&code));
    }
    Ok(out)
}

/// The pictures in `assets/`, each named by its code. Some codes come twice, written in two ways
/// (`0039-fe0f-20e3`, `39-fe0f-20e3`): the fuller name is taken.
fn image_files(folder: &Path) -> Result<HashMap<String, PathBuf>> {
    let assets = folder.join("assets");
    let entries = std::fs::read_dir(&assets).map_err(|e| Error::io("read", &assets, &e))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".webp")?.to_owned()))
        .collect();
    names.sort_by_key(|name| (name.len(), name.clone()));
    Ok(names.into_iter().map(|name| (normal(&name), assets.join(name + ".webp"))).collect())
}

/// Codes by the CLDR names that the sets with a code point table use, for the sets that have none.
struct NameIndex {
    exact: Ordered<String>,
    squashed: HashMap<String, String>,
}

impl NameIndex {
    fn new<'a>(sets: impl Iterator<Item = &'a (IconSet, Ordered<String>)>) -> Self {
        let mut sets: Vec<_> = sets.collect();
        sets.sort_by_key(|(_, chars)| std::cmp::Reverse(chars.len()));
        let mut exact = Ordered::default();
        for (set, chars) in sets {
            let mut names = chars.clone();
            for (alias, of) in set.aliases.iter() {
                if let Some(code) = names.get(&of.parent).cloned() {
                    names.insert_new(alias.to_owned(), code);
                }
            }
            for (name, code) in names {
                exact.insert_new(name, code);
            }
        }
        let mut squashed = HashMap::new();
        for (name, code) in exact.iter() {
            squashed.entry(name.replace('-', "")).or_insert_with(|| code.clone());
        }
        Self { exact, squashed }
    }

    /// Code to icon name, by the icon's own name or the first of its aliases that is known.
    fn match_icons(&self, set: &IconSet) -> HashMap<String, String> {
        let mut aliases: HashMap<&str, Vec<&str>> = HashMap::new();
        for (alias, of) in set.aliases.iter() {
            aliases.entry(&of.parent).or_default().push(alias);
        }
        let mut out = HashMap::new();
        for (name, _) in set.icons.iter() {
            let others = aliases.get(name).into_iter().flatten().copied();
            if let Some(code) = std::iter::once(name).chain(others).find_map(|n| self.code(n)) {
                out.entry(code.clone()).or_insert_with(|| name.to_owned());
            }
        }
        out
    }

    fn code(&self, name: &str) -> Option<&String> {
        let name = match name.strip_prefix("flag-for-") {
            Some(rest) => format!("flag-{}", rest.strip_prefix("flag-").unwrap_or(rest)),
            None => name.to_owned(),
        };
        self.exact.get(&name).or_else(|| self.squashed.get(&name.replace('-', "")))
    }
}
