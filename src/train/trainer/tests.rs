//! The loop on a small set: losses fall, seeds decide, checkpoints resume.

use super::*;
use crate::train::feature_source::FrozenFeatures;
use crate::train::initializer::Initializer;
use crate::train::losses::LossWeights;
use crate::train::methods::Cooperative;
use crate::train::training_set::{AttributeShape, TrainingSet};
use candle_core::Tensor;

fn shape(name: &str, values: usize, ordered: bool) -> AttributeShape {
    AttributeShape { name: name.into(), values, ordered }
}

/// Four instances in two categories. The features of an image are a one-hot vector of its instance plus noise.
fn small() -> (TrainingSet, Tensor) {
    let set = TrainingSet {
        images: (0..40).collect(),
        instances: (0..40).map(|i| i % 4).collect(),
        categories: (0..40).map(|i| i % 4 / 2).collect(),
        values: (0..40).map(|i| vec![Some(i % 4 % 2), (i % 3 == 0).then_some(i % 4 / 2)]).collect(),
        instance_category: vec![0, 0, 1, 1],
        category_count: 2,
        attributes: vec![shape("colour", 2, false), shape("size", 3, true)],
    };
    let noise = |i: usize| ((i * 2654435761) % 1000) as f32 / 5000.0;
    let values: Vec<f32> = (0..40 * 4).map(|i| noise(i) + f32::from(i % 4 == i / 4 % 4)).collect();
    (set, Tensor::from_vec(values, (40, 4), &Device::Cpu).unwrap())
}

fn settings() -> Settings {
    Settings {
        subspace_dim: 3,
        epochs: 60,
        batch_size: 16,
        learning_rate: 1e-2,
        flip: false,
        ..Default::default()
    }
}

type Outcome = (Vec<EpochLosses>, Vec<f32>);

/// Trains until `observe` fails, or to the end: the log and the projection.
fn try_training(
    settings: &Settings,
    checkpoints: Option<&Checkpoints>,
    observe: &mut dyn FnMut(&EpochLosses) -> Result<()>,
) -> Result<Outcome> {
    let (set, features) = small();
    let flipped = settings.flip.then(|| features.affine(1.0, 0.1).unwrap());
    let mut rng = StdRng::seed_from_u64(settings.seed);
    let start = Initializer::new(features.device(), features.dtype(), &mut rng);
    let method = Cooperative::new(&set, 4, settings, start).unwrap();
    let mut source = FrozenFeatures::new(features, flipped);
    let bar = ProgressBar::hidden();
    let plan = TrainingPlan { checkpoints, ..TrainingPlan::new(settings, &set.instances, &bar) };
    let mut log = Vec::new();
    train(&method, &mut source, &plan, &mut |l| {
        log.push(l.clone());
        observe(l)
    })?;
    let weights = method.cooperative().unwrap().projection.weight.flatten_all()?;
    Ok((log, weights.to_vec1()?))
}

fn run(settings: &Settings) -> Outcome {
    try_training(settings, None, &mut |_| Ok(())).unwrap()
}

#[test]
fn losses_fall_and_every_loss_is_logged() {
    for settings in [
        settings(),
        Settings { normalize: true, flip: true, ..settings() },
        Settings { losses: LossWeights { order: 1.0, ..settings().losses }, ..settings() },
        Settings {
            optimizer: crate::train::optimizer::OptimizerKind::AdamW,
            clip_norm: Some(1.0),
            ..settings()
        },
    ] {
        let (log, _) = run(&settings);
        assert_eq!((log.len(), log[59].epoch), (60, 60));
        assert!(log[59].total < 0.8 * log[0].total, "{:?} {:?}", log[0], log[59]);
        let names: Vec<&str> = log[0].parts.iter().map(|(name, _)| name.as_str()).collect();
        let all = ["instance", "category", "norm", "order", "attribute:colour", "attribute:size"];
        assert_eq!(names, all);
        let order = settings.losses.order > 0.0;
        assert!(log[0].parts.iter().all(|(name, loss)| loss.is_some() == (name != "order" || order)));
    }
}

#[test]
fn a_seed_decides_everything() {
    let short = Settings { epochs: 3, flip: true, ..settings() };
    assert_eq!(run(&short), run(&short));
    assert_ne!(run(&short).1, run(&Settings { seed: 1, ..short }).1);
}

