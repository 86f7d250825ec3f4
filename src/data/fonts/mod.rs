//! The fonts retrieval set: short words set in many families, from thin to black, roman and italic.
//!
//! Instance: a family. View: two words in one of its faces. Category: what kind of type it is. Attributes: weight and style
//! of the face, and what is measured from its outlines. The set is a function of the pinned package versions and the options:
//! built again, it is the same.

mod catalogue;
mod family;
mod ink;
mod labels;
mod measure;
mod mersenne;
mod plan;
mod specimen;
#[cfg(test)]
mod tests;
mod typeface;
mod vocabulary;

use super::features::bar;
use crate::data::builder::output::{attributes_json, csv, Output, Table};
use crate::data::builder::packages::Cache;
use crate::data::builder::row::Row;
use crate::data::builder::statistics;
use crate::error::{Error, Kind, Result};
use family::Family;
use labels::Labels;
use measure::{measure, Measures};
use plan::{Instance, Picture};
use rayon::prelude::*;
use std::path::PathBuf;
use vocabulary::ATTRIBUTES;

/// Build the fonts retrieval set: short words set in 106 families
///
/// The families are fetched as npm packages (@fontsource/*), once. Instance = family, category = kind of type, 7 attributes
/// from file names and outlines. The split is by family: half of each category trains; of the others' pictures, three
/// tenths are queries and the rest is the gallery, with other words.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  coopembed data fonts --out data/fonts
  coopembed data fonts --out data/faces --instance face   # the exact weight and style is to be found again")]
pub struct FontArgs {
    /// Folder to write images/, images.csv, attributes.json and families.csv to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Folder for the fetched packages [default: coopembed/npm in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// File with other families, each as NAME@VERSION of its package @fontsource/NAME
    #[arg(long, value_name = "FILE")]
    pub list: Option<PathBuf>,
    /// Height and width of the pictures in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 128, value_parser = clap::value_parser!(u32).range(16..=1024))]
    pub size: u32,
    /// Pictures of a family with four faces or more
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub per_family: usize,
    /// Pictures of a family with one face; 13 more for a second and a third
    #[arg(long, value_name = "COUNT", default_value_t = 60)]
    pub min_images: usize,
    /// What an instance is
    #[arg(long, value_enum, default_value_t = Instance::Family)]
    pub instance: Instance,
}

/// By these an earlier build is known.
const TABLES: [&str; 2] = ["images.csv", "families.csv"];

/// Builds the set and prints what is in it.
///
/// # Errors
/// [`Kind::Unavailable`] if a package cannot be fetched, [`Kind::InvalidData`] if one is not as expected,
/// [`Kind::InvalidParameter`] if the output folder holds something else, [`Kind::Io`].
pub fn run(args: &FontArgs) -> Result<()> {
    let output = Output::open(&args.out, &TABLES)?;
    let releases = catalogue::families(args.list.as_deref())?;
    let cache = Cache::open(args.cache.as_deref())?;
    let families = releases.iter().map(|r| Family::read(&cache, r)).collect::<Result<Vec<_>>>()?;
    let measures = families.par_iter().map(measure_family).collect::<Result<Vec<_>>>()?;
    let edges = labels::edges(&measures);
    let labels: Vec<Vec<Labels>> =
        families.iter().zip(&measures).map(|(family, m)| labels::labels(family, m, &edges)).collect();
    let (trains, words) = (plan::trains(&families), catalogue::words());
    let pictures: Vec<Picture> =
        (0..families.len()).flat_map(|i| plan::pictures(&families, i, trains[i], &words, args)).collect();
    output.make_folders(families.iter().map(|f| f.name.as_str()))?;
    draw_all(&families, &pictures, args.size, &output)?;
    let rows = rows(&families, &labels, &pictures, args.instance);
    statistics::check(&rows)?;
    let tables: [Table; 2] = [
        ("attributes.json", attributes_json(&ATTRIBUTES, &edges)?),
        ("families.csv", families_csv(&families, &trains, &pictures)?),
    ];
    output.finish(&rows, &ATTRIBUTES, &tables)?;
    if !output.has_all(&rows) {
        return Err(Error::new(Kind::Internal, "images.csv names a picture that is not there"));
    }
    print!("{}", statistics::report(&rows, &ATTRIBUTES));
    println!(
        "checked: every query instance has gallery images, no test instance in train, every file exists"
    );
    Ok(())
}

/// The measures of each face.
fn measure_family(family: &Family) -> Result<Vec<Measures>> {
    let of = |face: &family::Face| measure(&face.typeface).map_err(|e| named(&family.face_name(face), e));
    family.faces.iter().map(of).collect()
}

fn named(face: &str, e: Error) -> Error {
    Error { message: format!("{face}: {}", e.message), ..e }
}

fn draw_all(families: &[Family], pictures: &[Picture], size: u32, output: &Output) -> Result<()> {
    let progress = bar("drawing", pictures.len());
    let drawn = pictures.par_iter().try_for_each(|picture| {
        let family = &families[picture.family];
        let face = &family.faces[picture.face];
        let png =
            specimen::draw(&face.typeface, picture.words.each_ref().map(String::as_str), size, picture.seed)
                .map_err(|e| named(&family.face_name(face), e))?;
        output.write_picture(&picture.name, &png)?;
        progress.inc(1);
        Ok(())
    });
    progress.finish_and_clear();
    drawn
}

fn rows<'a>(
    families: &'a [Family],
    labels: &'a [Vec<Labels>],
    pictures: &[Picture],
    instance: Instance,
) -> Vec<Row<'a>> {
    let row = |picture: &Picture| {
        let family = &families[picture.family];
        let face = &family.faces[picture.face];
        Row {
            path: format!("images/{}", picture.name),
            instance: match instance {
                Instance::Family => family.name.clone(),
                Instance::Face => format!("{}-{}-{}", family.name, face.weight, face.style),
            },
            group: &family.name,
            category: &family.category,
            split: picture.split,
            values: &labels[picture.family][picture.face],
        }
    };
    pictures.iter().map(row).collect()
}

fn families_csv(families: &[Family], trains: &[bool], pictures: &[Picture]) -> Result<Vec<u8>> {
    let header =
        ["family", "package", "version", "category", "side", "faces", "images", "licence", "attribution"];
    let images = plan::counts(pictures);
    let lines = families.iter().enumerate().map(|(i, f)| {
        let side = if trains[i] { "train" } else { "test" };
        let (faces, images) = (f.faces.len().to_string(), images[&i].to_string());
        let package = format!("@fontsource/{}", f.name);
        [&f.name, &package, &f.version, &f.category, side, &faces, &images, &f.licence, &f.attribution]
            .map(str::to_owned)
    });
    let lines: Vec<[String; 9]> = std::iter::once(header.map(str::to_owned)).chain(lines).collect();
    csv(lines.iter().map(|l| l.iter().map(String::as_str).collect()))
}
