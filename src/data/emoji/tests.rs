//! Runs the whole builder on a few made-up packages in place of the fetched ones.

use super::args::{CategoryKind, EmojiArgs};
use super::build::run;
use super::codes;
use super::designers::{NAMES, SEQUENCES, VIEWS};
use crate::error::Kind;
use serde_json::{json, Value};
use std::fs;
use std::path::{Path, PathBuf};

/// Faces of several colours; there are also waving hands in several tones. All icon sets have a code table but the two of EmojiOne,
/// which have names only.
const FACES: [(&str, &str, &str); 4] = [
    ("1F600", "red-face", "#e01010"),
    ("1F601", "green-face", "#10c010"),
    ("1F602", "blue-face", "#1010e0"),
    ("1F603", "yellow-face", "#f0e010"),
];

/// The drawing of one designer; a different margin, `inset`, makes each designer's image different.
fn body(color: &str, inset: usize) -> String {
    let side = 64 - 2 * inset;
    format!("<rect x=\"{inset}\" y=\"{inset}\" width=\"{side}\" height=\"{side}\" fill=\"{color}\"/>")
}

fn write(folder: &Path, file: &str, content: &Value) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content.to_string()).unwrap();
}

fn unpacked(cache: &Path, package: &str, version: &str) -> PathBuf {
    cache.join("x").join(format!("{}-{version}", package.trim_start_matches('@').replace('/', "-")))
}

/// Fills a cache with all packages, unpacked.
fn fill(cache: &Path) {
    let unified = |code: &str, name: &str| {
        json!({"unified": code, "name": name, "short_name": name,
        "category": "Smileys & Emotion", "subcategory": "face-smiling"})
    };
    let mut sequences: Vec<Value> =
        FACES.iter().map(|(code, name, _)| unified(code, &name.to_uppercase())).collect();
    sequences.push(
        json!({"unified": "1F44B", "name": null, "short_name": "wave", "category": "People & Body",
        "subcategory": "hand-fingers-open", "skin_variations": {
            "1F3FB": {"unified": "1F44B-1F3FB"}, "1F3FC": {"unified": "1F44B-1F3FC"},
            "1F3FD": {"unified": "1F44B-1F3FD", "obsoleted_by": "1F44B"}, "1F3FE": {"unified": "1F44B-1F3FE"},
            "1F3FF": {"unified": "1F44B-1F3FF"}}}),
    );
    sequences.push(json!({"unified": "1F3FB", "name": "TONE", "short_name": "tone", "category": "Component",
        "subcategory": "skin-tone"}));
    let (package, version, file) = SEQUENCES;
    write(&unpacked(cache, package, version), file, &json!(sequences));
    let (package, version, file) = NAMES;
    let skins: Vec<Value> = codes::TONES
        .iter()
        .map(|(t, _)| json!({"hexcode": format!("1F44B-{t}"), "label": "Waving hand"}))
        .collect();
    write(
        &unpacked(cache, package, version),
        file,
        &json!([{"hexcode": "1F44B", "label": "Waving hand", "skins": skins}]),
    );
    for (inset, view) in VIEWS.iter().enumerate() {
        let folder = unpacked(cache, view.package, view.version);
        if view.name == "fluent-3d" {
            fs::create_dir_all(folder.join("assets")).unwrap();
            fs::write(folder.join("assets/1f600.webp"), b"RIFF rubbish").unwrap();
            continue;
        }
        let (mut icons, mut chars) = (json!({}), json!({}));
        for (code, name, color) in FACES {
            icons[name] = json!({"body": body(color, inset)});
            chars[format!("{}-fe0f", code.to_lowercase())] = json!(name);
        }
        for (i, (tone, _)) in codes::TONES.iter().enumerate() {
            let name = format!("waving-hand-{tone}");
            icons[&name] = json!({"body": body(&format!("#{0}0{0}0{0}0", i + 3), inset)});
            chars[format!("1f44b-{}", tone.to_lowercase())] = json!(name);
        }
        let known = if matches!(view.name, "emojione" | "emojione-v1") { json!({}) } else { chars };
        write(&folder, "chars.json", &known);
        write(&folder, "icons.json", &json!({"icons": icons, "width": 64, "height": 64}));
    }
}

fn args(folder: &Path) -> EmojiArgs {
    EmojiArgs {
        out: folder.join("out"),
        cache: Some(folder.join("cache")),
        size: 16,
        tones: 2,
        category: CategoryKind::Subgroup,
        min_views: 3,
        no_sharealike: false,
    }
}

