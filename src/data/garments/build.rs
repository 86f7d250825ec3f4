//! Draws a set of garments, and writes its images and tables.

use super::args::GarmentArgs;
use super::attributes::{ATTRIBUTES, CATEGORIES};
use super::drawing::Garment;
use super::drawn_shot::{draw_all, DrawnShot};
use super::gallery;
use crate::data::builder::output::{attributes_json, csv, ExtraFile, OutputFolder};
use crate::data::builder::row::BuiltRow;
use crate::data::builder::statistics;
use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;

/// A folder with these files is an earlier build.
const TABLE_NAMES: [&str; 1] = ["attributes.json"];
const GALLERY_TABLE_NAMES: [&str; 1] = ["products.csv"];

/// Draws the set and prints statistics of it.
///
/// # Errors
/// [`Kind::InvalidParameter`] if a label is not known or no garment has all of them, or the output folder holds something else;
/// [`Kind::Io`].
pub fn run(args: &GarmentArgs) -> Result<()> {
    let garments = choose(args)?;
    let output =
        OutputFolder::open(&args.out, if args.gallery { &GALLERY_TABLE_NAMES } else { &TABLE_NAMES })?;
    let shots = DrawnShot::of_all(&garments, args.shots.into());
    draw_all(&shots, args.size, &output)?;
    if args.gallery {
        output.finish_with(&[("products.csv", products_csv(&shots)?)])?;
        println!("{} images of {} garments in {}", shots.len(), garments.len(), args.out.display());
        return Ok(());
    }
    let rows: Vec<BuiltRow> = shots.iter().map(|shot| shot.row(split(shot))).collect();
    statistics::check(&rows)?;
    let tables: [ExtraFile; 1] = [("attributes.json", attributes_json(&ATTRIBUTES, &BTreeMap::new())?)];
    output.finish(&rows, &ATTRIBUTES, &tables)?;
    print!("{}", statistics::report(&rows, &ATTRIBUTES));
    Ok(())
}

/// The garments, each with its name.
fn choose(args: &GarmentArgs) -> Result<Vec<(String, Garment)>> {
    let invalid = |message: String| Error::new(Kind::InvalidParameter, message);
    let wish = args.wish().map_err(|label| {
        let attributes = ATTRIBUTES.map(|a| format!("{} ({})", a.name, a.values.join(", "))).join("; ");
        invalid(format!("\"{label}\" is not a label of garments")).hint(format!(
            "Write it as ATTRIBUTE=WORD. The attributes are category ({}); {attributes}.",
            CATEGORIES.join(", ")
        ))
    })?;
    if args.gallery {
        return Ok(gallery::choose(args.seed, args.garments.into()));
    }
    let numbers = args.seed..args.seed.saturating_add(u64::from(args.garments));
    let named = |number: u64| {
        let garment = Garment::wished(number, &wish).ok_or_else(|| {
            invalid(format!("no garment has all of these labels: {}", args.only.join(", "))).hint(
                "Leave one out. Labels that do not go together, such as sleeves of trousers, are never drawn.",
            )
        })?;
        Ok((number.to_string(), garment))
    };
    numbers.map(named).collect()
}

/// Every other garment is for training; of the others, the first shot is a query.
fn split(shot: &DrawnShot) -> &'static str {
    match (shot.garment.seed % 2, shot.number) {
        (0, _) => "train",
        (_, 0) => "query",
        _ => "gallery",
    }
}

/// The demo's table.
fn products_csv(shots: &[DrawnShot]) -> Result<Vec<u8>> {
    let header =
        [&["id", "garment", "name", "category"][..], &ATTRIBUTES.map(|a| a.name), &["path"]].concat();
    let lines: Vec<Vec<String>> = shots
        .iter()
        .enumerate()
        .map(|(i, shot)| {
            let first = [(i + 1).to_string(), shot.instance.to_owned(), shot.garment.title()];
            let labels = shot.values.iter().map(|v| v.unwrap_or_default().to_owned());
            let category = shot.garment.category.word().to_owned();
            first.into_iter().chain([category]).chain(labels).chain([shot.path()]).collect()
        })
        .collect();
    csv(std::iter::once(header).chain(lines.iter().map(|l| l.iter().map(String::as_str).collect())))
}
