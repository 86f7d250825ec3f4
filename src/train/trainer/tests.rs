//! The loop on a small set: losses fall, seeds decide, checkpoints resume.

use super::*;
use crate::data::fixture::value_sets;
use crate::train::feature_source::{FeatureSource, FrozenFeatures, ViewFeatures};
use crate::train::initializer::Initializer;
use crate::train::losses::LossWeights;
use crate::train::methods::Cooperative;
use crate::train::optimizer::ParameterGroup;
use crate::train::settings::{Schedule, StagePart};
use crate::train::training_set::{AttributeShape, TrainingSet};
use candle_core::{Tensor, Var};

fn shape(name: &str, values: usize, ordered: bool) -> AttributeShape {
    AttributeShape { name: name.into(), values, ordered }
}

/// Four instances in two categories. The features of an image are a one-hot vector of its instance plus noise.
fn small() -> (TrainingSet, Tensor) {
    let set = TrainingSet {
        images: (0..40).collect(),
        instances: (0..40).map(|i| i % 4).collect(),
        categories: (0..40).map(|i| i % 4 / 2).collect(),
        values: (0..40).map(|i| value_sets([Some(i % 4 % 2), (i % 3 == 0).then_some(i % 4 / 2)])).collect(),
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
    let features = FrozenFeatures::all(ViewFeatures::new(features, flipped)?);
    let source = |_: &Stage| -> Result<Box<dyn FeatureSource>> { Ok(Box::new(features.clone())) };
    let bar = ProgressBar::hidden();
    let plan = TrainingPlan { checkpoints, ..TrainingPlan::new(settings, &set.instances, &bar) };
    let mut log = Vec::new();
    train(&method, &source, &plan, &mut |l| {
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
    let plain = Settings { epochs: 5, flip: true, ..settings() };
    let averaged = Settings { ema: Some(0.9), ..plain.clone() };
    let ends = [&plain, &averaged].map(|settings| run(settings).1);
    assert_ne!(ends[0], ends[1]);
    for (settings, interrupted) in [&plain, &averaged].into_iter().flat_map(|s| (1..=5).map(move |i| (s, i)))
    {
        let (log, whole) = run(settings);
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::open(dir.path(), "x".into()).unwrap();
        // Fails after the epoch and before its checkpoint.
        let stopped = try_training(settings, Some(&checkpoints), &mut |l| match l.epoch == interrupted {
            true => Err(Error::new(Kind::Unavailable, "interrupted")),
            false => Ok(()),
        });
        assert_eq!(stopped.unwrap_err().message, "interrupted");
        assert_eq!(checkpoints.finished_epochs().unwrap(), interrupted - 1);
        let (rest, weights) = try_training(settings, Some(&checkpoints), &mut |_| Ok(())).unwrap();
        assert!(weights == whole && rest == log[interrupted - 1..], "interrupted in {interrupted}");
    }
}

/// A "backbone" of one vector, by which it multiplies features.
struct Multiplier {
    features: FrozenFeatures,
    factors: Var,
}

impl FeatureSource for Multiplier {
    fn features(&self) -> usize {
        4
    }

    fn parameters(&self) -> Vec<Parameter> {
        let (name, group) = ("backbone.factors".into(), ParameterGroup::Backbone { norm_from: 4 });
        vec![Parameter { name, group, var: self.factors.clone() }]
    }

    fn begin_epoch(&mut self, _: usize, _: &[u32]) -> Result<()> {
        Ok(())
    }

    fn training_batch(&mut self, images: &[u32], rng: &mut StdRng) -> Result<Tensor> {
        Ok(self.features.training_batch(images, rng)?.broadcast_mul(&self.factors)?)
    }

    fn evaluation_batch(&mut self, images: &[u32]) -> Result<Tensor> {
        Ok(self.features.evaluation_batch(images)?.broadcast_mul(&self.factors)?)
    }

    fn backbone(&self) -> Result<Option<Tensors>> {
        Ok(Some([("factors".to_owned(), self.factors.as_detached_tensor().copy()?)].into()))
    }
}

/// Trains in stages: a head, a multiplier, and both again.
fn try_stages(
    checkpoints: Option<&Checkpoints>,
    validation: Option<&Validation>,
    observe: &mut dyn FnMut(&EpochLosses) -> Result<()>,
) -> Result<(Vec<EpochLosses>, Vec<f32>, Vec<f32>)> {
    let flat = Settings { learning_rate: 1e-2, schedule: Schedule::Cosine, ..settings() };
    let stage = |part, epochs| Stage { epochs, ..flat.flat_stage(part) };
    let stages = vec![stage(StagePart::Head, 3), stage(StagePart::Upper, 2), stage(StagePart::All, 2)];
    let patience = validation.map(|_| 1);
    let settings = Settings { stages, patience, validation: validation.map(|_| 0.2), ..flat };
    let (set, features) = small();
    let features = FrozenFeatures::all(ViewFeatures::new(features, None)?);
    let source = |stage: &Stage| -> Result<Box<dyn FeatureSource>> {
        let features = features.clone();
        if stage.part == StagePart::Head {
            return Ok(Box::new(features));
        }
        Ok(Box::new(Multiplier { features, factors: Var::ones(4, DType::F32, &Device::Cpu)? }))
    };
    let mut rng = StdRng::seed_from_u64(settings.seed);
    let start = Initializer::new(&Device::Cpu, DType::F32, &mut rng);
    let method = Cooperative::new(&set, 4, &settings, start)?;
    let bar = ProgressBar::hidden();
    let instances = &set.instances[..if validation.is_some() { 30 } else { 40 }];
    let plan = TrainingPlan { checkpoints, validation, ..TrainingPlan::new(&settings, instances, &bar) };
    let mut log = Vec::new();
    let backbone = train(&method, &source, &plan, &mut |l| {
        log.push(l.clone());
        observe(l)
    })?;
    let weights = method.cooperative().unwrap().projection.weight.flatten_all()?.to_vec1()?;
    Ok((log, weights, backbone.unwrap()["factors"].to_vec1()?))
}

#[test]
fn stages_hand_on_what_has_learned_and_an_interruption_in_any_of_them_changes_nothing() {
    let held_out = Validation {
        first: 30,
        instances: (30..40).map(|i| i % 4).collect(),
        categories: (30..40).map(|i| i % 4 / 2).collect(),
        values: (30..40).map(|i| value_sets([Some(i % 4 % 2), None])).collect(),
    };
    for validation in [None, Some(&held_out)] {
        let whole = try_stages(None, validation, &mut |_| Ok(())).unwrap();
        let epochs = whole.0.len();
        assert!(validation.is_some() || epochs == 7, "{epochs}");
        assert!(whole.2.iter().all(|f| *f != 1.0) && whole.0[epochs - 1].total < whole.0[0].total);
        if validation.is_none() {
            // Each stage has a cosine of its own, which ends at 0.
            assert!([2, 4, 6].iter().all(|&last| whole.0[last].learning_rate < 1e-12));
        }
        for interrupted in 1..=epochs {
            let dir = tempfile::tempdir().unwrap();
            let checkpoints = Checkpoints::open(dir.path(), "x".into()).unwrap();
            let stopped = try_stages(Some(&checkpoints), validation, &mut |l| match l.epoch == interrupted {
                true => Err(Error::new(Kind::Unavailable, "interrupted")),
                false => Ok(()),
            });
            assert_eq!(stopped.unwrap_err().message, "interrupted");
            let (rest, weights, factors) =
                try_stages(Some(&checkpoints), validation, &mut |_| Ok(())).unwrap();
            assert_eq!(rest, whole.0[interrupted - 1..], "interrupted in {interrupted}");
            assert!((weights, factors) == (whole.1.clone(), whole.2.clone()), "interrupted in {interrupted}");
        }
        // Nothing is left to do: the end is the same.
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::open(dir.path(), "x".into()).unwrap();
        try_stages(Some(&checkpoints), validation, &mut |_| Ok(())).unwrap();
        let again = try_stages(Some(&checkpoints), validation, &mut |_| Ok(())).unwrap();
        assert_eq!((again.0.len(), again.1, again.2), (0, whole.1, whole.2));
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
    set.values = (0..40u32).map(|i| value_sets([Some(i % 2), (i % 4 < 2).then_some(i % 4)])).collect();
    let settings = Settings { absent_proxies: true, ..settings() };
    let mut rng = StdRng::seed_from_u64(0);
    let start = Initializer::new(features.device(), features.dtype(), &mut rng);
    let method = Cooperative::new(&set, 4, &settings, start).unwrap();
    let absent: Vec<String> =
        method.parameters().into_iter().map(|p| p.name).filter(|n| n.contains("absent")).collect();
    assert_eq!(absent, ["proxies.absent.size"]);

    // After training, images without a size are nearest to the absent proxy.
    let source = FrozenFeatures::all(ViewFeatures::new(features.clone(), None).unwrap());
    let source = |_: &Stage| -> Result<Box<dyn FeatureSource>> { Ok(Box::new(source.clone())) };
    train(
        &method,
        &source,
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
    let right = (0..40).filter(|&i| set.values[i][1].is_empty() == (nearest(&size[i]) == 3)).count();
    assert_eq!(right, 40);
}
