//! What `train` says about a model that it has trained.

use super::{options, run, trained, with_backbone};
use crate::commands::train::TrainArgs;
use std::path::Path;

/// Options of a short training.
fn short(folder: &Path) -> TrainArgs {
    let mut args = options(folder, "out");
    args.hyper.epochs = Some(2);
    args
}

/// Makes all images training images.
fn without_gallery(folder: &Path) {
    let path = folder.join("images.csv");
    let csv = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, csv.replace(",query,", ",train,").replace(",gallery,", ",train,")).unwrap();
}

fn card(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("out/README.md")).unwrap()
}

#[test]
fn the_card_and_the_config_compare_a_model_with_untrained_features() {
    let dir = tempfile::tempdir().unwrap();
    with_backbone(dir.path());
    let (_, config, _) = trained(&short(dir.path()));
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    let untrained = &config["metrics"]["untrained"][0];
    assert_eq!(untrained["name"], "untrained last mean");
    for figure in ["instance_recall_at_1", "attribute_map", "category_map"] {
        let value = untrained[figure].as_f64().unwrap();
        assert!(value > 0.0 && value <= 1.0, "{figure}: {value}");
    }
    let card = card(dir.path());
    let (_, verdict) = card.split_once("## Verdict\n\n| | R@1 | attribute mAP | category mAP |").unwrap();
    assert!(
        verdict.contains("| untrained last mean |") && verdict.contains("R@1 is of 6 queries"),
        "{verdict}"
    );
}

#[test]
fn without_a_gallery_the_verdict_is_about_held_out_images() {
    let dir = tempfile::tempdir().unwrap();
    with_backbone(dir.path());
    without_gallery(dir.path());
    let mut args = short(dir.path());
    args.hyper.validation = Some(0.3);
    let (_, config, _) = trained(&args);
    assert!(serde_json::from_str::<serde_json::Value>(&config).unwrap()["metrics"].is_null());
    // 30 % of twelve instances with three images each.
    let card = card(dir.path());
    assert!(card.contains("Measured on 12 training images that were held out"), "{card}");
}

#[test]
fn without_any_images_to_measure_the_verdict_is_about_labels() {
    let dir = tempfile::tempdir().unwrap();
    with_backbone(dir.path());
    without_gallery(dir.path());
    run(&short(dir.path())).unwrap();
    let card = card(dir.path());
    assert!(card.contains("Nothing could be measured") && !card.contains("attribute mAP |"), "{card}");
    // All values have few images.
    assert!(
        card.contains("- colour: 3 of 3 values have fewer than 24 training images (\"red\" has 12)"),
        "{card}"
    );
}
