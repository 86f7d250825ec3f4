//! Tests of attributes of which an image shows several values.

use super::images_csv::folder;
use crate::data::fixture::value_sets;
use crate::data::manifest::*;
use crate::error::{Error, Kind};

const FILES: [&str; 4] = ["a.png", "b.png", "c.png", "d.png"];
const DECLARED: &str = r#"{"colour": {"multi": true, "values": ["red", "white", "blue"]}}"#;

/// Four training images with these fields of the column `colour`.
fn csv(fields: [&str; 4]) -> String {
    let rows = FILES.iter().zip(["i", "i", "j", "j"]).zip(fields);
    let rows = rows.map(|((file, instance), field)| format!("{file},{instance},c,train,{field}\n"));
    format!("path,instance,category,split,colour\n{}", rows.collect::<String>())
}

fn read(fields: [&str; 4], json: Option<&str>, separator: Option<&str>) -> Result<Manifest, Error> {
    let multi_separator = separator.map(str::to_owned);
    ReadingArgs { multi_separator, ..ReadingArgs::default() }.read(folder(&csv(fields), json, &FILES).path())
}

fn colours(manifest: &Manifest) -> Vec<Vec<u32>> {
    manifest.images.iter().map(|image| image.values[0].as_slice().to_vec()).collect()
}

#[test]
fn declared_attributes_have_several_values_without_blanks() {
    let m = read(["white | red", "red", "", "\"blue|  white|red\""], Some(DECLARED), None).unwrap();
    assert_eq!(colours(&m), [vec![0, 1], vec![0], vec![], vec![0, 1, 2]]);
    assert!(m.attributes[0].multi && m.attributes[0].values.len() == 3);
}

#[test]
fn the_values_of_a_declaration_are_those_that_occur_if_it_names_none() {
    let m = read(["white|red", "red", "", "blue"], Some(r#"{"colour": {"multi": true}}"#), None).unwrap();
    assert_eq!(m.attributes[0].values, ["blue", "red", "white"]);
    assert_eq!(colours(&m), [vec![1, 2], vec![1], vec![], vec![0]]);
    let e = read(["1", "2", "", "3"], Some(r#"{"colour": {"ordered": true}}"#), None).unwrap_err();
    assert!(e.detail.unwrap().contains("\"colour\" is ordered and has no values"));
}

#[test]
fn what_is_not_declared_keeps_its_separator() {
    let m = read(["a|b", "red", "red", "white"], None, None).unwrap();
    assert_eq!(m.attributes[0].values, ["a|b", "red", "white"]);
    assert!(!m.attributes[0].multi && m.warnings.iter().all(|w| !w.contains('|')), "{:?}", m.warnings);
    // If most fields look so, there is a warning.
    let m = read(["red|white", "red|blue", "", "red"], None, None).unwrap();
    assert_eq!(m.attributes[0].values.len(), 3);
    let warning = "Most values of \"colour\" contain \"|\", such as \"red|white\"";
    assert!(
        m.warnings.iter().any(|w| w.starts_with(warning) && w.contains("\"multi\": true")),
        "{:?}",
        m.warnings
    );
    let single = r#"{"colour": {"values": ["red", "white"]}}"#;
    let detail = read(["red|white", "red", "red", "white"], Some(single), None).unwrap_err().detail.unwrap();
    assert!(
        detail.contains("line 2") && detail.contains("need \"multi\": true in attributes.json"),
        "{detail}"
    );
}

#[test]
fn a_separator_can_be_named_and_declares_what_has_it_in_it() {
    let m = read(["red; white", "red", "a|b", "white"], None, Some(";")).unwrap();
    assert_eq!(m.attributes[0].values, ["a|b", "red", "white"]);
    assert_eq!((m.attributes[0].multi, colours(&m)[0].clone()), (true, vec![1, 2]));
    assert!(!read(["red", "red", "a|b", "white"], None, Some(";")).unwrap().attributes[0].multi);
    let m = read(["red / white", "red", "blue", "white"], Some(DECLARED), Some("/")).unwrap();
    assert_eq!(colours(&m)[0], [0, 1]);
    let e = read(["red", "red", "red", "white"], None, Some("")).unwrap_err();
    assert_eq!((e.kind, e.message.as_str()), (Kind::InvalidParameter, "--multi-separator is empty"));
}

#[test]
fn what_is_wrong_with_several_values_is_said_by_name() {
    for (field, problem) in [
        ("red||white", "\"red||white\" has an empty value of \"colour\""),
        ("red|", "\"red|\" has an empty value of \"colour\""),
        ("red| red", "has the value \"red\" of \"colour\" twice"),
        ("red|wite", "colour \"wite\" does not exist"),
    ] {
        let e = read(["red", field, "red", "white"], Some(DECLARED), None).unwrap_err();
        let detail = e.detail.unwrap();
        assert!(detail.contains("line 3") && detail.contains(problem), "{problem} in {detail}");
    }
    let json = r#"{"colour": {"multi": true, "values": ["red|white", "red"]}}"#;
    let e = read(["red", "red", "red", "red"], Some(json), None).unwrap_err();
    assert!(e
        .detail
        .unwrap()
        .contains("the value \"red|white\" of \"colour\" has the separator \"|\" in it"));
}

#[test]
fn an_attribute_of_several_values_that_never_mirrors_holds_back_images_with_any() {
    let json = r#"{"colour": {"multi": true, "values": ["red", "white"], "mirror": false}}"#;
    let m = read(["red|white", "red", "", "white"], Some(json), None).unwrap();
    assert_eq!(m.images.iter().map(|i| i.mirror).collect::<Vec<_>>(), [false, false, true, false]);
}

/// Digests of checkpoints and of finished experiments are made from this text.
#[test]
fn the_text_of_a_set_without_several_values_is_as_it_was() {
    let m = read(["red", "red", "", "white"], None, None).unwrap();
    let text = "AttributeEntry { name: \"colour\", ordered: false, values: [\"red\", \"white\"] }";
    assert_eq!(format!("{:?}", m.attributes[0]), text);
    assert_eq!(format!("{:?}", m.images[2].values), format!("{:?}", value_sets([None])));
    let m = read(["red|white", "red", "", "white"], Some(DECLARED), None).unwrap();
    assert!(format!("{:?}", m.attributes[0]).contains("multi: true"));
}
