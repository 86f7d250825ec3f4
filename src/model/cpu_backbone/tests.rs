//! Features against PyTorch, and what a backbone accepts.

use super::*;
use crate::model::candle_backbone::CandleBackbone;
use crate::model::cpu::available;
use crate::model::load_backbone::load_backbone;
use crate::model::synthetic;

/// What PyTorch computes for two images: the norm of all features, the largest feature, the first three features of the
/// first image and the last three of the second. For features of all levels those of the last map do not count.
struct Expectation {
    arch: Arch,
    size: [usize; 2],
    norm: f64,
    largest: f32,
    picked: [f32; 6],
}

// Printed by tests/fixtures/backbones.py (PyTorch 2.15, torchvision's ResNets).
const EXPECTED: [(FeatureSet, [Expectation; 7]); 2] =
    [(FeatureSet::Last, LAST), (FeatureSet::Levels, LEVELS)];

const LAST: [Expectation; 7] = [
    Expectation {
        arch: Arch::ResNet18,
        size: [64, 64],
        norm: 1659.749,
        largest: 248.43,
        picked: [5.88046, 18.7389, 26.7879, 21.7015, 28.2231, 53.2631],
    },
    Expectation {
        arch: Arch::ResNet34,
        size: [64, 64],
        norm: 54161.08,
        largest: 5734.5,
        picked: [289.171, 427.33, 1881.46, 1163.01, 1348.15, 194.02],
    },
    Expectation {
        arch: Arch::ResNet50,
        size: [64, 64],
        norm: 395620.5,
        largest: 26868.0,
        picked: [61.8893, 3007.07, 0.0, 7936.15, 2460.83, 7831.63],
    },
    Expectation {
        arch: Arch::ResNet18,
        size: [75, 50],
        norm: 1728.666,
        largest: 278.18,
        picked: [0.60822, 22.6921, 7.81341, 14.5199, 32.4828, 65.3233],
    },
    Expectation {
        arch: Arch::EfficientNetLite0,
        size: [64, 64],
        norm: 107.7222,
        largest: 6.0,
        picked: [0.220327, 2.7267, 1.44087, 1.05779, 0.0229882, 0.0],
    },
    Expectation {
        arch: Arch::EfficientNetLite0,
        size: [96, 96],
        norm: 112.96,
        largest: 6.0,
        picked: [0.334236, 1.83261, 1.37063, 2.37337, 0.398065, 0.287906],
    },
    Expectation {
        arch: Arch::EfficientNetLite0,
        size: [75, 50],
        norm: 108.6609,
        largest: 6.0,
        picked: [0.0715353, 0.978597, 0.993435, 2.37159, 0.0872698, 0.0573112],
    },
];

const LEVELS: [Expectation; 7] = [
    Expectation {
        arch: Arch::ResNet18,
        size: [64, 64],
        norm: 1454.665,
        largest: 126.58,
        picked: [2.09319, 1.13268, 2.49189, 14.1808, 29.6512, 30.8954],
    },
    Expectation {
        arch: Arch::ResNet34,
        size: [64, 64],
        norm: 47363.03,
        largest: 4412.9,
        picked: [2.09319, 1.13268, 2.49189, 378.469, 538.363, 203.354],
    },
    Expectation {
        arch: Arch::ResNet50,
        size: [64, 64],
        norm: 243210.1,
        largest: 12053.0,
        picked: [2.09319, 1.13268, 2.49189, 2840.42, 4262.27, 4571.23],
    },
    Expectation {
        arch: Arch::ResNet18,
        size: [75, 50],
        norm: 1528.533,
        largest: 123.93,
        picked: [2.18715, 1.15434, 2.45848, 16.0907, 37.579, 40.8053],
    },
    Expectation {
        arch: Arch::EfficientNetLite0,
        size: [64, 64],
        norm: 153.9086,
        largest: 10.185,
        picked: [0.717277, 1.04557, 0.518398, 3.69726, 1.5218, 1.00747],
    },
    Expectation {
        arch: Arch::EfficientNetLite0,
        size: [96, 96],
        norm: 174.7971,
        largest: 11.879,
        picked: [0.666174, 1.02751, 0.534754, 4.70079, 1.4455, 1.93402],
    },
    Expectation {
        arch: Arch::EfficientNetLite0,
        size: [75, 50],
        norm: 160.5546,
        largest: 9.5599,
        picked: [0.697801, 0.995567, 0.499052, 3.23142, 1.22489, 2.67231],
    },
];

