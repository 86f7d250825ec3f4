//! Weights and images from a formula, for tests; `tests/fixtures/backbones.py` evaluates the same formula.

use super::{tensor_names, Arch, Architecture, Attribute, FeatureSet, ModelConfig, Tensors, VocabularyEntry};
use crate::image::Preprocessing;
use candle_core::{Device, Tensor};

/// `count` numbers in [0, 1) with 24 bits each, from a hash of the name and the index.
pub fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let seed = name.bytes().fold(2_166_136_261_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(16_777_619));
    (0..count as u32).map(move |i| {
        let mut x = i.wrapping_mul(2_654_435_761).wrapping_add(seed);
        for _ in 0..2 {
            x = (x ^ (x >> 16)).wrapping_mul(0x45d_9f3b);
        }
        x ^= x >> 16;
        f64::from(x >> 8) / f64::from(1 << 24)
    })
}

/// A filter of about unit gain, or a vector of batch normalisation close to the identity.
pub fn tensor(name: &str, shape: &[usize]) -> Tensor {
    let numbers = uniform(name, shape.iter().product());
    let numbers: Vec<f32> = if shape.len() == 4 {
        let scale = (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt();
        numbers.map(|u| ((u - 0.5) * 2.0 * scale) as f32).collect()
    } else if name.ends_with("weight") || name.ends_with("var") {
        numbers.map(|u| (0.5 + u) as f32).collect()
    } else {
        numbers.map(|u| ((u - 0.5) * 0.2) as f32).collect()
    };
    Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
}

/// All tensors of a backbone.
pub fn backbone(arch: Arch) -> Tensors {
    let tensors = arch.description().tensor_shapes();
    tensors
        .into_iter()
        .map(|(name, shape)| {
            let tensor = tensor(&name, &shape);
            (name, tensor)
        })
        .collect()
}

/// Two normalised images. (The fixture hashes the name "pictures".)
pub fn images(height: usize, width: usize) -> Tensor {
    let numbers: Vec<f32> =
        uniform("pictures", 2 * 3 * height * width).map(|u| ((u - 0.5) * 4.0) as f32).collect();
    Tensor::from_vec(numbers, (2, 3, height, width), &Device::Cpu).unwrap()
}

/// Config and tensors of a small model: attributes `colour` (red, green, and blue without images) and `shape` (round,
/// square), n = 4, categories `toy` and `tool` (without images), images of 32 px.
pub fn model(arch: Arch) -> (ModelConfig, Tensors) {
    let named = |names: &[(&str, usize)]| {
        names.iter().map(|(name, images)| VocabularyEntry { name: (*name).into(), images: *images }).collect()
    };
    let attribute = |name: &str, ordered, values| Attribute {
        name: name.into(),
        ordered,
        multi: false,
        values: named(values),
    };
    let features = arch.description().channels;
    let config = ModelConfig {
        format_version: 1,
        architecture: Architecture {
            backbone: arch.to_string(),
            features,
            feature_set: FeatureSet::Last,
            standardize_features: false,
        },
        subspace_dim: 4,
        attributes: vec![
            attribute("colour", false, &[("red", 5), ("green", 3), ("blue", 0)]),
            attribute("shape", true, &[("round", 4), ("square", 2)]),
        ],
        categories: named(&[("toy", 6), ("tool", 0)]),
        preprocessing: Preprocessing::imagenet(32),
        tagging: None,
        training: serde_json::Value::Null,
        dataset: serde_json::Value::Null,
        metrics: serde_json::Value::Null,
        licence: "CC0-1.0".into(),
    };
    let mut tensors: Tensors = backbone(arch)
        .into_iter()
        .map(|(name, t)| (format!("{}{name}", tensor_names::BACKBONE_PREFIX), t))
        .collect();
    let heads = [
        (tensor_names::PROJECTION_WEIGHT.to_owned(), vec![8, features]),
        (tensor_names::PROJECTION_BIAS.to_owned(), vec![8]),
        (tensor_names::INSTANCE_PROXIES.to_owned(), vec![7, 8]),
        (tensor_names::attribute_proxies("colour"), vec![3, 4]),
        (tensor_names::attribute_proxies("shape"), vec![2, 4]),
        (tensor_names::attribute_queries("colour"), vec![3, 4]),
        (tensor_names::attribute_queries("shape"), vec![2, 4]),
        (tensor_names::CATEGORY_QUERIES.to_owned(), vec![2, 8]),
    ];
    for (name, shape) in heads {
        let numbers: Vec<f32> =
            uniform(&name, shape.iter().product()).map(|u| ((u - 0.5) * 0.25) as f32).collect();
        tensors.insert(name, Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap());
    }
    (config, tensors)
}
