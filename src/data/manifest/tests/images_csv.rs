//! Tests of data sets with `images.csv`.

use crate::data::manifest::*;
use crate::error::Kind;
use crate::image::CropBox;

fn folder(csv: &str, json: Option<&str>, files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("images.csv"), csv).unwrap();
    if let Some(json) = json {
        std::fs::write(dir.path().join("attributes.json"), json).unwrap();
    }
    files.iter().for_each(|f| std::fs::write(dir.path().join(f), b"").unwrap());
    dir
}

#[test]
fn names_are_resolved_and_empty_fields_are_absent() {
    let csv = "path,instance,category,split,x1,y1,x2,y2,size,colour\n\
               a.png,i2,shoe,train,1,2,30.5,40,10,red\n\
               b.png,i1,bag,query,,,,,9,\n\
               c.png,i1,bag,gallery,,,,,,blue\n";
    let dir = folder(csv, None, &["a.png", "b.png", "c.png"]);
    let m = Manifest::read(dir.path()).unwrap();
    assert_eq!(m.instances, ["i1", "i2"]);
    assert_eq!(m.categories, ["bag", "shoe"]);
    assert_eq!(m.instance_category, [0, 1]);
    assert_eq!(m.attributes[0].values, ["9", "10"]); // as numbers, not as text
    assert_eq!(m.attributes[1].values, ["blue", "red"]);
    assert_eq!(m.images[0].crop, Some(CropBox { x1: 1, y1: 2, x2: 31, y2: 40 }));
    assert_eq!((m.images[1].crop, m.images[1].values.clone()), (None, vec![Some(0), None]));
    assert_eq!((m.split(Split::Train), m.split(Split::Gallery)), (vec![0], vec![2]));
    assert!(!m.warnings.iter().any(|w| w.contains("query")), "{:?}", m.warnings);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_name() {
    let csv = "\u{feff}path,instance,category,split,size\r\na.png,i,c,train,1\r\n";
    let m = Manifest::read(folder(csv, None, &["a.png"]).path()).unwrap();
    assert_eq!((m.images[0].path.as_str(), m.attributes.len()), ("a.png", 1));
}

#[test]
fn odd_paths_stay_as_they_are_and_blanks_around_usual_ones_are_ignored() {
    let odd = [
        "a b.png",
        " blank.png",
        "comma,.png",
        "quote\".png",
        "ünïcode 図.png",
        "#hash%20.png",
        "line\nbreak.png",
    ];
    let rows: String = odd.iter().map(|p| format!("\"{}\",i,c,train,1\n", p.replace('"', "\"\""))).collect();
    let csv = format!("path,instance,category,split,size\n{rows}  a.png , j , c, train , 1\n");
    let files: Vec<&str> = odd.iter().copied().chain(["a.png"]).collect();
    let m = Manifest::read(folder(&csv, None, &files).path()).unwrap();
    let paths: Vec<&str> = m.images.iter().map(|i| i.path.as_str()).collect();
    assert_eq!(paths, files);
    assert_eq!(m.instances, ["i", "j"]);
}

#[test]
fn instances_of_a_group_share_its_number_and_the_others_have_their_own() {
    let csv = "path,instance,group,category,split,size\n\
               a.png,i1,,c,train,1\n\
               b.png,i2,g,c,train,2\n\
               c.png,i3,g,c,train,1\n\
               d.png,i4,,c,train,2\n";
    let files = ["a.png", "b.png", "c.png", "d.png"];
    let m = Manifest::read(folder(csv, None, &files).path()).unwrap();
    assert_eq!((m.instance_group, m.attributes.len()), (vec![1, 0, 0, 2], 1));
    let two = csv.replace("d.png,i4,,", "d.png,i3,h,");
    let e = Manifest::read(folder(&two, None, &files).path()).unwrap_err();
    assert!(e.detail.unwrap().contains("line 5: instance \"i3\" is in two groups"));
}

#[test]
fn declared_values_keep_their_order() {
    let csv = "path,instance,category,split,size\na.png,i,c,train,small\n";
    let json = r#"{"size": {"ordered": true, "values": ["tiny", "small", "large"], "source": "label"}}"#;
    let m = Manifest::read(folder(csv, Some(json), &["a.png"]).path()).unwrap();
    assert!(m.attributes[0].ordered);
    assert_eq!(m.images[0].values, [Some(1)]);
}

const ARROWS: &str = "path,instance,category,split,colour,direction\n\
                      a.png,i,c,train,red,left\n\
                      b.png,j,c,train,red,\n\
                      c.png,k,c,train,,\n";
const ARROW_FILES: [&str; 3] = ["a.png", "b.png", "c.png"];

/// Which of the images of [`ARROWS`] may be mirrored; `more` is added to `attributes.json`, and only `chosen` attributes are read.
fn mirrored(more: &str, direction: &str, chosen: Option<&str>) -> Vec<bool> {
    let json = format!(
        r#"{{{more}"colour": {{"values": ["red"]}}, "direction": {{"values": ["left"]{direction}}}}}"#
    );
    let dir = folder(ARROWS, Some(&json), &ARROW_FILES);
    let attributes = chosen.map(|name| vec![name.to_owned()]);
    let manifest = ReadingArgs { attributes, ..ReadingArgs::default() }.read(dir.path()).unwrap();
    manifest.images.iter().map(|i| i.mirror).collect()
}

#[test]
fn images_with_a_value_that_does_not_survive_mirroring_must_not_be_mirrored() {
    assert_eq!(mirrored("", "", None), [true, true, true]);
    assert_eq!(mirrored("", r#", "mirror": true"#, None), [true, true, true]);
    assert_eq!(mirrored("", r#", "mirror": false"#, None), [false, true, true]);
    // Also if only the other attribute is learned.
    assert_eq!(mirrored("", r#", "mirror": false"#, Some("colour")), [false, true, true]);
    assert_eq!(mirrored(r#""mirror": false, "#, "", None), [false, false, false]);
}

#[test]
fn an_attribute_may_be_called_mirror() {
    let csv = "path,instance,category,split,mirror\na.png,i,c,train,oval\n";
    let json = r#"{"mirror": {"values": ["oval"], "mirror": false}}"#;
    let m = Manifest::read(folder(csv, Some(json), &["a.png"]).path()).unwrap();
    assert_eq!((m.attributes[0].name.as_str(), m.images[0].mirror), ("mirror", false));
}

#[test]
fn what_is_no_declaration_of_an_attribute_is_a_problem_with_its_place() {
    for (json, problem) in [
        (r#"{"colour": true, "direction": {"values": ["left"]}}"#, "\"colour\" has no values"),
        (r#"{"colour": "red"}"#, "expected an object with \"values\" at line 1 column 16"),
        (r#"{"colour": {"values": ["red"], "mirror": "no"}}"#, "expected a boolean at line 1 column 45"),
    ] {
        let e = Manifest::read(folder(ARROWS, Some(json), &ARROW_FILES).path()).unwrap_err();
        let detail = e.detail.unwrap();
        assert!(detail.contains(problem), "{problem} in {detail}");
    }
}

/// Digests of checkpoints and of finished experiments are made from this text.
#[test]
fn the_text_of_an_image_that_may_be_mirrored_does_not_mention_it() {
    let dir = folder(ARROWS, None, &ARROW_FILES);
    let mut image = Manifest::read(dir.path()).unwrap().images.remove(0);
    let text = "ImageEntry { path: \"a.png\", instance: 0, category: 0, split: Train, crop: None, \
                values: [Some(0), Some(0)] }";
    assert_eq!(format!("{image:?}"), text);
    image.mirror = false;
    assert_eq!(format!("{image:?}"), text.replace(" }", ", mirror: false }"));
}

#[test]
fn all_problems_are_listed_in_one_error() {
    let csv = "path,instance,category,split,x1,y1,x2,y2,size\n\
               a.png,i,c,train,,,,,smal\n\
               a.png,i,d,test,,,,,small\n\
               a.png,i,d,gallery,5,5,5,9,small\n\
               gone.png,j,c,query,1,2,3,x,small\n";
    let json = r#"{"size": {"values": ["small"]}}"#;
    let e = Manifest::read(folder(csv, Some(json), &["a.png"]).path()).unwrap_err();
    assert_eq!(e.kind, Kind::InvalidData);
    assert!(e.message.contains("7 problems"), "{}", e.message);
    let detail = e.detail.unwrap();
    for part in [
        "line 2: size \"smal\" does not exist",
        "line 3: split is \"test\"",
        "line 4: \"5,5,5,9\" is not a box",
        "line 4: \"a.png\" is listed twice",
        "line 4: instance \"i\" is in two categories",
        "line 5: \"1,2,3,x\" is not a box",
        "line 5: there is no file \"gone.png\"",
    ] {
        assert!(detail.contains(part), "{part} in {detail}");
    }
}

#[test]
fn what_is_declared_must_have_a_column() {
    let csv = "path,instance,split,colour\na.png,i,train,red\n";
    let e = Manifest::read(folder(csv, Some(r#"{"color": {"values": ["red"]}}"#), &[]).path()).unwrap_err();
    let detail = e.detail.unwrap();
    for part in ["no column \"category\"", "\"color\" has no column"] {
        assert!(detail.contains(part), "{part} in {detail}");
    }
}

#[test]
fn columns_that_are_not_declared_have_the_values_that_occur() {
    let csv =
        "path,instance,category,split,colour,size\na.png,i,c,train,red,small\nb.png,j,c,train,blue,large\n";
    let json = r#"{"size": {"ordered": true, "values": ["small", "large"]}}"#;
    let m = Manifest::read(folder(csv, Some(json), &["a.png", "b.png"]).path()).unwrap();
    let found: Vec<_> =
        m.attributes.iter().map(|a| (a.name.as_str(), a.ordered, a.values.join(" "))).collect();
    let want = [("colour", false, "blue red".to_owned()), ("size", true, "small large".to_owned())];
    assert_eq!(found, want);
}

#[test]
fn a_hundred_problems_are_abridged() {
    let rows: String = (0..100).map(|i| format!("{i}.png,i,c,train\n")).collect();
    let e = Manifest::read(folder(&format!("path,instance,category,split\n{rows}"), None, &[]).path());
    let e = e.unwrap_err();
    assert!(e.message.contains("100 problems"));
    assert!(e.detail.unwrap().ends_with("... and 80 more"));
}

#[test]
fn odd_sets_can_be_used_and_give_warnings() {
    let csv = "path,instance,category,split,size\na.png,i,c,train,\nb.png,j,c,query,1\nc.png,i,c,query,1\n";
    let m = Manifest::read(folder(csv, None, &["a.png", "b.png", "c.png"]).path()).unwrap();
    for part in [
        "2 instances have query images but none in the gallery, such as \"i\".",
        "1 instances are in both train and query, such as \"i\".",
        "No training image has a value of \"size\".",
        "All training images show one instance",
        "There are query images but no gallery",
    ] {
        assert!(m.warnings.iter().any(|w| w.contains(part)), "{part} in {:?}", m.warnings);
    }
}

#[test]
fn labels_that_teach_nothing_give_warnings() {
    let csv = "path,instance,category,split,size,colour\n\
               a.png,i,c,train,small,red\nb.png,i,c,train,small,blue\nc.png,j,d,train,,red\n";
    let m = Manifest::read(folder(csv, None, &["a.png", "b.png", "c.png"]).path()).unwrap();
    assert_eq!(
        m.warnings,
        [
            "1 instances have a single training image, such as \"j\".",
            "1 categories have a single training image, such as \"d\".",
            "No image is query or gallery, so a model cannot be evaluated on this set.",
            "All training images that have a value of \"size\" have the same one, \"small\", which teaches nothing.",
        ]
    );
}

#[test]
fn images_without_a_file_can_be_skipped() {
    let csv =
        "path,instance,category,split,size\na.png,i,c,train,1\nb.png,i,c,train,2\ngone.png,lost,c,train,3\n";
    let dir = folder(csv, None, &["a.png", "b.png"]);
    let e = Manifest::read(dir.path()).unwrap_err();
    assert!(e.hint.unwrap().ends_with("With --skip-missing, images without a file are skipped."));
    let reading = ReadingArgs { skip_missing: Some(true), ..ReadingArgs::default() };
    let m = reading.read(dir.path()).unwrap();
    assert_eq!((m.images.len(), m.instances.len(), m.attributes[0].values.len()), (2, 1, 2));
    assert_eq!(m.warnings[0], "1 images have no file and were skipped: \"gone.png\".");
}

#[test]
fn a_set_whose_files_are_all_missing_is_an_error() {
    let dir = folder("path,instance,category,split,size\ngone.png,i,c,train,1\n", None, &[]);
    let reading = ReadingArgs { skip_missing: Some(true), ..ReadingArgs::default() };
    let e = reading.read(dir.path()).unwrap_err();
    assert!(e.detail.unwrap().contains("no image is left: 1 have no file"));
}

#[test]
fn some_attributes_are_chosen_by_name() {
    let dir = folder("path,instance,category,split,size,colour\na.png,i,c,train,1,red\n", None, &["a.png"]);
    let chosen = |names: &[&str]| {
        let attributes = Some(names.iter().map(|n| (*n).to_owned()).collect());
        ReadingArgs { attributes, ..ReadingArgs::default() }.read(dir.path())
    };
    let m = chosen(&["colour"]).unwrap();
    assert_eq!((m.attributes.len(), m.attributes[0].values[0].as_str()), (1, "red"));
    assert_eq!(m.images[0].values, [Some(0)]);
    assert_eq!(chosen(&["color"]).unwrap_err().kind, Kind::UnknownName);
    assert_eq!(chosen(&["size", "size"]).unwrap_err().kind, Kind::DuplicateName);
}

#[test]
fn a_folder_of_unknown_layout_is_an_error_that_lists_the_known_ones() {
    let dir = tempfile::tempdir().unwrap();
    let e = Manifest::read(dir.path()).unwrap_err();
    assert!(e.message.ends_with("is not a data set of a known layout"), "{}", e.message);
    assert!(e.detail.unwrap().contains("Eval/list_eval_partition.txt"));
    let e = Manifest::read(&dir.path().join("nowhere")).unwrap_err();
    assert!(e.message.ends_with("is not a folder"), "{}", e.message);
}
