//! A data set before names become numbers, whichever layout it was read from.

use super::problems::Problems;
use super::warnings::Vocabulary;
use super::{AttributeEntry, ImageEntry, Manifest, Split};
use crate::error::{Error, Kind, Result};
use crate::image::CropBox;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

/// Declared attributes by name.
pub type Declarations = BTreeMap<String, Declared>;

/// What is declared of an attribute.
#[derive(Deserialize)]
pub struct Declared {
    /// Whether the order of its values means something.
    #[serde(default)]
    pub ordered: bool,
    /// All values, in their order if they have one.
    pub values: Vec<String>,
}

/// What `attributes.json` at `path` declares; nothing if it is not there.
///
/// # Errors
/// [`Kind::Io`](crate::error::Kind::Io) if it is there and cannot be read.
pub fn declared_attributes(path: &Path, problems: &mut Problems) -> Result<Option<Declarations>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read", path, &e)),
    };
    let declared: Declarations = match serde_json::from_str(&text) {
        Ok(declared) => declared,
        Err(e) => {
            problems.add(format!("attributes.json: {e}"));
            return Ok(Some(BTreeMap::new()));
        }
    };
    for (name, attribute) in &declared {
        let distinct: HashSet<&String> = attribute.values.iter().collect();
        if distinct.len() < attribute.values.len() || distinct.iter().any(|v| v.is_empty()) {
            problems.add(format!("attributes.json: the values of \"{name}\" are not distinct names"));
        }
        if attribute.values.is_empty() {
            problems.add(format!("attributes.json: \"{name}\" has no values"));
        }
    }
    Ok(Some(declared))
}

/// Rows of images under a list of attributes.
#[derive(Default)]
pub struct Table {
    /// Names of the attributes.
    pub attributes: Vec<String>,
    /// One for each image.
    pub rows: Vec<Row>,
    /// What is odd but usable, one sentence each.
    pub warnings: Vec<String>,
}

/// One image, by names.
pub struct Row {
    /// Where it was read, for messages.
    pub at: String,
    /// Relative to the set's folder.
    pub path: String,
    /// Name of its instance.
    pub instance: String,
    /// Name of the instances that this one belongs to; empty if it stands alone.
    pub group: String,
    /// Name of its category.
    pub category: String,
    /// What it is for.
    pub split: Split,
    /// What to crop to.
    pub crop: Option<CropBox>,
    /// Name of its value of each attribute; empty where absent.
    pub values: Vec<String>,
}

impl Table {
    /// The same with some of the attributes only, in the order of `names`.
    ///
    /// # Errors
    /// [`Kind::UnknownName`] for one that is not there, [`Kind::DuplicateName`] for one that is named twice.
    pub fn with_attributes(mut self, names: &[String]) -> Result<Self> {
        let mut places = Vec::new();
        for name in names {
            let known = self.attributes.iter().position(|a| a == name);
            let place = known.ok_or_else(|| Error::unknown("attribute", name, &self.attributes))?;
            if places.contains(&place) {
                return Err(Error::new(Kind::DuplicateName, format!("attribute \"{name}\" is named twice")));
            }
            places.push(place);
        }
        self.attributes = names.to_vec();
        for row in &mut self.rows {
            row.values = places.iter().map(|&p| row.values[p].clone()).collect();
        }
        Ok(self)
    }

