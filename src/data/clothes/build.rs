//! Builds the set: finds the photographs, plans and writes the images, and writes the tables.

use super::args::ClothesArgs;
use super::image_plan::{self, PlannedImage};
use super::photographs::{encode, PhotographFolder};
use super::{labels, second_shot};
use crate::data::builder::output::{attributes_json, ExtraFile, OutputFolder};
use crate::data::builder::row::BuiltRow;
use crate::data::builder::statistics;
use crate::data::garments::attributes::{values, Values, ATTRIBUTES};
use crate::data::garments::draw_jpeg;
use crate::data::garments::drawing::Garment;
use crate::data::progress::progress_bar;
use crate::error::Result;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// A folder with these files is an earlier build of this set.
const TABLE_NAMES: [&str; 2] = ["images.csv", "attributes.json"];

/// Shots of each drawn garment.
const DRAWN_SHOTS: u64 = 2;

/// Builds the set and prints statistics of it.
///
/// # Errors
/// [`Kind::InvalidData`] if photographs are missing or too few, those of decoding one, [`Kind::InvalidParameter`] if the
/// output folder holds something else, [`Kind::Io`].
pub fn run(args: &ClothesArgs) -> Result<()> {
    let mut photographs = labels::read()?;
    let folder = PhotographFolder::new(&args.photos);
    folder.retain_existing(&mut photographs, args.skip_missing)?;
    let output = OutputFolder::open(&args.out, &TABLE_NAMES)?;
    let images = image_plan::plan(&photographs, usize::from(args.shots), args.second_look);
    write_all(&images, &folder, args.size, &output)?;
    let drawings: Vec<(Garment, Values)> = (0..u64::from(args.drawings))
        .map(Garment::sample)
        .map(|garment| {
            let values = values(&garment);
            (garment, values)
        })
        .collect();
    draw_all(&drawings, args.size, &output)?;
    let rows: Vec<BuiltRow> = images.iter().map(row).chain(drawings.iter().flat_map(drawn_rows)).collect();
    statistics::check(&rows)?;
    let tables: [ExtraFile; 1] = [("attributes.json", attributes_json(&ATTRIBUTES, &BTreeMap::new())?)];
    output.finish(&rows, &ATTRIBUTES, &tables)?;
    print!("{}", statistics::report(&rows, &ATTRIBUTES));
    println!(
        "checked: every query instance has gallery images, no test instance is in train, every file exists"
    );
    Ok(())
}

/// Writes all images; each photograph is read once.
fn write_all(
    images: &[PlannedImage],
    folder: &PhotographFolder,
    size: u32,
    output: &OutputFolder,
) -> Result<()> {
    let by_photograph: Vec<&[PlannedImage]> =
        images.chunk_by(|a, b| a.photograph.name == b.photograph.name).collect();
    let progress = progress_bar("photographs", by_photograph.len());
    let written = by_photograph.par_iter().try_for_each(|shots| {
        let Some(first) = shots.first() else { return Ok(()) };
        let (photograph, bytes) = folder.read(first.photograph, size)?;
        for image in *shots {
            match image.shot {
                None => output.write_image(&image.name(), &bytes)?,
                Some(_) => {
                    let name = image.name();
                    output.write_image(&name, &encode(&second_shot::make(&photograph, &name))?)?;
                }
            }
        }
        progress.inc(1);
        Ok(())
    });
    progress.finish_and_clear();
    written
}

/// Draws the garments and writes their images.
fn draw_all(drawings: &[(Garment, Values)], size: u32, output: &OutputFolder) -> Result<()> {
    let progress = progress_bar("drawings", drawings.len());
    let drawn = drawings.par_iter().try_for_each(|(garment, _)| {
        for shot in 0..DRAWN_SHOTS {
            output.write_image(&drawn_name(garment, shot), &draw_jpeg(garment, shot, size)?)?;
        }
        progress.inc(1);
        Ok(())
    });
    progress.finish_and_clear();
    drawn
}

fn drawn_name(garment: &Garment, shot: u64) -> String {
    format!("drawn-{}-{shot}.jpg", garment.seed)
}

fn drawn_rows<'a>((garment, values): &'a (Garment, Values)) -> impl Iterator<Item = BuiltRow<'a>> {
    (0..DRAWN_SHOTS).map(move |shot| BuiltRow {
        path: format!("images/{}", drawn_name(garment, shot)),
        instance: format!("drawn-{}", garment.seed),
        group: "",
        category: garment.category.word(),
        split: "train",
        values,
    })
}

fn row<'a>(image: &PlannedImage<'a>) -> BuiltRow<'a> {
    BuiltRow {
        path: format!("images/{}", image.name()),
        instance: image.photograph.garment.clone(),
        group: "",
        category: image.labels.category,
        split: image.split,
        values: &image.labels.values,
    }
}
