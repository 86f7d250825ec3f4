//! Builds the set: finds the photographs, plans and writes the images, and writes the tables.

use super::args::ClothesArgs;
use super::image_plan::{self, PlannedImage};
use super::photographs::{PhotographFolder, JPEG_QUALITY};
use super::{labels, second_shot};
use crate::data::builder::output::{attributes_json, jpeg, ExtraFile, OutputFolder};
use crate::data::builder::row::BuiltRow;
use crate::data::builder::statistics;
use crate::data::garments::attributes::{with_several_colours, ATTRIBUTES, COLOUR};
use crate::data::garments::drawing::Garment;
use crate::data::garments::drawn_shot::{draw_all, DrawnShot};
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
    let attributes = if args.several_colours {
        labels::name_several_colours(&mut photographs)?;
        with_several_colours()
    } else {
        ATTRIBUTES
    };
    let folder = PhotographFolder::new(&args.photos);
    folder.retain_existing(&mut photographs, args.skip_missing)?;
    let output = OutputFolder::open(&args.out, &TABLE_NAMES)?;
    let images = image_plan::plan(&photographs, usize::from(args.shots), args.second_look);
    write_all(&images, &folder, args.size, &output)?;
    let drawn: Vec<(String, Garment)> = (0..)
        .map(|number| (format!("drawn-{number}"), Garment::sample(number)))
        .filter(|(_, garment)| attributes[COLOUR].values.contains(&garment.colour.word()))
        .take(args.drawings as usize)
        .collect();
    let drawings = DrawnShot::of_all(&drawn, DRAWN_SHOTS);
    draw_all(&drawings, args.size, &output)?;
    let drawn_rows = drawings.iter().map(|shot| shot.row("train"));
    let rows: Vec<BuiltRow> = images.iter().map(row).chain(drawn_rows).collect();
    statistics::check(&rows)?;
    let tables: [ExtraFile; 1] = [("attributes.json", attributes_json(&attributes, &BTreeMap::new())?)];
    output.finish(&rows, &attributes, &tables)?;
    print!("{}", statistics::report(&rows, &attributes));
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
            let name = image.name();
            match image.shot {
                None => output.write_image(&name, &bytes)?,
                Some(_) => {
                    let shot = second_shot::make(&photograph, &name);
                    output.write_image(&name, &jpeg(&shot, JPEG_QUALITY)?)?;
                }
            }
        }
        progress.inc(1);
        Ok(())
    });
    progress.finish_and_clear();
    written
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
