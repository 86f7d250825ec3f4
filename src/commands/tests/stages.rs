//! `coopembed train` in stages, with features of every level.

use super::{options, trained, with_backbone};
use crate::commands::train::{run, TrainArgs};
use crate::model::{synthetic, Arch, FeatureSet, Model, TensorFile};
use std::path::Path;

/// A head, then the last of ResNet-18's eight blocks.
fn staged(folder: &Path, out: &str) -> TrainArgs {
    let mut args = options(folder, out);
    let hyper = &mut args.hyper;
    hyper.epochs = None;
    hyper.learning_rate = None;
    hyper.features = Some(FeatureSet::Levels);
    hyper.standardize = Some(0.5);
    hyper.frozen_batch_norm = Some(true);
    hyper.unfreeze_from = Some(8);
    let stages = ["head,epochs=3,rate=1e-3", "upper,epochs=2,rate=1e-3,backbone-rate=1"];
    hyper.stage = Some(stages.map(|s| s.parse().unwrap()).into());
    args.checkpoint = Some(folder.join(format!("{out}-state")));
    args
}

#[test]
fn a_staged_training_resumes_and_uses_cached_maps() {
    let dir = tempfile::tempdir().unwrap();
    with_backbone(dir.path());
    let (whole, config, _) = trained(&staged(dir.path(), "whole"));
    let model = Model::from_parts(&config, &whole).unwrap();
    assert_eq!(model.config().format_version, 4);
    assert_eq!(model.config().architecture.feature_set, FeatureSet::Levels);
    let card = std::fs::read_to_string(dir.path().join("whole/README.md")).unwrap();
    let backbone = "features of every level of resnet18, whose blocks from number 8 on learned with it, at";
    assert!(card.contains(backbone), "{card}");
    let stages =
        "3 epochs of projection and proxies, learning rate 0.001; then 2 epochs of the upper blocks too,";
    assert!(card.contains(stages), "{card}");

    // The last block has learned, nothing under it, and the statistics were kept.
    let (start, file) = (synthetic::backbone(Arch::ResNet18), TensorFile::parse(&whole).unwrap());
    for (name, tensor) in &start {
        let learned = file.numbers(&format!("backbone.{name}")).unwrap();
        let before: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
        // Filters are stored in half precision.
        let moved = learned.iter().zip(&before).any(|(a, b)| (a - b).abs() > 2e-3 * b.abs().max(1e-2));
        let learns = name.starts_with("layer4.1.") && !name.contains("running");
        assert_eq!(moved, learns, "{name}");
    }

    // One epoch of the last stage, then the other in another run: with a constant schedule their number does not matter.
    let mut first = staged(dir.path(), "parts");
    let stages = ["head,epochs=3,rate=1e-3", "upper,epochs=1,rate=1e-3,backbone-rate=1"];
    first.hyper.stage = Some(stages.map(|s| s.parse().unwrap()).into());
    run(&first).unwrap();
    let (parts, _, _) = trained(&staged(dir.path(), "parts"));
    assert!(parts == whole, "resuming gave other weights");

    // Without room for maps the result is the same.
    let mut uncached = staged(dir.path(), "uncached");
    uncached.map_cache_limit = Some("1kB".parse().unwrap());
    uncached.cache = Some(dir.path().join("other-cache"));
    let (weights, _, _) = trained(&uncached);
    assert!(weights == whole, "without cached maps the weights are others");
    let extensions = |cache: &str| -> Vec<String> {
        let files = std::fs::read_dir(dir.path().join(cache)).unwrap();
        let extension = |e: std::io::Result<std::fs::DirEntry>| {
            e.unwrap().path().extension().unwrap().to_string_lossy().into_owned()
        };
        files.map(extension).collect()
    };
    assert!(extensions("cache").contains(&"maps".to_owned()));
    assert!(!extensions("other-cache").contains(&"maps".to_owned()));
}

#[test]
fn an_unfreezing_beyond_the_last_block_is_an_error_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    with_backbone(dir.path());
    let mut args = staged(dir.path(), "out");
    args.hyper.unfreeze_from = Some(10);
    let e = run(&args).unwrap_err();
    assert_eq!(e.message, "resnet18 has only 8 blocks");
    assert!(e.hint.unwrap().contains("--unfreeze-from"));
}

#[test]
fn with_too_few_groups_to_choose_by_the_objective_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    with_backbone(dir.path());
    let mut args = options(dir.path(), "tuned");
    args.hyper.epochs = Some(2);
    args.hyper.tune = Some(true);
    let (_, config, _) = trained(&args);
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert!(config["training"]["tuning"].is_null());
    assert_eq!(config["training"]["settings"]["normalize"], false);
}

#[test]
fn the_objective_of_a_staged_training_is_chosen_on_held_out_training_images() {
    let dir = tempfile::tempdir().unwrap();
    with_backbone(dir.path());
    // The same images again as other instances: enough groups to hold some out.
    let path = dir.path().join("images.csv");
    let csv = std::fs::read_to_string(&path).unwrap();
    let (head, rows) = csv.split_once('\n').unwrap();
    let folder = dir.path();
    let copies = (0..10).flat_map(|copy| {
        rows.lines().map(move |row| {
            let mut fields: Vec<String> = row.split(',').map(str::to_owned).collect();
            let image = format!("{copy}-{}", fields[0]);
            std::fs::copy(folder.join(&fields[0]), folder.join(&image)).unwrap();
            fields[0] = image;
            fields[1] += &format!("-{copy}");
            fields.join(",") + "\n"
        })
    });
    std::fs::write(&path, copies.fold(format!("{head}\n"), |text, row| text + &row)).unwrap();
    let mut args = staged(dir.path(), "tuned");
    args.hyper.tune = Some(true);
    let (_, config, _) = trained(&args);
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    let candidates = config["training"]["tuning"]["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2, "raw with the paper's norm term, and unit length");
    let taken = candidates[0]["name"].as_str().unwrap();
    assert_eq!(config["training"]["settings"]["normalize"], taken.starts_with("unit"));
}

/// Views that are cropped, rotated or jittered are what training sees, whether or not it mirrors.
#[test]
fn augmented_views_change_a_training_that_does_not_mirror() {
    let dir = tempfile::tempdir().unwrap();
    with_backbone(dir.path());
    let head = |out: &str, jitter: Option<f32>| {
        let mut args = options(dir.path(), out);
        args.hyper.epochs = Some(2);
        args.hyper.flip = Some(false);
        (args.hyper.jitter, args.hyper.views) = (jitter, jitter.map(|_| 2));
        trained(&args).0
    };
    assert!(head("plain", None) != head("jittered", Some(0.5)));
}
