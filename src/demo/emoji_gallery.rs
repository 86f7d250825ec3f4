//! `coopembed data gallery`: selects a few hundred images of the emoji set as a shop's table, and writes `products.csv`, the images,
//! and a README with their designers.
//!
//! Only query and gallery images are selected: the model has not been trained on their concepts, so the demonstration is honest.

use crate::error::{Error, Kind, Result};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Part of the name of licences that require derived works to have the same licence. Images under these are not bundled.
const SHARE_ALIKE: &str = "SA";

/// The command line of `coopembed data gallery`.
#[derive(Debug, clap::Args)]
pub struct GalleryArgs {
    /// Folder of the emoji set, as written by "coopembed data emoji"
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder to write the gallery to; its images/ must not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number of emoji
    #[arg(long, value_name = "COUNT", default_value_t = 90)]
    instances: usize,
    /// Number of designs of each emoji
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    views: usize,
}

/// A row of the set's `images.csv`.
#[derive(Deserialize)]
struct ImageRow {
    path: String,
    instance: String,
    category: String,
    split: String,
}

/// A row of the set's `instances.csv`.
#[derive(Deserialize)]
struct InstanceRow {
    instance: String,
    name: String,
}

/// A row of the set's `views.csv`.
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
/// [`Kind::InvalidData`] if the set cannot be read, [`Kind::Io`] if the gallery cannot be written, and
/// [`Kind::InvalidParameter`] if the set has too few emoji with that many designs.
pub fn run(args: &GalleryArgs) -> Result<()> {
    let views: Vec<ViewRow> = read_rows(&args.data.join("views.csv"))?;
    let names: BTreeMap<String, String> = read_rows::<InstanceRow>(&args.data.join("instances.csv"))?
        .into_iter()
        .map(|r| (r.instance, r.name))
        .collect();
    let may_bundle =
        |path: &str| views.iter().any(|v| v.view == view_of(path) && !v.licence.contains(SHARE_ALIKE));
    let mut instances: BTreeMap<String, Vec<ImageRow>> = BTreeMap::new();
    for row in read_rows::<ImageRow>(&args.data.join("images.csv"))? {
        if row.split != "train" && may_bundle(&row.path) {
            instances.entry(row.instance.clone()).or_default().push(row);
        }
    }
    instances.retain(|_, images| images.len() >= args.views);
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
    // Choosing by the hash of the name is unbiased and gives the same result everywhere.
    let mut chosen: Vec<(String, Vec<ImageRow>)> = instances.into_iter().collect();
    chosen.sort_by_key(|(instance, _)| hash(instance));
    chosen.truncate(args.instances);
    chosen.sort_by(|a, b| a.0.cmp(&b.0));

    let images = args.out.join("images");
    fs::create_dir_all(&args.out).map_err(|e| Error::io("create", &args.out, &e))?;
    fs::create_dir(&images).map_err(|e| Error::io("create", &images, &e))?;
    let mut table =
        csv::Writer::from_path(args.out.join("products.csv")).map_err(|e| unwritable(&args.out, &e))?;
    table
        .write_record(["id", "name", "designer", "category", "path"])
        .map_err(|e| unwritable(&args.out, &e))?;
    let mut image_counts: BTreeMap<String, usize> = BTreeMap::new();
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
            *image_counts.entry(view).or_default() += 1;
        }
    }
    table.flush().map_err(|e| Error::io("write", &args.out, &e))?;
    let readme = args.out.join("README.md");
    fs::write(&readme, credits(&views, &image_counts)).map_err(|e| Error::io("write", &readme, &e))?;
    println!("{id} images of {} emoji in {}", args.instances, args.out.display());
    Ok(())
}

/// The gallery's README: designers and licences of the images.
fn credits(views: &[ViewRow], image_counts: &BTreeMap<String, usize>) -> String {
    let mut text = String::from(
        "# Where these images come from\n\n\
         The images show emoji of concepts that the shipped model has not been trained on. `coopembed data emoji` renders\n\
         them from the packages below (SVG at 128 x 128 pixels over white, otherwise unchanged), and\n\
         `coopembed data gallery` selects them. File names are `<code points>-<design>.png`. Each design keeps its\n\
         own licence:\n\n\
         | design | images | by | licence | npm package |\n|---|---|---|---|---|\n",
    );
    for v in views {
        if let Some(count) = image_counts.get(&v.view) {
            text.push_str(&format!(
                "| {} | {count} | {} | {} | {} {} |\n",
                v.view, v.author, v.licence, v.package, v.version
            ));
        }
    }
    text.push_str("\nNames in `products.csv` are Unicode CLDR short names (Unicode-3.0), taken from emojibase-data (MIT).\n");
    text
}

/// The design of an image, which is the name of its folder.
fn view_of(path: &str) -> &str {
    path.rsplit('/').nth(1).unwrap_or_default()
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn read_rows<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Vec<T>> {
    let unreadable = |e: csv::Error| {
        Error::new(Kind::InvalidData, format!("could not read \"{}\": {e}", path.display()))
            .hint("Build the set with \"coopembed data emoji --out DIR\".")
    };
    csv::Reader::from_path(path)
        .map_err(unreadable)?
        .into_deserialize()
        .collect::<std::result::Result<_, _>>()
        .map_err(unreadable)
}

fn unwritable(path: &Path, e: &csv::Error) -> Error {
    Error::new(Kind::Io, format!("could not write to \"{}\": {e}", path.display()))
}
