//! Memory does not grow with the number of epochs. Measured in a child process, because other tests run in this one and share its
//! resident size.

use crate::data::augmentation::{Augmentation, CROP_AREA};
use crate::data::fixture::draw;
use crate::data::image_loader::TrainingImages;
use crate::data::manifest::Manifest;
use crate::error::Result;
use crate::image::Preprocessing;
use crate::model::{synthetic, Arch, FeatureSet};
use crate::train::feature_source::{FeatureSource, FrozenFeatures, ViewFeatures};
use crate::train::holdout::Holdout;
use crate::train::initializer::Initializer;
use crate::train::methods::create_method;
use crate::train::settings::{Settings, Stage};
use crate::train::stage_sources::StageSources;
use crate::train::trainable_backbone::{FrozenPart, Mode, TrainableBackbone};
use crate::train::trainable_features::TrainableFeatures;
use crate::train::trainer::{train, TrainingPlan};
use crate::train::training_set::TrainingSet;
use crate::train::validation::Validation;
use candle_core::{DType, Device, Tensor};
use indicatif::ProgressBar;
use rand::rngs::StdRng;
use rand::SeedableRng;

/// Set in the environment of the child process that measures.
const CHILD: &str = "COOPEMBED_TEST_MEASURES_MEMORY";

/// Resident memory of this process in bytes.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<i64>().unwrap() * 1024
}

/// Trains for `epochs` epochs and returns how much resident memory has grown after the first third of them.
fn growth(manifest: &Manifest, epochs: usize, sources: &dyn StageSources, split: &Holdout) -> i64 {
    let settings =
        Settings { epochs, batch_size: 4, subspace_dim: 8, learning_rate: 1e-3, ..Settings::default() };
    let set = TrainingSet::of_images(manifest, split.train.clone()).unwrap();
    let mut rng = StdRng::seed_from_u64(0);
    let start = Initializer::new(&Device::Cpu, DType::F32, &mut rng);
    let method = create_method(&set, 512, &settings, start).unwrap();
    let validation = Validation::new(manifest, &split.held_out, split.train.len());
    let bar = ProgressBar::hidden();
    let plan =
        TrainingPlan { validation: Some(&validation), ..TrainingPlan::new(&settings, &set.instances, &bar) };
    let mut early = 0;
    train(&*method, sources, &plan, &mut |l| {
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
    let split = Holdout::new(&manifest, 0.3, 0).unwrap();
    let images = [split.train.clone(), split.held_out.clone()].concat();

    let features = Tensor::rand(0f32, 1., (images.len(), 512), &Device::Cpu).unwrap();
    let frozen = FrozenFeatures::all(ViewFeatures::new(features.clone(), Some(features)).unwrap());
    let frozen = |_: &Stage| -> Result<Box<dyn FeatureSource>> { Ok(Box::new(frozen.clone())) };
    let grown = growth(&manifest, 600, &frozen, &split);
    assert!(grown < 2 << 20, "400 epochs over frozen features took {grown} more bytes");

    let trainable = |_: &Stage| -> Result<Box<dyn FeatureSource>> {
        let tensors = synthetic::backbone(Arch::ResNet18);
        let (set, frozen) = (FeatureSet::Last, FrozenPart::Nothing);
        let backbone = TrainableBackbone::load(Arch::ResNet18, set, frozen, &tensors, &Device::Cpu)?;
        let training_images = TrainingImages {
            manifest: manifest.clone(),
            images: images.clone(),
            preprocessing: Preprocessing::imagenet(32),
            augmentation: Augmentation { flip: true, crop: Some(CROP_AREA), ..Augmentation::default() },
            seed: 0,
        };
        let device = &Device::Cpu;
        Ok(Box::new(TrainableFeatures::new(backbone, training_images, device, Mode::Train, 4, 2, None)))
    };
    let grown = growth(&manifest, 9, &trainable, &split);
    // One copy of the network's parameters is 45 MB.
    assert!(grown < 40 << 20, "6 epochs of a trainable backbone took {grown} more bytes");
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
    child.args(["--exact", "train::tests::memory::memory_does_not_grow_with_epochs", "--nocapture"]);
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The name above is that of this test: had it changed, the child would have run no test and succeeded.
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}
