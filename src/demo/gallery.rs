//! A few hundred pictures of the emoji set as a shop's table: `products.csv`, the pictures, and who drew them.
//!
//! Only concepts that no training image shows are taken, so that a demonstration is honest.

use crate::error::{Error, Kind, Result};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Designs whose licence asks that what is made from them carries the same licence; never bundled.
const SHARE_ALIKE: &str = "SA";

/// Options of `coopembed data gallery`.
#[derive(Debug, clap::Args)]
pub struct GalleryArgs {
    /// The emoji set, as `coopembed data emoji` made it.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where the gallery goes; must not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How many emoji to take.
    #[arg(long, default_value_t = 90)]
    instances: usize,
    /// How many designs of each.
    #[arg(long, default_value_t = 4)]
    views: usize,
}

#[derive(Deserialize)]
struct ImageRow {
    path: String,
    instance: String,
    category: String,
    split: String,
}

#[derive(Deserialize)]
struct InstanceRow {
    instance: String,
    name: String,
}

#[derive(Deserialize)]
struct ViewRow {
    view: String,
    package: String,
    version: String,
    licence: String,
    author: String,
}

/// Writes the gallery.
///
/// # Errors
/// [`Kind::Io`] and [`Kind::InvalidData`] if the set cannot be read or the gallery not be written;
/// [`Kind::InvalidParameter`] if the set has too few emoji with that many designs.
pub fn run(args: &GalleryArgs) -> Result<()> {
    let views: Vec<ViewRow> = rows(&args.data.join("views.csv"))?;
    let names: BTreeMap<String, String> = rows::<InstanceRow>(&args.data.join("instances.csv"))?
        .into_iter()
        .map(|r| (r.instance, r.name))
        .collect();
    let bundled =
        |path: &str| views.iter().any(|v| v.view == view_of(path) && !v.licence.contains(SHARE_ALIKE));
    let mut instances: BTreeMap<String, Vec<ImageRow>> = BTreeMap::new();
    for row in rows::<ImageRow>(&args.data.join("images.csv"))? {
        if row.split != "train" && bundled(&row.path) {
            instances.entry(row.instance.clone()).or_default().push(row);
        }
    }
    instances.retain(|_, pictures| pictures.len() >= args.views);
    if instances.len() < args.instances {
        return Err(Error::new(Kind::InvalidParameter, "the set is too small for this gallery").detail(
            format!(
                "{} emoji have {} designs or more; {} were asked for.",
                instances.len(),
                args.views,
                args.instances
            ),
        ));
    }
    // The hash of a name is a choice that is the same everywhere and favours nothing.
    let mut chosen: Vec<(String, Vec<ImageRow>)> = instances.into_iter().collect();
    chosen.sort_by_key(|(instance, _)| hash(instance));
    chosen.truncate(args.instances);
    chosen.sort_by(|a, b| a.0.cmp(&b.0));

    let pictures = args.out.join("images");
    fs::create_dir_all(&args.out).map_err(|e| Error::io("create", &args.out, &e))?;
    fs::create_dir(&pictures).map_err(|e| Error::io("create", &pictures, &e))?;
    let mut table =
        csv::Writer::from_path(args.out.join("products.csv")).map_err(|e| unwritable(&args.out, &e))?;
    table
        .write_record(["id", "name", "designer", "category", "path"])
        .map_err(|e| unwritable(&args.out, &e))?;
    let mut used: BTreeMap<String, usize> = BTreeMap::new();
    let mut id = 0;
    for (instance, mut rows) in chosen {
        rows.sort_by_key(|r| hash(&r.path));
        rows.truncate(args.views);
        for row in rows {
            id += 1;
            let view = view_of(&row.path).to_owned();
            let path = format!("images/{instance}-{view}.png");
            let from = args.data.join(&row.path);
            fs::copy(&from, args.out.join(&path)).map_err(|e| Error::io("copy", &from, &e))?;
            let name = names.get(&instance).unwrap_or(&instance);
            table
                .write_record([&id.to_string(), name, &view, &row.category, &path])
                .map_err(|e| unwritable(&args.out, &e))?;
            *used.entry(view).or_default() += 1;
        }
    }
    table.flush().map_err(|e| Error::io("write", &args.out, &e))?;
    let readme = args.out.join("README.md");
    fs::write(&readme, origins(&views, &used)).map_err(|e| Error::io("write", &readme, &e))?;
    println!("{id} pictures of {} emoji in {}", args.instances, args.out.display());
    Ok(())
}

/// Who drew the pictures, and under which licence each may be used.
fn origins(views: &[ViewRow], used: &BTreeMap<String, usize>) -> String {
    let mut text = String::from(
        "# Where these pictures come from\n\n\
         Emoji of concepts that the shipped model has not been trained on, drawn from the packages below by\n\
         `coopembed data emoji` (SVG rendered to 128 x 128 pixels over white; no other change) and chosen by\n\
         `coopembed data gallery`. File names are `<code points>-<design>.png`. Each design keeps its own licence:\n\n\
         | design | pictures | by | licence | npm package |\n|---|---|---|---|---|\n",
    );
    for v in views {
        if let Some(count) = used.get(&v.view) {
            text.push_str(&format!(
                "| {} | {count} | {} | {} | {} {} |\n",
                v.view, v.author, v.licence, v.package, v.version
            ));
        }
    }
    text.push_str("\nNames in `products.csv` are Unicode CLDR short names (Unicode-3.0), by way of emojibase-data (MIT).\n");
    text
}

/// The design that a picture belongs to: its folder.
fn view_of(path: &str) -> &str {
    path.rsplit('/').nth(1).unwrap_or_default()
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn rows<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Vec<T>> {
    let unreadable = |e: csv::Error| {
        Error::new(Kind::InvalidData, format!("could not read \"{}\": {e}", path.display()))
            .hint("Make the set with \"coopembed data emoji --out DIR\".")
    };
    csv::Reader::from_path(path)
        .map_err(unreadable)?
        .into_deserialize()
        .collect::<std::result::Result<_, _>>()
        .map_err(unreadable)
}

fn unwritable(path: &Path, e: &csv::Error) -> Error {
    Error::new(Kind::Io, format!("could not write into \"{}\": {e}", path.display()))
}
