//! The set's attributes with their values, and its categories.

use crate::data::builder::row::BuiltAttribute;

/// Kinds of garment.
pub const CATEGORIES: [&str; 20] = [
    "t-shirt",
    "polo",
    "tank-top",
    "long-sleeve",
    "hoodie",
    "shirt",
    "blouse",
    "blazer",
    "outwear",
    "dress",
    "bodysuit",
    "skirt",
    "pants",
    "shorts",
    "sneakers",
    "boots",
    "sandals",
    "heels",
    "shoes",
    "hat",
];

const NECKLINES: [&str; 11] =
    ["crew", "scoop", "v-neck", "collar", "lapel", "hood", "high", "boat", "square", "strap", "henley"];
const SLEEVES: [&str; 4] = ["none", "short", "elbow", "long"];
const PATTERNS: [&str; 9] =
    ["plain", "striped", "checked", "dotted", "floral", "graphic", "text", "camo", "other"];
const CLOSURES: [&str; 7] = ["none", "buttons", "zip", "laces", "velcro", "belt", "buckle"];
const LENGTHS: [&str; 5] = ["mini", "short", "knee", "midi", "long"];
const COLOURS: [&str; 13] = [
    "white", "black", "grey", "blue", "red", "pink", "green", "multi", "brown", "beige", "purple", "yellow",
    "orange",
];
const MATERIALS: [&str; 11] = [
    "jersey",
    "woven",
    "denim",
    "synthetic",
    "knit",
    "fleece",
    "leather",
    "canvas",
    "padded",
    "lace",
    "straw",
];

/// How the labels were made.
const SOURCE: &str = "by looking at the photograph";

/// All attributes, in the order of the columns.
pub const ATTRIBUTES: [BuiltAttribute; 7] = [
    BuiltAttribute::new("neckline", false, &NECKLINES, SOURCE),
    BuiltAttribute::new("sleeves", true, &SLEEVES, SOURCE),
    BuiltAttribute::new("pattern", false, &PATTERNS, SOURCE),
    BuiltAttribute::new("closure", false, &CLOSURES, SOURCE),
    BuiltAttribute::new("length", true, &LENGTHS, SOURCE),
    BuiltAttribute::new("colour", false, &COLOURS, SOURCE),
    BuiltAttribute::new("material", false, &MATERIALS, SOURCE),
];
