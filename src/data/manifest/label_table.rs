//! Images labelled by name, as the reader of every layout returns them; and the step that resolves names to numbers and checks the
//! set as a whole.

use super::attributes_json::DeclaredAttributes;
use super::dataset::{AttributeEntry, ImageEntry, Manifest, Split};
use super::problems::Problems;
use super::separator::Separator;
use super::value_set::ValueSet;
use super::warnings::{self, DatasetNames};
use crate::error::{abridged, Error, Kind, Result};
use crate::image::CropBox;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

/// All images of a set, with the names of the attributes that they are labelled with.
#[derive(Default)]
pub struct LabelTable {
    /// Names of the attributes, in the order of [`LabelRow::values`].
    pub attributes: Vec<String>,
    /// One row per image.
    pub rows: Vec<LabelRow>,
    /// Oddities found so far, one sentence each.
    pub warnings: Vec<String>,
}

/// One image with its labels, by name.
pub struct LabelRow {
    /// File and line that it was read from, for messages.
    pub at: String,
    /// Path of the image, relative to the set's folder.
    pub path: String,
    /// Name of the instance.
    pub instance: String,
    /// Name of the group of instances; empty if the instance is in none.
    pub group: String,
    /// Name of the category.
    pub category: String,
    /// Train, query or gallery.
    pub split: Split,
    /// The box to crop to.
    pub crop: Option<CropBox>,
    /// Name of the value of each attribute, or names of several with a separator; empty where the label is absent.
    pub values: Vec<String>,
    /// Whether training may show it mirrored.
    pub mirror: bool,
}

impl LabelTable {
    /// Marks the images that must not be mirrored. An attribute that forbids it does so even where it is not among the attributes
    /// that [`LabelTable::with_attributes`] keeps: a mirrored arrow is another instance, whatever is learned about it.
    pub fn forbid_mirroring(&mut self, declared: &DeclaredAttributes) {
        for row in &mut self.rows {
            let labels = self.attributes.iter().zip(&row.values);
            row.mirror = declared.may_mirror(labels.map(|(name, value)| (name.as_str(), value.as_str())));
        }
    }

    /// Keeps only the attributes `names`, in that order.
    ///
    /// # Errors
    /// [`Kind::UnknownName`] for one that the set does not have, [`Kind::DuplicateName`] for one that is named twice.
    pub fn with_attributes(mut self, names: &[String]) -> Result<Self> {
        let mut columns = Vec::new();
        for name in names {
            let known = self.attributes.iter().position(|a| a == name);
            let column = known.ok_or_else(|| Error::unknown("attribute", name, &self.attributes))?;
            if columns.contains(&column) {
                return Err(Error::new(Kind::DuplicateName, format!("attribute \"{name}\" is named twice")));
            }
            columns.push(column);
        }
        self.attributes = names.to_vec();
        for row in &mut self.rows {
            row.values = columns.iter().map(|&c| row.values[c].clone()).collect();
        }
        Ok(self)
    }

    /// Resolves names to numbers, and makes every check that concerns more than one row.
    ///
    /// An image whose file is missing is a problem, or is skipped and counted (`--skip-missing`).
    pub fn resolve(
        mut self,
        root: &Path,
        declared: Option<&DeclaredAttributes>,
        separator: Separator<'_>,
        problems: &mut Problems,
    ) -> Manifest {
        let mut paths = HashSet::new();
        self.rows.retain(|row| {
            if !paths.insert(row.path.clone()) {
                problems.add(format!("{}: \"{}\" is listed twice", row.at, row.path));
                return true;
            }
            root.join(&row.path).is_file() || !problems.add_missing(&row.at, &row.path)
        });
        if self.rows.is_empty() && problems.is_empty() {
            if let Some(missing) = problems.count_missing() {
                problems.add(format!("no image is left: {missing} have no file"));
            }
        }
        let attributes = self.attribute_entries(declared, separator, problems);
        let instances = SortedNames::of(self.rows.iter().map(|r| &r.instance));
        let categories = SortedNames::of(self.rows.iter().map(|r| &r.category));
        let values: Vec<HashMap<&str, u32>> =
            attributes.iter().map(|a| a.values.iter().map(String::as_str).zip(0..).collect()).collect();

        let groups = SortedNames::of(self.rows.iter().map(|r| &r.group).filter(|g| !g.is_empty()));
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
            let image_values = row.values.iter().zip(&values).zip(&attributes).map(|((field, known), a)| {
                let names = separator.values_of(field, a.multi);
                if let Err(fault) = separator.check(&names, &a.name) {
                    problems.add(format!("{at}: \"{}\" {fault}", abridged(field)));
                    return ValueSet::default();
                }
                let index = |name: &&str| {
                    let index = known.get(*name).copied();
                    if index.is_none() {
                        problems.add(format!("{at}: {}", unknown_value(a, name, separator)));
                    }
                    index
                };
                names.iter().filter_map(index).collect()
            });
            let values = image_values.collect();
            images.push(ImageEntry {
                path: row.path.clone(),
                instance,
                category,
                split: row.split,
                crop: row.crop,
                values,
                mirror: row.mirror,
            });
        }
        let mut warnings = std::mem::take(&mut self.warnings);
        warnings.extend(self.undeclared_several(&attributes, separator));
        warnings.extend(problems.skipped_images());
        let names = DatasetNames {
            instances: &instances.names,
            categories: &categories.names,
            attributes: &attributes,
        };
        warnings.extend(warnings::find(&images, &names));
        Manifest {
            root: root.to_owned(),
            images,
            attributes,
            instance_category: instance_category.into_iter().map(Option::unwrap_or_default).collect(),
            instance_group: number_groups(
                instance_group.into_iter().map(Option::flatten),
                groups.names.len(),
            ),
            instances: instances.names,
            categories: categories.names,
            warnings,
        }
    }
}

