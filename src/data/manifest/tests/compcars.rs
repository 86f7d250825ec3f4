//! Tests of CompCars in its published layout, with its oddities: unknown years, models without data, listed files that are missing.

use crate::data::manifest::*;
use crate::error::Kind;
use crate::image::CropBox;
use std::fs;
use std::path::Path;

const MODELS: &str = "model_id maximum_speed displacement door_number seat_number type\n\
    1 235 1.8 4 5 3\n2 0 0 0 0 0\n10 200.5 2 2 4 12\n";

fn write(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Images of models 1 and 10 train, those of model 2 are the gallery.
fn set() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let images = ["78/1/2014/3ac218c0c6c378.jpg", "78/1/unknown/b.jpg", "9/10/2012/c.jpg", "9/2/2013/d.jpg"];
    for image in images {
        write(root, &format!("data/image/{image}"), b"");
        write(root, &format!("data/label/{}", image.replace("jpg", "txt")), b"4\r\n1\r\n21 30 880 593\r\n");
    }
    write(root, "misc/attributes.txt", MODELS.as_bytes());
    write(root, "train_test_split/classification/train.txt", images[..2].join("\n").as_bytes());
    write(root, "train_test_split/classification/test.txt", format!("{}\n", images[2]).as_bytes());
    write(
        root,
        "train_test_split/verification/verification_train.txt",
        format!("{}\n", images[3]).as_bytes(),
    );
    dir
}

#[test]
fn models_are_instances_and_makes_categories() {
    let m = Manifest::read(set().path()).unwrap();
    assert_eq!(
        (m.instances.clone(), m.categories.clone()),
        (vec!["1".into(), "10".into(), "2".into()], vec!["78".into(), "9".into()])
    );
    assert_eq!(m.split(Split::Train), [0, 1, 2]);
    assert_eq!(m.split(Split::Gallery), [3]);
    assert_eq!(m.images[0].path, "data/image/78/1/2014/3ac218c0c6c378.jpg");
    // 21..=880 and 30..=593, counted from 1
    assert_eq!(m.images[0].crop, Some(CropBox { x1: 20, y1: 29, x2: 880, y2: 593 }));
    let found: Vec<(&str, bool, Vec<&str>)> = m
        .attributes
        .iter()
        .map(|a| (a.name.as_str(), a.ordered, a.values.iter().map(String::as_str).collect()))
        .collect();
    assert_eq!(
        found,
        [("doors", true, vec!["2", "4"]), ("seats", true, vec!["4", "5"]), ("type", false, vec!["3", "12"])]
    );
    assert_eq!(m.images[0].values, [Some(1), Some(1), Some(0)]);
    assert_eq!(m.images[3].values, [None; 3], "0 is unknown");
    for part in ["3 train images of 2 models; the published set has 30955 of 431.", "make_names", "types"] {
        assert!(m.warnings.iter().any(|w| w.contains(part)), "{part} in {:?}", m.warnings);
    }
}

/// import numpy as np, scipy.io
/// column = lambda names: np.array([[n] for n in names], dtype=object)
/// scipy.io.savemat('make_model_name.mat', {'make_names': column(['Acura'] + [''] * 7 + ['Citroën']),
///     'model_names': column(['MDX', 'RL '] + [''] * 7 + ['C4'])}, do_compression=True)
/// scipy.io.savemat('car_type.mat', {'types': np.array([['MPV', 'SUV', 'sedan']], dtype=object)})
const NAMES: &[u8] = include_bytes!("make_model_name.mat");
const TYPES: &[u8] = include_bytes!("car_type.mat");

#[test]
fn the_sets_tables_give_names_to_numbers() {
    let dir = set();
    write(dir.path(), "misc/make_model_name.mat", NAMES);
    write(dir.path(), "misc/car_type.mat", TYPES);
    let m = Manifest::read(dir.path()).unwrap();
    assert_eq!(m.instances, ["C4 (10)", "MDX (1)", "RL (2)"]);
    assert_eq!(m.categories, ["78", "Citroën"], "there is no 78th make in this table");
    assert_eq!(m.attributes[2].values, ["sedan", "12"]);
    assert!(!m.warnings.iter().any(|w| w.contains("numbers are used")), "{:?}", m.warnings);
}

#[test]
fn damaged_tables_of_names_give_warnings() {
    let dir = set();
    write(dir.path(), "misc/make_model_name.mat", b"rubbish");
    for cut in (0..TYPES.len()).step_by(7) {
        write(dir.path(), "misc/car_type.mat", &TYPES[..cut]);
        let m = Manifest::read(dir.path()).unwrap();
        assert!(m.warnings.iter().any(|w| w.starts_with("misc/car_type.mat, types: ")), "{:?}", m.warnings);
    }
}

#[test]
fn all_problems_are_listed_in_one_error() {
    let dir = set();
    let root = dir.path();
    write(root, "data/label/78/1/unknown/b.txt", b"4\n1\n0 30 880 593\n");
    fs::remove_file(root.join("data/label/9/10/2012/c.txt")).unwrap();
    fs::remove_file(root.join("data/image/9/2/2013/d.jpg")).unwrap();
    write(root, "misc/attributes.txt", format!("{MODELS}11 1 1\n12 1 1 x 1 1\n1 1 1 1 1 1\n").as_bytes());
    write(root, "train_test_split/classification/test.txt", b"9/10/2012/c.jpg\n9/77/2012/c.jpg\n9/c.jpg\n");
    let e = Manifest::read(root).unwrap_err();
    assert_eq!(e.kind, Kind::InvalidData);
    assert!(e.hint.unwrap().contains("--skip-missing"));
    let detail = e.detail.unwrap();
    for part in [
        "data/label/78/1/unknown/b.txt, line 3: \"0 30 880 593\" is not a box",
        "data/label/9/10/2012/c.txt: ",
        "verification_train.txt, line 1: there is no file \"data/image/9/2/2013/d.jpg\"",
        "misc/attributes.txt, line 5: 3 columns",
        "misc/attributes.txt, line 6: door_number is \"x\"",
        "misc/attributes.txt, line 7: model \"1\" is listed twice",
        "classification/test.txt, line 2: model \"77\" is not in misc/attributes.txt",
        "classification/test.txt, line 3: \"9/c.jpg\" is not make/model/year/name.jpg",
    ] {
        assert!(detail.contains(part), "{part} in {detail}");
    }
}

#[test]
fn missing_images_can_be_skipped() {
    let dir = set();
    fs::remove_file(dir.path().join("data/image/78/1/unknown/b.jpg")).unwrap();
    let reading = ReadingArgs { skip_missing: Some(true), ..ReadingArgs::default() };
    let m = reading.read(dir.path()).unwrap();
    assert_eq!(m.images.len(), 3);
    assert!(m.warnings.iter().any(|w| w.starts_with("1 images have no file")), "{:?}", m.warnings);
}
