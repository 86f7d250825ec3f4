//! Training and evaluation of a set whose images show several values of an attribute.

use super::{backbone, options, trained};
use crate::commands::train::run;
use crate::data::fixture::draw;
use crate::model::Model;
use crate::train::labels::MultiLabels;
use crate::train::method_kind::MethodKind;
use clap::ValueEnum;
use std::path::Path;

/// The drawn set; its green images are yellow and blue.
fn draw_several(folder: &Path) {
    draw(folder);
    backbone(folder);
    let rewrite = |file: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(folder.join(file), text.replace(from, to)).unwrap();
    };
    rewrite("images.csv", ",green,", ",yellow | blue,");
    let colours = r#""multi": true, "values": ["red", "yellow", "blue"]"#;
    rewrite("attributes.json", r#""values": ["red", "green", "blue"]"#, colours);
}

#[test]
fn a_model_of_several_values_has_a_query_and_tags_for_each() {
    let dir = tempfile::tempdir().unwrap();
    draw_several(dir.path());
    let mut args = options(dir.path(), "several");
    args.hyper.calibration = Some(0.4);
    let (weights, config, _) = trained(&args);
    let model = Model::from_parts(&config, &weights).unwrap();
    let config = model.config();
    assert_eq!(
        (config.format_version, config.attributes[0].multi, config.attributes[1].multi),
        (5, true, false)
    );
    // Yellow are the six images that were green, blue these and the six blue ones.
    let images: Vec<usize> = config.attributes[0].values.iter().map(|v| v.images).collect();
    assert_eq!(images, [6, 6, 12]);
    assert_eq!(config.metrics["attribute_values_scored"], 5);
    let tags = config.metrics["tags"].as_array().unwrap();
    assert!(tags[0]["several"]["recall"].is_f64() && tags[1].get("several").is_none(), "{tags:?}");
    let card = std::fs::read_to_string(dir.path().join("several/README.md")).unwrap();
    assert!(
        card.contains("| colour (several of them) |") && card.contains("several tags of colour"),
        "{card}"
    );
}

#[test]
fn every_method_learns_from_several_values() {
    let dir = tempfile::tempdir().unwrap();
    draw_several(dir.path());
    for method in MethodKind::value_variants() {
        for labels in MultiLabels::value_variants() {
            let mut args = options(dir.path(), "out");
            args.hyper.epochs = Some(2);
            args.force = true;
            args.hyper.multi_labels = Some(*labels);
            args.hyper.method = Some(*method);
            run(&args).unwrap();
        }
    }
}
