//! A labelled set of images: `images.csv` and, beside it, `attributes.json`.
//!
//! `images.csv` has the columns `path,instance,category,split` (train, query or gallery), optionally `x1,y1,x2,y2` (the
//! box to crop to, in pixels), then one column per attribute; empty means absent. `attributes.json` is
//! `{"weight": {"ordered": true, "values": ["100", "200"]}, ...}`; without it an attribute's values are what occurs.

use crate::error::{abridged, Error, Kind, Result};
use crate::image::CropBox;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// How many problems one error lists.
const LISTED_PROBLEMS: usize = 20;

/// The columns that every `images.csv` has.
const REQUIRED: [&str; 4] = ["path", "instance", "category", "split"];

/// The optional columns of the box, all or none.
const BOX: [&str; 4] = ["x1", "y1", "x2", "y2"];

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
    /// Reads `root/images.csv` and `root/attributes.json`, and checks that every image is there.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] with all problems in its DETAIL, a line each with its place; [`Kind::Io`] if
    /// `images.csv` cannot be read at all.
    pub fn read(root: &Path) -> Result<Self> {
        let mut problems = Problems::default();
        let declared = declared_attributes(&root.join("attributes.json"), &mut problems)?;
        let table = Table::read(&root.join("images.csv"), declared.as_ref(), &mut problems)?;
        let manifest = table.resolve(root, declared.as_ref(), &mut problems);
        problems.into_result(root)?;
        Ok(manifest)
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

/// Everything wrong with a set, gathered so that one run shows it all.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, problem: String) {
        self.0.push(problem);
    }

    fn into_result(self, root: &Path) -> Result<()> {
        let found = self.0.len();
        if found == 0 {
            return Ok(());
        }
        let mut lines: Vec<String> = self.0.into_iter().take(LISTED_PROBLEMS).collect();
        if found > LISTED_PROBLEMS {
            lines.push(format!("... and {} more", found - LISTED_PROBLEMS));
        }
        let count = if found == 1 { "a problem".to_owned() } else { format!("{found} problems") };
        Err(Error::new(Kind::InvalidData, format!("the data set \"{}\" has {count}", root.display()))
            .detail(lines.join("\n         "))
            .hint(format!(
                "images.csv has the columns {}, optionally {}, then one per attribute; empty means absent.",
                REQUIRED.join(","),
                BOX.join(",")
            )))
    }
}

#[derive(Deserialize)]
struct Declared {
    #[serde(default)]
    ordered: bool,
    values: Vec<String>,
}

