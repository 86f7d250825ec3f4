//! In-shop Clothes Retrieval of DeepFashion (Liu et al. 2016), as it is published: lists whose columns are separated by runs
//! of spaces, with the count of their rows on the first line and a header on the second.

use super::problems::Problems;
use super::table::{crop_box, declared_attributes, Declarations, Row, Table};
use super::Split;
use crate::error::{abridged, Error, Kind, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// What the files should be like.
pub const HINT: &str =
    "In-Shop Clothes has img/, Eval/list_eval_partition.txt, Anno/list_bbox_inshop.txt and \
                        Anno/list_item_inshop.txt, as in its archive.";

/// Train, query and gallery images of the published set.
const OFFICIAL: [(Split, usize); 3] =
    [(Split::Train, 25_882), (Split::Query, 14_218), (Split::Gallery, 12_612)];

/// The list of images and their splits; some copies have it in Anno.
pub fn partition(root: &Path) -> Option<PathBuf> {
    ["Eval", "Anno", "."].iter().map(|f| root.join(f).join("list_eval_partition.txt")).find(|p| p.is_file())
}

/// Reads the set. `labels` is a CSV of `item_id` and a column per attribute, beside which `attributes.json` may declare the
/// values; without it the attributes are the set's own, which are there or not.
///
/// # Errors
/// [`Kind::Io`] if the list of images or the labels cannot be read at all.
pub fn read(
    root: &Path,
    labels: Option<&Path>,
    problems: &mut Problems,
) -> Result<(Table, Option<Declarations>)> {
    let path = partition(root).unwrap_or_else(|| root.join("Eval/list_eval_partition.txt"));
    let images = List::read(&path, 3, problems)?;
    let mut warnings = Vec::new();
    let boxes = boxes(root, &images, problems, &mut warnings)?;
    let items: BTreeSet<&str> = images.rows.iter().map(|(_, r)| r[1].as_str()).collect();
    known_items(root, &images, problems)?;
    let (labels, declared) = match labels {
        Some(path) => {
            let beside = path.with_file_name("attributes.json");
            let declared = declared_attributes(&beside, problems)?;
            (Labels::read_csv(path, &items, problems)?, declared)
        }
        None => (Labels::read_own(root, &items, problems)?, None),
    };
    let unlabelled: Vec<&&str> = items.iter().filter(|i| !labels.of.contains_key(**i)).collect();
    if let Some(first) = unlabelled.first() {
        warnings.push(format!("{} items have no attribute labels, such as \"{first}\".", unlabelled.len()));
    }

    let folder = if root.join("img").is_dir() || !root.join("Img/img").is_dir() { "" } else { "Img/" };
    let mut table = Table { attributes: labels.attributes, warnings, ..Table::default() };
    let none = vec![String::new(); table.attributes.len()];
    for (at, row) in &images.rows {
        let [image, item, status] = [&row[0], &row[1], &row[2]];
        // img/WOMEN/Dresses/id_00000002/02_1_front.jpg
        let category = image.split('/').nth(2).filter(|_| image.split('/').count() > 3);
        if category.is_none() {
            problems.add(format!("{at}: \"{}\" has no category as its third part", abridged(image)));
        }
        match status.parse() {
            Ok(split) => table.rows.push(Row {
                at: at.clone(),
                path: format!("{folder}{image}"),
                instance: item.clone(),
                group: String::new(),
                category: category.unwrap_or_default().to_owned(),
                split,
                crop: boxes.get(image.as_str()).copied(),
                values: labels.of.get(item.as_str()).unwrap_or(&none).clone(),
            }),
            Err(()) => {
                problems.add(format!("{at}: status is \"{}\", not train, query or gallery", abridged(status)))
            }
        }
    }
    table.warnings.extend(OFFICIAL.iter().filter_map(|(split, official)| {
        let found = table.rows.iter().filter(|r| r.split == *split).count();
        let name = format!("{split:?}").to_lowercase();
        (found != *official).then(|| format!("{found} {name} images; the published set has {official}."))
    }));
    Ok((table, declared))
}

/// A published list: its rows with their places.
struct List {
    rows: Vec<(String, Vec<String>)>,
}

impl List {
    /// Reads rows of `columns` columns.
    fn read(path: &Path, columns: usize, problems: &mut Problems) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, &e))?;
        let text = String::from_utf8_lossy(&bytes);
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let mut lines = text.lines().zip(1..).filter(|(l, _)| !l.trim().is_empty());
        let count = lines.next().and_then(|(l, _)| l.trim().parse::<usize>().ok());
        if count.is_none() {
            problems.add(format!("{file}, line 1: there is no count of rows"));
        }
        let mut rows = Vec::new();
        let mut found = 0;
        for (line, number) in lines.skip(1) {
            let fields: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let at = format!("{file}, line {number}");
            found += 1;
            if fields.len() == columns {
                rows.push((at, fields));
            } else {
                problems.add(format!("{at}: {} columns, not {columns}", fields.len()));
            }
        }
        if let Some(count) = count.filter(|c| *c != found) {
            problems.add(format!("{file}: {found} rows, where its first line says {count}"));
        }
        Ok(Self { rows })
    }
}

