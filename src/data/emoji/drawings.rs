//! Finds each designer's drawing of an emoji, by a table of code points, by names, or by file names.

use super::codes::normalize;
use super::designers::View;
use super::ordered_map::OrderedMap;
use crate::data::builder::packages;
use crate::error::{Error, Kind, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// One drawing: the body of an SVG, and its view box where that differs from the icon set's.
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

/// Another name of a drawing, which may rotate or flip it.
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
    icons: OrderedMap<Icon>,
    #[serde(default)]
    aliases: OrderedMap<Alias>,
    #[serde(default = "default_size")]
    width: f64,
    #[serde(default = "default_size")]
    height: f64,
}

/// Iconify's default size.
fn default_size() -> f64 {
    16.0
}

/// Gradients that lost an identity transform when their package was made. Without it they inherit a mirroring transform from the
/// gradient that they refer to, and three yellow faces are filled with the orange of their rim.
const LOST_TRANSFORM: [&str; 3] = ["SVGzQhR8cin", "SVGvHHieeVb", "SVGcE9Zyc6y"];

/// Restores the lost transforms in the body of a drawing.
fn restore_transforms(body: &str) -> String {
    LOST_TRANSFORM.iter().fold(body.to_owned(), |body, id| {
        let gradient = format!("<radialGradient id=\"{id}\"");
        body.replace(&gradient, &format!("{gradient} gradientTransform=\"scale(1)\""))
    })
}

impl IconSet {
    /// The SVG of the drawing `name`; `None` for a rotated or flipped copy of another drawing.
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
            icon.left,
            icon.top,
            restore_transforms(&icon.body)
        ))
    }
}

/// A drawing that can be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DrawingSource {
    /// The text of an SVG.
    Svg(String),
    /// An image file.
    File(PathBuf),
}

/// The drawings of one view.
#[derive(Debug)]
enum ViewDrawings {
    /// SVGs in an Iconify package; `names` maps codes to icon names.
    Icons { set: IconSet, names: HashMap<String, String> },
    /// Image files, by code.
    Files(HashMap<String, PathBuf>),
}

/// The drawings of all views.
#[derive(Debug)]
pub struct Drawings {
    views: Vec<ViewDrawings>,
}

impl Drawings {
    /// Reads the packages of `views`, which are unpacked in `folders`.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] if a package cannot be parsed or has no drawings.
    pub fn read(views: &[&View], folders: &[PathBuf]) -> Result<Self> {
        let mut sets = Vec::new();
        for folder in folders {
            sets.push(if folder.join("icons.json").is_file() {
                Some((packages::read_json::<IconSet>(folder, "icons.json")?, read_codes(folder)?))
            } else {
                None
            });
        }
        let names = NameIndex::new(sets.iter().flatten());
        let mut out = Vec::new();
        for ((set, folder), view) in sets.into_iter().zip(folders).zip(views) {
            let drawings = match set {
                None => ViewDrawings::Files(image_files(folder)?),
                Some((set, chars)) if chars.is_empty() => {
                    let names = names.match_icons(&set);
                    ViewDrawings::Icons { set, names }
                }
                Some((set, chars)) => {
                    let names = chars.into_iter().map(|(name, code)| (code, name)).collect();
                    ViewDrawings::Icons { set, names }
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

    /// The drawing of `code` in view number `view`, if there is one.
    pub fn source(&self, view: usize, code: &str) -> Option<DrawingSource> {
        match &self.views[view] {
            ViewDrawings::Files(files) => files.get(code).cloned().map(DrawingSource::File),
            ViewDrawings::Icons { set, names } => set.svg(names.get(code)?).map(DrawingSource::Svg),
        }
    }
}

impl ViewDrawings {
    fn is_empty(&self) -> bool {
        match self {
            Self::Files(files) => files.is_empty(),
            Self::Icons { names, .. } => names.is_empty(),
        }
    }
}

/// Reads `chars.json`: the code of each icon name.
fn read_codes(folder: &Path) -> Result<OrderedMap<String>> {
    let table: OrderedMap<String> = packages::read_json(folder, "chars.json")?;
    let mut out = OrderedMap::default();
    for (code, name) in table {
        out.insert(name, normalize(&code));
    }
    Ok(out)
}

/// The image files in `assets/`, which are named by code. Where two names have the same normal form (`0039-fe0f-20e3`,
/// `39-fe0f-20e3`), the longer one is used.
fn image_files(folder: &Path) -> Result<HashMap<String, PathBuf>> {
    let assets = folder.join("assets");
    let entries = std::fs::read_dir(&assets).map_err(|e| Error::io("read", &assets, &e))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".webp")?.to_owned()))
        .collect();
    names.sort_by_key(|name| (name.len(), name.clone()));
    Ok(names.into_iter().map(|name| (normalize(&name), assets.join(name + ".webp"))).collect())
}

/// Maps CLDR names to codes, for icon sets without a code table; built from the sets that have one.
struct NameIndex {
    exact: OrderedMap<String>,
    /// The same without hyphens.
    without_hyphens: HashMap<String, String>,
}

impl NameIndex {
    fn new<'a>(sets: impl Iterator<Item = &'a (IconSet, OrderedMap<String>)>) -> Self {
        let mut sets: Vec<_> = sets.collect();
        sets.sort_by_key(|(_, chars)| std::cmp::Reverse(chars.len()));
        let mut exact = OrderedMap::default();
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
        let mut without_hyphens = HashMap::new();
        for (name, code) in exact.iter() {
            without_hyphens.entry(name.replace('-', "")).or_insert_with(|| code.clone());
        }
        Self { exact, without_hyphens }
    }

