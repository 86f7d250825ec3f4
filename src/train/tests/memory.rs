//! Memory over epochs. Measured in a process of its own, because the resident size is the process's and other tests run beside.

use crate::data::fixture::draw;
use crate::data::image_loader::{Augmentation, TrainingImages};
use crate::data::manifest::Manifest;
use crate::image::Preprocessing;
use crate::model::{synthetic, Arch};
use crate::train::feature_source::{FeatureSource, FrozenFeatures};
use crate::train::learning_backbone::{LearningBackbone, Mode};
use crate::train::learning_source::LearningSource;
use crate::train::methods::layers::Initializer;
use crate::train::settings::Settings;
use crate::train::trainer::{train, Plan};
use crate::train::training_set::TrainingSet;
use crate::train::validation::{HeldOut, Validation};
use candle_core::{DType, Device, Tensor};
use indicatif::ProgressBar;
use rand::rngs::StdRng;
use rand::SeedableRng;

/// Says to this process that it is the child that measures.
const CHILD: &str = "COOPEMBED_TEST_MEASURES_MEMORY";

/// Bytes of resident memory.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<i64>().unwrap() * 1024
}

/// Trains over the drawn set for `epochs` and returns by how much the resident memory has grown since a third of them.
fn growth(manifest: &Manifest, epochs: usize, source: &mut dyn FeatureSource, sides: &HeldOut) -> i64 {
    let settings =
        Settings { epochs, batch_size: 4, subspace_dim: 8, learning_rate: 1e-3, ..Settings::default() };
    let set = TrainingSet::of(manifest, sides.train.clone()).unwrap();
    let mut rng = StdRng::seed_from_u64(0);
    let start = Initializer::new(&Device::Cpu, DType::F32, &mut rng);
    let method = settings.method.start(&set, source.features(), &settings, start).unwrap();
    let validation = Validation::new(manifest, &sides.validation, sides.train.len());
    let bar = ProgressBar::hidden();
    let plan = Plan { validation: Some(&validation), ..Plan::new(&settings, &set.instances, &bar) };
    let mut early = 0;
    train(&*method, source, &plan, &mut |l| {
        if l.epoch == epochs / 3 {
            early = resident();
        }
        Ok(())
    })
    .unwrap();
    resident() - early
}

fn measure() {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path());
    let manifest = Manifest::read(dir.path()).unwrap();
    let sides = HeldOut::new(&manifest, 0.3, 0).unwrap();
    let images = [sides.train.clone(), sides.validation.clone()].concat();

    let features = Tensor::rand(0f32, 1., (images.len(), 512), &Device::Cpu).unwrap();
    let mut frozen = FrozenFeatures::new(features.clone(), Some(features));
    let grown = growth(&manifest, 600, &mut frozen, &sides);
    assert!(grown < 2 << 20, "400 epochs over frozen features took {grown} bytes more");

    let backbone =
        LearningBackbone::load(Arch::ResNet18, &synthetic::backbone(Arch::ResNet18), &Device::Cpu).unwrap();
    let pictures = TrainingImages {
        manifest: manifest.clone(),
        images,
        preprocessing: Preprocessing::imagenet(32),
        augmentation: Augmentation { flip: true, crop: true },
        seed: 0,
    };
    let mut learning = LearningSource::new(backbone, pictures, &Device::Cpu, Mode::Train, 4, 2);
    let grown = growth(&manifest, 9, &mut learning, &sides);
    // One copy of the network's parameters is 45 MB.
    assert!(grown < 40 << 20, "6 epochs of a learning backbone took {grown} bytes more");
}

#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow_with_epochs() {
    if std::env::var_os(CHILD).is_some() {
        return measure();
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    // glibc keeps freed memory for later unless told at the start of a process to map large blocks one by one.
    child.env(CHILD, "1").env("MALLOC_MMAP_THRESHOLD_", "65536").env("RAYON_NUM_THREADS", "2");
    child.args(["--exact", "train::memory_tests::memory_does_not_grow_with_epochs", "--nocapture"]);
    assert!(child.status().unwrap().success());
}