/// The box of each image, by its name.
fn boxes<'a>(
    root: &Path,
    images: &'a List,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> Result<HashMap<&'a str, crate::image::CropBox>> {
    let list = match annotation(root, "list_bbox_inshop.txt") {
        Some(path) => List::read(&path, 7, problems)?,
        None => {
            problems.add("Anno/list_bbox_inshop.txt: there is no such file".into());
            return Ok(HashMap::new());
        }
    };
    let names: HashSet<&str> = images.rows.iter().map(|(_, r)| r[0].as_str()).collect();
    let mut boxes = HashMap::new();
    for (at, row) in list.rows {
        let Some(name) = names.get(row[0].as_str()) else {
            problems.add(format!("{at}: image \"{}\" is in no split", abridged(&row[0])));
            continue;
        };
        let corners = [&row[3], &row[4], &row[5], &row[6]].map(String::as_str);
        match crop_box(corners) {
            Some(found) => drop(boxes.insert(*name, found)),
            None => problems.add(format!(
                "{at}: \"{}\" is not a box of x_1 < x_2 and y_1 < y_2",
                abridged(&corners.join(" "))
            )),
        }
    }
    let whole: Vec<&str> =
        images.rows.iter().map(|(_, r)| r[0].as_str()).filter(|n| !boxes.contains_key(n)).collect();
    if let Some(first) = whole.first() {
        warnings.push(format!("{} images have no box and are used whole, such as \"{first}\".", whole.len()));
    }
    Ok(boxes)
}

/// Every item of the images must be in the list of items, if that is there.
fn known_items(root: &Path, images: &List, problems: &mut Problems) -> Result<()> {
    let Some(path) = annotation(root, "list_item_inshop.txt") else { return Ok(()) };
    let bytes = std::fs::read(&path).map_err(|e| Error::io("read", &path, &e))?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    // This list has a count and no header.
    let count = lines.next().and_then(|l| l.parse::<usize>().ok());
    let known: HashSet<&str> = lines.collect();
    if count != Some(known.len()) {
        let said = count.map_or("no number".to_owned(), |c| c.to_string());
        problems.add(format!(
            "list_item_inshop.txt: {} different items, where its first line says {said}",
            known.len()
        ));
    }
    let mut reported = HashSet::new();
    for (at, row) in &images.rows {
        if !known.contains(row[1].as_str()) && reported.insert(&row[1]) {
            problems.add(format!("{at}: item \"{}\" is not in list_item_inshop.txt", abridged(&row[1])));
        }
    }
    Ok(())
}

/// A file of Anno; some copies have it in Eval.
fn annotation(root: &Path, name: &str) -> Option<PathBuf> {
    ["Anno", "Eval", "."].iter().map(|f| root.join(f).join(name)).find(|p| p.is_file())
}

/// Attribute values by item.
struct Labels {
    attributes: Vec<String>,
    of: BTreeMap<String, Vec<String>>,
}

impl Labels {
    fn read_csv(path: &Path, items: &BTreeSet<&str>, problems: &mut Problems) -> Result<Self> {
        let file = std::fs::File::open(path).map_err(|e| Error::io("read", path, &e))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
        let mut labels = Self { attributes: Vec::new(), of: BTreeMap::new() };
        match reader.headers() {
            Ok(header) if header.len() > 1 && &header[0] == "item_id" => {
                labels.attributes = header.iter().skip(1).map(str::to_owned).collect();
            }
            Ok(_) => problems.add(format!("{name}: the columns are not item_id and at least one attribute")),
            Err(e) => problems.add(format!("{name}: {e}")),
        }
        let distinct: BTreeSet<&String> = labels.attributes.iter().collect();
        if distinct.len() < labels.attributes.len() || distinct.iter().any(|a| a.is_empty()) {
            problems.add(format!("{name}: two columns have the same name, or one has none"));
        }
        for record in reader.records() {
            let record = match record {
                Ok(record) => record,
                Err(e) => {
                    problems.add(format!("{name}: {e}"));
                    continue;
                }
            };
            let at = format!("{name}, line {}", record.position().map_or(0, csv::Position::line));
            let item = &record[0];
            if !items.contains(item) {
                problems.add(format!("{at}: item \"{}\" has no images", abridged(item)));
            }
            let values = record.iter().skip(1).map(str::to_owned).collect();
            if labels.of.insert(item.to_owned(), values).is_some() {
                problems.add(format!("{at}: item \"{}\" is there a second time", abridged(item)));
            }
        }
        Ok(labels)
    }

    /// `list_attr_cloth.txt` and `list_attr_items.txt`: 1 is yes, -1 is no, 0 is not known.
    fn read_own(root: &Path, items: &BTreeSet<&str>, problems: &mut Problems) -> Result<Self> {
        let mut labels = Self { attributes: Vec::new(), of: BTreeMap::new() };
        let files = ["list_attr_cloth.txt", "list_attr_items.txt"].map(|name| annotation(root, name));
        let [Some(names), Some(values)] = files else {
            return Err(Error::new(Kind::InvalidData, "there are no attribute labels")
                .detail("Anno/list_attr_cloth.txt or Anno/list_attr_items.txt is missing.")
                .hint("Give labels of your own with --attribute-labels."));
        };
        // Names have spaces in them: a row is one name.
        let text = std::fs::read(&names).map_err(|e| Error::io("read", &names, &e))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let of_name = |l: &str| l.split_whitespace().collect::<Vec<_>>().join(" ");
        labels.attributes = text.lines().skip(2).map(of_name).filter(|l| !l.is_empty()).collect();
        for (at, row) in List::read(&values, labels.attributes.len() + 1, problems)?.rows {
            let word = |label: &String| match label.as_str() {
                "1" => Ok("yes".to_owned()),
                "-1" => Ok("no".to_owned()),
                "0" => Ok(String::new()),
                other => Err(other.to_owned()),
            };
            match row[1..].iter().map(word).collect::<std::result::Result<Vec<_>, _>>() {
                Ok(values) => {
                    // The published list has items of other parts of DeepFashion too.
                    if items.contains(row[0].as_str()) {
                        labels.of.insert(row[0].clone(), values);
                    }
                }
                Err(other) => problems.add(format!("{at}: \"{}\" is not 1, -1 or 0", abridged(&other))),
            }
        }
        Ok(labels)
    }
}
