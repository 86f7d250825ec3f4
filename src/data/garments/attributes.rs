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

/// The colours that have a name: all but `multi`.
const NAMED_COLOURS: &[&str] = &[
    "white", "black", "grey", "blue", "red", "pink", "green", "brown", "beige", "purple", "yellow", "orange",
];

/// The place of the colour among [`ATTRIBUTES`].
pub const COLOUR: usize = 5;

/// The attributes where garments without a dominant colour have several colours, instead of the value `multi`.
pub fn with_several_colours() -> [BuiltAttribute; ATTRIBUTES.len()] {
    let mut attributes = ATTRIBUTES;
    attributes[COLOUR] = BuiltAttribute::new("colour", false, NAMED_COLOURS, SOURCE).several();
    attributes
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_colours_are_all_colours_but_multi() {
        let attributes = with_several_colours();
        let named: Vec<&str> = Colour::WORDS.iter().copied().filter(|w| *w != Colour::Multi.word()).collect();
        assert_eq!(
            (attributes[COLOUR].name, attributes[COLOUR].values),
            (ATTRIBUTES[COLOUR].name, &named[..])
        );
    }
}