    /// Maps codes to icon names, by the icon's own name or its first alias that the index has.
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

    /// The code of an icon name, if the index has it.
    fn code(&self, name: &str) -> Option<&String> {
        let name = match name.strip_prefix("flag-for-") {
            Some(rest) => format!("flag-{}", rest.strip_prefix("flag-").unwrap_or(rest)),
            None => name.to_owned(),
        };
        self.exact.get(&name).or_else(|| self.without_hyphens.get(&name.replace('-', "")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(json: &str) -> IconSet {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn view_boxes_come_from_the_icon_or_else_the_set() {
        let set = set(
            r#"{"icons": {"a": {"body": "<g/>"}, "b": {"body": "", "height": 25.22, "left": -1}}, "width": 36, "height": 36}"#,
        );
        assert!(set.svg("a").unwrap().ends_with("viewBox=\"0 0 36 36\"><g/></svg>"));
        assert!(set.svg("b").unwrap().contains("viewBox=\"-1 0 36 25.22\""));
        assert_eq!(set.svg("c"), None);
    }

    #[test]
    fn rotated_and_flipped_copies_are_not_drawn() {
        let set = set(
            r#"{"icons": {"left": {"body": "<g/>"}}, "aliases": {"west": {"parent": "left"}, "right": {"parent": "left", "hFlip": true}}}"#,
        );
        assert_eq!(set.svg("west"), set.svg("left"));
        assert_eq!(set.svg("right"), None);
    }

    #[test]
    fn a_lost_identity_transform_is_restored() {
        let body = "<radialGradient id=\"SVGzQhR8cin\" cy=\"62.9\" fy=\"62.9\" href=\"#SVG47aqDHPK\"/>";
        let fixed = "<radialGradient id=\"SVGzQhR8cin\" gradientTransform=\"scale(1)\" cy=\"62.9\" fy=\"62.9\" href=\"#SVG47aqDHPK\"/>";
        assert_eq!(restore_transforms(body), fixed);
        assert_eq!(restore_transforms("<radialGradient id=\"other\"/>"), "<radialGradient id=\"other\"/>");
    }

    #[test]
    fn sets_without_codes_are_matched_by_name_alias_or_spelling() {
        let known = set(
            r#"{"icons": {"flag-andorra": {"body": ""}, "grinning-face": {"body": ""}, "tshirt": {"body": ""}},
                "aliases": {"happy": {"parent": "grinning-face"}}}"#,
        );
        let mut chars = OrderedMap::default();
        for (name, code) in [("flag-andorra", "1F1E6-1F1E9"), ("grinning-face", "1F600"), ("tshirt", "1F455")]
        {
            chars.insert(name.to_owned(), code.to_owned());
        }
        let index = NameIndex::new([(known, chars)].iter());
        let nameless = set(
            r#"{"icons": {"flag-for-flag-andorra": {"body": ""}, "smiley": {"body": ""}, "t-shirt": {"body": ""}, "happy": {"body": ""}, "odd": {"body": ""}},
                "aliases": {"grinning-face": {"parent": "smiley"}}}"#,
        );
        let names = index.match_icons(&nameless);
        assert_eq!(names.len(), 3);
        assert_eq!(names["1F1E6-1F1E9"], "flag-for-flag-andorra");
        assert_eq!(names["1F600"], "smiley", "the first icon in the file is kept");
        assert_eq!(names["1F455"], "t-shirt");
    }

    #[test]
    fn of_two_files_of_one_code_the_longer_name_is_used() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("assets")).unwrap();
        for name in ["39-fe0f-20e3.webp", "0039-fe0f-20e3.webp", "26a7.webp", "26a7-fe0f.webp", "notes.txt"] {
            std::fs::write(folder.path().join("assets").join(name), "").unwrap();
        }
        let files = image_files(folder.path()).unwrap();
        assert_eq!(files.len(), 2);
        assert!(files["0039-20E3"].ends_with("0039-fe0f-20e3.webp"));
        assert!(files["26A7"].ends_with("26a7-fe0f.webp"));
    }
}