fn table(folder: &Path, name: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_path(folder.join("out").join(name)).unwrap();
    reader.records().map(|r| r.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn a_rebuilt_set_is_the_same_and_has_the_files_that_it_lists() {
    let folder = tempfile::tempdir().unwrap();
    fill(&folder.path().join("cache"));
    run(&args(folder.path())).unwrap();
    let rows = table(folder.path(), "images.csv");
    let mut instances: Vec<&str> = rows.iter().map(|r| r[1].as_str()).collect();
    instances.dedup();
    let hands: Vec<&&str> = instances.iter().filter(|i| i.starts_with("1f44b")).collect();
    // sorted(TONES, key=lambda t: rnd('tone', '1F44B', t))[:2] are 1F3FC and 1F3FD, of which the second is obsolete
    // here; no designer draws the hand without tone.
    assert_eq!(hands, [&"1f44b-1f3fc"]);
    assert_eq!(instances.len(), 5);
    assert_eq!(rows.len(), 8 * instances.len(), "the 3D view cannot be read");
    for row in &rows {
        let image = image::open(folder.path().join("out").join(&row[0])).unwrap();
        assert_eq!((image.width(), image.height()), (16, 16));
    }
    let blue = rows.iter().find(|r| r[1] == "1f602").unwrap();
    assert_eq!((blue[2].as_str(), blue[11].as_str(), blue[15].as_str()), ("face-smiling", "blue", "blue"));
    // All tones of a concept are one group.
    assert_eq!(rows.iter().find(|r| r[1] == "1f44b-1f3fc").unwrap()[4], "1F44B");

    let declared: Value =
        serde_json::from_slice(&fs::read(folder.path().join("out/attributes.json")).unwrap()).unwrap();
    let not_mirrored = declared.as_object().unwrap().iter().filter(|(_, a)| a["mirror"] == json!(false));
    assert_eq!(not_mirrored.map(|(name, _)| name).collect::<Vec<_>>(), ["direction", "hour", "minute"]);

    let before = fs::read(folder.path().join("out/images.csv")).unwrap();
    fs::create_dir_all(folder.path().join("out/images.partial/noto")).unwrap();
    run(&args(folder.path())).unwrap();
    assert_eq!(fs::read(folder.path().join("out/images.csv")).unwrap(), before);
    let mut left: Vec<_> =
        fs::read_dir(folder.path().join("out")).unwrap().flatten().map(|f| f.file_name()).collect();
    left.sort();
    assert_eq!(left, ["attributes.json", "images", "images.csv", "instances.csv", "views.csv"]);
}

#[test]
fn without_sharealike_two_designers_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    fill(&folder.path().join("cache"));
    run(&EmojiArgs { no_sharealike: true, ..args(folder.path()) }).unwrap();
    let views = table(folder.path(), "views.csv");
    assert_eq!(views.len(), 7);
    assert!(views.iter().all(|v| !v[4].contains("-SA")));
    let rows = table(folder.path(), "images.csv");
    assert!(rows.iter().all(|r| !r[0].contains("openmoji") && !r[0].contains("emojione-v1")));
}

#[test]
fn of_equal_images_one_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    fill(&folder.path().join("cache"));
    let twemoji = unpacked(&folder.path().join("cache"), VIEWS[2].package, VIEWS[2].version);
    let noto = unpacked(&folder.path().join("cache"), VIEWS[0].package, VIEWS[0].version);
    fs::copy(noto.join("icons.json"), twemoji.join("icons.json")).unwrap();
    run(&args(folder.path())).unwrap();
    let rows = table(folder.path(), "images.csv");
    assert!(rows.iter().any(|r| r[0].starts_with("images/noto/")));
    assert!(rows.iter().all(|r| !r[0].starts_with("images/twemoji/")));
    assert_eq!(fs::read_dir(folder.path().join("out/images/twemoji")).unwrap().count(), 0);
}

#[test]
fn a_folder_with_other_images_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let unrelated = folder.path().join("out/images/holiday.png");
    fs::create_dir_all(unrelated.parent().unwrap()).unwrap();
    fs::write(&unrelated, "mine").unwrap();
    let e = run(&args(folder.path())).unwrap_err();
    assert_eq!(e.kind, Kind::InvalidParameter);
    assert!(unrelated.is_file());
}

#[test]
fn the_error_of_a_damaged_package_names_it() {
    let folder = tempfile::tempdir().unwrap();
    fill(&folder.path().join("cache"));
    let noto = unpacked(&folder.path().join("cache"), VIEWS[0].package, VIEWS[0].version);
    fs::write(noto.join("icons.json"), "{\"icons\": 7}").unwrap();
    let e = run(&args(folder.path())).unwrap_err();
    assert_eq!(e.kind, Kind::InvalidData);
    assert!(e.message.contains("iconify-json-noto-1.2.9"), "{}", e.message);
    assert!(e.hint.unwrap().contains("Remove"));
}

#[test]
fn a_set_without_instances_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fill(&folder.path().join("cache"));
    let e = run(&EmojiArgs { min_views: 9, ..args(folder.path()) }).unwrap_err();
    assert_eq!(e.kind, Kind::InvalidData);
    assert!(!folder.path().join("out/images.csv").exists());
}
