//! Reads In-shop Clothes Retrieval of DeepFashion (Liu et al. 2016) in its published layout:
//!
//! | file | columns |
//! |---|---|
//! | `Eval/list_eval_partition.txt` | image, item, and train, query or gallery |
//! | `Anno/list_bbox_inshop.txt` | image, type of clothes, pose, and the box `x_1 y_1 x_2 y_2` |
//! | `Anno/list_item_inshop.txt` | the items; no header |
//! | `Anno/list_attr_cloth.txt`, `Anno/list_attr_items.txt` | names of the attributes; per item 1 (yes), -1 (no) or 0 (unknown) for each |
//! | `img/WOMEN/Dresses/id_00000002/02_1_front.jpg` | an image; its category is the third part of the path, its instance the item |
//!
//! The first line of a list is the number of its rows, the second a header; columns are separated by runs of spaces. Some copies
//! have the lists in the other folder, and the images in `Img/img`.

use super::attributes_json::{self, DeclaredAttributes};
use super::dataset::Split;
use super::label_table::{parse_crop_box, LabelRow, LabelTable};
use super::problems::Problems;
use crate::error::{abridged, Error, Kind, Result};
use crate::image::CropBox;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// What the files should look like, for error messages.
pub const HINT: &str =
    "In-Shop Clothes has img/, Eval/list_eval_partition.txt, Anno/list_bbox_inshop.txt and \
                        Anno/list_item_inshop.txt, as in the published archive.";

/// Number of train, query and gallery images of the published set.
const PUBLISHED_COUNTS: [(Split, usize); 3] =
    [(Split::Train, 25_882), (Split::Query, 14_218), (Split::Gallery, 12_612)];

/// The path of the list of images and their splits, if the folder has one.
pub fn find_partition(root: &Path) -> Option<PathBuf> {
    ["Eval", "Anno", "."].iter().map(|f| root.join(f).join("list_eval_partition.txt")).find(|p| p.is_file())
}

/// Reads the set. `labels` is a CSV file of `item_id` and one column per attribute, beside which an `attributes.json` may declare
/// the values; without it the attributes are the set's own, with the values yes and no.
///
/// # Errors
/// [`Kind::Io`] if the list of images or the labels cannot be read at all.
pub fn read(
    root: &Path,
    labels: Option<&Path>,
    problems: &mut Problems,
) -> Result<(LabelTable, Option<DeclaredAttributes>)> {
    let path = find_partition(root).unwrap_or_else(|| root.join("Eval/list_eval_partition.txt"));
    let images = PublishedList::read(&path, 3, problems)?;
    let mut warnings = Vec::new();
    let boxes = read_boxes(root, &images, problems, &mut warnings)?;
    let items: BTreeSet<&str> = images.rows.iter().map(|(_, r)| r[1].as_str()).collect();
    check_items(root, &images, problems)?;
    let (labels, declared) = match labels {
        Some(path) => {
            let beside = path.with_file_name("attributes.json");
            let declared = attributes_json::read(&beside, problems)?;
            (ItemLabels::read_csv(path, &items, problems)?, declared)
        }
        None => (ItemLabels::read_published(root, &items, problems)?, None),
    };
    let unlabelled: Vec<&&str> = items.iter().filter(|i| !labels.by_item.contains_key(**i)).collect();
    if let Some(first) = unlabelled.first() {
        warnings.push(format!("{} items have no attribute labels, such as \"{first}\".", unlabelled.len()));
    }

    let folder = if root.join("img").is_dir() || !root.join("Img/img").is_dir() { "" } else { "Img/" };
    let mut table = LabelTable { attributes: labels.attributes, warnings, ..LabelTable::default() };
    let unlabelled_values = vec![String::new(); table.attributes.len()];
    for (at, row) in &images.rows {
        let [image, item, status] = [&row[0], &row[1], &row[2]];
        // img/WOMEN/Dresses/id_00000002/02_1_front.jpg
        let category = image.split('/').nth(2).filter(|_| image.split('/').count() > 3);
        if category.is_none() {
            problems
                .add(format!("{at}: \"{}\" has no category as the third part of its path", abridged(image)));
        }
        match status.parse() {
            Ok(split) => table.rows.push(LabelRow {
                at: at.clone(),
                path: format!("{folder}{image}"),
                instance: item.clone(),
                group: String::new(),
                category: category.unwrap_or_default().to_owned(),
                split,
                crop: boxes.get(image.as_str()).copied(),
                values: labels.by_item.get(item.as_str()).unwrap_or(&unlabelled_values).clone(),
                mirror: true,
            }),
            Err(()) => {
                problems.add(format!("{at}: status is \"{}\", not train, query or gallery", abridged(status)))
            }
        }
    }
    table.warnings.extend(PUBLISHED_COUNTS.iter().filter_map(|(split, published)| {
        let found = table.rows.iter().filter(|r| r.split == *split).count();
        let name = format!("{split:?}").to_lowercase();
        (found != *published).then(|| format!("{found} {name} images; the published set has {published}."))
    }));
    Ok((table, declared))
}

/// The rows of one of the set's lists.
struct PublishedList {
    /// File and line of each row, for messages, and its fields.
    rows: Vec<(String, Vec<String>)>,
}

