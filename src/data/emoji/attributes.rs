//! The set's attributes with their values, the labels of an instance, and its categories.

use crate::data::builder::row::{BuiltAttribute, NUMBERS};

/// All attributes, in the order of the columns.
pub const ATTRIBUTES: [BuiltAttribute; 13] = [
    BuiltAttribute::new("skin_tone", true, NUMBERS.split_at(5).0, "code point modifier"),
    BuiltAttribute::new("gender", false, &["woman", "man", "neutral"], "CLDR name"),
    BuiltAttribute::new("age", true, NUMBERS.split_at(3).0, "CLDR name: child, adult, old"),
    BuiltAttribute::new("people", true, NUMBERS.split_at(4).0, "code points and CLDR name"),
    BuiltAttribute::new("hair", false, &["red", "curly", "white", "bald", "blond", "beard"], "CLDR name"),
    BuiltAttribute::new(
        "expression",
        false,
        &["smile", "kiss", "sad", "cry", "angry", "tongue", "surprise", "sleep", "wink", "love"],
        "CLDR name",
    ),
    BuiltAttribute::new(
        "color",
        false,
        &["red", "orange", "yellow", "green", "blue", "purple", "brown", "black", "white", "grey", "pink"],
        "CLDR name",
    ),
    BuiltAttribute::new("direction", false, &["left", "right", "up", "down"], "CLDR name").not_mirrored(),
    BuiltAttribute::new("hour", true, &NUMBERS, "CLDR name").not_mirrored(),
    BuiltAttribute::new("minute", false, &["00", "30"], "CLDR name").not_mirrored(),
    BuiltAttribute::new(
        "hue",
        false,
        &[
            "red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "brown", "black", "grey",
            "white",
        ],
        "measured: majority of the views",
    ),
    BuiltAttribute::new(
        "aspect",
        true,
        NUMBERS.split_at(5).0,
        "measured: tall .. wide, majority of the views",
    ),
    BuiltAttribute::new("symmetric", false, &["yes", "no"], "measured: left-right, majority of the views"),
];

/// The attribute values of one instance; `None` where a label is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels([Option<&'static str>; ATTRIBUTES.len()]);

impl Labels {
    /// Sets the value of an attribute; both must be in [`ATTRIBUTES`].
    pub fn set(&mut self, attribute: &str, value: &'static str) {
        for (slot, known) in self.0.iter_mut().zip(&ATTRIBUTES) {
            if known.name == attribute {
                debug_assert!(known.values.contains(&value), "{attribute} has no value {value}");
                *slot = Some(value);
            }
        }
    }

    /// The value of each attribute, in the order of [`ATTRIBUTES`].
    pub fn columns(&self) -> &[Option<&'static str>] {
        &self.0
    }

    /// Name and value of each attribute that has a label.
    pub fn present(&self) -> impl Iterator<Item = (&str, &str)> {
        ATTRIBUTES.iter().zip(&self.0).filter_map(|(a, value)| Some((a.name, (*value)?)))
    }
}

/// The category of a Unicode subgroup. Small subgroups are merged, so that every category has several instances in train and in
/// test.
pub fn category(subgroup: &str) -> &str {
    match subgroup {
        "animal-amphibian" => "animal-reptile",
        "subdivision-flag" => "flag",
        "hotel" | "place-religious" => "place-building",
        "place-map" => "place-geographic",
        "face-glasses" | "face-hat" | "face-costume" => "face-accessory",
        "monkey-face" | "cat-face" => "animal-face",
        "face-tongue" => "face-smiling",
        "face-sleepy" | "face-hand" => "face-neutral-skeptical",
        "hand-prop" => "hands",
        "gender" | "currency" | "punctuation" | "math" => "sign",
        "dishware" => "household",
        "award-medal" | "arts & crafts" => "activity-other",
        "lock" => "tool",
        "phone" | "computer" => "computer-phone",
        "medical" | "science" => "science-medical",
        "writing" => "office",
        "music" | "sound" => "sound-music",
        "person-resting" => "person-activity",
        "person-symbol" => "family",
        "transport-water" | "transport-air" => "transport-water-air",
        other => other,
    }
}
