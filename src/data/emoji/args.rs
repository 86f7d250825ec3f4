//! The command line of `coopembed data emoji`.

use std::path::PathBuf;

/// Build the emoji retrieval set: the same emoji drawn by up to nine designers
///
/// The drawings are fetched as npm packages, once. An instance is an emoji, a category is a Unicode subgroup, and 13 attributes come
/// from names and images. The split is by concept: half of the concepts are for training; of the others, the images of some designers
/// are queries and those of the rest are the gallery.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  coopembed data emoji --out data/emoji
  coopembed data emoji --out data/emoji-permissive --no-sharealike   # for a model that is passed on")]
pub struct EmojiArgs {
    /// Folder to write images/, images.csv, attributes.json, views.csv and instances.csv to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Folder for the fetched packages [default: coopembed/npm in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Height and width of the images in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 128, value_parser = clap::value_parser!(u32).range(16..=1024))]
    pub size: u32,
    /// How many of the five skin tones to keep of each concept that has them, besides the one without tone
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=5))]
    pub tones: u8,
    /// What a category is: a Unicode subgroup (small ones merged) or one of the nine groups
    #[arg(long, value_enum, default_value_t = CategoryKind::Subgroup)]
    pub category: CategoryKind,
    /// Leave out emoji with fewer images than this
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=9))]
    pub min_views: u8,
    /// Leave out the two designers whose licence (CC-BY-SA) requires that derived works are shared alike
    #[arg(long)]
    pub no_sharealike: bool,
}

/// Which Unicode names are the categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CategoryKind {
    /// Unicode subgroups, small ones merged: 73.
    Subgroup,
    /// Unicode groups: 9.
    Group,
}
