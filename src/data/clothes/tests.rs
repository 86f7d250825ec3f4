//! Runs the whole builder on made-up photographs.

use super::args::ClothesArgs;
use super::build::run;
use super::labels::{self, Photograph};
use super::{image_plan, second_shot};
use crate::data::garments::attributes::{ATTRIBUTES, CATEGORIES, COLOUR};
use crate::data::manifest::Manifest;
use crate::error::Kind;
use ::image::{Rgb, RgbImage};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

fn args(folder: &Path) -> ClothesArgs {
    ClothesArgs {
        photos: folder.join("checkout"),
        out: folder.join("out"),
        shots: 2,
        drawings: 0,
        several_colours: false,
        size: 64,
        skip_missing: true,
        second_look: false,
    }
}

/// Some photographs of each half, with every garment that was photographed twice.
fn chosen() -> Vec<Photograph> {
    let all = labels::read().unwrap();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    all.iter().for_each(|p| *counts.entry(&p.garment).or_default() += 1);
    let twice: Vec<String> = counts.into_iter().filter(|(_, n)| *n > 1).map(|(g, _)| g.to_owned()).collect();
    let few = |in_test: bool, n: usize| {
        all.iter().filter(move |p| p.in_test == in_test).take(n).map(|p| p.name.clone()).collect::<Vec<_>>()
    };
    let names = [few(true, 12), few(false, 4)].concat();
    all.into_iter().filter(|p| names.contains(&p.name) || twice.contains(&p.garment)).collect()
}

/// Writes photographs as a checkout of their repository has them.
fn photograph(folder: &Path, photographs: &[Photograph]) {
    let images = folder.join("checkout/images");
    fs::create_dir_all(&images).unwrap();
    for (i, p) in photographs.iter().enumerate() {
        let (width, height) = if i == 0 { (200, 100) } else { (48, 64) };
        let image = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, (3 * y) as u8, (7 * i) as u8]));
        image.save(images.join(format!("{}.jpg", p.name))).unwrap();
    }
}

#[test]
fn the_tables_have_the_counts_of_their_readme() {
    let photographs = labels::read().unwrap();
    assert_eq!(photographs.len(), 5379);
    assert_eq!(photographs.iter().filter(|p| p.second_labels.is_some()).count(), 538);
    let count = |in_test: bool| photographs.iter().filter(|p| p.in_test == in_test).count();
    assert_eq!((count(false), count(true)), (3222, 2157));
    for category in CATEGORIES {
        assert!(photographs.iter().any(|p| p.labels.category == *category), "{category}");
    }
    for (i, attribute) in ATTRIBUTES.iter().enumerate() {
        for value in attribute.values {
            assert!(
                photographs.iter().any(|p| p.labels.values[i] == Some(value)),
                "{} {value}",
                attribute.name
            );
        }
    }
}

// python3 build_clothes.py photos DIR, the prototype, printed {'train': 9666, 'gallery': 2149, 'query': 742}.
#[test]
fn the_whole_set_has_the_images_of_the_prototype() {
    let photographs = labels::read().unwrap();
    let images = image_plan::plan(&photographs, 2, false);
    let count = |split: &str| images.iter().filter(|i| i.split == split).count();
    assert_eq!(["train", "gallery", "query"].map(count), [9666, 2149, 742]);
    let real = images.iter().filter(|i| i.split == "query" && i.shot.is_none()).count();
    assert_eq!(real, 8);
    // The first names whose int(sha256(name).hexdigest(), 16) % 3 is 0, of the test half.
    let queries: Vec<&str> =
        images.iter().filter(|i| i.split == "query").map(|i| i.photograph.name.as_str()).collect();
    assert_eq!(
        queries[..2],
        ["003f4cab-7214-4770-b727-3400d4508741", "00b8048d-635e-4e56-b182-071fb24eea32"]
    );
}

#[test]
fn a_rebuilt_set_is_the_same_and_has_the_files_that_it_lists() {
    let dir = tempfile::tempdir().unwrap();
    let chosen = chosen();
    photograph(dir.path(), &chosen);
    run(&args(dir.path())).unwrap();
    let manifest = Manifest::read(&dir.path().join("out")).unwrap();
    assert_eq!(manifest.images.len(), image_plan::plan(&chosen, 2, false).len());
    assert_eq!(manifest.attributes.len(), 7);
    let ordered: Vec<&str> =
        manifest.attributes.iter().filter(|a| a.ordered).map(|a| a.name.as_str()).collect();
    assert_eq!(ordered, ["sleeves", "length"]);

    let file = |name: String| dir.path().join("out/images").join(name);
    let first = ::image::open(file(format!("{}.jpg", chosen[0].name))).unwrap();
    assert_eq!((first.width(), first.height()), (64, 32), "scaled down");
    let original = fs::read(dir.path().join(format!("checkout/images/{}.jpg", chosen[1].name))).unwrap();
    assert_eq!(
        fs::read(file(format!("{}.jpg", chosen[1].name))).unwrap(),
        original,
        "small ones stay as they are"
    );

    let shot = chosen.iter().find(|p| !p.in_test).map(|p| file(format!("{}-shot1.jpg", p.name))).unwrap();
    let before = (fs::read(&shot).unwrap(), fs::read(dir.path().join("out/images.csv")).unwrap());
    run(&args(dir.path())).unwrap();
    assert_eq!((fs::read(&shot).unwrap(), fs::read(dir.path().join("out/images.csv")).unwrap()), before);
}

