//! Measures how long the steps of a training take, in some seconds, for its [`Plan`].

use super::plan::{calibration_seconds, feature_seconds, seconds_per_image, training_seconds, Plan};
use super::tuning::candidate_count;
use crate::commands::staged_data::{mode, StagedData};
use crate::data::lower_maps::LowerPart;
use crate::data::manifest::Split;
use crate::data::view::View;
use crate::error::Result;
use crate::model::LowerMaps;
use crate::train::feature_source::FeatureSource as _;
use crate::train::holdout::Holdout;
use crate::train::initializer::Initializer;
use crate::train::methods::create_method;
use crate::train::optimizer::{Adam, LearningRates};
use crate::train::sampler::epoch_order;
use crate::train::settings::{Settings, Stage, StagePart};
use crate::train::trainable_backbone::{FrozenPart, NetworkInput};
use crate::train::training_set::TrainingSet;
use candle_core::{DType, Device, Tensor};
use rand::rngs::StdRng;
use rand::SeedableRng;
use std::time::Instant;

/// The plan of a training on the images of `split`, from which `set` was made. Features that are measured stay in the cache.
///
/// # Errors
/// Those of reading images, of the cache and of a training step.
pub fn measured_plan(
    data: &StagedData<'_>,
    settings: &Settings,
    split: &Holdout,
    set: &TrainingSet,
) -> Result<Plan> {
    let manifest = data.manifest;
    let test = [manifest.split(Split::Query), manifest.split(Split::Gallery)].concat();
    let features = |images: &[usize], view: View| {
        feature_seconds(images.len(), &mut |range| {
            timed(|| {
                data.backbone.extract(manifest, &images[range], view, data.preprocessing, Some(data.cache))
            })
        })
    };
    let images = data.train.len();
    let mut plan = Plan::default();
    let of_views =
        data.views().iter().map(|&view| features(&data.train, view)).collect::<Result<Vec<_>>>()?;
    let stages = settings.stages();
    let learns = settings.trains_backbone();
    if data.needs_features() {
        let seconds = of_views.iter().sum();
        plan.add(format!("features of {images} images in {} views", data.views().len()), seconds);
    }
    if stages.iter().any(|stage| stage.part == StagePart::Upper) {
        // The lower part is about half of the network; decoding is the same again.
        plan.add("feature maps under the blocks that learn", of_views.iter().sum::<f64>() / 2.0);
    }
    let per_stage = stages
        .iter()
        .map(|stage| {
            Ok(training_seconds(stage.epochs, split.train.len(), image_seconds(data, settings, stage, set)?))
        })
        .collect::<Result<Vec<f64>>>()?;
    let training = per_stage.iter().sum();
    if settings.tune {
        let count = candidate_count(settings) as f64;
        let head = stages.iter().zip(&per_stage).filter(|(stage, _)| stage.part == StagePart::Head);
        plan.add("choice of the objective", head.map(|(_, seconds)| count * seconds).sum());
    }
    let folds = if split.held_out.is_empty() { settings.calibration_folds } else { 0 };
    if folds > 0 {
        let name = format!("calibration, {folds} trainings without a part of the images");
        plan.add(name, calibration_seconds(folds, training));
    }
    for (stage, seconds) in stages.iter().zip(&per_stage) {
        let name = match stages.len() {
            1 => "training".to_owned(),
            _ => format!("training, stage {}", stage.part.name()),
        };
        plan.add(format!("{name}, {} epochs of {} images", stage.epochs, split.train.len()), *seconds);
    }
    let untrained = features(&test, View::Plain)?;
    // A backbone that has learned computes all features anew.
    let learned = if learns { of_views[0] + untrained } else { 0.0 };
    plan.add(
        format!("evaluation on {} images", test.len()),
        untrained + learned + scoring_seconds(data, settings, set)?,
    );
    Ok(plan)
}

/// Seconds per image of a stage's training step. What the steps change is thrown away.
fn image_seconds(
    data: &StagedData<'_>,
    settings: &Settings,
    stage: &Stage,
    set: &TrainingSet,
) -> Result<f64> {
    let head = head_seconds(data, settings, set)?;
    match stage.part {
        StagePart::Head => Ok(head),
        StagePart::Upper | StagePart::All => Ok(head + backbone_seconds(data, settings, stage, set)?),
    }
}

/// Seconds per image of a step of projection and proxies, on random features.
fn head_seconds(data: &StagedData<'_>, settings: &Settings, set: &TrainingSet) -> Result<f64> {
    let mut rng = StdRng::seed_from_u64(settings.seed);
    let initializer = Initializer::new(data.device, DType::F32, &mut rng);
    let count = data.backbone.features();
    let method = create_method(set, count, settings, initializer)?;
    let mut adam = Adam::new(settings.optimizer(), method.parameters())?;
    let order = epoch_order(&set.instances, settings.images_per_instance, &mut rng);
    let mut step = |batch: usize| {
        let features = Tensor::randn(0f32, 1.0, (batch, count), data.device)?;
        timed(|| {
            let gradients = method.losses(&features, &order[..batch], &mut rng)?.total.backward()?;
            adam.step(&gradients, LearningRates::uniform(0.0))
        })
    };
    seconds_per_image(settings.batch_size.min(order.len()), &mut step)
}

