//! Reads CompCars (Yang et al. 2015) in its published layout:
//!
//! | file | what is in it |
//! |---|---|
//! | `data/image/<make>/<model>/<year>/<name>.jpg` | an image; makes and models are numbers |
//! | `data/label/<make>/<model>/<year>/<name>.txt` | viewpoint, number of boxes, and the box `x1 y1 x2 y2` |
//! | `misc/attributes.txt` | per model: maximum speed, displacement, doors, seats, type; 0 is unknown |
//! | `misc/make_model_name.mat`, `misc/car_type.mat` | names of makes, models and types, in MATLAB's format |
//! | `train_test_split/classification/{train,test}.txt` | images of part I |
//! | `train_test_split/verification/verification_train.txt` | images of other models |
//!
//! As in Thong et al., both lists of part I are for training, and the verification list is the gallery, in which each image is
//! searched for among the others. An instance is a car model, a category a make.

use super::attributes_json::{DeclaredAttribute, DeclaredAttributes};
use super::dataset::Split;
use super::label_table::{LabelRow, LabelTable};
use super::matlab;
use super::problems::Problems;
use crate::error::{abridged, Error, Result};
use crate::image::CropBox;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// What the files should look like, for error messages.
pub const HINT: &str =
    "CompCars has data/image, data/label, misc and train_test_split, as in the published archive.";

/// Per split: its name in the paper, and the number of models and images in the published set.
const PUBLISHED_COUNTS: [(Split, &str, usize, usize); 2] =
    [(Split::Train, "train", 431, 30_955), (Split::Gallery, "test", 111, 4_454)];

const LISTS: [(&str, Split); 3] = [
    ("train_test_split/classification/train.txt", Split::Train),
    ("train_test_split/classification/test.txt", Split::Train),
    ("train_test_split/verification/verification_train.txt", Split::Gallery),
];

const ATTRIBUTES: &str = "misc/attributes.txt";

/// Whether a folder looks like CompCars.
pub fn is_compcars(root: &Path) -> bool {
    root.join("data/image").is_dir() && root.join(ATTRIBUTES).is_file()
}

/// Reads the set. Of its attributes, doors and seats are ordered, type is not.
///
/// # Errors
/// [`Kind::Io`](crate::error::Kind::Io) if no list of images or the attributes cannot be read.
pub fn read(root: &Path, problems: &mut Problems) -> Result<(LabelTable, Option<DeclaredAttributes>)> {
    let mut table = LabelTable {
        attributes: ["doors", "seats", "type"].map(str::to_owned).into(),
        ..LabelTable::default()
    };
    let names = CompCarsNames::read(root, &mut table.warnings);
    let models = read_models(root, &names, problems)?;
    let mut unknown = BTreeSet::new();
    for (list, split) in LISTS {
        let path = root.join(list);
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io("read", &path, &e))?;
        for (line, number) in text.lines().map(str::trim).zip(1..).filter(|(l, _)| !l.is_empty()) {
            let at = format!("{list}, line {number}");
            let parts: Vec<&str> = line.split('/').collect();
            let [make, model, _, _] = parts[..] else {
                problems.add(format!("{at}: \"{}\" is not make/model/year/name.jpg", abridged(line)));
                continue;
            };
            let values = models.get(model);
            if values.is_none() && unknown.insert(model.to_owned()) {
                problems.add(format!("{at}: model \"{}\" is not in {ATTRIBUTES}", abridged(model)));
            }
            let image = format!("data/image/{line}");
            // The box of a missing image would be a second problem; resolving the table reports the first.
            let crop = root.join(&image).is_file().then(|| read_box(root, line, problems)).flatten();
            table.rows.push(LabelRow {
                at,
                path: image,
                instance: names.model(model),
                group: String::new(),
                category: names.make(make),
                split,
                crop,
                values: values.cloned().unwrap_or_else(|| vec![String::new(); 3]),
                mirror: true,
            });
        }
    }
    if table.rows.is_empty() {
        problems.add("the lists in train_test_split are empty".into());
    }
    for (split, name, models, images) in PUBLISHED_COUNTS {
        let rows: Vec<&LabelRow> = table.rows.iter().filter(|r| r.split == split).collect();
        let found = rows.iter().map(|r| &r.instance).collect::<BTreeSet<_>>().len();
        if (found, rows.len()) != (models, images) {
            table.warnings.push(format!(
                "{} {name} images of {found} models; the published set has {images} of {models}.",
                rows.len()
            ));
        }
    }
    Ok((table, Some(declare_attributes(&models, &names))))
}