fn agrees_with_pytorch(arch: Arch) {
    let tensors = synthetic::backbone(arch);
    for (set, expected) in EXPECTED {
        for kernels in available() {
            let backbone = CpuBackbone::load(arch, set, &tensors, kernels).unwrap();
            let skipped = if set == FeatureSet::Levels { arch.description().channels } else { 0 };
            expected.iter().filter(|e| e.arch == arch).for_each(|e| agrees_at(e, &backbone, skipped));
        }
    }
}

fn agrees_at(e: &Expectation, backbone: &CpuBackbone, skipped: usize) {
    let features = backbone.forward(&synthetic::images(e.size[0], e.size[1])).unwrap();
    assert_eq!(features.dims(), [2, backbone.features()]);
    let rows: Vec<Vec<f32>> =
        features.to_vec2::<f32>().unwrap().into_iter().map(|row| row[skipped..].to_vec()).collect();
    let features = rows.concat();
    let norm = features.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    assert!((norm / e.norm - 1.0).abs() < 1e-5, "{} {:?}: norm {norm}, expected {}", e.arch, e.size, e.norm);
    let picked = features[..3].iter().chain(&features[features.len() - 3..]);
    for (found, expected) in picked.zip(e.picked) {
        // Relative to the largest feature: some are zero.
        let error = (found - expected).abs() / e.largest;
        assert!(error < 2e-5, "{} {:?}: found {found}, expected {expected}", e.arch, e.size);
    }
}

