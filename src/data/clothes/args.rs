//! The command line of `coopembed data clothes`.

use std::path::PathBuf;

/// Build the clothes retrieval set: 5,379 photographs of garments by 347 people
///
/// The photographs (CC0) come from a checkout of a public repository:
/// git clone --depth 1 https://github.com/alexeygrigorev/clothing-dataset
///
/// The labels come with this program. An instance is a garment, a category is one of 20 kinds of garment, and there are 7 attributes:
/// neckline, sleeves, pattern, closure, length, colour, material. The split is by photographer. Most garments were photographed
/// once; further shots are made from the photograph by turning and cropping it and changing its light.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  coopembed data clothes --photos clothing-dataset --out data/clothes
  coopembed data clothes --photos clothing-dataset --out data/clothes --drawings 3000   # as the shipped model was trained
  coopembed data clothes --photos clothing-dataset --out data/clothes-colours --several-colours
  coopembed data clothes --photos clothing-dataset --out data/clothes-again --second-look   # how far people agree")]
pub struct ClothesArgs {
    /// Folder of the checkout, or of its photographs
    #[arg(long, value_name = "DIR")]
    pub photos: PathBuf,
    /// Folder to write images/, images.csv and attributes.json to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Shots to make of each photograph for training, besides the photograph
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=9))]
    pub shots: u8,
    /// Drawn garments to add to the training half, two shots of each; see "coopembed data garments"
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub drawings: u32,
    /// Label garments without a dominant colour with their colours (white|red), instead of the one value "multi"
    ///
    /// The colours of these 238 garments were labelled by looking at each photograph. Drawings have one colour then.
    #[arg(long, conflicts_with = "second_look")]
    pub several_colours: bool,
    /// Longest side of the images in pixels; larger photographs are scaled down
    #[arg(long, value_name = "PIXELS", default_value_t = 320, value_parser = clap::value_parser!(u32).range(32..=4096))]
    pub size: u32,
    /// Build with the photographs that there are
    #[arg(long)]
    pub skip_missing: bool,
    /// In the test half, keep only what was labelled twice, with the second labels
    ///
    /// The second labels of 538 photographs were made without knowledge of the first. A model's figures on this set, less those on the
    /// same images with the first labels, show what noise in the labels costs.
    #[arg(long)]
    pub second_look: bool,
}
