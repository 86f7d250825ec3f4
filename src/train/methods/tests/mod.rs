//! Every method learns a small training set.

mod parity;

use super::create_method;
use crate::data::fixture::value_sets;
use crate::error::Result;
use crate::space::Part;
use crate::train::feature_source::{FeatureSource, FrozenFeatures, ViewFeatures};
use crate::train::geometry::unit_subspaces;
use crate::train::initializer::Initializer;
use crate::train::method::Method;
use crate::train::method_kind::MethodKind;
use crate::train::settings::{Settings, Stage};
use crate::train::trainer::{train, EpochLosses, TrainingPlan};
use crate::train::training_set::{AttributeShape, TrainingSet};
use candle_core::{DType, Device, Tensor};
use clap::ValueEnum;
use indicatif::ProgressBar;
use rand::rngs::StdRng;
use rand::SeedableRng;

/// Six instances in two categories, eight images each; the features of an image are a one-hot vector of its
/// instance plus noise.
fn small() -> (TrainingSet, Tensor) {
    let shape = |name: &str, values| AttributeShape { name: name.into(), values, ordered: false };
    let set = TrainingSet {
        images: (0..48).collect(),
        instances: (0..48).map(|i| i % 6).collect(),
        categories: (0..48).map(|i| i % 6 / 3).collect(),
        values: (0..48).map(|i| value_sets([Some(i % 6 % 2), (i % 6 > 1).then_some(i % 6 % 3)])).collect(),
        instance_category: vec![0, 0, 0, 1, 1, 1],
        category_count: 2,
        attributes: vec![shape("colour", 2), shape("size", 3)],
    };
    let noise = |i: usize| ((i * 2654435761) % 1000) as f32 / 2000.0;
    let values: Vec<f32> = (0..48 * 6).map(|i| noise(i) + f32::from(i % 6 == i / 6 % 6)).collect();
    (set, Tensor::from_vec(values, (48, 6), &Device::Cpu).unwrap())
}

fn settings(kind: MethodKind) -> Settings {
    let mut s = Settings {
        subspace_dim: 4,
        epochs: 60,
        batch_size: 16,
        learning_rate: 1e-2,
        flip: false,
        ..Default::default()
    };
    s.set_method(kind);
    s
}

fn learned<'a>(
    set: &'a TrainingSet,
    features: &Tensor,
    s: &Settings,
) -> (Box<dyn Method + 'a>, Vec<EpochLosses>) {
    let mut rng = StdRng::seed_from_u64(s.seed);
    let start = Initializer::new(&Device::Cpu, DType::F32, &mut rng);
    let method = create_method(set, 6, s, start).unwrap();
    let source = |_: &Stage| -> Result<Box<dyn FeatureSource>> {
        Ok(Box::new(FrozenFeatures::all(ViewFeatures::new(features.clone(), None)?)))
    };
    let mut log = Vec::new();
    train(&*method, &source, &TrainingPlan::new(s, &set.instances, &ProgressBar::hidden()), &mut |l| {
        log.push(l.clone());
        Ok(())
    })
    .unwrap();
    (method, log)
}

/// The share of images whose nearest image, in a part of the embedding at unit length, has the same label.
fn recall_at_1(
    method: &dyn Method,
    features: &Tensor,
    part: Part,
    label: impl Fn(usize) -> Option<u32>,
) -> f64 {
    let space = method.task_layout();
    let f = unit_subspaces(&method.embed(features).unwrap(), space.subspaces).unwrap();
    let range = space.range(part);
    let f: Vec<Vec<f32>> = f.narrow(1, range.start, range.len()).unwrap().to_vec2().unwrap();
    let labelled: Vec<usize> = (0..f.len()).filter(|&i| label(i).is_some()).collect();
    let dot = |i: usize, j: usize| f[i].iter().zip(&f[j]).map(|(a, b)| a * b).sum::<f32>();
    let hit = |&&i: &&usize| {
        let others = labelled.iter().filter(|&&j| j != i);
        let nearest = others.max_by(|&&a, &&b| dot(i, a).total_cmp(&dot(i, b))).unwrap();
        label(*nearest) == label(i)
    };
    labelled.iter().filter(hit).count() as f64 / labelled.len() as f64
}

