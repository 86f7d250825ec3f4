//! The attributes of clothes, photographed or drawn.

use super::drawing::Garment;
use super::vocabulary::{Category, Closure, Colour, Length, Material, Neckline, Pattern, Sleeves};
use crate::data::builder::row::BuiltAttribute;

/// Kinds of garment.
pub const CATEGORIES: &[&str] = Category::WORDS;

/// How photographs are labelled; drawings are made from their labels.
const SOURCE: &str = "by looking at the photograph";

/// All attributes, in the order of the columns.
pub const ATTRIBUTES: [BuiltAttribute; 7] = [
    BuiltAttribute::new("neckline", false, Neckline::WORDS, SOURCE),
    BuiltAttribute::new("sleeves", true, Sleeves::WORDS, SOURCE),
    BuiltAttribute::new("pattern", false, Pattern::WORDS, SOURCE),
    BuiltAttribute::new("closure", false, Closure::WORDS, SOURCE),
    BuiltAttribute::new("length", true, Length::WORDS, SOURCE),
    BuiltAttribute::new("colour", false, Colour::WORDS, SOURCE),
    BuiltAttribute::new("material", false, Material::WORDS, SOURCE),
];

/// The value of each attribute, in the order of [`ATTRIBUTES`]; `None` where the garment has no such thing.
pub type Values = [Option<&'static str>; ATTRIBUTES.len()];

/// The values of a drawn garment.
pub fn values(garment: &Garment) -> Values {
    [
        garment.neckline.map(Neckline::word),
        garment.sleeves.map(Sleeves::word),
        Some(garment.pattern.word()),
        garment.closure.map(Closure::word),
        garment.length.map(Length::word),
        Some(garment.colour.word()),
        Some(garment.material.word()),
    ]
}
