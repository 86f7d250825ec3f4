//! A backbone with gradients against inference and against PyTorch.

use super::*;
use crate::model::synthetic;

fn load(arch: Arch, tensors: &Tensors) -> Result<TrainableBackbone> {
    TrainableBackbone::load(arch, FeatureSet::Last, FrozenPart::Nothing, tensors, &Device::Cpu)
}

#[test]
fn evaluation_agrees_with_inference() {
    for arch in [Arch::ResNet18, Arch::ResNet50, Arch::EfficientNetLite0] {
        let tensors = synthetic::backbone(arch);
        let served = load_backbone(arch, FeatureSet::Last, &tensors, &Device::Cpu).unwrap();
        let trainable = load(arch, &tensors).unwrap();
        for (height, width) in [(64, 64), (75, 50)] {
            let images = synthetic::images(height, width);
            let numbers = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let want = numbers(served.forward(&images).unwrap());
            let got = numbers(trainable.forward(NetworkInput::Images(&images), Mode::Evaluate).unwrap());
            let largest = want.iter().fold(0f32, |m, x| m.max(x.abs()));
            let error = want.iter().zip(&got).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(want.len() == got.len() && error < 2e-5 * largest, "{arch}: {error} of {largest}");
        }
    }
}

#[test]
fn an_upper_part_on_the_maps_of_the_lower_agrees_with_inference() {
    for (arch, cut) in [(Arch::ResNet18, 3), (Arch::ResNet50, 0), (Arch::EfficientNetLite0, 5)] {
        let tensors = synthetic::backbone(arch);
        let set = FeatureSet::Levels;
        let served = load_backbone(arch, set, &tensors, &Device::Cpu).unwrap();
        let frozen = FrozenPart::Blocks(cut);
        let trainable = TrainableBackbone::load(arch, set, frozen, &tensors, &Device::Cpu).unwrap();
        let whole = TrainableBackbone::load(arch, set, FrozenPart::Nothing, &tensors, &Device::Cpu).unwrap();
        let images = synthetic::images(75, 50);
        let want = served.forward(&images).unwrap();
        let lower = served.lower(&images, cut).unwrap();
        let largest = want.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
        for got in [
            trainable.forward(NetworkInput::Lower(&lower), Mode::TrainFrozenNorm).unwrap(),
            whole.forward(NetworkInput::Images(&images), Mode::Evaluate).unwrap(),
        ] {
            let error = (got - &want).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
            assert!(error.to_scalar::<f32>().unwrap() < 2e-5 * largest, "{arch}");
        }
        // Only the upper part learns, all of it.
        let features = trainable.forward(NetworkInput::Lower(&lower), Mode::TrainFrozenNorm).unwrap();
        let gradients = features.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let learning = trainable.parameters();
        assert!(learning.iter().all(|p| gradients.get(&p.var).is_some()));
        let below: usize = arch.description().blocks[..cut].iter().map(Block::layer_count).sum();
        assert_eq!(learning.len(), whole.parameters().len() - 1 - below);
        assert!(trainable.forward(NetworkInput::Images(&images), Mode::Evaluate).is_err());
    }
    let tensors = synthetic::backbone(Arch::ResNet18);
    let too_many = FrozenPart::Blocks(9);
    let e = TrainableBackbone::load(Arch::ResNet18, FeatureSet::Last, too_many, &tensors, &Device::Cpu);
    let e = e.unwrap_err();
    assert_eq!((e.kind, e.message.as_str()), (Kind::InvalidParameter, "resnet18 has only 8 blocks"));
}

#[test]
fn saved_tensors_equal_the_loaded_ones() {
    let tensors = synthetic::backbone(Arch::EfficientNetLite0);
    let trainable = load(Arch::EfficientNetLite0, &tensors).unwrap();
    let out = trainable.tensors().unwrap();
    assert!(out.keys().eq(tensors.keys()));
    for (name, t) in &tensors {
        let numbers = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(t.dims() == out[name].dims() && numbers(t) == numbers(&out[name]), "{name}");
    }
}

/// The norm, and the inner product with pseudorandom numbers: a fingerprint of a tensor.
fn summary(t: &Tensor) -> [f64; 2] {
    let numbers: Vec<f32> = t.flatten_all().unwrap().to_vec1().unwrap();
    let probe = synthetic::uniform("probe", numbers.len()).map(|u| u * 2.0 - 1.0);
    let norm = numbers.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    [norm, numbers.iter().zip(probe).map(|(x, p)| f64::from(*x) * p).sum()]
}

