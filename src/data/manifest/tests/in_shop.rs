//! Tests of In-shop Clothes in its published layout, with its oddities: runs of spaces, zero-padded numbers, wrong counts.

use crate::data::fixture::value_sets;
use crate::data::manifest::*;
use crate::error::{Error, Kind, Result};
use crate::image::CropBox;
use std::fs;

const PARTITION: &str = "4\n\
    image_name item_id evaluation_status\n\
    img/WOMEN/Dresses/id_00000002/02_1_front.jpg                           id_00000002 train\n\
    img/WOMEN/Dresses/id_00000002/02_2_side.jpg                            id_00000002 train\n\
    img/MEN/Denim/id_00000080/01_1_front.jpg                               id_00000080 query  \n\
    img/MEN/Denim/id_00000080/01_2_side.jpg                                id_00000080 gallery\n";
const BOXES: &str = "4\n\
    image_name clothes_type pose_type x_1 y_1 x_2 y_2\n\
    img/WOMEN/Dresses/id_00000002/02_1_front.jpg                           3 1 050 049 208 235\n\
    img/WOMEN/Dresses/id_00000002/02_2_side.jpg                            3 2 065 007 216 210\n\
    img/MEN/Denim/id_00000080/01_1_front.jpg                               2 1 001 002 101 202\n\
    img/MEN/Denim/id_00000080/01_2_side.jpg                                2 2 001 002 101 202\n";
const ITEMS: &str = "2\nid_00000002\nid_00000080\n";
const LABELS: &str = "item_id,neckline,sleeves\nid_00000002,v-neck,long\nid_00000080,,short\n";

/// A folder with these files and an image for each row of the partition.
fn set(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    PARTITION.lines().skip(2).for_each(|l| write(l.split_whitespace().next().unwrap(), ""));
    files.iter().for_each(|(name, text)| write(name, text));
    dir
}

const WHOLE: [(&str, &str); 4] = [
    ("Eval/list_eval_partition.txt", PARTITION),
    ("Anno/list_bbox_inshop.txt", BOXES),
    ("Anno/list_item_inshop.txt", ITEMS),
    ("labels.csv", LABELS),
];

fn read(dir: &tempfile::TempDir, skip_missing: bool) -> Result<Manifest> {
    let reading = ReadingArgs {
        attribute_labels: Some(dir.path().join("labels.csv")),
        skip_missing: Some(skip_missing),
        ..ReadingArgs::default()
    };
    reading.read(dir.path())
}

fn detail(e: Error, parts: &[&str]) {
    assert_eq!(e.kind, Kind::InvalidData);
    let detail = e.detail.unwrap();
    parts.iter().for_each(|part| assert!(detail.contains(part), "{part} in {detail}"));
}

#[test]
fn images_boxes_items_and_labels_are_joined() {
    let m = read(&set(&WHOLE), false).unwrap();
    assert_eq!(m.instances, ["id_00000002", "id_00000080"]);
    assert_eq!(m.categories, ["Denim", "Dresses"]);
    assert_eq!(m.images[0].path, "img/WOMEN/Dresses/id_00000002/02_1_front.jpg");
    assert_eq!(m.images[0].crop, Some(CropBox { x1: 50, y1: 49, x2: 208, y2: 235 }));
    assert_eq!(
        m.images.iter().map(|i| i.split).collect::<Vec<_>>()[1..],
        [Split::Train, Split::Query, Split::Gallery]
    );
    let names: Vec<(&str, &[String])> =
        m.attributes.iter().map(|a| (a.name.as_str(), &a.values[..])).collect();
    assert_eq!(
        names,
        [("neckline", &["v-neck".to_owned()][..]), ("sleeves", &["long".to_owned(), "short".to_owned()])]
    );
    assert_eq!(
        (&m.images[0].values, &m.images[2].values),
        (&value_sets([Some(0), Some(0)]), &value_sets([None, Some(1)]))
    );
    assert!(
        m.warnings.contains(&"2 train images; the published set has 25882.".to_owned()),
        "{:?}",
        m.warnings
    );
}

#[test]
fn the_partition_may_be_in_anno_and_the_images_in_img() {
    let dir = set(&WHOLE);
    fs::rename(
        dir.path().join("Eval/list_eval_partition.txt"),
        dir.path().join("Anno/list_eval_partition.txt"),
    )
    .unwrap();
    fs::create_dir(dir.path().join("Img")).unwrap();
    fs::rename(dir.path().join("img"), dir.path().join("Img/img")).unwrap();
    assert_eq!(read(&dir, false).unwrap().images[3].path, "Img/img/MEN/Denim/id_00000080/01_2_side.jpg");
}

