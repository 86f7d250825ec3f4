//! The commands on a small generated data set: train, write, read back, evaluate.

mod report_page;
mod stages;
mod verdict;

use crate::commands::eval::{run as evaluate, EvalArgs};
use crate::commands::experiment::tables::TableName;
use crate::commands::experiment::{self, ExperimentArgs};
use crate::commands::train::run;
use crate::commands::train::{CardArgs, HyperArgs, TrainArgs};
use crate::data::fixture::draw;
use crate::data::manifest::ReadingArgs;
use crate::eval::results::Absent;
use crate::model::{synthetic, Arch, Model};
use crate::train::method_kind::MethodKind;
use candle_core::Device;
use clap::ValueEnum;
use std::path::Path;

pub(crate) fn options(folder: &Path, out: &str) -> TrainArgs {
    TrainArgs {
        data: Some(folder.to_owned()),
        backbone: Some(folder.join("resnet18.safetensors")),
        arch: Some("resnet18".into()),
        out: Some(folder.join(out)),
        size: Some(32),
        cache: Some(folder.join("cache")),
        hyper: HyperArgs {
            subspace_dim: Some(8),
            epochs: Some(40),
            batch_size: Some(8),
            learning_rate: Some(1e-3),
            flip: Some(true),
            lambda_order: Some(0.1),
            ..Default::default()
        },
        card: CardArgs { licence: Some("CC0-1.0".into()), ..Default::default() },
        ..Default::default()
    }
}

/// Writes the random backbone that [`options`] name.
pub(crate) fn backbone(folder: &Path) {
    let tensors: std::collections::HashMap<_, _> = synthetic::backbone(Arch::ResNet18).into_iter().collect();
    candle_core::safetensors::save(&tensors, folder.join("resnet18.safetensors")).unwrap();
}

/// Trains; returns the model's weights and config, and the sizes of the cache files.
fn trained(args: &TrainArgs) -> (Vec<u8>, String, Vec<u64>) {
    run(args).unwrap();
    let out = args.out.as_ref().unwrap();
    let weights = std::fs::read(out.join("model.safetensors")).unwrap();
    let config = std::fs::read_to_string(out.join("config.json")).unwrap();
    (weights, config, caches(args).iter().map(|p| std::fs::metadata(p).unwrap().len()).collect())
}

fn caches(args: &TrainArgs) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(args.cache.as_ref().unwrap()).unwrap();
    entries.map(|e| e.unwrap().path()).collect()
}

#[test]
fn training_is_reproducible_and_resumes_an_interrupted_cache() {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path());
    backbone(dir.path());

    let args = options(dir.path(), "first");
    let (weights, config, sizes) = trained(&args);
    let model = Model::from_parts(&config, &weights).unwrap();
    let metrics = &model.config().metrics;
    assert_eq!(metrics["sizes"]["gallery"], 12);
    assert_eq!(metrics["attribute_values_scored"], 5);
    assert_eq!(model.config().attributes[1].values[0].images, 6);
    let log = std::fs::read_to_string(dir.path().join("first/losses.csv")).unwrap();
    assert_eq!(log.lines().count(), 41);
    assert!(log.starts_with("epoch,learning_rate,total,instance,category,norm,order,attribute:colour,"));
    // A random backbone does not generalise, but the training images can be learned. (`tests/garments.rs` has a real one.)
    let total = |line: &str| line.split(',').nth(2).unwrap().parse::<f64>().unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert!(total(lines[40]) < 0.8 * total(lines[1]), "{log}");
    let card = std::fs::read_to_string(dir.path().join("first/README.md")).unwrap();
    assert!(card.contains("| size | small < large |") && card.contains("CC0-1.0"), "{card}");

    // A process that is killed while writing leaves a partial record in the cache; the next run keeps the complete records.
    let cache = caches(&args).remove(0);
    let bytes = std::fs::read(&cache).unwrap();
    std::fs::write(&cache, &bytes[..bytes.len() * 2 / 3]).unwrap();
    let (again, _, after) = trained(&options(dir.path(), "second"));
    assert!(again == weights && after == sizes, "the same seed gave other weights");
    let mut other = options(dir.path(), "third");
    other.hyper.seed = Some(1);
    assert!(trained(&other).0 != weights);

    let json = dir.path().join("report.json");
    evaluate(&EvalArgs {
        model: dir.path().join("first"),
        data: dir.path().to_owned(),
        json: Some(json.clone()),
        absent: Absent::Negative,
        leave_one_out: false,
        predict_by: Default::default(),
        cache: args.cache,
        reading: ReadingArgs::default(),
    })
    .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(report["instance"]["recall_at_1"], metrics["instance_recall_at_1"]);
    assert_eq!(report["attributes"]["mean_average_precision"], metrics["attribute_map"]);
    assert_eq!(report["model"]["digest"], model.digest().to_string());
    // 8 gallery images have a size. Colours are not ordered, so they have no error in ranks.
    let [colour, size] = [0, 1].map(|k| &report["predictions"][k]);
    assert_eq!((&size["images"], &report["predicted_by"]), (&8.into(), &"proxy".into()));
    assert!(size["mean_absolute_error"]["macro"].is_f64() && colour["mean_absolute_error"].is_null());
}