fn declared_attributes(path: &Path, problems: &mut Problems) -> Result<Option<BTreeMap<String, Declared>>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read", path, &e)),
    };
    let declared: BTreeMap<String, Declared> = match serde_json::from_str(&text) {
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

/// `images.csv` before names become numbers.
struct Table {
    attributes: Vec<String>,
    rows: Vec<Row>,
}

struct Row {
    line: u64,
    path: String,
    instance: String,
    category: String,
    split: Split,
    crop: Option<CropBox>,
    values: Vec<String>,
}

/// Where each thing is in a record.
struct Columns {
    required: [usize; 4],
    crop: Option<[usize; 4]>,
    attributes: Vec<usize>,
}

impl Table {
    fn read(
        path: &Path,
        declared: Option<&BTreeMap<String, Declared>>,
        problems: &mut Problems,
    ) -> Result<Self> {
        let file = std::fs::File::open(path).map_err(|e| Error::io("read", path, &e))?;
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
        let mut table = Self { attributes: Vec::new(), rows: Vec::new() };
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(e) => {
                problems.add(format!("images.csv: {e}"));
                return Ok(table);
            }
        };
        let Some(columns) = Columns::find(&header, declared, problems) else { return Ok(table) };
        table.attributes = columns.attributes.iter().map(|&c| header[c].to_owned()).collect();
        for record in reader.records() {
            match record {
                Ok(record) => table.rows.extend(columns.row(&record, problems)),
                Err(e) => problems.add(format!("images.csv: {e}")),
            }
        }
        if table.rows.is_empty() && problems.0.is_empty() {
            problems.add("images.csv: there are no images".into());
        }
        Ok(table)
    }

    /// Names to numbers, and every check that looks at more than one row.
    fn resolve(
        self,
        root: &Path,
        declared: Option<&BTreeMap<String, Declared>>,
        problems: &mut Problems,
    ) -> Manifest {
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

        let mut images = Vec::with_capacity(self.rows.len());
        let mut instance_category: Vec<Option<u32>> = vec![None; instances.names.len()];
        let mut paths = HashSet::new();
        for row in &self.rows {
            let at = format!("images.csv, line {}", row.line);
            if !paths.insert(&row.path) {
                problems.add(format!("{at}: \"{}\" is there a second time", row.path));
            } else if !root.join(&row.path).is_file() {
                problems.add(format!("{at}: there is no file \"{}\"", row.path));
            }
            let (instance, category) = (instances.index[&row.instance], categories.index[&row.category]);
            if *instance_category[instance as usize].get_or_insert(category) != category {
                problems.add(format!("{at}: instance \"{}\" is in two categories", row.instance));
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
        let warnings = warnings(&images, &instances.names, &attributes);
        Manifest {
            root: root.to_owned(),
            images,
            attributes,
            instance_category: instance_category.into_iter().map(Option::unwrap_or_default).collect(),
            instances: instances.names,
            categories: categories.names,
            warnings,
        }
    }
}

impl Columns {
    fn find(
        header: &csv::StringRecord,
        declared: Option<&BTreeMap<String, Declared>>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let before = problems.0.len();
        let mut seen = HashSet::new();
        for name in header {
            if name.is_empty() || !seen.insert(name) {
                problems.add(format!("images.csv: two columns, or an empty one, are named \"{name}\""));
            }
        }
        let place = |name: &&str| header.iter().position(|h| h == *name);
        let required: Vec<Option<usize>> = REQUIRED.iter().map(place).collect();
        for (name, at) in REQUIRED.iter().zip(&required) {
            if at.is_none() {
                problems.add(format!("images.csv: there is no column \"{name}\""));
            }
        }
        let crop: Vec<usize> = BOX.iter().filter_map(place).collect();
        if !matches!(crop.len(), 0 | 4) {
            problems.add(format!("images.csv: of the box's columns {} some are missing", BOX.join(",")));
        }
        let fixed = |name: &str| REQUIRED.contains(&name) || BOX.contains(&name);
        let attributes: Vec<usize> = (0..header.len()).filter(|&i| !fixed(&header[i])).collect();
        if let Some(declared) = declared {
            let columns: BTreeSet<&str> = attributes.iter().map(|&i| &header[i]).collect();
            for name in columns.iter().filter(|c| !declared.contains_key(**c)) {
                problems.add(format!("images.csv: column \"{name}\" is not in attributes.json"));
            }
            for name in declared.keys().filter(|d| !columns.contains(d.as_str())) {
                problems.add(format!("attributes.json: \"{name}\" has no column in images.csv"));
            }
        }
        if problems.0.len() > before {
            return None;
        }
        let required: Vec<usize> = required.into_iter().flatten().collect();
        Some(Self { required: required.try_into().ok()?, crop: crop.try_into().ok(), attributes })
    }

    fn row(&self, record: &csv::StringRecord, problems: &mut Problems) -> Option<Row> {
        let line = record.position().map_or(0, csv::Position::line);
        let [path, instance, category, split] = self.required.map(|c| record[c].to_owned());
        for (name, text) in [("path", &path), ("instance", &instance), ("category", &category)] {
            if text.is_empty() {
                problems.add(format!("images.csv, line {line}: the {name} is empty"));
            }
        }
        let known = split.parse();
        if known.is_err() {
            problems.add(format!(
                "images.csv, line {line}: split is \"{}\", not train, query or gallery",
                abridged(&split)
            ));
        }
        let crop = match self.crop.map(|c| c.map(|c| &record[c])) {
            Some(texts) if texts.iter().any(|t| !t.is_empty()) => {
                let found = crop_box(texts);
                if found.is_none() {
                    problems.add(format!(
                        "images.csv, line {line}: \"{}\" is not a box of x1 < x2 and y1 < y2",
                        abridged(&texts.join(","))
                    ));
                }
                found
            }
            _ => None,
        };
        let values = self.attributes.iter().map(|&c| record[c].to_owned()).collect();
        Some(Row { line, path, instance, category, split: known.ok()?, crop, values })
    }
}

/// A fraction of a pixel counts as the whole pixel.
fn crop_box(texts: [&str; 4]) -> Option<CropBox> {
    let mut corners = [0f64; 4];
    for (corner, text) in corners.iter_mut().zip(texts) {
        *corner = text.parse().ok().filter(|c: &f64| c.abs() < 1e9)?;
    }
    let [x1, y1, x2, y2] = corners;
    let whole =
        CropBox { x1: x1.floor() as i32, y1: y1.floor() as i32, x2: x2.ceil() as i32, y2: y2.ceil() as i32 };
    (x1 < x2 && y1 < y2).then_some(whole)
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

fn warnings(images: &[ImageEntry], instances: &[String], attributes: &[AttributeEntry]) -> Vec<String> {
    let in_split =
        |split| images.iter().filter(move |i| i.split == split).map(|i| i.instance).collect::<BTreeSet<_>>();
    let (train, query, gallery) = (in_split(Split::Train), in_split(Split::Query), in_split(Split::Gallery));
    let mut warnings = Vec::new();
    let mut about = |what: &str, of: Vec<&u32>| {
        if let Some(&&first) = of.first() {
            warnings.push(format!("{} {what}, such as \"{}\".", of.len(), instances[first as usize]));
        }
    };
    about("instances have query images but none in the gallery", query.difference(&gallery).collect());
    about("instances are both trained on and asked for", train.intersection(&query).collect());
    for (k, attribute) in attributes.iter().enumerate() {
        let shown: HashSet<u32> =
            images.iter().filter(|i| i.split == Split::Train).filter_map(|i| i.values[k]).collect();
        if !train.is_empty() && shown.is_empty() {
            warnings.push(format!("No training image has a value of \"{}\".", attribute.name));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(csv: &str, json: Option<&str>, files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("images.csv"), csv).unwrap();
        if let Some(json) = json {
            std::fs::write(dir.path().join("attributes.json"), json).unwrap();
        }
        files.iter().for_each(|f| std::fs::write(dir.path().join(f), b"").unwrap());
        dir
    }

    #[test]
    fn names_become_numbers_and_empty_is_absent() {
        let csv = "path,instance,category,split,x1,y1,x2,y2,size,colour\n\
                   a.png,i2,shoe,train,1,2,30.5,40,10,red\n\
                   b.png,i1,bag,query,,,,,9,\n\
                   c.png,i1,bag,gallery,,,,,,blue\n";
        let dir = folder(csv, None, &["a.png", "b.png", "c.png"]);
        let m = Manifest::read(dir.path()).unwrap();
        assert_eq!(m.instances, ["i1", "i2"]);
        assert_eq!(m.categories, ["bag", "shoe"]);
        assert_eq!(m.instance_category, [0, 1]);
        assert_eq!(m.attributes[0].values, ["9", "10"]); // as numbers, not as text
        assert_eq!(m.attributes[1].values, ["blue", "red"]);
        assert_eq!(m.images[0].crop, Some(CropBox { x1: 1, y1: 2, x2: 31, y2: 40 }));
        assert_eq!((m.images[1].crop, m.images[1].values.clone()), (None, vec![Some(0), None]));
        assert_eq!((m.split(Split::Train), m.split(Split::Gallery)), (vec![0], vec![2]));
        assert!(m.warnings.is_empty());
    }

    #[test]
    fn declared_values_keep_their_order() {
        let csv = "path,instance,category,split,size\na.png,i,c,train,small\n";
        let json = r#"{"size": {"ordered": true, "values": ["tiny", "small", "large"], "source": "label"}}"#;
        let m = Manifest::read(folder(csv, Some(json), &["a.png"]).path()).unwrap();
        assert!(m.attributes[0].ordered);
        assert_eq!(m.images[0].values, [Some(1)]);
    }

    #[test]
    fn all_problems_come_in_one_error() {
        let csv = "path,instance,category,split,x1,y1,x2,y2,size\n\
                   a.png,i,c,train,,,,,smal\n\
                   a.png,i,d,test,,,,,small\n\
                   a.png,i,d,gallery,5,5,5,9,small\n\
                   gone.png,j,c,query,1,2,3,x,small\n";
        let json = r#"{"size": {"values": ["small"]}}"#;
        let e = Manifest::read(folder(csv, Some(json), &["a.png"]).path()).unwrap_err();
        assert_eq!(e.kind, Kind::InvalidData);
        assert!(e.message.contains("7 problems"), "{}", e.message);
        let detail = e.detail.unwrap();
        for part in [
            "line 2: size \"smal\" does not exist",
            "line 3: split is \"test\"",
            "line 4: \"5,5,5,9\" is not a box",
            "line 4: \"a.png\" is there a second time",
            "line 4: instance \"i\" is in two categories",
            "line 5: \"1,2,3,x\" is not a box",
            "line 5: there is no file \"gone.png\"",
        ] {
            assert!(detail.contains(part), "{part} in {detail}");
        }
    }

    #[test]
    fn columns_and_declarations_must_match() {
        let csv = "path,instance,split,colour\na.png,i,train,red\n";
        let e =
            Manifest::read(folder(csv, Some(r#"{"color": {"values": ["red"]}}"#), &[]).path()).unwrap_err();
        let detail = e.detail.unwrap();
        for part in
            ["no column \"category\"", "\"colour\" is not in attributes.json", "\"color\" has no column"]
        {
            assert!(detail.contains(part), "{part} in {detail}");
        }
    }

    #[test]
    fn a_hundred_problems_are_abridged() {
        let rows: String = (0..100).map(|i| format!("{i}.png,i,c,train\n")).collect();
        let e = Manifest::read(folder(&format!("path,instance,category,split\n{rows}"), None, &[]).path());
        let e = e.unwrap_err();
        assert!(e.message.contains("100 problems"));
        assert!(e.detail.unwrap().ends_with("... and 80 more"));
    }

    #[test]
    fn odd_sets_are_usable_with_warnings() {
        let csv =
            "path,instance,category,split,size\na.png,i,c,train,\nb.png,j,c,query,1\nc.png,i,c,query,1\n";
        let m = Manifest::read(folder(csv, None, &["a.png", "b.png", "c.png"]).path()).unwrap();
        assert_eq!(m.warnings.len(), 3);
        assert_eq!(m.warnings[0], "2 instances have query images but none in the gallery, such as \"i\".");
    }
}