#[test]
fn attributes_json_beside_the_labels_orders_values() {
    let dir = set(&WHOLE);
    let json = r#"{"neckline": {"values": ["crew", "v-neck"]}, "sleeves": {"ordered": true, "values": ["short", "long"]}}"#;
    fs::write(dir.path().join("attributes.json"), json).unwrap();
    let m = read(&dir, false).unwrap();
    assert!(m.attributes[1].ordered);
    assert_eq!(m.images[0].values, [Some(1), Some(1)]);
}

#[test]
fn all_problems_are_listed_in_one_error() {
    let partition = PARTITION
        .replacen('4', "5", 1)
        .replace("gallery", "galery")
        .replace("img/MEN/Denim/id_00000080/01_1", "01_1");
    let boxes = BOXES.replace("050 049 208 235", "208 049 050 235").replace("02_2_side", "02_9_side");
    let labels = format!("{LABELS}id_00000099,crew,long\n");
    let dir = set(&[
        ("Eval/list_eval_partition.txt", &partition),
        ("Anno/list_bbox_inshop.txt", &boxes),
        ("Anno/list_item_inshop.txt", "3\nid_00000002\n"),
        ("labels.csv", &labels),
    ]);
    detail(
        read(&dir, false).unwrap_err(),
        &[
            "list_eval_partition.txt: 4 rows, but its first line says 5",
            "list_bbox_inshop.txt, line 3: \"208 049 050 235\" is not a box",
            "list_bbox_inshop.txt, line 4: image \"img/WOMEN/Dresses/id_00000002/02_9_side.jpg\" is in no split",
            "list_item_inshop.txt: 1 different items, but its first line says 3",
            "list_eval_partition.txt, line 5: item \"id_00000080\" is not in list_item_inshop.txt",
            "labels.csv, line 4: item \"id_00000099\" has no images",
            "list_eval_partition.txt, line 5: \"01_1_front.jpg\" has no category",
            "list_eval_partition.txt, line 6: status is \"galery\"",
            "line 5: there is no file \"01_1_front.jpg\"",
        ],
    );
}

#[test]
fn missing_images_are_errors_or_skipped() {
    let dir = set(&WHOLE);
    fs::remove_file(dir.path().join("img/WOMEN/Dresses/id_00000002/02_2_side.jpg")).unwrap();
    detail(
        read(&dir, false).unwrap_err(),
        &["line 4: there is no file \"img/WOMEN/Dresses/id_00000002/02_2_side.jpg\""],
    );
    let m = read(&dir, true).unwrap();
    assert_eq!(m.images.len(), 3);
    assert!(m.warnings.iter().any(|w| w.starts_with("1 images have no file")), "{:?}", m.warnings);
}

#[test]
fn items_without_labels_and_images_without_boxes_are_counted() {
    let boxes: String = BOXES.replacen('4', "3", 1).lines().take(5).map(|l| format!("{l}\n")).collect();
    let dir = set(&WHOLE);
    fs::write(dir.path().join("Anno/list_bbox_inshop.txt"), boxes).unwrap();
    fs::write(
        dir.path().join("labels.csv"),
        LABELS.lines().take(2).map(|l| format!("{l}\n")).collect::<String>(),
    )
    .unwrap();
    let m = read(&dir, false).unwrap();
    for part in [
        "1 images have no box and are used whole",
        "1 items have no attribute labels, such as \"id_00000080\"",
    ] {
        assert!(m.warnings.iter().any(|w| w.contains(part)), "{part} in {:?}", m.warnings);
    }
    assert_eq!((m.images[3].crop, &m.images[3].values), (None, &value_sets([None, None])));
}

#[test]
fn the_sets_own_attributes_are_used_by_default() {
    let names = "3\nattribute_name\na-line\nabstract print\nacid  wash\n";
    let values =
        "3\nitem_id attribute_labels\nid_00000001  1 1 1\nid_00000002 -1  1  0\nid_00000080  1 -1  0\n";
    let mut files = WHOLE.to_vec();
    files.extend([("Anno/list_attr_cloth.txt", names), ("Anno/list_attr_items.txt", values)]);
    let dir = set(&files);
    let reading = ReadingArgs { attributes: Some(vec!["abstract print".into()]), ..ReadingArgs::default() };
    let m = reading.read(dir.path()).unwrap();
    assert_eq!(m.attributes[0].values, ["no", "yes"]);
    assert_eq!((&m.images[0].values, &m.images[3].values), (&value_sets([Some(1)]), &value_sets([Some(0)])));

    let e = Manifest::read(set(&WHOLE).path()).unwrap_err();
    assert!(e.hint.unwrap().contains("--attribute-labels"));
}

#[test]
fn attribute_labels_are_for_this_layout_only() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("images.csv"), "").unwrap();
    assert_eq!(read(&dir, false).unwrap_err().kind, Kind::InvalidParameter);
}