impl LabelTable {
    /// The attributes with their values: those that are declared, and else those that occur.
    fn attribute_entries(
        &self,
        declared: Option<&DeclaredAttributes>,
        separator: Separator<'_>,
        problems: &mut Problems,
    ) -> Vec<AttributeEntry> {
        let entry = |(k, name): (usize, &String)| {
            let declared = declared.and_then(|d| d.attributes.get(name));
            let fields = || self.rows.iter().map(|row| row.values[k].as_str());
            let multi = declared.map_or_else(|| fields().any(|f| separator.declares(f)), |d| d.multi);
            let values = match declared.and_then(|d| d.values.clone()) {
                Some(values) => values,
                None => sorted_values(fields().flat_map(|field| separator.values_of(field, multi))),
            };
            for value in values.iter().filter(|v| multi && separator.values_of(v, true).len() > 1) {
                problems.add(format!(
                    "attributes.json: the value \"{value}\" of \"{name}\" has the separator \"{separator}\" in it"
                ));
            }
            AttributeEntry { name: name.clone(), ordered: declared.is_some_and(|d| d.ordered), multi, values }
        };
        self.attributes.iter().enumerate().map(entry).collect()
    }

    /// A warning for each attribute whose fields look like several values, and which is not declared to have them.
    fn undeclared_several<'a>(
        &'a self,
        attributes: &'a [AttributeEntry],
        separator: Separator<'a>,
    ) -> impl Iterator<Item = String> + 'a {
        attributes.iter().enumerate().filter(|(_, a)| !a.multi).filter_map(move |(k, a)| {
            let labelled = || self.rows.iter().map(|row| &row.values[k]).filter(|field| !field.is_empty());
            let several = || labelled().filter(|field| separator.values_of(field, true).len() > 1);
            let example = several().next().filter(|_| 2 * several().count() > labelled().count())?;
            Some(format!(
                "Most values of \"{}\" contain \"{separator}\", such as \"{}\", and count as one value each. If these are several values, \
                 declare the attribute with \"multi\": true in attributes.json.",
                a.name,
                abridged(example)
            ))
        })
    }
}

/// What is wrong with a value that is not in the vocabulary, and what to do.
fn unknown_value(attribute: &AttributeEntry, value: &str, separator: Separator<'_>) -> String {
    let unknown = Error::unknown(&attribute.name, value, &attribute.values);
    let several = separator.values_of(value, true);
    let known = |part: &&str| attribute.values.iter().any(|v| v == part);
    let hint = if !attribute.multi && several.len() > 1 && several.iter().all(known) {
        "Several values of one image need \"multi\": true in attributes.json.".to_owned()
    } else {
        unknown.hint.unwrap_or_default()
    };
    format!("{} ({hint})", unknown.message)
}

/// Parses a box from the texts of its corners, widened to whole pixels; `None` if it is not a box.
pub fn parse_crop_box(texts: [&str; 4]) -> Option<CropBox> {
    let mut corners = [0f64; 4];
    for (corner, text) in corners.iter_mut().zip(texts) {
        *corner = text.parse().ok()?;
    }
    CropBox::from_corners(corners)
}

/// The group of each instance; one without a group becomes a group of its own, numbered from `groups` on.
fn number_groups(of_instances: impl Iterator<Item = Option<u32>>, groups: usize) -> Vec<u32> {
    let mut next = groups as u32..;
    of_instances.map(|group| group.or_else(|| next.next()).unwrap_or_default()).collect()
}

/// Distinct names, sorted, with their indices.
struct SortedNames<'a> {
    names: Vec<String>,
    index: HashMap<&'a String, u32>,
}

impl<'a> SortedNames<'a> {
    fn of(all: impl Iterator<Item = &'a String>) -> Self {
        let sorted: BTreeSet<&String> = all.collect();
        Self {
            names: sorted.iter().map(|s| (*s).clone()).collect(),
            index: sorted.into_iter().zip(0..).collect(),
        }
    }
}

/// The values that occur, sorted as numbers if all are numbers.
fn sorted_values<'a>(values: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut values: Vec<String> =
        values.filter(|v| !v.is_empty()).collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect();
    if values.iter().all(|v| v.parse::<f64>().is_ok()) {
        let number = |v: &String| v.parse::<f64>().unwrap_or_default();
        values.sort_by(|a, b| number(a).total_cmp(&number(b)));
    }
    values
}