#[test]
fn drawings_join_the_training_half_only() {
    let dir = tempfile::tempdir().unwrap();
    let chosen = chosen();
    photograph(dir.path(), &chosen);
    run(&ClothesArgs { drawings: 3, ..args(dir.path()) }).unwrap();
    let table = fs::read_to_string(dir.path().join("out/images.csv")).unwrap();
    let drawn: Vec<&str> = table.lines().filter(|line| line.contains("drawn-")).collect();
    assert_eq!(drawn.len(), 6);
    assert!(drawn.iter().all(|line| line.contains(",train,")));
}

#[test]
fn a_garment_that_was_photographed_twice_is_one_instance_and_its_second_photograph_a_query() {
    let photographs = labels::read().unwrap();
    let images = image_plan::plan(&photographs, 1, false);
    let real: Vec<_> = images.iter().filter(|i| i.split == "query" && i.shot.is_none()).collect();
    for query in real {
        let same = |i: &&image_plan::PlannedImage| i.photograph.garment == query.photograph.garment;
        let splits: Vec<&str> = images.iter().filter(same).map(|i| i.split).collect();
        assert!(splits.contains(&"gallery") && !splits.contains(&"train"), "{splits:?}");
    }
}

#[test]
fn second_labels_replace_the_first_in_the_test_half_only() {
    let photographs = labels::read().unwrap();
    let images = image_plan::plan(&photographs, 2, true);
    let (test, train): (Vec<_>, Vec<_>) = images.iter().partition(|i| i.photograph.in_test);
    assert_eq!(train.len(), 9666);
    assert!(train.iter().all(|i| *i.labels == i.photograph.labels));
    assert!(test.iter().all(|i| Some(*i.labels) == i.photograph.second_labels));
    assert_eq!(test.iter().filter(|i| i.shot.is_none()).count(), 208);
    assert!(test.iter().any(|i| *i.labels != i.photograph.labels));
}

#[test]
fn missing_photographs_are_an_error_that_says_how_to_get_them() {
    let dir = tempfile::tempdir().unwrap();
    let e = run(&args(dir.path())).unwrap_err();
    assert_eq!(e.kind, Kind::InvalidData);
    assert!(e.message.contains("there are no photographs"), "{}", e.message);
    assert!(e.hint.unwrap().contains("git clone"));

    photograph(dir.path(), &chosen());
    let e = run(&ClothesArgs { skip_missing: false, ..args(dir.path()) }).unwrap_err();
    assert_eq!(e.kind, Kind::InvalidData);
    assert!(e.detail.unwrap().contains("of 5379 photographs are missing"));
    assert!(e.hint.unwrap().contains("--skip-missing"));
    assert!(!dir.path().join("out").exists(), "nothing is written");
}

#[test]
fn the_error_of_a_damaged_photograph_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let chosen = chosen();
    photograph(dir.path(), &chosen);
    let path = dir.path().join(format!("checkout/images/{}.jpg", chosen[2].name));
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let e = run(&args(dir.path())).unwrap_err();
    assert_eq!(e.kind, Kind::InvalidImage);
    assert!(e.message.contains(&chosen[2].name), "{}", e.message);
    assert!(!dir.path().join("out/images.csv").exists());
}

#[test]
fn a_second_shot_is_another_picture_of_the_same_colours() {
    let photograph = RgbImage::from_fn(80, 60, |x, y| Rgb([100 + x as u8, 60 + y as u8, 90]));
    let mut seen = std::collections::HashSet::new();
    for i in 0..20 {
        let shot = second_shot::make(&photograph, &format!("a-{i}"));
        assert!(
            (57..=76).contains(&shot.width()) && (43..=57).contains(&shot.height()),
            "{:?}",
            shot.dimensions()
        );
        let mean = shot.pixels().map(|p| u32::from(p[0])).sum::<u32>() / (shot.width() * shot.height());
        assert!((80..210).contains(&mean), "{mean}");
        assert_eq!(shot, second_shot::make(&photograph, &format!("a-{i}")));
        seen.insert(shot.into_raw());
    }
    assert_eq!(seen.len(), 20);
}

#[test]
fn garments_without_a_dominant_colour_can_have_their_colours() {
    let dir = tempfile::tempdir().unwrap();
    let several = |p: &Photograph| p.labels.values[COLOUR] == Some("multi");
    let all = labels::read().unwrap();
    assert_eq!(all.iter().filter(|p| several(p)).count(), 238);
    let (with, without): (Vec<_>, Vec<_>) = all.into_iter().filter(|p| !p.in_test).partition(several);
    let chosen: Vec<Photograph> = with.into_iter().take(3).chain(without.into_iter().take(3)).collect();
    photograph(dir.path(), &chosen);
    run(&ClothesArgs { several_colours: true, drawings: 30, ..args(dir.path()) }).unwrap();
    let manifest = Manifest::read(&dir.path().join("out")).unwrap();
    let colour = &manifest.attributes[COLOUR];
    assert!(colour.multi && colour.values.len() == 12 && !colour.values.contains(&"multi".to_owned()));
    let drawn = manifest.images.iter().filter(|i| i.path.contains("drawn-"));
    assert!(drawn.clone().count() == 60 && drawn.clone().all(|i| i.values[COLOUR].len() == 1));
    for photograph in &chosen {
        let image = manifest.images.iter().find(|i| i.path.contains(&photograph.name)).unwrap();
        assert_eq!(image.values[COLOUR].len() > 1, several(photograph), "{}", photograph.name);
    }
}
