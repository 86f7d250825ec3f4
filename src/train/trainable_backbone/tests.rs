//! A backbone with gradients against inference and against PyTorch.

use super::*;
use crate::model::synthetic;

#[test]
fn evaluation_agrees_with_inference() {
    for arch in [Arch::ResNet18, Arch::ResNet50, Arch::EfficientNetLite0] {
        let tensors = synthetic::backbone(arch);
        let served = load_backbone(arch, &tensors, &Device::Cpu).unwrap();
        let trainable = TrainableBackbone::load(arch, &tensors, &Device::Cpu).unwrap();
        for (height, width) in [(64, 64), (75, 50)] {
            let images = synthetic::images(height, width);
            let numbers = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let want = numbers(served.forward(&images).unwrap());
            let got = numbers(trainable.forward(&images, Mode::Evaluate).unwrap());
            let largest = want.iter().fold(0f32, |m, x| m.max(x.abs()));
            let error = want.iter().zip(&got).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(want.len() == got.len() && error < 2e-5 * largest, "{arch}: {error} of {largest}");
        }
    }
}

#[test]
fn saved_tensors_equal_the_loaded_ones() {
    let tensors = synthetic::backbone(Arch::EfficientNetLite0);
    let trainable = TrainableBackbone::load(Arch::EfficientNetLite0, &tensors, &Device::Cpu).unwrap();
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
    let backbone =
        TrainableBackbone::load(Arch::ResNet18, &synthetic::backbone(Arch::ResNet18), &Device::Cpu).unwrap();
    let features = backbone.forward(&synthetic::images(64, 64), Mode::Train).unwrap();
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
    let backbone = TrainableBackbone::load(Arch::ResNet18, &tensors, &Device::Cpu).unwrap();
    let images = synthetic::images(32, 32);
    let features = backbone.forward(&images, Mode::TrainFrozenNorm).unwrap();
    let evaluated = backbone.forward(&images, Mode::Evaluate).unwrap();
    assert_eq!(features.to_vec2::<f32>().unwrap(), evaluated.to_vec2::<f32>().unwrap());
    let numbers = |t: &Tensor| t.to_vec1::<f32>().unwrap();
    for (name, running) in backbone.running_statistics().unwrap() {
        assert_eq!(numbers(&running), numbers(&tensors[&name]), "{name}");
    }
    let gradients = features.sum_all().unwrap().backward().unwrap();
    assert!(backbone.parameters().iter().all(|p| gradients.get(&p.var).is_some()));
}

// Prints the milliseconds of a training step; run by tests/bench/train.sh (`make bench-train`).
#[test]
#[ignore = "measures"]
fn benchmark_training_step() {
    use crate::train::optimizer::{Adam, AdamSettings};
    let cases = [(Arch::ResNet18, 64, 64), (Arch::ResNet50, 224, 8), (Arch::EfficientNetLite0, 128, 32)];
    let wanted = std::env::var("BENCH_ARCH").unwrap_or_default();
    for (arch, size, batch) in cases.into_iter().filter(|c| wanted.is_empty() || c.0.name() == wanted) {
        let backbone = TrainableBackbone::load(arch, &synthetic::backbone(arch), &Device::Cpu).unwrap();
        let mut adam = Adam::new(AdamSettings::default(), backbone.parameters()).unwrap();
        let numbers: Vec<f32> = synthetic::uniform("x", batch * 3 * size * size).map(|u| u as f32).collect();
        let images = Tensor::from_vec(numbers, (batch, 3, size, size), &Device::Cpu).unwrap();
        let mut parts = [f64::INFINITY; 3];
        let mut best = f64::INFINITY;
        for _ in 0..5 {
            let start = std::time::Instant::now();
            let loss = backbone.forward(&images, Mode::Train).unwrap().sqr().unwrap().mean_all().unwrap();
            let forward = start.elapsed().as_secs_f64() * 1e3;
            let gradients = loss.backward().unwrap();
            let backward = start.elapsed().as_secs_f64() * 1e3;
            adam.step(&gradients, 1e-4).unwrap();
            let all = start.elapsed().as_secs_f64() * 1e3;
            if all < best {
                (best, parts) = (all, [forward, backward - forward, all - backward]);
            }
        }
        println!(
            "{arch} {size} px batch {batch}: {best:.0} ms a step (forward, backward, optimizer: {parts:.0?})"
        );
    }
}
