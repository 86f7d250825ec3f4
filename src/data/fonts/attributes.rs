//! The set's attributes with their values.

use crate::data::builder::row::{BuiltAttribute, NUMBERS};

/// Weights as fontsource's files are named.
pub const WEIGHTS: [&str; 9] = ["100", "200", "300", "400", "500", "600", "700", "800", "900"];
/// Styles as fontsource's files are named.
pub const STYLES: [&str; 2] = ["normal", "italic"];
/// With serifs or without.
pub const SERIFS: [&str; 2] = ["serif", "sans"];
/// Whether lower case is drawn as capitals.
pub const CAPS: [&str; 2] = ["yes", "no"];

/// Values of attributes that are measured on a scale: fifths of all faces.
pub const FIFTHS: &[&str] = NUMBERS.split_at(5).0;

/// All attributes, in the order of the columns.
pub const ATTRIBUTES: [BuiltAttribute; 7] = [
    BuiltAttribute::new("weight", true, &WEIGHTS, "file name of the face"),
    // Every image has a style, so none is mirrored: a mirrored italic leans to the left, and mirrored letters are no letters.
    BuiltAttribute::new("style", false, &STYLES, "file name of the face").not_mirrored(),
    BuiltAttribute::new("contrast", true, FIFTHS, "measured: thick / thin stroke of \"o\", fifths over the faces"),
    BuiltAttribute::new("x_height", true, FIFTHS, "measured: x-height / cap height, fifths over the faces"),
    BuiltAttribute::new(
        "width",
        true,
        FIFTHS,
        "measured: mean advance of a-z / cap height, fifths over the faces",
    ),
    BuiltAttribute::new(
        "serif",
        false,
        &SERIFS,
        "measured: foot / middle of the first stem of \"h\" in the roman faces; absent in between and for handwriting",
    ),
    BuiltAttribute::new("caps", false, &CAPS, "measured: lower case drawn as capitals"),
];
