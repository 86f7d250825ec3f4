//! Runs the whole builder on made-up packages of two fonts of rectangles (`tests/fixtures/fonts/fonts.py`).

use super::args::FontArgs;
use super::build::run;
use super::glyph_bitmap::GlyphBitmap;
use super::image_plan::InstanceKind;
use super::measurements::measure;
use super::specimen;
use super::typeface::Typeface;
use crate::error::Kind;
use serde_json::json;
use std::fs;
use std::path::Path;

const SANS: &[u8] = include_bytes!("../../../tests/fixtures/fonts/block-sans.woff2");
const SERIF: &[u8] = include_bytes!("../../../tests/fixtures/fonts/block-serif.woff2");

/// Expected values: by hand from the rectangles; the prototype in Python measured the same.
#[test]
fn measurements_are_those_of_the_rectangles() {
    let sans = measure(&Typeface::from_woff2(SANS).unwrap()).unwrap();
    let (x_height, width) = (500.0 / 700.0, 600.0 / 700.0);
    assert!((sans.x_height - x_height).abs() < 1e-12 && (sans.width - width).abs() < 1e-6);
    assert_eq!((sans.contrast, sans.serif, sans.caps), (Some(1.0), Some("sans"), false));
    let serif = measure(&Typeface::from_woff2(SERIF).unwrap()).unwrap();
    assert_eq!((serif.contrast, serif.serif, serif.caps), (Some(2.0), Some("serif"), true));
}

#[test]
fn lines_are_kerned() {
    let face = Typeface::from_woff2(SANS).unwrap();
    let advance = |text| face.layout_line(text).unwrap().advance;
    assert!((advance("AB") - 1.2).abs() < 1e-6 && (advance("AV") - 1.0).abs() < 1e-6);
    let bounds = face.layout_line("AV").unwrap().outline.unwrap().1;
    // From 50 to 600 - 200 + 550 units, and 700 high.
    assert!((bounds.left() - 0.05).abs() < 1e-6 && (bounds.right() - 0.95).abs() < 1e-6);
    assert!((bounds.top() + 0.7).abs() < 1e-6 && bounds.bottom().abs() < 1e-6);
}

#[test]
fn data_that_is_not_a_font_is_an_error() {
    for bytes in [&b""[..], b"wOF2 rubbish", &SANS[..300]] {
        assert_eq!(Typeface::from_woff2(bytes).err().map(|e| e.kind), Some(Kind::InvalidData));
    }
    assert!(measure(&Typeface::from_woff2(SANS).unwrap()).is_ok());
    let e = GlyphBitmap::of(&Typeface::from_woff2(SANS).unwrap(), '?').unwrap_err();
    assert!(e.message.contains("no letter \"?\""), "{}", e.message);
}

/// Counts pixels of ink: the words are drawn, inside the image, and every seed gives a different image.
#[test]
fn a_specimen_is_a_grey_image_of_its_words() {
    let face = Typeface::from_woff2(SANS).unwrap();
    let mut seen = std::collections::HashSet::new();
    for seed in 0..20 {
        let png = specimen::draw(&face, ["ox", "Hoh"], 64, seed).unwrap();
        let specimen = image::load_from_memory(&png).unwrap();
        assert_eq!((specimen.color(), specimen.width(), specimen.height()), (image::ColorType::L8, 64, 64));
        let grey = specimen.into_luma8();
        let corner = grey.get_pixel(0, 0).0[0];
        let is_ink = if corner > 127 { |g: u8| g < 110 } else { |g: u8| g > 145 };
        let ink = grey.pixels().filter(|p| is_ink(p.0[0])).count();
        assert!((200..1500).contains(&ink), "seed {seed}: {ink} of 4096 pixels");
        seen.insert(grey.into_raw());
    }
    assert_eq!(seen.len(), 20);
}

/// Name, category, and for each face its weight, style and font.
type Package = (&'static str, &'static str, &'static [(&'static str, &'static str, &'static [u8])]);

const PACKAGES: [Package; 4] = [
    (
        "block",
        "sans-serif",
        &[
            ("400", "normal", SANS),
            ("400", "italic", SERIF),
            ("700", "normal", SANS),
            ("700", "italic", SANS),
        ],
    ),
    ("plain", "sans-serif", &[("400", "normal", SANS)]),
    ("feet", "serif", &[("300", "normal", SERIF), ("400", "normal", SERIF)]),
    ("pen", "handwriting", &[("400", "normal", SERIF)]),
];