#[test]
fn a_set_without_training_images_is_an_error_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path());
    let csv = std::fs::read_to_string(dir.path().join("images.csv")).unwrap();
    std::fs::write(dir.path().join("images.csv"), csv.replace(",train,", ",gallery,")).unwrap();
    let e = run(&options(dir.path(), "out")).unwrap_err();
    assert!(e.message.ends_with("has no training images") && e.hint.is_some(), "{e:?}");
}

#[test]
fn a_model_is_replaced_only_if_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    with_backbone(dir.path());
    let mut args = options(dir.path(), "out");
    args.hyper.epochs = Some(1);
    let (first, _, _) = trained(&args);
    args.hyper.epochs = Some(2);
    let e = run(&args).unwrap_err();
    assert!(e.message.ends_with("has a model already") && e.hint.unwrap().contains("--force"));
    assert_eq!(std::fs::read(dir.path().join("out/model.safetensors")).unwrap(), first);
    args.force = true;
    assert!(trained(&args).0 != first);
}

#[test]
fn a_baseline_writes_weights_and_figures() {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path());
    backbone(dir.path());
    let mut args = options(dir.path(), "out");
    args.hyper.method = Some(MethodKind::Concatenation);
    args.hyper.epochs = Some(2);
    run(&args).unwrap();
    let text = std::fs::read(dir.path().join("out/report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(report["settings"]["images_per_instance"], 4);
    assert!(report["report"]["attributes"]["mean_average_precision"].as_f64().unwrap() > 0.0);
    let weights =
        candle_core::safetensors::load(dir.path().join("out/weights.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(weights["projection.weight"].dims(), [(2 + 2) * 8, 512]);
}

#[test]
fn an_experiment_runs_each_training_once_and_writes_its_table() {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path());
    backbone(dir.path());
    let train = options(dir.path(), "out");
    let experiment = |table, jobs| {
        experiment::run(&ExperimentArgs {
            map_cache_limit: None,
            table,
            data: dir.path().to_owned(),
            backbone: train.backbone.clone().unwrap(),
            arch: train.arch.clone(),
            size: train.size,
            cache: train.cache.clone(),
            out: dir.path().join("tables"),
            seeds: 2,
            jobs: Some(jobs),
            hyper: HyperArgs { epochs: Some(2), ..train.hyper.clone() },
            reading: ReadingArgs::default(),
        })
        .unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join("tables").join(name)).unwrap();
        let mut runs: Vec<String> = read("runs.jsonl").lines().map(str::to_owned).collect();
        runs.sort();
        (runs, read(&format!("{}.csv", table.to_possible_value().unwrap().get_name())))
    };
    let (runs, csv) = experiment(TableName::Table2a, 2);
    assert_eq!((runs.len(), csv.lines().count()), (8, 5));
    assert!(!csv.contains(",,"), "{csv}");
    // All runs are stored: nothing is trained, and the table is the same. Another table shares the row of the paper.
    assert_eq!(experiment(TableName::Table2a, 1), (runs.clone(), csv));
    let (more, _) = experiment(TableName::Table2b, 1);
    assert_eq!(more.len(), 8 + 12);
    assert!(runs.iter().all(|r| more.contains(r)));
}

#[test]
fn calibration_folds_use_every_image_and_leave_the_weights_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    with_backbone(dir.path());
    let training = |out: &str, folds| {
        let mut args = options(dir.path(), out);
        args.checkpoint = Some(dir.path().join(format!("{out}-checkpoint")));
        args.hyper.epochs = Some(3);
        args.hyper.calibration_folds = Some(folds);
        let (weights, config, _) = trained(&args);
        (weights, serde_json::from_str::<serde_json::Value>(&config).unwrap())
    };
    let (plain, without) = training("plain", 0);
    // Each of the six instances is held out once.
    let (weights, config) = training("folds", 6);
    assert!(weights == plain, "calibration must not change the weights");
    assert_eq!(
        (&without["tagging"]["held_out_images"], &config["tagging"]["held_out_images"]),
        (&0.into(), &18.into())
    );
    let colours = |config: &serde_json::Value| config["tagging"]["attributes"][0]["temperature"].as_f64();
    assert_ne!(colours(&config), colours(&without));
    assert_eq!(training("folds", 6), (weights, config), "all trainings resume from checkpoints");
    for fold in ["fold-1", "fold-6"] {
        assert!(dir.path().join("folds-checkpoint").join(fold).is_dir());
    }
}