/// Seconds per image of a step of the part of the backbone that learns: upper blocks on the maps of a grey image, everything on images.
fn backbone_seconds(
    data: &StagedData<'_>,
    settings: &Settings,
    stage: &Stage,
    set: &TrainingSet,
) -> Result<f64> {
    let mut rng = StdRng::seed_from_u64(settings.seed);
    let images: Vec<u32> = (0..set.images.len() as u32).collect();
    let measure = |parameters, forward: &mut dyn FnMut(&[u32]) -> Result<Tensor>| {
        let mut adam = Adam::new(settings.optimizer(), parameters)?;
        let mut step = |batch: usize| {
            timed(|| {
                // Any loss that depends on all features will do.
                let gradients = forward(&images[..batch])?.sqr()?.mean_all()?.backward()?;
                adam.step(&gradients, LearningRates::uniform(0.0))
            })
        };
        seconds_per_image(settings.batch_size.min(images.len()), &mut step)
    };
    if stage.part == StagePart::All {
        let mut source = data.image_source(settings, set.images.clone(), None)?;
        return measure(source.parameters(), &mut |images| {
            source.begin_epoch(0, images)?;
            source.training_batch(images, &mut rng)
        });
    }
    let blocks = settings.unfreeze_from - 1;
    let upper = data.trainable(settings, FrozenPart::Blocks(blocks))?;
    let part = LowerPart { backbone: data.backbone, preprocessing: data.preprocessing, blocks };
    let grey = part.of_pixels(&vec![128; data.preprocessing.pixel_bytes()], 1)?;
    measure(upper.parameters(), &mut |images| {
        let repeated = |t: &Tensor| -> Result<Tensor> {
            Ok(Tensor::cat(&vec![t; images.len()], 0)?.to_device(data.device)?)
        };
        let lower = LowerMaps { map: repeated(&grey.map)?, features: repeated(&grey.features)? };
        upper.forward(NetworkInput::Lower(&lower), mode(settings))
    })
}

/// Seconds of comparing embeddings, and for the verdict untrained features, of all query images with all gallery images. Measures a small
/// product of matrices.
fn scoring_seconds(data: &StagedData<'_>, settings: &Settings, set: &TrainingSet) -> Result<f64> {
    let features = data.backbone.features();
    let (rows, columns) = (128, 1024);
    let left = Tensor::zeros((rows, features), DType::F32, &Device::Cpu)?;
    let right = Tensor::zeros((columns, features), DType::F32, &Device::Cpu)?;
    let seconds = timed(|| Ok(left.matmul(&right.t()?)?))?;
    let per_number = seconds / (rows * columns * features) as f64;
    let count = |split| data.manifest.split(split).len();
    let gallery = count(Split::Gallery);
    let queries = if count(Split::Query) > 0 { count(Split::Query) } else { gallery };
    let numbers = set.attributes.len() * settings.subspace_dim + features;
    Ok(per_number * (queries * gallery * numbers) as f64)
}

/// The seconds that `work` takes.
fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::staged_data::StagedInputs;
    use crate::data::features::FrozenBackbone;
    use crate::data::fixture::draw;
    use crate::data::manifest::Manifest;
    use crate::image::Preprocessing;
    use crate::model::{synthetic, Arch, FeatureSet};
    use crate::train::settings::Preset;

    /// The names of the steps of a plan, on 18 training images and 18 others, at a size of 32 pixels.
    fn steps(settings: &Settings) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        draw(dir.path());
        let manifest = Manifest::read(dir.path()).unwrap();
        let tensors = synthetic::backbone(Arch::ResNet18);
        let backbone = FrozenBackbone::new(Arch::ResNet18, settings.features, &tensors).unwrap();
        let cache = dir.path().join("cache");
        let preprocessing = Preprocessing::imagenet(32);
        let inputs = StagedInputs {
            manifest: &manifest,
            preprocessing: &preprocessing,
            backbone: &backbone,
            tensors: &tensors,
            device: &Device::Cpu,
            workers: 1,
            map_folder: None,
            with_test: false,
        };
        let data = StagedData::new(inputs, settings, &cache);
        let split = Holdout::none(&manifest);
        let set = TrainingSet::of_images(&manifest, split.train.clone()).unwrap();
        let plan = measured_plan(&data, settings, &split, &set).unwrap();
        assert!(plan.steps.iter().all(|s| s.seconds > 0.0 && s.seconds < 600.0), "{plan}");
        plan.steps.into_iter().map(|s| s.name).collect()
    }

    #[test]
    fn a_plan_names_features_calibration_training_and_evaluation() {
        let settings = Settings { subspace_dim: 4, calibration_folds: 3, ..Default::default() };
        let want = [
            "features of 18 images in 2 views",
            "calibration, 3 trainings without a part of the images",
            "training, 30 epochs of 18 images",
            "evaluation on 18 images",
        ];
        assert_eq!(steps(&settings), want);
    }

    #[test]
    fn a_step_of_a_learning_backbone_is_measured_on_images() {
        let settings = Settings { subspace_dim: 4, train_backbone: true, epochs: 2, ..Default::default() };
        let want = ["training, 2 epochs of 18 images", "evaluation on 18 images"];
        assert_eq!(steps(&settings), want);
    }

    #[test]
    fn every_stage_has_its_time() {
        let recommended = Settings { subspace_dim: 4, ..Settings::of(Preset::Recommended) };
        assert_eq!(recommended.features, FeatureSet::Levels);
        let names = steps(&recommended);
        for (part, name) in
            ["features of", "feature maps under", "choice of the", "calibration, "].iter().zip(&names)
        {
            assert!(name.starts_with(part), "{names:?}");
        }
        assert!(
            names[4].starts_with("training, stage head, ") && names[5].starts_with("training, stage upper, ")
        );
    }
}