/// Unpacks the packages above in a cache, and returns arguments that use it.
fn args(folder: &Path) -> FontArgs {
    for (name, category, faces) in PACKAGES {
        let package = folder.join(format!("cache/x/fontsource-{name}-1.0.0"));
        fs::create_dir_all(package.join("files")).unwrap();
        let licence = if name == "pen" {
            json!("Apache-2.0")
        } else {
            json!({"type": "OFL-1.1", "attribution": "A, B"})
        };
        let metadata = json!({"category": category, "license": licence}).to_string();
        fs::write(package.join("metadata.json"), metadata).unwrap();
        for (weight, style, font) in faces {
            fs::write(package.join(format!("files/{name}-latin-{weight}-{style}.woff2")), font).unwrap();
        }
    }
    let list = folder.join("list");
    fs::write(&list, "pen@1.0.0 block@1.0.0\nplain@1.0.0 feet@1.0.0\n").unwrap();
    FontArgs {
        out: folder.join("out"),
        cache: Some(folder.join("cache")),
        list: Some(list),
        size: 16,
        per_family: 20,
        min_images: 6,
        instance: InstanceKind::Family,
    }
}

fn table(folder: &Path, name: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_path(folder.join("out").join(name)).unwrap();
    reader.records().map(|r| r.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn a_rebuilt_set_is_the_same_and_has_the_files_that_it_lists() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    run(&args(folder)).unwrap();
    let rows = table(folder, "images.csv");
    // 20 of four faces; 6 of one; 6 + 13 of two, rounded to 10 for each.
    let count = |name: &str| rows.iter().filter(|r| r[1] == name).count();
    assert_eq!(["block", "plain", "feet", "pen"].map(count), [20, 6, 20, 6]);
    for row in &rows {
        let image = image::open(folder.join("out").join(&row[0])).unwrap();
        assert_eq!((image.width(), image.height()), (16, 16));
    }
    let of = |path: &str| rows.iter().find(|r| r[0] == path).unwrap()[5..].to_vec();
    assert_eq!(of("images/block/700-normal-00.png"), ["700", "normal", "1", "1", "1", "sans", "no"]);
    // The roman faces decide on serifs. Contrasts are 1 four times and 2 four times: the edges are 1, 1, 2 and 2.
    assert_eq!(of("images/block/400-italic-00.png"), ["400", "italic", "3", "1", "1", "sans", "yes"]);
    assert_eq!(of("images/feet/300-normal-09.png"), ["300", "normal", "3", "1", "1", "serif", "yes"]);
    assert_eq!(of("images/pen/400-normal-00.png")[5], "", "handwriting has no serifs");

    let families = table(folder, "families.csv");
    // Of each category every other family is for training: sorted(['block', 'plain'], key=lambda n: rnd('side', n)) is
    // ['block', 'plain'].
    let sides: Vec<(&str, &str)> = families.iter().map(|f| (f[0].as_str(), f[4].as_str())).collect();
    assert_eq!(sides, [("block", "train"), ("feet", "train"), ("pen", "train"), ("plain", "test")]);
    assert_eq!(
        families[0][1..],
        ["@fontsource/block", "1.0.0", "sans-serif", "train", "4", "20", "OFL-1.1", "A, B"].map(String::from)
    );
    assert_eq!(families[2][7..], ["Apache-2.0".to_owned(), String::new()]);
    let queries = rows.iter().filter(|r| r[3] == "query").count();
    assert_eq!(queries, 2, "three tenths of six");

    let before = fs::read(folder.join("out/images.csv")).unwrap();
    let image = fs::read(folder.join("out/images/pen/400-normal-03.png")).unwrap();
    run(&args(folder)).unwrap();
    assert_eq!(fs::read(folder.join("out/images.csv")).unwrap(), before);
    assert_eq!(fs::read(folder.join("out/images/pen/400-normal-03.png")).unwrap(), image);
    let manifest = crate::data::manifest::Manifest::read(&folder.join("out")).unwrap();
    assert_eq!((manifest.images.len(), manifest.attributes.len()), (52, 7));
    assert!(manifest.attributes[0].ordered && !manifest.attributes[1].ordered);
    assert!(manifest.images.iter().all(|image| !image.mirror), "letters are not mirrored");
}

#[test]
fn instances_can_be_faces() {
    let dir = tempfile::tempdir().unwrap();
    run(&FontArgs { instance: InstanceKind::Face, ..args(dir.path()) }).unwrap();
    let rows = table(dir.path(), "images.csv");
    assert!(rows.iter().any(|r| r[1] == "block-400-italic" && r[4] == "block"));
}

#[test]
fn the_error_of_a_damaged_font_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let args = args(dir.path());
    fs::write(dir.path().join("cache/x/fontsource-pen-1.0.0/files/pen-latin-400-normal.woff2"), b"wOF2")
        .unwrap();
    let e = run(&args).unwrap_err();
    assert!(
        e.message.contains("pen-latin-400-normal.woff2") && e.hint.unwrap().contains("Remove"),
        "{}",
        e.message
    );
}

#[test]
fn the_error_of_a_package_without_latin_letters_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let args = args(dir.path());
    fs::remove_dir_all(dir.path().join("cache/x/fontsource-pen-1.0.0/files")).unwrap();
    let e = run(&args).unwrap_err();
    assert!(e.message.contains("@fontsource/pen") && e.hint.is_some(), "{}", e.message);
}