    /// Names to numbers, and every check that looks at more than one row.
    ///
    /// Images whose file is missing are problems, or left out and counted.
    pub fn resolve(
        mut self,
        root: &Path,
        declared: Option<&Declarations>,
        problems: &mut Problems,
    ) -> Manifest {
        let mut paths = HashSet::new();
        self.rows.retain(|row| {
            if !paths.insert(row.path.clone()) {
                problems.add(format!("{}: \"{}\" is there a second time", row.at, row.path));
                return true;
            }
            root.join(&row.path).is_file() || !problems.missing(&row.at, &row.path)
        });
        if self.rows.is_empty() && problems.is_empty() {
            if let Some(left_out) = problems.count_missing() {
                problems.add(format!("no image is left: {left_out} have no file"));
            }
        }
        let attributes: Vec<AttributeEntry> = self
            .attributes
            .iter()
            .enumerate()
            .map(|(k, name)| match declared.and_then(|d| d.get(name)) {
                Some(d) => {
                    AttributeEntry { name: name.clone(), ordered: d.ordered, values: d.values.clone() }
                }
                None => occurring(name, self.rows.iter().map(|r| &r.values[k])),
            })
            .collect();
        let instances = Names::of(self.rows.iter().map(|r| &r.instance));
        let categories = Names::of(self.rows.iter().map(|r| &r.category));
        let values: Vec<HashMap<&String, u32>> =
            attributes.iter().map(|a| a.values.iter().zip(0..).collect()).collect();

        let groups = Names::of(self.rows.iter().map(|r| &r.group).filter(|g| !g.is_empty()));
        let mut images = Vec::with_capacity(self.rows.len());
        let mut instance_group: Vec<Option<Option<u32>>> = vec![None; instances.names.len()];
        let mut instance_category: Vec<Option<u32>> = vec![None; instances.names.len()];
        for row in &self.rows {
            let at = &row.at;
            let (instance, category) = (instances.index[&row.instance], categories.index[&row.category]);
            if *instance_category[instance as usize].get_or_insert(category) != category {
                problems.add(format!("{at}: instance \"{}\" is in two categories", row.instance));
            }
            let group = groups.index.get(&row.group).copied();
            if *instance_group[instance as usize].get_or_insert(group) != group {
                problems.add(format!("{at}: instance \"{}\" is in two groups", row.instance));
            }
            let image_values = row.values.iter().zip(&values).zip(&attributes).map(|((v, known), a)| {
                let index = known.get(v).copied();
                if index.is_none() && !v.is_empty() {
                    let unknown = Error::unknown(&a.name, v, &a.values);
                    problems.add(format!("{at}: {} ({})", unknown.message, unknown.hint.unwrap_or_default()));
                }
                index
            });
            let values = image_values.collect();
            images.push(ImageEntry {
                path: row.path.clone(),
                instance,
                category,
                split: row.split,
                crop: row.crop,
                values,
            });
        }
        let mut warnings = std::mem::take(&mut self.warnings);
        warnings.extend(problems.left_out());
        let names = Vocabulary {
            instances: &instances.names,
            categories: &categories.names,
            attributes: &attributes,
        };
        warnings.extend(super::warnings::warnings(&images, &names));
        Manifest {
            root: root.to_owned(),
            images,
            attributes,
            instance_category: instance_category.into_iter().map(Option::unwrap_or_default).collect(),
            instance_group: alone_after(instance_group.into_iter().map(Option::flatten), groups.names.len()),
            instances: instances.names,
            categories: categories.names,
            warnings,
        }
    }
}

/// A box from the texts of its corners, a fraction of a pixel counting as the whole pixel; nothing for what is no box.
pub fn crop_box(texts: [&str; 4]) -> Option<CropBox> {
    let mut corners = [0f64; 4];
    for (corner, text) in corners.iter_mut().zip(texts) {
        *corner = text.parse().ok().filter(|c: &f64| c.abs() < 1e9)?;
    }
    let [x1, y1, x2, y2] = corners;
    let whole =
        CropBox { x1: x1.floor() as i32, y1: y1.floor() as i32, x2: x2.ceil() as i32, y2: y2.ceil() as i32 };
    (x1 < x2 && y1 < y2).then_some(whole)
}

/// Numbers of groups; an instance without one is a group of its own, counted on from `groups`.
fn alone_after(of_instances: impl Iterator<Item = Option<u32>>, groups: usize) -> Vec<u32> {
    let mut alone = groups as u32..;
    of_instances.map(|group| group.or_else(|| alone.next()).unwrap_or_default()).collect()
}

/// Distinct names, sorted, and their places.
struct Names<'a> {
    names: Vec<String>,
    index: HashMap<&'a String, u32>,
}

impl<'a> Names<'a> {
    fn of(all: impl Iterator<Item = &'a String>) -> Self {
        let sorted: BTreeSet<&String> = all.collect();
        Self {
            names: sorted.iter().map(|s| (*s).clone()).collect(),
            index: sorted.into_iter().zip(0..).collect(),
        }
    }
}

/// An undeclared attribute: unordered, its values what occurs, as numbers if all are numbers.
fn occurring<'a>(name: &str, values: impl Iterator<Item = &'a String>) -> AttributeEntry {
    let mut values: Vec<String> =
        values.filter(|v| !v.is_empty()).collect::<BTreeSet<_>>().into_iter().cloned().collect();
    if values.iter().all(|v| v.parse::<f64>().is_ok()) {
        let number = |v: &String| v.parse::<f64>().unwrap_or_default();
        values.sort_by(|a, b| number(a).total_cmp(&number(b)));
    }
    AttributeEntry { name: name.to_owned(), ordered: false, values }
}
