//! Weights and pictures from a formula, for tests; `tests/fixtures/backbones.py` evaluates the same one.

use super::{Arch, Tensors};
use candle_core::{Device, Tensor};

/// `count` numbers in [0, 1) with 24 bits, from a hash of the name and the index.
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

/// A filter of unit gain, or a vector of batch normalisation that does little.
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
    let tensors = arch.description().tensors();
    tensors
        .into_iter()
        .map(|(name, shape)| {
            let tensor = tensor(&name, &shape);
            (name, tensor)
        })
        .collect()
}

/// Two normalised pictures.
pub fn pictures(height: usize, width: usize) -> Tensor {
    let numbers: Vec<f32> =
        uniform("pictures", 2 * 3 * height * width).map(|u| ((u - 0.5) * 4.0) as f32).collect();
    Tensor::from_vec(numbers, (2, 3, height, width), &Device::Cpu).unwrap()
}
