//! Features against PyTorch, and what a backbone accepts.

use super::*;
use crate::model::cpu::available;
use crate::model::load_backbone::load_backbone;
use crate::model::synthetic;

/// What PyTorch computes for two images: the norm of all features, the largest feature, the first three features of the
/// first image and the last three of the second.
struct Expectation {
    arch: Arch,
    size: [usize; 2],
    norm: f64,
    largest: f32,
    picked: [f32; 6],
}

// Printed by tests/fixtures/backbones.py (PyTorch 2.15, torchvision's ResNets).
const EXPECTED: [Expectation; 7] = [
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

fn agrees_with_pytorch(arch: Arch) {
    let tensors = synthetic::backbone(arch);
    for kernels in available() {
        agrees_at(arch, &CpuBackbone::load(arch, &tensors, kernels).unwrap());
    }
}

fn agrees_at(arch: Arch, backbone: &CpuBackbone) {
    for e in EXPECTED.iter().filter(|e| e.arch == arch) {
        let features = backbone.forward(&synthetic::images(e.size[0], e.size[1])).unwrap();
        assert_eq!(features.dims(), [2, backbone.features()]);
        let features: Vec<f32> = features.flatten_all().unwrap().to_vec1().unwrap();
        let norm = features.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        assert!((norm / e.norm - 1.0).abs() < 1e-5, "{arch} {:?}: norm {norm}, expected {}", e.size, e.norm);
        let picked = features[..3].iter().chain(&features[features.len() - 3..]);
        for (found, expected) in picked.zip(e.picked) {
            // Relative to the largest feature: some are zero.
            let error = (found - expected).abs() / e.largest;
            assert!(error < 2e-5, "{arch} {:?}: found {found}, expected {expected}", e.size);
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
    let backbone = load_backbone(Arch::ResNet18, &synthetic::backbone(Arch::ResNet18), &Device::Cpu).unwrap();
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
    let backbone = load_backbone(Arch::ResNet18, &synthetic::backbone(Arch::ResNet18), &Device::Cpu).unwrap();
    let images = synthetic::images(40, 48);
    let permuted = images.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap().permute((0, 3, 1, 2)).unwrap();
    let features = |images: &Tensor| backbone.forward(images).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(features(&images), features(&permuted));
    let second = features(&images.narrow(0, 1, 1).unwrap());
    assert_eq!(second[0], features(&images)[1]);
}

#[test]
fn memory_counts_weights_and_the_buffers_that_calls_leave() {
    let backbone = load_backbone(Arch::ResNet18, &synthetic::backbone(Arch::ResNet18), &Device::Cpu).unwrap();
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
    let e = load_backbone(Arch::ResNet18, &tensors, &Device::Cpu).unwrap_err();
    assert_eq!(e.kind, Kind::InvalidModel);
    assert!(e.message.contains("\"bn1\""));
}