#[test]
fn every_method_learns_all_three_tasks() {
    let (set, features) = small();
    for kind in MethodKind::value_variants() {
        let (method, log) = learned(&set, &features, &settings(*kind));
        assert!(log[59].total < 0.8 * log[0].total, "{kind:?}: {:?} {:?}", log[0], log[59]);
        let space = method.task_layout();
        assert_eq!(method.embed(&features).unwrap().dims(), [48, space.subspaces * space.dim], "{kind:?}");
        let instance = recall_at_1(&*method, &features, space.instance, |i| Some(set.instances[i]));
        let category = recall_at_1(&*method, &features, space.category, |i| Some(set.categories[i]));
        let size = recall_at_1(&*method, &features, space.attributes[1], |i| set.values[i][1].single());
        assert!(instance > 0.9 && category > 0.9 && size > 0.9, "{kind:?} {instance} {category} {size}");
        let mut names: Vec<String> = method.parameters().into_iter().map(|p| p.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), method.parameters().len(), "{kind:?}");
        assert_eq!(method.cooperative().is_some(), *kind == MethodKind::Cooperative);
    }
}

#[test]
fn the_norm_term_shortens_embeddings_of_every_method_that_has_lengths() {
    let (set, features) = small();
    for &kind in MethodKind::value_variants().iter().filter(|kind| kind.has_lengths()) {
        let size = |weight: f64| {
            let mut s = settings(kind);
            s.losses.regularization = weight;
            let (method, log) = learned(&set, &features, &s);
            assert_eq!(
                log[0].parts.iter().any(|(name, x)| name == "norm" && x.is_some()),
                weight > 0.0,
                "{kind:?}"
            );
            let f = method.embed(&features).unwrap();
            f.sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap()
        };
        let (free, pulled) = (size(0.0), size(0.05));
        assert!(pulled < 0.8 * free, "{kind:?}: {pulled} against {free}");
    }
}

#[test]
fn fixed_proxies_stay_and_the_others_move() {
    let (set, features) = small();
    let s = Settings { epochs: 2, fixed_instance_proxies: true, ..settings(MethodKind::Cooperative) };
    let (before, _) = learned(&set, &features, &Settings { epochs: 1, learning_rate: 1e-30, ..s.clone() });
    let (after, _) = learned(&set, &features, &s);
    let numbers = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let of = |m: &dyn Method| {
        let p = m.cooperative().unwrap();
        (numbers(&p.instance_proxies), numbers(&p.attribute_proxies[0]))
    };
    let (b, a) = (of(&*before), of(&*after));
    assert_eq!(b.0, a.0);
    assert_ne!(b.1, a.1);
}

#[test]
fn options_beyond_the_paper_learn_too() {
    let (set, features) = small();
    let base = settings(MethodKind::Cooperative);
    for s in [
        Settings { normalize: true, learned_scale: true, scale: 4.0, ..base.clone() },
        Settings { layer_norm: true, ..base.clone() },
        Settings { images_per_instance: Some(4), ..base },
    ] {
        let (method, log) = learned(&set, &features, &s);
        assert!(log[59].total < 0.8 * log[0].total, "{s:?}");
        assert!(
            recall_at_1(&*method, &features, Part::Superspace, |i| Some(set.instances[i])) > 0.9,
            "{s:?}"
        );
        let scale = method.parameters().into_iter().find(|p| p.name == "log_scale");
        let moved = scale.map(|p| (p.var.to_vec1::<f32>().unwrap()[0] - 4f32.ln()).abs() > 0.01);
        assert_eq!(moved, s.learned_scale.then_some(true));
    }
}
