//! Facts about model, data set and training, as names and values.

use super::page_data::FactGroup;
use crate::data::manifest::{Manifest, Split};
use crate::model::Model;
use serde_json::Value;
use std::path::Path;

/// The model directory's name, or the model's fingerprint.
pub fn title(directory: &Path, model: &Model) -> String {
    // Only the file system knows the name of "." or "..".
    let named =
        directory.canonicalize().ok().and_then(|d| Some(d.file_name()?.to_string_lossy().into_owned()));
    named.unwrap_or_else(|| model.layout().to_string())
}

/// Three groups of facts: model, data set, training.
pub fn facts(model: &Model, manifest: &Manifest) -> Vec<FactGroup> {
    let config = model.config();
    let group = |name: &str, rows: Vec<(String, String)>| FactGroup { name: name.into(), rows };
    let row = |name: &str, value: String| (name.to_owned(), value);
    let (k, n) = (config.attributes.len(), config.subspace_dim);
    let of = |split| manifest.split(split).len().to_string();
    let folder = manifest.root.canonicalize().unwrap_or_else(|_| manifest.root.clone());
    let folder = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut facts = vec![
        group(
            "Model",
            vec![
                row("fingerprint", format!("{:08x}", model.layout().fingerprint())),
                row("backbone", config.architecture.backbone.clone()),
                row("input", format!("{0} x {0} pixels", config.preprocessing.size)),
                row("space", format!("{k} attributes of {n} dimensions, {} in all", k * n)),
                row("categories", config.categories.len().to_string()),
                row("trained on", text(&config.dataset["name"])),
                row("licence", config.licence.clone()),
            ],
        ),
        group(
            "Data set",
            vec![
                row("folder", folder),
                row("training images", of(Split::Train)),
                row("query images", of(Split::Query)),
                row("gallery images", of(Split::Gallery)),
                row("instances", manifest.instances.len().to_string()),
                row("categories", manifest.categories.len().to_string()),
            ],
        ),
    ];
    if let Some(training) = config.training.as_object() {
        let mut rows = Vec::new();
        for (name, value) in training {
            flatten(name, value, &mut rows);
        }
        facts.push(group("Training", rows));
    }
    for group in &mut facts {
        group.rows.retain(|(_, value)| !value.is_empty());
    }
    facts
}

/// Flattens nested tables to names with dots.
fn flatten(name: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value.as_object() {
        Some(table) => {
            let prefix = if name == "settings" { String::new() } else { format!("{name}.") };
            table.iter().for_each(|(inner, v)| flatten(&format!("{prefix}{inner}"), v, rows));
        }
        None => rows.push((name.replace('_', " "), text(value))),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
