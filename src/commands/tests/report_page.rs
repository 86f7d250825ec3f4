//! `coopembed report` on a small generated data set, with names that contain HTML.

use super::{backbone, options};
use crate::commands::report::{run, ReportArgs};
use crate::commands::train::run as train;
use crate::data::fixture::draw;
use crate::error::Kind;
use crate::eval::html_report::CategoryPair;
use serde_json::Value;
use std::path::Path;

const EVIL: &str = "</script><script>alert(1)</script>";

fn args(folder: &Path) -> ReportArgs {
    ReportArgs {
        model: folder.join("<b>model"),
        data: folder.to_owned(),
        out: folder.join("report.html"),
        json: Some(folder.join("report.json")),
        log: None,
        images: 100,
        questions: 4,
        transitions: Vec::new(),
        seed: 0,
        cache: Some(folder.join("cache")),
        reading: Default::default(),
    }
}

/// A data set whose attribute "colour" has another name, and a model trained on it.
fn trained(colour: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path());
    for file in ["images.csv", "attributes.json"] {
        let text = std::fs::read_to_string(dir.path().join(file)).unwrap();
        std::fs::write(dir.path().join(file), text.replace("colour", colour)).unwrap();
    }
    backbone(dir.path());
    let mut options = options(dir.path(), "<b>model");
    options.hyper.epochs = Some(3);
    train(&options).unwrap();
    dir
}

fn page(args: &ReportArgs) -> (String, Value) {
    run(args).unwrap();
    let html = std::fs::read_to_string(&args.out).unwrap();
    let json = std::fs::read(args.json.as_ref().unwrap()).unwrap();
    (html, serde_json::from_slice(&json).unwrap())
}

