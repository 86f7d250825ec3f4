//! Builds sets of drawn garments.

use super::args::GarmentArgs;
use super::attributes::{values, ATTRIBUTES};
use super::build::run;
use super::drawing::{Garment, Wish};
use super::vocabulary::{Category, Sleeves};
use crate::data::manifest::Manifest;
use crate::error::Kind;
use std::fs;
use std::path::Path;

fn args(folder: &Path) -> GarmentArgs {
    GarmentArgs {
        out: folder.join("out"),
        garments: 12,
        shots: 2,
        size: 32,
        seed: 0,
        only: Vec::new(),
        gallery: false,
    }
}

#[test]
fn a_set_can_be_trained_on_and_is_the_same_when_drawn_again() {
    let dir = tempfile::tempdir().unwrap();
    run(&args(dir.path())).unwrap();
    let manifest = Manifest::read(&dir.path().join("out")).unwrap();
    assert_eq!((manifest.images.len(), manifest.attributes.len()), (24, 7));
    let file = dir.path().join("out/images/3-1.jpg");
    let before = fs::read(&file).unwrap();
    run(&args(dir.path())).unwrap();
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn only_garments_with_the_labels_asked_for_are_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let only = ["category=dress", "neckline=v-neck"].map(String::from).to_vec();
    run(&GarmentArgs { only, ..args(dir.path()) }).unwrap();
    let table = fs::read_to_string(dir.path().join("out/images.csv")).unwrap();
    assert!(
        table.lines().skip(1).all(|line| line.contains(",dress,") && line.contains(",v-neck,")),
        "{table}"
    );
}

#[test]
fn labels_that_do_not_exist_or_go_together_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    for (only, message) in [
        ("neckline=turtle", "is not a label"),
        ("neckline", "is not a label"),
        ("sort=dress", "is not a label"),
    ] {
        let e = run(&GarmentArgs { only: vec![only.into()], ..args(dir.path()) }).unwrap_err();
        assert_eq!(e.kind, Kind::InvalidParameter);
        assert!(e.message.contains(message), "{}", e.message);
        assert!(e.hint.unwrap().contains("v-neck"));
    }
    let only = ["category=hat", "sleeves=long"].map(String::from).to_vec();
    let e = run(&GarmentArgs { only, ..args(dir.path()) }).unwrap_err();
    assert!(e.message.contains("no garment has all"), "{}", e.message);
    assert!(!dir.path().join("out").exists());
}

#[test]
fn the_gallery_is_a_table_of_a_shop() {
    let dir = tempfile::tempdir().unwrap();
    run(&GarmentArgs { gallery: true, garments: 24, ..args(dir.path()) }).unwrap();
    let mut reader = csv::Reader::from_path(dir.path().join("out/products.csv")).unwrap();
    assert_eq!(
        reader.headers().unwrap().iter().take(5).collect::<Vec<_>>(),
        ["id", "garment", "name", "category", "neckline"]
    );
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    assert!(rows.len() >= 48);
    for row in &rows {
        assert!(dir.path().join("out").join(&row[11]).is_file());
    }
}

#[test]
fn a_garment_with_other_sleeves_is_otherwise_the_same() {
    let wish = Wish::default().with("category", "t-shirt").unwrap();
    let shirt = Garment::wished(4, &wish).unwrap();
    let long = shirt.with_sleeves(Sleeves::Long).unwrap();
    assert_eq!((long.category, long.sleeves), (Category::LongSleeve, Some(Sleeves::Long)));
    let changed = values(&shirt).iter().zip(values(&long)).filter(|(a, b)| **a != *b).count();
    assert_eq!((changed, ATTRIBUTES.len()), (1, 7));
    let trousers = Garment::wished(4, &Wish::default().with("category", "pants").unwrap()).unwrap();
    assert_eq!(trousers.with_sleeves(Sleeves::Long), None);
}
