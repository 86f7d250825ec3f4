//! What the set is made of: designers' views with their licences, attributes with their values, categories.

use crate::data::builder::row::{Attribute, NUMBERS};

/// One designer's drawings of the emoji.
#[derive(Debug)]
pub struct View {
    /// The view's name, also the folder of its pictures.
    pub name: &'static str,
    /// The npm package that holds the drawings.
    pub package: &'static str,
    /// Its version: another one would make another set.
    pub version: &'static str,
    /// The designer; two views of one family resemble each other and never face each other in the test half.
    pub family: &'static str,
    /// SPDX name of the drawings' licence.
    pub licence: &'static str,
    /// Whom to name.
    pub author: &'static str,
    /// What of the package is needed.
    pub files: &'static [&'static str],
}

impl View {
    /// True if what is derived from the drawings must be passed on under the same licence.
    pub fn share_alike(&self) -> bool {
        self.licence.contains("-SA-")
    }
}

const ICONIFY: &[&str] = &["icons.json", "chars.json", "info.json", "package.json"];

const fn view(name: &'static str, package: &'static str, version: &'static str) -> View {
    View { name, package, version, family: name, licence: "", author: "", files: ICONIFY }
}

/// The nine views in the order in which they are drawn: of two equal pictures, the one drawn first stays.
pub const VIEWS: [View; 9] = [
    View {
        licence: "Apache-2.0",
        author: "Google, noto-emoji",
        ..view("noto", "@iconify-json/noto", "1.2.9")
    },
    View {
        licence: "Apache-2.0",
        author: "Google, noto-emoji (older \"blob\" design)",
        ..view("noto-v1", "@iconify-json/noto-v1", "1.2.5")
    },
    View {
        licence: "CC-BY-4.0",
        author: "Twitter and contributors, twemoji",
        ..view("twemoji", "@iconify-json/twemoji", "1.2.5")
    },
    View {
        licence: "CC-BY-SA-4.0",
        author: "OpenMoji, HfG Schwaebisch Gmuend",
        ..view("openmoji", "@iconify-json/openmoji", "1.2.29")
    },
    View {
        licence: "CC-BY-4.0",
        author: "EmojiOne v2 / EmojiTwo",
        ..view("emojione", "@iconify-json/emojione", "1.2.3")
    },
    View {
        licence: "CC-BY-SA-4.0",
        author: "EmojiOne v1 (legacy)",
        ..view("emojione-v1", "@iconify-json/emojione-v1", "1.2.3")
    },
    View {
        licence: "Apache-2.0",
        author: "Mozilla, FxEmojis",
        ..view("fxemoji", "@iconify-json/fxemoji", "1.2.2")
    },
    View {
        family: "fluent",
        licence: "MIT",
        author: "Microsoft, Fluent Emoji (flat)",
        ..view("fluent-flat", "@iconify-json/fluent-emoji-flat", "1.2.6")
    },
    View {
        family: "fluent",
        licence: "MIT",
        author: "Microsoft, Fluent Emoji (3D, packed by LobeHub)",
        files: &["assets/", "package.json"],
        ..view("fluent-3d", "@lobehub/fluent-emoji-3d", "1.1.0")
    },
];

/// Package, version and needed file of the list of all emoji: Unicode groups, skin tones (MIT).
pub const SEQUENCES: (&str, &str, &str) = ("emoji-datasource-google", "16.0.0", "emoji.json");
/// Package, version and needed file of the CLDR short names (MIT).
pub const NAMES: (&str, &str, &str) = ("emojibase-data", "17.0.0", "en/data.json");

/// All attributes, in the order of the columns.
pub const ATTRIBUTES: [Attribute; 13] = [
    Attribute::new("skin_tone", true, NUMBERS.split_at(5).0, "code point modifier"),
    Attribute::new("gender", false, &["woman", "man", "neutral"], "CLDR name"),
    Attribute::new("age", true, NUMBERS.split_at(3).0, "CLDR name: child, adult, old"),
    Attribute::new("people", true, NUMBERS.split_at(4).0, "code points and CLDR name"),
    Attribute::new("hair", false, &["red", "curly", "white", "bald", "blond", "beard"], "CLDR name"),
    Attribute::new(
        "expression",
        false,
        &["smile", "kiss", "sad", "cry", "angry", "tongue", "surprise", "sleep", "wink", "love"],
        "CLDR name",
    ),
    Attribute::new(
        "color",
        false,
        &["red", "orange", "yellow", "green", "blue", "purple", "brown", "black", "white", "grey", "pink"],
        "CLDR name",
    ),
    Attribute::new("direction", false, &["left", "right", "up", "down"], "CLDR name"),
    Attribute::new("hour", true, &NUMBERS, "CLDR name"),
    Attribute::new("minute", false, &["00", "30"], "CLDR name"),
    Attribute::new(
        "hue",
        false,
        &[
            "red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "brown", "black", "grey",
            "white",
        ],
        "measured: majority of the views",
    ),
    Attribute::new("aspect", true, NUMBERS.split_at(5).0, "measured: tall .. wide, majority of the views"),
    Attribute::new("symmetric", false, &["yes", "no"], "measured: left-right, majority of the views"),
];

/// The attribute values of one instance; an absent one is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels([Option<&'static str>; ATTRIBUTES.len()]);

impl Labels {
    /// Gives `attribute` the value `value`; both must be in [`ATTRIBUTES`].
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

    /// Name and value of each attribute that is known.
    pub fn known(&self) -> impl Iterator<Item = (&str, &str)> {
        ATTRIBUTES.iter().zip(&self.0).filter_map(|(a, value)| Some((a.name, (*value)?)))
    }
}

/// The category of a Unicode subgroup. Small subgroups are merged, so that every category has several instances on
/// each side of the split.
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
