//! The designers whose drawings make the set, with their licences, and the packages that list all emoji.

/// One designer's drawings of the emoji.
#[derive(Debug)]
pub struct View {
    /// Name of the view, also of the folder of its images.
    pub name: &'static str,
    /// The npm package with the drawings.
    pub package: &'static str,
    /// The pinned version of the package; another version would make another set.
    pub version: &'static str,
    /// The designer's family. Views of one family resemble each other, so an instance's queries and gallery never share a family.
    pub family: &'static str,
    /// SPDX name of the drawings' licence.
    pub licence: &'static str,
    /// The author to credit.
    pub author: &'static str,
    /// The files of the package that are needed.
    pub files: &'static [&'static str],
}

impl View {
    /// Whether works derived from the drawings must be distributed under the same licence.
    pub fn share_alike(&self) -> bool {
        self.licence.contains("-SA-")
    }
}

const ICONIFY: &[&str] = &["icons.json", "chars.json", "info.json", "package.json"];

const fn view(name: &'static str, package: &'static str, version: &'static str) -> View {
    View { name, package, version, family: name, licence: "", author: "", files: ICONIFY }
}

/// The nine views, in the order in which they are drawn: of two equal images, the first is kept.
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

/// Package, version and file with the list of all emoji, their Unicode groups and skin tones (MIT).
pub const SEQUENCES: (&str, &str, &str) = ("emoji-datasource-google", "16.0.0", "emoji.json");
/// Package, version and file with the CLDR short names (MIT).
pub const NAMES: (&str, &str, &str) = ("emojibase-data", "17.0.0", "en/data.json");
