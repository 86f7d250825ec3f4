//! The files of the folder beside the images. Each is written under another name first, so that none is ever half there.

use super::findings::Finding;
use super::rows::LeftOut;
use super::selection::Selection;
use super::training_set::TrainingSet;
use super::vocabulary::{ExportedValues, SEPARATOR};
use crate::error::{Error, Kind, Result};
use crate::model::replace_files;
use serde_json::{json, Map, Value};
use std::collections::BTreeSet;
use std::path::Path;

/// Writes `images.csv`, `attributes.json`, `left-out.csv`, `findings.csv` and `questions.md`.
///
/// # Errors
/// [`Kind::Io`]; [`Kind::InvalidData`] for an `attributes.json` that somebody has changed so that it cannot be read.
pub fn write(
    folder: &Path,
    set: &TrainingSet,
    selection: &Selection,
    findings: &[Finding],
    questions: &str,
) -> Result<()> {
    let attributes = attributes_json(&folder.join("attributes.json"), set, selection)?;
    replace_files(
        folder,
        &[
            ("findings.csv", &findings_csv(findings)?),
            ("questions.md", questions.as_bytes()),
            ("left-out.csv", &left_out_csv(&set.left_out)?),
            ("attributes.json", attributes.as_bytes()),
            // The last, as it makes the folder a set.
            ("images.csv", &images_csv(set, selection)?),
        ],
    )
}

fn images_csv(set: &TrainingSet, selection: &Selection) -> Result<Vec<u8>> {
    let has_boxes = set.images.iter().any(|i| i.crop.is_some());
    let mut header = vec!["path", "instance", "category", "split"];
    if selection.group.is_some() {
        header.push("group");
    }
    if has_boxes {
        header.extend(["x1", "y1", "x2", "y2"]);
    }
    header.extend(selection.attributes.iter().map(|a| a.name.as_str()));
    let rows = set.images.iter().map(|image| {
        let instance = image.instance as usize;
        let mut row = vec![
            image.path.clone(),
            set.instances.names[instance].clone(),
            set.categories.names[set.instance_category[instance] as usize].clone(),
            image.split.name().to_owned(),
        ];
        if selection.group.is_some() {
            row.push(
                set.instance_group[instance].map_or(String::new(), |g| set.groups.names[g as usize].clone()),
            );
        }
        if has_boxes {
            let corners = image.crop.map(|c| [c.x1, c.y1, c.x2, c.y2].map(|x| x.to_string()));
            row.extend(corners.unwrap_or_default());
        }
        row.extend(image.values.iter().zip(&set.attributes).map(|(values, of)| joined(values, of)));
        row
    });
    csv_of(&header, rows)
}

fn joined(values: &[u32], of: &ExportedValues) -> String {
    let names: Vec<&str> = values.iter().map(|&v| of.names[v as usize].as_str()).collect();
    names.join(&SEPARATOR.to_string())
}

fn csv_of(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| Error::new(Kind::Internal, format!("could not write CSV: {e}"));
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(header).map_err(|e| failed(&e))?;
    for row in rows {
        out.write_record(row).map_err(|e| failed(&e))?;
    }
    out.into_inner().map_err(|e| failed(&e))
}

fn left_out_csv(rows: &[LeftOut]) -> Result<Vec<u8>> {
    let rows = rows.iter().map(|r| vec![r.id.join(","), r.instance.clone(), r.image.clone(), r.why.clone()]);
    csv_of(&["row", "instance", "image", "why"], rows)
}

fn findings_csv(findings: &[Finding]) -> Result<Vec<u8>> {
    let rows = findings.iter().map(|f| {
        vec![
            f.kind.to_owned(),
            f.column.clone(),
            f.count.to_string(),
            f.what.clone(),
            f.show.clone(),
            f.mend.clone().unwrap_or_default(),
        ]
    });
    csv_of(&["finding", "column", "count", "what", "show", "mend"], rows)
}

/// All values of each attribute. What somebody has written into an earlier file is kept: the order of values, and all but "values" and "multi".
fn attributes_json(path: &Path, set: &TrainingSet, selection: &Selection) -> Result<String> {
    let mut all: Map<String, Value> = match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).map_err(|e| {
            Error::new(Kind::InvalidData, format!("\"{}\" could not be read", path.display()))
                .detail(format!("{e}."))
                .hint("Mend it, or move it away: then it is written anew.")
        })?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Map::new(),
        Err(e) => return Err(Error::io("read", path, &e)),
    };
    // The reader refuses attributes without a column.
    all.retain(|name, value| !value.is_object() || selection.attributes.iter().any(|a| a.name == *name));
    for (k, attribute) in selection.attributes.iter().enumerate() {
        let values = used_values(set, k);
        let entry = all.entry(attribute.name.clone()).or_insert_with(|| json!({}));
        if !entry.is_object() {
            *entry = json!({});
        }
        let Some(entry) = entry.as_object_mut() else { continue };
        let old: Vec<String> =
            entry.get("values").and_then(|v| serde_json::from_value(v.clone()).ok()).unwrap_or_default();
        // An order may have steps that no image has.
        let is_ordered = entry.get("ordered") == Some(&json!(true));
        let kept = old.iter().filter(|v| is_ordered || values.contains(v)).cloned();
        let added = values.iter().filter(|v| !old.contains(v)).cloned();
        let values: Vec<String> = kept.chain(added).collect();
        if values.is_empty() {
            // Declared values must not be none.
            all.remove(&attribute.name);
            continue;
        }
        entry.insert("values".into(), json!(values));
        if attribute.multi {
            entry.insert("multi".into(), json!(true));
        } else {
            entry.remove("multi");
        }
    }
    let json = serde_json::to_string_pretty(&all);
    json.map(|text| text + "\n").map_err(|e| Error::new(Kind::Internal, format!("could not write JSON: {e}")))
}

/// The values of attribute number `k` that images have, sorted as numbers if all are numbers.
fn used_values(set: &TrainingSet, k: usize) -> Vec<String> {
    let of = &set.attributes[k];
    let used: BTreeSet<u32> = set.images.iter().flat_map(|i| i.values[k].iter().copied()).collect();
    let mut names: Vec<String> = used.into_iter().map(|v| of.names[v as usize].clone()).collect();
    names.sort();
    if names.iter().all(|n| n.parse::<f64>().is_ok()) {
        let number = |name: &String| name.parse::<f64>().unwrap_or_default();
        names.sort_by(|a, b| number(a).total_cmp(&number(b)));
    }
    names
}
