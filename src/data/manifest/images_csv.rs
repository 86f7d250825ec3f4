//! Reads `images.csv`, which has one row per image.

use super::attributes_json::DeclaredAttributes;
use super::label_table::{parse_crop_box, LabelRow, LabelTable};
use super::problems::Problems;
use crate::error::{abridged, Error, Result};
use std::collections::{BTreeSet, HashSet};
use std::path::Path;

/// The columns that every `images.csv` has.
const REQUIRED: [&str; 4] = ["path", "instance", "category", "split"];

/// The optional column with the group of an instance.
const GROUP: &str = "group";

/// The optional columns of the crop box: all of them or none.
const BOX: [&str; 4] = ["x1", "y1", "x2", "y2"];

/// Describes the columns, for error messages.
pub fn hint() -> String {
    format!(
        "images.csv has the columns {}, optionally {GROUP} and {}, then one per attribute; an empty field means that the label is absent.",
        REQUIRED.join(","),
        BOX.join(",")
    )
}

/// Reads `images.csv`, and checks its columns against what `attributes.json` declares.
///
/// # Errors
/// [`Kind::Io`](crate::error::Kind::Io) if it cannot be read at all.
pub fn read(
    path: &Path,
    declared: Option<&DeclaredAttributes>,
    problems: &mut Problems,
) -> Result<LabelTable> {
    let file = std::fs::File::open(path).map_err(|e| Error::io("read", path, &e))?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(file);
    let mut table = LabelTable::default();
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(e) => {
            problems.add(format!("images.csv: {e}"));
            return Ok(table);
        }
    };
    let Some(columns) = Columns::find(&header, declared, problems) else { return Ok(table) };
    table.attributes = columns.attributes.iter().map(|&c| header[c].to_owned()).collect();
    let folder = path.parent().unwrap_or(Path::new("."));
    for record in reader.records() {
        match record {
            Ok(record) => {
                let path = file_path(folder, &record[columns.path()]);
                let mut trimmed = record.clone();
                trimmed.trim();
                table.rows.extend(columns.row(&trimmed, path, problems));
            }
            Err(e) => problems.add(format!("images.csv: {e}")),
        }
    }
    if table.rows.is_empty() && problems.is_empty() {
        problems.add("images.csv: there are no images".into());
    }
    Ok(table)
}

/// The path in a field: blanks around it are ignored, unless a file's name has them.
fn file_path(folder: &Path, field: &str) -> String {
    let trimmed = field.trim();
    let has_blanks = trimmed.len() < field.len() && !trimmed.is_empty() && folder.join(field).is_file();
    if has_blanks { field } else { trimmed }.to_owned()
}

/// The column numbers of everything in a record.
struct Columns {
    required: [usize; 4],
    group: Option<usize>,
    crop: Option<[usize; 4]>,
    attributes: Vec<usize>,
}

impl Columns {
    fn find(
        header: &csv::StringRecord,
        declared: Option<&DeclaredAttributes>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let before = problems.len();
        let mut seen = HashSet::new();
        for name in header {
            if name.is_empty() || !seen.insert(name) {
                problems.add(format!("images.csv: the column name \"{name}\" is empty or not unique"));
            }
        }
        let position = |name: &&str| header.iter().position(|h| h == *name);
        let required: Vec<Option<usize>> = REQUIRED.iter().map(position).collect();
        for (name, at) in REQUIRED.iter().zip(&required) {
            if at.is_none() {
                problems.add(format!("images.csv: there is no column \"{name}\""));
            }
        }
        let crop: Vec<usize> = BOX.iter().filter_map(position).collect();
        if !matches!(crop.len(), 0 | 4) {
            problems.add(format!(
                "images.csv: some of the columns {} of the crop box are missing",
                BOX.join(",")
            ));
        }
        let fixed = |name: &str| REQUIRED.contains(&name) || BOX.contains(&name) || name == GROUP;
        let attributes: Vec<usize> = (0..header.len()).filter(|&i| !fixed(&header[i])).collect();
        if let Some(declared) = declared {
            let columns: BTreeSet<&str> = attributes.iter().map(|&i| &header[i]).collect();
            for name in declared.attributes.keys().filter(|d| !columns.contains(d.as_str())) {
                problems.add(format!("attributes.json: \"{name}\" has no column in images.csv"));
            }
        }
        if problems.len() > before {
            return None;
        }
        let required: Vec<usize> = required.into_iter().flatten().collect();
        Some(Self {
            required: required.try_into().ok()?,
            group: position(&GROUP),
            crop: crop.try_into().ok(),
            attributes,
        })
    }

    /// The column of paths.
    fn path(&self) -> usize {
        self.required[0]
    }

    /// One record as a row, whose image has this path; `None` if its split is not known.
    fn row(&self, record: &csv::StringRecord, path: String, problems: &mut Problems) -> Option<LabelRow> {
        let at = format!("images.csv, line {}", record.position().map_or(0, csv::Position::line));
        let [_, instance, category, split] = self.required.map(|c| record[c].to_owned());
        for (name, text) in [("path", &path), ("instance", &instance), ("category", &category)] {
            if text.is_empty() {
                problems.add(format!("{at}: the {name} is empty"));
            }
        }
        let parsed = split.parse();
        if parsed.is_err() {
            problems.add(format!("{at}: split is \"{}\", not train, query or gallery", abridged(&split)));
        }
        let crop = match self.crop.map(|c| c.map(|c| &record[c])) {
            Some(texts) if texts.iter().any(|t| !t.is_empty()) => {
                let found = parse_crop_box(texts);
                if found.is_none() {
                    problems.add(format!(
                        "{at}: \"{}\" is not a box of x1 < x2 and y1 < y2",
                        abridged(&texts.join(","))
                    ));
                }
                found
            }
            _ => None,
        };
        let values = self.attributes.iter().map(|&c| record[c].to_owned()).collect();
        let group = self.group.map(|c| record[c].to_owned()).unwrap_or_default();
        Some(LabelRow {
            at,
            path,
            instance,
            group,
            category,
            split: parsed.ok()?,
            crop,
            values,
            mirror: true,
        })
    }
}
