//! Builds the set: fetches the families, measures and labels their faces, plans and draws the images, and writes the tables.

use super::args::FontArgs;
use super::attributes::ATTRIBUTES;
use super::family::{Face, Family};
use super::image_plan::{self, ImageCounts, InstanceKind, PlannedImage};
use super::labels::{self, Labels};
use super::measurements::{measure, Measurements};
use super::{catalogue, specimen};
use crate::data::builder::output::{attributes_json, csv, ExtraFile, OutputFolder};
use crate::data::builder::packages::PackageCache;
use crate::data::builder::row::BuiltRow;
use crate::data::builder::statistics;
use crate::data::progress::progress_bar;
use crate::error::{Error, Result};
use rayon::prelude::*;

/// A folder with these files is an earlier build of this set.
const TABLE_NAMES: [&str; 2] = ["images.csv", "families.csv"];

/// Builds the set and prints statistics of it.
///
/// # Errors
/// [`Kind::Unavailable`] if a package cannot be fetched, [`Kind::InvalidData`] if one cannot be read,
/// [`Kind::InvalidParameter`] if the output folder holds something else, [`Kind::Io`].
pub fn run(args: &FontArgs) -> Result<()> {
    let output = OutputFolder::open(&args.out, &TABLE_NAMES)?;
    let releases = catalogue::families(args.list.as_deref())?;
    let cache = PackageCache::open(args.cache.as_deref())?;
    let families = releases.iter().map(|r| Family::read(&cache, r)).collect::<Result<Vec<_>>>()?;
    let measurements = families.par_iter().map(measure_family).collect::<Result<Vec<_>>>()?;
    let thresholds = labels::thresholds(&measurements);
    let labels: Vec<Vec<Labels>> = families
        .iter()
        .zip(&measurements)
        .map(|(family, m)| labels::labels(family, m, &thresholds))
        .collect();
    let (in_training, words) = (image_plan::choose_training(&families), catalogue::words());
    let counts = ImageCounts { per_family: args.per_family, min_images: args.min_images };
    let images: Vec<PlannedImage> = (0..families.len())
        .flat_map(|i| image_plan::plan(&families[i], i, in_training[i], &words, counts))
        .collect();
    output.make_folders(families.iter().map(|f| f.name.as_str()))?;
    draw_all(&families, &images, args.size, &output)?;
    let rows = rows(&families, &labels, &images, args.instance);
    statistics::check(&rows)?;
    let tables: [ExtraFile; 2] = [
        ("attributes.json", attributes_json(&ATTRIBUTES, &thresholds)?),
        ("families.csv", families_csv(&families, &in_training, &images)?),
    ];
    output.finish(&rows, &ATTRIBUTES, &tables)?;
    print!("{}", statistics::report(&rows, &ATTRIBUTES));
    println!(
        "checked: every query instance has gallery images, no test instance is in train, every file exists"
    );
    Ok(())
}

/// Measures each face.
fn measure_family(family: &Family) -> Result<Vec<Measurements>> {
    let measure = |face: &Face| measure(&face.typeface).map_err(|e| name_error(&family.face_name(face), e));
    family.faces.iter().map(measure).collect()
}

/// Puts the name of the face before an error's message.
fn name_error(face: &str, e: Error) -> Error {
    Error { message: format!("{face}: {}", e.message), ..e }
}

/// Draws all images and writes them.
fn draw_all(families: &[Family], images: &[PlannedImage], size: u32, output: &OutputFolder) -> Result<()> {
    let progress = progress_bar("drawing", images.len());
    let drawn = images.par_iter().try_for_each(|image| {
        let family = &families[image.family];
        let face = &family.faces[image.face];
        let png =
            specimen::draw(&face.typeface, image.words.each_ref().map(String::as_str), size, image.seed)
                .map_err(|e| name_error(&family.face_name(face), e))?;
        output.write_image(&image.name, &png)?;
        progress.inc(1);
        Ok(())
    });
    progress.finish_and_clear();
    drawn
}

/// The rows of `images.csv`.
fn rows<'a>(
    families: &'a [Family],
    labels: &'a [Vec<Labels>],
    images: &[PlannedImage],
    instance: InstanceKind,
) -> Vec<BuiltRow<'a>> {
    let row = |image: &PlannedImage| {
        let family = &families[image.family];
        let face = &family.faces[image.face];
        BuiltRow {
            path: format!("images/{}", image.name),
            instance: match instance {
                InstanceKind::Family => family.name.clone(),
                InstanceKind::Face => format!("{}-{}-{}", family.name, face.weight, face.style),
            },
            group: &family.name,
            category: &family.category,
            split: image.split,
            values: &labels[image.family][image.face],
        }
    };
    images.iter().map(row).collect()
}

/// The table of families, with their licences.
fn families_csv(families: &[Family], in_training: &[bool], images: &[PlannedImage]) -> Result<Vec<u8>> {
    let header =
        ["family", "package", "version", "category", "side", "faces", "images", "licence", "attribution"];
    let image_counts = image_plan::count_by_family(images);
    let lines = families.iter().enumerate().map(|(i, f)| {
        let side = if in_training[i] { "train" } else { "test" };
        let (faces, images) = (f.faces.len().to_string(), image_counts[&i].to_string());
        let package = format!("@fontsource/{}", f.name);
        [&f.name, &package, &f.version, &f.category, side, &faces, &images, &f.licence, &f.attribution]
            .map(str::to_owned)
    });
    let lines: Vec<[String; 9]> = std::iter::once(header.map(str::to_owned)).chain(lines).collect();
    csv(lines.iter().map(|l| l.iter().map(String::as_str).collect()))
}
