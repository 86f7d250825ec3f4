//! The whole offline chain on a small set that is drawn here: train, write, read back, evaluate.

use super::manifest::ReadingArgs;
use super::options::{CardArgs, HyperArgs, TrainArgs};
use super::run::run;
use crate::eval::report::Absent;
use crate::eval::run::{run as evaluate, EvalArgs};
use crate::model::{synthetic, Arch, Model};
use image::{Rgb, RgbImage};
use std::path::Path;

const COLOURS: [(&str, [u8; 3]); 3] =
    [("red", [220, 30, 30]), ("green", [30, 180, 60]), ("blue", [40, 60, 220])];
const SHAPES: [&str; 2] = ["square", "cross"];

/// 12 instances of a colour, a shape (their category) and a size, three pictures each; the size of half of them is not
/// told. Half of the instances train.
fn draw(folder: &Path) {
    let mut csv = "path,instance,category,split,colour,size\n".to_owned();
    for (c, (colour, rgb)) in COLOURS.iter().enumerate() {
        for (s, shape) in SHAPES.iter().enumerate() {
            for half in 0..2 {
                let instance = format!("{colour}-{shape}-{half}");
                let large = (c + s + half) % 2;
                for view in 0..3 {
                    let (width, place) = (4 + 4 * large as i32, 12 + 4 * view);
                    let inside = |x: u32, y: u32| {
                        let (dx, dy) = ((x as i32 - place).abs(), (y as i32 - 16).abs());
                        if s == 0 {
                            dx.max(dy) <= width
                        } else {
                            dx.min(dy) <= width / 3 && dx.max(dy) <= width + 2
                        }
                    };
                    let pixel = |x, y| Rgb(if inside(x, y) { [255; 3] } else { *rgb });
                    let path = format!("{instance}-{view}.png");
                    RgbImage::from_fn(32, 32, pixel).save(folder.join(&path)).unwrap();
                    let split = match (half, view) {
                        (0, _) => "train",
                        (_, 0) => "query",
                        _ => "gallery",
                    };
                    let size = if c == 2 { "" } else { ["small", "large"][large] };
                    csv.push_str(&format!("{path},{instance},{shape},{split},{colour},{size}\n"));
                }
            }
        }
    }
    std::fs::write(folder.join("images.csv"), csv).unwrap();
    let json = r#"{"colour": {"values": ["red", "green", "blue"]}, "size": {"ordered": true, "values": ["small", "large"]}}"#;
    std::fs::write(folder.join("attributes.json"), json).unwrap();
}

fn options(folder: &Path, out: &str) -> TrainArgs {
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

/// The model's files, and the lengths of the caches.
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
fn a_small_set_trains_evaluates_and_trains_to_the_same_bytes_after_an_interruption() {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path());
    let backbone = synthetic::backbone(Arch::ResNet18);
    candle_core::safetensors::save(
        &backbone.into_iter().collect::<std::collections::HashMap<_, _>>(),
        dir.path().join("resnet18.safetensors"),
    )
    .unwrap();

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
    // A random backbone generalises to nothing, but what it saw can be learned (`tests/garments.rs` has a real one).
    let total = |line: &str| line.split(',').nth(2).unwrap().parse::<f64>().unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert!(total(lines[40]) < 0.8 * total(lines[1]), "{log}");
    let card = std::fs::read_to_string(dir.path().join("first/README.md")).unwrap();
    assert!(card.contains("| size | small < large |") && card.contains("CC0-1.0"), "{card}");

    // A process killed while it wrote leaves part of a record; the next takes what is whole and goes on.
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
        cache: args.cache,
        reading: ReadingArgs::default(),
    })
    .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(report["instance"]["recall_at_1"], metrics["instance_recall_at_1"]);
    assert_eq!(report["attributes"]["mean_average_precision"], metrics["attribute_map"]);
    assert_eq!(report["model"]["digest"], model.digest().to_string());
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