/// Options of a training that fine-tunes the backbone, with checkpoints.
fn finetuning(folder: &Path, out: &str) -> TrainArgs {
    let mut args = options(folder, out);
    args.checkpoint = Some(folder.join(format!("{out}-checkpoint")));
    args.workers = Some(2);
    args.hyper = HyperArgs {
        epochs: Some(3),
        train_backbone: Some(true),
        random_crop: Some(true),
        clip_norm: Some(10.0),
        validation: Some(0.3),
        lambda_order: None,
        ..args.hyper
    };
    args
}

/// Draws the data set and writes the backbone.
fn with_backbone(folder: &Path) {
    draw(folder);
    backbone(folder);
}

#[test]
fn a_backbone_is_fine_tuned_and_an_interrupted_training_resumes_to_the_same_numbers() {
    let dir = tempfile::tempdir().unwrap();
    with_backbone(dir.path());
    let (whole, config, _) = trained(&finetuning(dir.path(), "whole"));
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["training"]["backbone_frozen"], false);
    let start = synthetic::backbone(Arch::ResNet18);
    let model = crate::model::TensorFile::parse(&whole).unwrap();
    for name in ["layer4.1.conv2.weight", "bn1.weight", "bn1.running_mean"] {
        let learned = model.numbers(&format!("backbone.{name}")).unwrap();
        let before: Vec<f32> = start[name].flatten_all().unwrap().to_vec1().unwrap();
        // Filters are stored in half precision, so they must move by more than its rounding.
        let still = if start[name].rank() > 1 { 2e-3 } else { 1e-5 };
        let moved = learned.iter().zip(&before).any(|(a, b)| (a - b).abs() > still * b.abs().max(1e-2));
        assert!(moved, "{name} has not learned");
    }
    // Two epochs, then the third in another run: with a constant schedule the number of epochs does not matter.
    let mut first = finetuning(dir.path(), "parts");
    first.hyper.epochs = Some(2);
    run(&first).unwrap();
    let (parts, _, _) = trained(&finetuning(dir.path(), "parts"));
    assert!(parts == whole, "resuming gave other weights");
    let log = |out: &str| std::fs::read_to_string(dir.path().join(out).join("losses.csv")).unwrap();
    assert_eq!(log("parts"), log("whole"));
}