impl PublishedList {
    /// Reads a list of `columns` columns.
    fn read(path: &Path, columns: usize, problems: &mut Problems) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, &e))?;
        let text = String::from_utf8_lossy(&bytes);
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let mut lines = text.lines().zip(1..).filter(|(l, _)| !l.trim().is_empty());
        let count = lines.next().and_then(|(l, _)| l.trim().parse::<usize>().ok());
        if count.is_none() {
            problems.add(format!("{file}, line 1: the number of rows is missing"));
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
            problems.add(format!("{file}: {found} rows, but its first line says {count}"));
        }
        Ok(Self { rows })
    }
}

/// The box of each image, by the image's name.
fn read_boxes<'a>(
    root: &Path,
    images: &'a PublishedList,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> Result<HashMap<&'a str, CropBox>> {
    let list = match find_annotation(root, "list_bbox_inshop.txt") {
        Some(path) => PublishedList::read(&path, 7, problems)?,
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
        match parse_crop_box(corners) {
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

/// Checks that every item that has images is in the list of items, if there is such a list.
fn check_items(root: &Path, images: &PublishedList, problems: &mut Problems) -> Result<()> {
    let Some(path) = find_annotation(root, "list_item_inshop.txt") else { return Ok(()) };
    let bytes = std::fs::read(&path).map_err(|e| Error::io("read", &path, &e))?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    // Unlike the others, this list has no header.
    let count = lines.next().and_then(|l| l.parse::<usize>().ok());
    let known: HashSet<&str> = lines.collect();
    if count != Some(known.len()) {
        let stated = count.map_or("nothing".to_owned(), |c| c.to_string());
        problems.add(format!(
            "list_item_inshop.txt: {} different items, but its first line says {stated}",
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

/// The path of a list in Anno, or wherever this copy has it.
fn find_annotation(root: &Path, name: &str) -> Option<PathBuf> {
    ["Anno", "Eval", "."].iter().map(|f| root.join(f).join(name)).find(|p| p.is_file())
}

/// Attribute labels of items.
struct ItemLabels {
    /// Names of the attributes.
    attributes: Vec<String>,
    /// The value of each attribute, empty where absent, by item.
    by_item: BTreeMap<String, Vec<String>>,
}

impl ItemLabels {
    /// Reads the CSV file of `--attribute-labels`.
    fn read_csv(path: &Path, items: &BTreeSet<&str>, problems: &mut Problems) -> Result<Self> {
        let file = std::fs::File::open(path).map_err(|e| Error::io("read", path, &e))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
        let mut labels = Self { attributes: Vec::new(), by_item: BTreeMap::new() };
        match reader.headers() {
            Ok(header) if header.len() > 1 && &header[0] == "item_id" => {
                labels.attributes = header.iter().skip(1).map(str::to_owned).collect();
            }
            Ok(_) => problems.add(format!("{name}: the columns are not item_id and at least one attribute")),
            Err(e) => problems.add(format!("{name}: {e}")),
        }
        let distinct: BTreeSet<&String> = labels.attributes.iter().collect();
        if distinct.len() < labels.attributes.len() || distinct.iter().any(|a| a.is_empty()) {
            problems.add(format!("{name}: a column name is empty or not unique"));
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
            if labels.by_item.insert(item.to_owned(), values).is_some() {
                problems.add(format!("{at}: item \"{}\" is listed twice", abridged(item)));
            }
        }
        Ok(labels)
    }

    /// Reads the set's own labels.
    fn read_published(root: &Path, items: &BTreeSet<&str>, problems: &mut Problems) -> Result<Self> {
        let mut labels = Self { attributes: Vec::new(), by_item: BTreeMap::new() };
        let files = ["list_attr_cloth.txt", "list_attr_items.txt"].map(|name| find_annotation(root, name));
        let [Some(names), Some(values)] = files else {
            return Err(Error::new(Kind::InvalidData, "there are no attribute labels")
                .detail("Anno/list_attr_cloth.txt or Anno/list_attr_items.txt is missing.")
                .hint("Pass your own labels with --attribute-labels."));
        };
        // One name per row, which may contain spaces.
        let text = std::fs::read(&names).map_err(|e| Error::io("read", &names, &e))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let name_of = |l: &str| l.split_whitespace().collect::<Vec<_>>().join(" ");
        labels.attributes = text.lines().skip(2).map(name_of).filter(|l| !l.is_empty()).collect();
        for (at, row) in PublishedList::read(&values, labels.attributes.len() + 1, problems)?.rows {
            let value = |label: &String| match label.as_str() {
                "1" => Ok("yes".to_owned()),
                "-1" => Ok("no".to_owned()),
                "0" => Ok(String::new()),
                other => Err(other.to_owned()),
            };
            match row[1..].iter().map(value).collect::<std::result::Result<Vec<_>, _>>() {
                Ok(values) => {
                    // The published list also has items of other parts of DeepFashion.
                    if items.contains(row[0].as_str()) {
                        labels.by_item.insert(row[0].clone(), values);
                    }
                }
                Err(other) => problems.add(format!("{at}: \"{}\" is not 1, -1 or 0", abridged(&other))),
            }
        }
        Ok(labels)
    }
}
