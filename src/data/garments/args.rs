//! The command line of `coopembed data garments`.

use super::drawing::Wish;
use std::path::PathBuf;

/// Draw garments as they lie on a sheet or a floor, with the labels of the clothes set
///
/// A garment follows from its number and the seed: its category, its 7 attributes, and everything else. Its shots differ in ground, light,
/// angle and folds. Every other garment is for training; of the others, the first shot is a query and the rest is the gallery.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  coopembed data garments --out data/garments
  coopembed data garments --out dresses --garments 50 --only category=dress --only pattern=floral
  coopembed data garments --out src/demo/clothes/gallery --gallery --garments 240 --shots 2 --size 200 --seed 1000000")]
pub struct GarmentArgs {
    /// Folder to write images/ and the tables to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Number of garments
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub garments: u32,
    /// Shots of each garment
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=20))]
    pub shots: u8,
    /// Height and width of the images in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 192, value_parser = clap::value_parser!(u32).range(32..=2048))]
    pub size: u32,
    /// Number of the first garment
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub seed: u64,
    /// Draw only garments with this label, such as neckline=v-neck; once per attribute
    #[arg(long, value_name = "ATTRIBUTE=WORD", conflicts_with = "gallery")]
    pub only: Vec<String>,
    /// Write a shop's table for the demo, products.csv, instead of a training set. Further garments are
    /// added until every word of the vocabulary occurs, and some come again with long sleeves
    #[arg(long)]
    pub gallery: bool,
}

impl GarmentArgs {
    /// The labels that all garments must have; an error names the first that is not one.
    pub(super) fn wish(&self) -> Result<Wish, String> {
        self.only.iter().try_fold(Wish::default(), |wish, label| {
            let (attribute, word) = label.split_once('=').unwrap_or((label, ""));
            wish.with(attribute, word).ok_or_else(|| label.clone())
        })
    }
}
