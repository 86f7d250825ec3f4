//! Draws a set of garments, and writes its images and tables.

use super::args::GarmentArgs;
use super::attributes::{values, Values, ATTRIBUTES, CATEGORIES};
use super::drawing::{draw, Garment, Shot};
use super::gallery;
use crate::data::builder::output::{attributes_json, csv, ExtraFile, OutputFolder};
use crate::data::builder::row::BuiltRow;
use crate::data::builder::statistics;
use crate::data::progress::progress_bar;
use crate::error::{Error, Kind, Result};
use ::image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// A folder with these files is an earlier build.
const TABLE_NAMES: [&str; 1] = ["attributes.json"];
const GALLERY_TABLE_NAMES: [&str; 1] = ["products.csv"];

/// Quality of the images (0 to 100).
const JPEG_QUALITY: u8 = 85;

/// A shot to draw.
struct PlannedShot<'a> {
    garment: &'a Garment,
    /// Name of the garment.
    instance: String,
    /// Number among its shots.
    number: u64,
    values: Values,
}

impl PlannedShot<'_> {
    fn file_name(&self) -> String {
        format!("{}-{}.jpg", self.instance, self.number)
    }
}

/// Draws the set and prints statistics of it.
///
/// # Errors
/// [`Kind::InvalidParameter`] if a label is not known or no garment has all of them, or the output folder holds something else;
/// [`Kind::Io`].
pub fn run(args: &GarmentArgs) -> Result<()> {
    let garments = choose(args)?;
    let output =
        OutputFolder::open(&args.out, if args.gallery { &GALLERY_TABLE_NAMES } else { &TABLE_NAMES })?;
    let shots: Vec<PlannedShot> = garments
        .iter()
        .flat_map(|(instance, garment)| {
            (0..u64::from(args.shots)).map(move |number| PlannedShot {
                garment,
                instance: instance.clone(),
                number,
                values: values(garment),
            })
        })
        .collect();
    let progress = progress_bar("drawing", shots.len());
    let drawn: Result<()> = shots.par_iter().try_for_each(|shot| {
        output.write_image(&shot.file_name(), &draw_jpeg(shot.garment, shot.number, args.size)?)?;
        progress.inc(1);
        Ok(())
    });
    progress.finish_and_clear();
    drawn?;
    if args.gallery {
        output.finish_with(&[("products.csv", products_csv(&shots)?)])?;
        println!("{} images of {} garments in {}", shots.len(), garments.len(), args.out.display());
        return Ok(());
    }
    let rows: Vec<BuiltRow> = shots.iter().map(row).collect();
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

/// Draws shot number `number` of a garment as a JPEG of `size` x `size` pixels.
///
/// # Errors
/// [`Kind::Internal`] if the encoder fails.
pub fn draw_jpeg(garment: &Garment, number: u64, size: u32) -> Result<Vec<u8>> {
    // Shots of one garment, and garments of neighbouring numbers, differ.
    let shot = Shot::suiting(garment, garment.seed.wrapping_mul(1000).wrapping_add(number));
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
        .encode_image(&draw(garment, &shot, size))
        .map_err(|e| Error::new(Kind::Internal, format!("could not encode an image: {e}")))?;
    Ok(bytes)
}

fn row<'a>(shot: &'a PlannedShot) -> BuiltRow<'a> {
    let split = match (shot.garment.seed % 2, shot.number) {
        (0, _) => "train",
        (_, 0) => "query",
        _ => "gallery",
    };
    BuiltRow {
        path: format!("images/{}", shot.file_name()),
        instance: shot.instance.clone(),
        group: "",
        category: shot.garment.category.word(),
        split,
        values: &shot.values,
    }
}

/// The demo's table.
fn products_csv(shots: &[PlannedShot]) -> Result<Vec<u8>> {
    let header =
        [&["id", "garment", "name", "category"][..], &ATTRIBUTES.map(|a| a.name), &["path"]].concat();
    let lines: Vec<Vec<String>> = shots
        .iter()
        .enumerate()
        .map(|(i, shot)| {
            let first = [(i + 1).to_string(), shot.instance.clone(), shot.garment.title()];
            let labels = shot.values.iter().map(|v| v.unwrap_or_default().to_owned());
            let category = shot.garment.category.word().to_owned();
            first
                .into_iter()
                .chain([category])
                .chain(labels)
                .chain([format!("images/{}", shot.file_name())])
                .collect()
        })
        .collect();
    csv(std::iter::once(header).chain(lines.iter().map(|l| l.iter().map(String::as_str).collect())))
}