#[test]
fn the_lower_part_has_the_map_that_the_whole_network_passes_through() {
    for arch in [Arch::ResNet18, Arch::EfficientNetLite0] {
        let tensors = synthetic::backbone(arch);
        let images = synthetic::images(64, 48);
        let load = |set| load_backbone(arch, set, &tensors, &Device::Cpu).unwrap();
        let (last, levels) = (load(FeatureSet::Last), load(FeatureSet::Levels));
        let layout = arch.description().feature_layout(FeatureSet::Levels);
        let blocks = arch.description().blocks.len();
        let whole: Vec<Vec<f32>> = levels.forward(&images).unwrap().to_vec2().unwrap();
        // All levels do not change the last mean.
        let mean: Vec<Vec<f32>> = last.forward(&images).unwrap().to_vec2().unwrap();
        assert!(whole.iter().zip(&mean).all(|(a, b)| a[..layout.last] == b[..]));
        for cut in 0..=blocks {
            let lower = levels.lower(&images, cut).unwrap();
            let features: Vec<Vec<f32>> = lower.features.to_vec2().unwrap();
            let map = lower.map.flatten(1, 2).unwrap();
            for columns in &layout.taps {
                let reached = columns.tap.blocks <= cut;
                for (range, i) in [(&columns.mean, 0), (&columns.mean, 1), (&columns.deviation, 1)] {
                    let zeros = vec![0.0; range.len()];
                    let expected = if reached { &whole[i][range.clone()] } else { &zeros };
                    assert_eq!(&features[i][range.clone()], expected, "{arch} {cut}");
                }
                if columns.tap.blocks == cut && !columns.mean.is_empty() {
                    let means: Vec<f32> = map.mean(1).unwrap().get(1).unwrap().to_vec1().unwrap();
                    for (a, b) in means.iter().zip(&whole[1][columns.mean.clone()]) {
                        assert!((a - b).abs() < 1e-3 * (1.0 + b.abs()), "{arch} {cut}: {a} and {b}");
                    }
                }
            }
            let device = CandleBackbone::load(arch, FeatureSet::Levels, &tensors, &Device::Cpu, DType::F32);
            assert_eq!(levels.upper(&lower, cut).unwrap().to_vec2::<f32>().unwrap(), whole, "{arch} {cut}");
            if cut % 5 == 2 {
                let device = device.unwrap();
                let theirs = device.lower(&images, cut).unwrap();
                let [ours_all, theirs_all] =
                    [&*levels, &device].map(|b: &dyn Backbone| b.upper(&lower, cut).unwrap());
                for (a, b) in
                    [(&lower.map, &theirs.map), (&lower.features, &theirs.features), (&ours_all, &theirs_all)]
                {
                    assert_eq!(a.dims(), b.dims());
                    let largest = a.abs().unwrap().flatten_all().unwrap().max(0).unwrap();
                    let error = (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
                    let [error, largest] = [error, largest].map(|t| t.to_scalar::<f32>().unwrap());
                    assert!(error < 2e-5 * largest, "{arch} {cut}: {error} of {largest}");
                }
            }
        }
    }
}

#[test]
fn resnet18_agrees_with_torchvision() {
    agrees_with_pytorch(Arch::ResNet18);
}

#[test]
fn resnet34_agrees_with_torchvision() {
    agrees_with_pytorch(Arch::ResNet34);
}

#[test]
fn resnet50_agrees_with_torchvision() {
    agrees_with_pytorch(Arch::ResNet50);
}

#[test]
fn efficientnet_lite0_agrees_with_pytorch_for_even_and_odd_sizes() {
    agrees_with_pytorch(Arch::EfficientNetLite0);
}

#[test]
fn a_backbone_accepts_an_empty_batch_and_refuses_other_shapes() {
    let backbone =
        load_backbone(Arch::ResNet18, FeatureSet::Last, &synthetic::backbone(Arch::ResNet18), &Device::Cpu)
            .unwrap();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    assert_eq!(backbone.forward(&zeros(&[0, 3, 64, 64])).unwrap().dims(), [0, 512]);
    assert!(backbone.forward(&zeros(&[1, 1, 64, 64])).is_err());
    assert!(backbone.forward(&zeros(&[3, 64, 64])).is_err());
    assert!(backbone.forward(&zeros(&[1, 3, 0, 64])).is_err());
    let double = zeros(&[1, 3, 64, 64]).to_dtype(DType::F64).unwrap();
    assert!(backbone.forward(&double).unwrap_err().message.contains("found [1, 3, 64, 64] in F64"));
    assert_eq!(backbone.forward(&zeros(&[1, 3, 1, 1])).unwrap().dims(), [1, 512]);
}

#[test]
fn images_may_have_any_memory_layout() {
    let backbone =
        load_backbone(Arch::ResNet18, FeatureSet::Last, &synthetic::backbone(Arch::ResNet18), &Device::Cpu)
            .unwrap();
    let images = synthetic::images(40, 48);
    let permuted = images.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap().permute((0, 3, 1, 2)).unwrap();
    let features = |images: &Tensor| backbone.forward(images).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(features(&images), features(&permuted));
    let second = features(&images.narrow(0, 1, 1).unwrap());
    assert_eq!(second[0], features(&images)[1]);
}

#[test]
fn memory_counts_weights_and_the_buffers_that_calls_leave() {
    let backbone =
        load_backbone(Arch::ResNet18, FeatureSet::Last, &synthetic::backbone(Arch::ResNet18), &Device::Cpu)
            .unwrap();
    // 11,176,512 parameters less two of batch normalisation for each of 4800 channels, and a bias for each.
    let numbers = 4 * (11_176_512 - 4800);
    assert_eq!(backbone.memory_bytes(), numbers);
    backbone.forward(&synthetic::images(64, 64)).unwrap();
    assert!((1..10 << 20).contains(&(backbone.memory_bytes() - numbers)));
}

#[test]
fn a_negative_variance_is_refused() {
    let mut tensors = synthetic::backbone(Arch::ResNet18);
    let negative = Tensor::full(-1f32, 64, &Device::Cpu).unwrap();
    tensors.insert("bn1.running_var".into(), negative);
    let e = load_backbone(Arch::ResNet18, FeatureSet::Last, &tensors, &Device::Cpu).unwrap_err();
    assert_eq!(e.kind, Kind::InvalidModel);
    assert!(e.message.contains("\"bn1\""));
}