/// The box of an image. Its label file has three lines: viewpoint, number of boxes, and `x1 y1 x2 y2`, with both corners inclusive
/// and counted from 1.
fn read_box(root: &Path, image: &str, problems: &mut Problems) -> Option<CropBox> {
    let label = Path::new("data/label").join(Path::new(image).with_extension("txt"));
    let at = label.display();
    let text = match std::fs::read_to_string(root.join(&label)) {
        Ok(text) => text,
        Err(e) => {
            problems.add(format!("{at}: {e}"));
            return None;
        }
    };
    let line = text.lines().nth(2).unwrap_or_default();
    let corners: Option<Vec<i32>> = line.split_whitespace().map(|c| c.parse().ok()).collect();
    match corners.as_deref() {
        Some(&[x1, y1, x2, y2]) if 1 <= x1 && x1 <= x2 && 1 <= y1 && y1 <= y2 => {
            Some(CropBox { x1: x1 - 1, y1: y1 - 1, x2, y2 })
        }
        _ => {
            problems.add(format!(
                "{at}, line 3: \"{}\" is not a box x1 y1 x2 y2 counted from 1",
                abridged(line.trim())
            ));
            None
        }
    }
}

/// The values of doors, seats and type of each model, by the model's number; empty where unknown.
fn read_models(
    root: &Path,
    names: &CompCarsNames,
    problems: &mut Problems,
) -> Result<HashMap<String, Vec<String>>> {
    let path = root.join(ATTRIBUTES);
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io("read", &path, &e))?;
    let mut models = HashMap::new();
    for (line, number) in text.lines().zip(1..).skip(1).filter(|(l, _)| !l.trim().is_empty()) {
        let at = format!("{ATTRIBUTES}, line {number}");
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [model, _speed, _displacement, doors, seats, kind] = fields[..] else {
            problems.add(format!(
                "{at}: {} columns, not model_id maximum_speed displacement door_number seat_number type",
                fields.len()
            ));
            continue;
        };
        let mut number = |name: &str, text: &str| match text.parse::<u32>() {
            Ok(0) => String::new(),
            Ok(number) => number.to_string(),
            Err(_) => {
                problems.add(format!("{at}: {name} is \"{}\", not a number", abridged(text)));
                String::new()
            }
        };
        let (doors, seats, kind) =
            (number("door_number", doors), number("seat_number", seats), number("type", kind));
        let values = vec![doors, seats, if kind.is_empty() { kind } else { names.kind(&kind) }];
        if models.insert(model.to_owned(), values).is_some() {
            problems.add(format!("{at}: model \"{}\" is listed twice", abridged(model)));
        }
    }
    Ok(models)
}

/// Declares the attributes: doors and seats ordered by number, types listed by their number in the set.
fn declare_attributes(models: &HashMap<String, Vec<String>>, names: &CompCarsNames) -> DeclaredAttributes {
    let occurring = |k: usize| models.values().map(move |v| &v[k]).filter(|v| !v.is_empty());
    let numbers = |k: usize| {
        let sorted: BTreeMap<u32, String> =
            occurring(k).filter_map(|v| Some((v.parse().ok()?, v.clone()))).collect();
        DeclaredAttribute {
            ordered: true,
            values: Some(sorted.into_values().collect()),
            ..Default::default()
        }
    };
    let position =
        |kind: &String| names.kinds.iter().position(|k| k == kind).ok_or_else(|| kind.parse::<u32>().ok());
    let mut kinds: Vec<String> = occurring(2).collect::<BTreeSet<_>>().into_iter().cloned().collect();
    kinds.sort_by_key(position);
    let kinds = DeclaredAttribute { values: Some(kinds), ..Default::default() };
    [("doors", numbers(0)), ("seats", numbers(1)), ("type", kinds)]
        .into_iter()
        .map(|(n, d)| (n.to_owned(), d))
        .collect()
}

/// The names of makes, models and types, by number from 1. Where the set's tables cannot be read, numbers serve as names.
#[derive(Default)]
struct CompCarsNames {
    makes: Vec<String>,
    models: Vec<String>,
    kinds: Vec<String>,
}

impl CompCarsNames {
    fn read(root: &Path, warnings: &mut Vec<String>) -> Self {
        let mut read = |file: &str, variable: &str| {
            let path = root.join("misc").join(file);
            let bytes = std::fs::read(&path).map_err(|e| e.to_string());
            bytes.and_then(|b| matlab::strings(&b, variable)).unwrap_or_else(|e| {
                warnings.push(format!("misc/{file}, {variable}: {e}; numbers are used as names."));
                Vec::new()
            })
        };
        Self {
            makes: read("make_model_name.mat", "make_names"),
            models: read("make_model_name.mat", "model_names"),
            kinds: read("car_type.mat", "types"),
        }
    }

    fn make(&self, id: &str) -> String {
        lookup(&self.makes, id).map_or_else(|| id.to_owned(), str::to_owned)
    }

    /// With the model's number, because models of different makes may share a name.
    fn model(&self, id: &str) -> String {
        lookup(&self.models, id).map_or_else(|| id.to_owned(), |name| format!("{name} ({id})"))
    }

    fn kind(&self, id: &str) -> String {
        lookup(&self.kinds, id).map_or_else(|| id.to_owned(), str::to_owned)
    }
}

/// The name with number `id`, counted from 1.
fn lookup<'a>(names: &'a [String], id: &str) -> Option<&'a str> {
    let name = names.get(id.parse::<usize>().ok()?.checked_sub(1)?)?;
    Some(name.trim()).filter(|n| !n.is_empty())
}