/// The data that the page's script reads.
fn embedded(html: &str) -> Value {
    let (_, rest) = html.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn the_page_is_complete_and_names_stay_text() {
    let dir = trained(EVIL);
    let args = args(dir.path());
    let (html, json) = page(&args);
    assert!(!html.contains("alert(1)</script>") && html.contains("<title>&lt;b&gt;model"));
    assert_eq!(html.matches("<script").count(), 2);
    assert!(
        !html.contains("http://")
            || html.matches("http://").count() == html.matches("http://www.w3.org/2000/svg").count()
    );
    assert!(!html.contains("https://") && !html.contains("@import") && !html.contains("url("));

    let data = embedded(&html);
    assert_eq!(data["maps"][0]["attribute"], EVIL);
    let names = |v: &Value| v.as_array().unwrap().iter().map(|k| k["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&data["questions"]), ["instance", "attribute", "category"]);
    // There are 6 instances, 5 values and 2 categories to query.
    let asked = |kind: usize| data["questions"][kind]["questions"].as_array().unwrap();
    assert_eq!([0, 1, 2].map(|k| asked(k).len()), [4, 4, 2]);
    for question in (0..3).flat_map(asked) {
        let answers = question["answers"].as_array().unwrap();
        assert_eq!(answers.len(), 10);
        let distances: Vec<f64> = answers.iter().map(|a| a["distance"].as_f64().unwrap()).collect();
        assert!(distances.is_sorted(), "{distances:?}");
        for a in answers {
            assert!(
                a["right"] == (a["text"] == question["text"])
                    || question["text"].as_str().unwrap().contains(" = ")
            );
        }
    }
    assert_eq!(data["scores"]["predictions"][1]["confusion"].as_array().unwrap().len(), 2);
    typical_images_and_transitions(&data);
    assert_eq!(data["curves"]["epochs"], serde_json::json!([1.0, 2.0, 3.0]));
    // 12 query and gallery images have a size.
    assert_eq!(data["maps"][1]["points"].as_array().unwrap().len(), 12);
    assert!(data["images"]
        .as_array()
        .unwrap()
        .iter()
        .all(|i| i["src"].as_str().unwrap().starts_with("data:image/jpeg;base64,")));

    // The JSON file has the same data without images, and a second run gives the same page.
    assert_eq!((&json["scores"], &json["maps"]), (&data["scores"], &data["maps"]));
    assert!(json["images"][0]["src"].is_null() && json["images"][0]["path"] == data["images"][0]["path"]);
    assert_eq!(page(&args).0, html);
}

/// Section 5.3: both ends of each category, and a path for each pair of categories over all attributes and through the ordered one.
fn typical_images_and_transitions(data: &Value) {
    let numbers = |list: &Value| -> Vec<f64> {
        list.as_array().unwrap().iter().filter_map(|i| i["distance"].as_f64()).collect()
    };
    // Too few images for two ends; `typical_images` has a test of them.
    assert_eq!(data["categories"], serde_json::json!([]));
    let examples = data["transitions"]["examples"].as_array().unwrap();
    assert!(examples.iter().any(|e| e["steps"].as_array().unwrap().len() > 1));
    let through: Vec<&Value> = examples.iter().map(|e| &e["through"]).collect();
    assert_eq!(through, [&Value::Null, &"size".into()].repeat(3));
    for example in examples {
        let steps = example["steps"].as_array().unwrap();
        let Some(last) = steps.last() else { continue };
        let category = |step: &Value| step["text"].as_str().unwrap().split(',').next().unwrap().to_owned();
        assert_eq!((&category(&steps[0]).into(), &category(last).into()), (&example["from"], &example["to"]));
        let lengths = numbers(&example["steps"]);
        assert_eq!(lengths.len(), steps.len() - 1);
        let longest = lengths.iter().copied().fold(0.0, f64::max);
        let crossings: Vec<&Value> = steps.iter().filter(|s| s["is_crossing"] == true).collect();
        assert!(crossings.len() == 1 && crossings[0]["distance"] == longest, "{steps:?}");
    }
    let shares = &data["transitions"]["shares"];
    assert_eq!(shares["paths"].as_u64().unwrap() + shares["without_path"].as_u64().unwrap(), 200);
}

#[test]
fn a_transition_between_unknown_categories_is_refused() {
    let dir = trained("tint");
    let mut args = args(dir.path());
    args.transitions = vec!["shoe:dress".parse().unwrap()];
    args.cache = Some(dir.path().join("not made"));
    let e = run(&args).unwrap_err();
    assert!(
        std::fs::read_dir(args.cache.unwrap()).map_or(0, Iterator::count) == 0,
        "images were embedded first"
    );
    assert_eq!(e.message, "\"shoe:dress\" does not name two categories");
    assert!(e.detail.unwrap().starts_with("Categories with gallery images: "));
    assert!("dress".parse::<CategoryPair>().is_err() && ":dress".parse::<CategoryPair>().is_err());
}

#[test]
fn samples_a_missing_log_and_missing_attributes_are_stated() {
    let dir = trained("tint");
    let mut args = args(dir.path());
    std::fs::remove_file(args.model.join("losses.csv")).unwrap();
    for file in ["images.csv", "attributes.json"] {
        let text = std::fs::read_to_string(dir.path().join(file)).unwrap();
        std::fs::write(dir.path().join(file), text.replace("tint", "shade")).unwrap();
    }
    args.images = 7;
    let (_, json) = page(&args);
    assert_eq!((&json["sizes"]["images"], &json["sizes"]["of"]), (&7.into(), &18.into()));
    // With three images per instance: two whole instances, and the gallery image of a third.
    assert_eq!(
        (&json["scores"]["sizes"]["gallery"], &json["scores"]["sizes"]["queries"]),
        (&5.into(), &2.into())
    );
    assert!(json["curves"].is_null());
    let notes = json["notes"].to_string();
    assert!(notes.contains("There are no training curves: could not read"), "{notes}");
    assert_eq!(json["maps"].as_array().unwrap().len(), 1);
    assert_eq!(
        json["scores"]["attributes"]["groups"][0]["values"][0]["skipped"],
        "the data set does not have the attribute"
    );

    // Now the data set has neither attribute.
    let text = std::fs::read_to_string(dir.path().join("images.csv")).unwrap();
    std::fs::write(dir.path().join("images.csv"), text.replace("size", "extent")).unwrap();
    std::fs::remove_file(dir.path().join("attributes.json")).unwrap();
    let e = run(&args).unwrap_err();
    assert_eq!(e.message, "the data set has no attribute of the model");
    let text = std::fs::read_to_string(dir.path().join("images.csv")).unwrap();
    std::fs::write(dir.path().join("images.csv"), text.replace(",gallery,", ",train,")).unwrap();
    assert!(run(&args).unwrap_err().message.ends_with("has no gallery images"));
}

#[test]
fn paths_that_cannot_be_written_are_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    // There is neither model nor data, so the check must come first.
    let mut args = args(dir.path());
    args.out = dir.path().to_owned();
    let e = run(&args).unwrap_err();
    assert!(e.kind == Kind::Io && e.message.ends_with("it is a directory"), "{e:?}");
    args.out = dir.path().join("none/report.html");
    assert!(run(&args).unwrap_err().message.ends_with("its directory does not exist"));
}
