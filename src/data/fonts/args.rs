//! The command line of `coopembed data fonts`.

use super::image_plan::InstanceKind;
use std::path::PathBuf;

/// Build the fonts retrieval set: short words in 106 font families
///
/// The families are fetched as npm packages (@fontsource/*), once. An instance is a family, a category is a kind of type, and 7
/// attributes come from file names and outlines. The split is by family: half of each category is for training; of the other families'
/// images, three tenths are queries and the rest is the gallery, with different words.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  coopembed data fonts --out data/fonts
  coopembed data fonts --out data/faces --instance face   # find the exact weight and style again")]
pub struct FontArgs {
    /// Folder to write images/, images.csv, attributes.json and families.csv to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Folder for the fetched packages [default: coopembed/npm in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// File that lists other families to use, each as NAME@VERSION of its package @fontsource/NAME
    #[arg(long, value_name = "FILE")]
    pub list: Option<PathBuf>,
    /// Height and width of the images in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 128, value_parser = clap::value_parser!(u32).range(16..=1024))]
    pub size: u32,
    /// Images of a family with four or more faces
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub per_family: usize,
    /// Images of a family with one face; 13 more for each further face, up to three
    #[arg(long, value_name = "COUNT", default_value_t = 60)]
    pub min_images: usize,
    /// What an instance is
    #[arg(long, value_enum, default_value_t = InstanceKind::Family)]
    pub instance: InstanceKind,
}