#[test]
fn a_diverging_loss_is_an_error_that_names_its_step_and_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(dir.path(), "x".into()).unwrap();
    try_training(&Settings { epochs: 2, ..settings() }, Some(&checkpoints), &mut |_| Ok(())).unwrap();
    let before = std::fs::read(dir.path().join("checkpoint.safetensors")).unwrap();
    let wild = Settings { epochs: 3, learning_rate: 1e30, ..settings() };
    let e = try_training(&wild, Some(&checkpoints), &mut |_| Ok(())).unwrap_err();
    assert_eq!(e.message, "the loss is not a finite number in epoch 3, step 2");
    let detail = e.detail.unwrap();
    assert!(detail.contains("\"instance\"") && detail.contains("is kept: "), "{detail}");
    assert_eq!(std::fs::read(dir.path().join("checkpoint.safetensors")).unwrap(), before);
}

#[test]
fn an_interrupted_training_resumes_to_the_same_result() {
    let settings = Settings { epochs: 5, flip: true, ..settings() };
    let (log, whole) = run(&settings);
    for interrupted in 1..=5 {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::open(dir.path(), "x".into()).unwrap();
        // Fails after the epoch and before its checkpoint.
        let stopped = try_training(&settings, Some(&checkpoints), &mut |l| match l.epoch == interrupted {
            true => Err(Error::new(Kind::Unavailable, "interrupted")),
            false => Ok(()),
        });
        assert_eq!(stopped.unwrap_err().message, "interrupted");
        assert_eq!(checkpoints.finished_epochs().unwrap(), interrupted - 1);
        let (rest, weights) = try_training(&settings, Some(&checkpoints), &mut |_| Ok(())).unwrap();
        assert!(weights == whole && rest == log[interrupted - 1..], "interrupted in {interrupted}");
    }
}

#[test]
fn a_checkpoint_of_another_training_or_a_damaged_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let open = |training: &str| Checkpoints::open(dir.path(), training.into()).unwrap();
    try_training(&Settings { epochs: 1, ..settings() }, Some(&open("x")), &mut |_| Ok(())).unwrap();
    assert_eq!(open("y").read().unwrap_err().kind, Kind::Mismatch);
    let path = dir.path().join("checkpoint.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let e = open("x").read().unwrap_err();
    assert!(e.kind == Kind::InvalidModel && e.message.contains("checkpoint.safetensors"), "{e:?}");
}

#[test]
fn a_failed_checkpoint_keeps_the_previous_one() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(dir.path(), "x".into()).unwrap();
    // A directory with the name of the temporary file stands for any failure to write.
    let e = try_training(&Settings { epochs: 3, ..settings() }, Some(&checkpoints), &mut |l| {
        if l.epoch == 3 {
            std::fs::create_dir(dir.path().join("checkpoint.safetensors.new")).unwrap();
        }
        Ok(())
    })
    .unwrap_err();
    assert_eq!(e.kind, Kind::Io);
    assert_eq!(e.detail.as_deref(), Some("The checkpoint of epoch 2 is still there."));
    assert_eq!(checkpoints.finished_epochs().unwrap(), 2);
}

#[test]
fn attributes_with_absent_values_get_an_absent_proxy() {
    let (mut set, features) = small();
    // Two of the four instances have no size.
    set.values = (0..40u32).map(|i| vec![Some(i % 2), (i % 4 < 2).then_some(i % 4)]).collect();
    let settings = Settings { absent_proxies: true, ..settings() };
    let mut rng = StdRng::seed_from_u64(0);
    let start = Initializer::new(features.device(), features.dtype(), &mut rng);
    let method = Cooperative::new(&set, 4, &settings, start).unwrap();
    let absent: Vec<String> =
        method.parameters().into_iter().map(|p| p.name).filter(|n| n.contains("absent")).collect();
    assert_eq!(absent, ["proxies.absent.size"]);

    // After training, images without a size are nearest to the absent proxy.
    train(
        &method,
        &mut FrozenFeatures::new(features.clone(), None),
        &TrainingPlan::new(&settings, &set.instances, &ProgressBar::hidden()),
        &mut |_| Ok(()),
    )
    .unwrap();
    let p = method.cooperative().unwrap();
    let size = method.embed(&features).unwrap().narrow(1, 3, 3).unwrap().to_vec2::<f32>().unwrap();
    let sizes = Tensor::cat(&[&p.attribute_proxies[1], p.absent_proxies[1].as_ref().unwrap()], 0).unwrap();
    let sizes = sizes.to_vec2::<f32>().unwrap();
    let nearest = |f: &[f32]| {
        let distance = |p: &[f32]| f.iter().zip(p).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
        (0..4).min_by(|&a, &b| distance(&sizes[a]).total_cmp(&distance(&sizes[b]))).unwrap()
    };
    let right = (0..40).filter(|&i| set.values[i][1].is_none() == (nearest(&size[i]) == 3)).count();
    assert_eq!(right, 40);
}