// `python tests/fixtures/network.py` (PyTorch in double precision).
#[test]
fn a_training_pass_agrees_with_torchvision() {
    let want: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/fixtures/network.json")).unwrap();
    let close = |name: &str, found: &Tensor, want: &serde_json::Value| {
        let want = [0, 1].map(|i| want[i].as_f64().unwrap());
        for (found, expected) in summary(found).into_iter().zip(want) {
            // Relative to the norm, because an inner product may be near zero.
            assert!((found - expected).abs() < 1e-3 * want[0], "{name}: {found} is not {expected}");
        }
    };
    let backbone = load(Arch::ResNet18, &synthetic::backbone(Arch::ResNet18)).unwrap();
    let features = backbone.forward(NetworkInput::Images(&synthetic::images(64, 64)), Mode::Train).unwrap();
    close("features", &features, &want["features"]);
    for (name, running) in backbone.running_statistics().unwrap() {
        close(&name, &running, &want["running"][&name]);
    }
    let weights: Vec<f32> = synthetic::uniform("c", 1024).map(|u| (u * 2.0 - 1.0) as f32).collect();
    let weights = Tensor::from_vec(weights, (2, 512), &Device::Cpu).unwrap();
    let gradients = (features * weights).unwrap().sum_all().unwrap().backward().unwrap();
    for layer in backbone.network.layers() {
        let (conv, gradient) = (layer.operation.conv(), gradients.get(&layer.parameters).unwrap());
        let names =
            [format!("{}.weight", conv.name), format!("{}.weight", conv.norm), format!("{}.bias", conv.norm)];
        for (name, range) in names.iter().zip(parameter_ranges(conv)) {
            let part = gradient.narrow(0, range.start, range.len()).unwrap();
            close(name, &part, &want["gradients"][name]);
        }
    }
}

#[test]
fn frozen_normalisation_keeps_its_statistics_while_the_rest_learns() {
    let tensors = synthetic::backbone(Arch::ResNet18);
    let backbone = load(Arch::ResNet18, &tensors).unwrap();
    let images = synthetic::images(32, 32);
    let features = backbone.forward(NetworkInput::Images(&images), Mode::TrainFrozenNorm).unwrap();
    let evaluated = backbone.forward(NetworkInput::Images(&images), Mode::Evaluate).unwrap();
    assert_eq!(features.to_vec2::<f32>().unwrap(), evaluated.to_vec2::<f32>().unwrap());
    let numbers = |t: &Tensor| t.to_vec1::<f32>().unwrap();
    for (name, running) in backbone.running_statistics().unwrap() {
        assert_eq!(numbers(&running), numbers(&tensors[&name]), "{name}");
    }
    let gradients = features.sum_all().unwrap().backward().unwrap();
    assert!(backbone.parameters().iter().all(|p| gradients.get(&p.var).is_some()));
}

/// CPU time of all threads of this process in milliseconds.
fn cpu_ms() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let nanoseconds = |task: std::io::Result<std::fs::DirEntry>| -> f64 {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    };
    tasks.map(nanoseconds).sum::<f64>() / 1e6
}

// Prints the milliseconds of a training step; run by tests/bench/train.sh (`make bench-train`).
#[test]
#[ignore = "measures"]
fn benchmark_training_step() {
    use crate::train::optimizer::{Adam, AdamSettings, LearningRates};
    let whole = FrozenPart::Nothing;
    let cases = [
        ("resnet18", Arch::ResNet18, whole, [64, 64, 64, 3]),
        ("resnet50", Arch::ResNet50, whole, [8, 224, 224, 3]),
        ("lite0", Arch::EfficientNetLite0, whole, [32, 128, 128, 3]),
        // The map before the sixth block, of images of 128 px.
        ("lite0-upper", Arch::EfficientNetLite0, FrozenPart::Blocks(5), [64, 16, 16, 40]),
    ];
    let wanted = std::env::var("BENCH_ARCH").unwrap_or_default();
    for (name, arch, frozen, shape) in cases.into_iter().filter(|c| wanted.is_empty() || c.0 == wanted) {
        let tensors = synthetic::backbone(arch);
        let backbone =
            TrainableBackbone::load(arch, FeatureSet::Last, frozen, &tensors, &Device::Cpu).unwrap();
        let mut adam = Adam::new(AdamSettings::default(), backbone.parameters()).unwrap();
        let numbers: Vec<f32> = synthetic::uniform("x", shape.iter().product()).map(|u| u as f32).collect();
        let map = Tensor::from_vec(numbers, &shape, &Device::Cpu).unwrap();
        let images = map.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
        let features = Tensor::zeros((shape[0], backbone.features()), DType::F32, &Device::Cpu).unwrap();
        let lower = LowerMaps { map, features };
        let (input, mode) = match frozen {
            FrozenPart::Nothing => (NetworkInput::Images(&images), Mode::Train),
            FrozenPart::Blocks(_) => (NetworkInput::Lower(&lower), Mode::TrainFrozenNorm),
        };
        let mut parts = [f64::INFINITY; 3];
        let (mut best, mut least) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..7 {
            let (start, cpu) = (std::time::Instant::now(), cpu_ms());
            let loss = backbone.forward(input, mode).unwrap().sqr().unwrap().mean_all().unwrap();
            let forward = start.elapsed().as_secs_f64() * 1e3;
            let gradients = loss.backward().unwrap();
            let backward = start.elapsed().as_secs_f64() * 1e3;
            adam.step(&gradients, LearningRates::uniform(1e-4)).unwrap();
            let all = start.elapsed().as_secs_f64() * 1e3;
            least = least.min(cpu_ms() - cpu);
            if all < best {
                (best, parts) = (all, [forward, backward - forward, all - backward]);
            }
        }
        println!(
            "{name} {shape:?}: {best:.0} ms a step, {least:.0} ms of CPU time \
             (forward, backward, optimizer: {parts:.0?})"
        );
    }
}
