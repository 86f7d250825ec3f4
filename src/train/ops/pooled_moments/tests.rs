//! Statistics of maps and their gradients against candle's operations and by hand.

use super::*;
use crate::model::synthetic::uniform;
use crate::train::ops::buffer_pool::BufferPool;
use candle_core::{Device, Var};

fn numbers(name: &str, shape: &[usize]) -> Tensor {
    let numbers: Vec<f32> = uniform(name, shape.iter().product()).map(|u| (u * 2.0 - 1.0) as f32).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
}

fn close(found: &Tensor, expected: &Tensor) {
    assert_eq!(found.dims(), expected.dims());
    let numbers = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (f, e) in numbers(found).iter().zip(numbers(expected)) {
        assert!((f - e).abs() < 1e-5, "{f} is not {e}");
    }
}

/// Features and gradient of the map by both ways, for a map `[batch, channels, height, width]`.
fn both(map: &Tensor, pool: fn(&FeatureMap) -> Result<Tensor>) -> [[Tensor; 2]; 2] {
    [true, false].map(|ours| {
        let var = Var::from_tensor(map).unwrap();
        let map = match ours {
            true => {
                let last = var.permute((1, 2, 3, 0)).unwrap();
                FeatureMap::from_tensor(&last, &BufferPool::default()).unwrap()
            }
            false => FeatureMap::Device(var.as_tensor().clone()),
        };
        let features = pool(&map).unwrap();
        let weights = numbers("weights", features.dims());
        let gradients = (&features * weights).unwrap().sum_all().unwrap().backward().unwrap();
        [features, gradients.get(&var).unwrap().clone()]
    })
}

#[test]
fn both_ways_agree() {
    for shape in [[3, 5, 4, 6], [1, 20, 1, 1], [17, 3, 3, 2]] {
        // Far from zero, where a mean of squares would lose the deviation.
        let map = (numbers("map", &shape) + 100.0).unwrap();
        for pool in [pooled_mean, pooled_moments] {
            let [ours, candle] = both(&map, pool);
            ours.iter().zip(&candle).for_each(|(ours, candle)| close(ours, candle));
        }
    }
}

#[test]
fn moments_by_hand() {
    let map = Tensor::from_slice(&[1f32, 3., 5., 7.], (1, 1, 2, 2), &Device::Cpu).unwrap();
    let [[features, gradient], _] = both(&map, pooled_moments);
    let deviation = 5f32.sqrt();
    close(&features, &Tensor::from_slice(&[4.0, deviation], (1, 2), &Device::Cpu).unwrap());
    let weights = numbers("weights", &[1, 2]).flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let expected: Vec<f32> = [-3f32, -1., 1., 3.]
        .iter()
        .map(|centred| weights[0] / 4.0 + weights[1] * centred / (4.0 * deviation))
        .collect();
    close(&gradient, &Tensor::from_vec(expected, (1, 1, 2, 2), &Device::Cpu).unwrap());
}

#[test]
fn a_constant_channel_has_deviation_zero_and_a_finite_gradient() {
    let map = Tensor::full(3f32, (2, 2, 3, 3), &Device::Cpu).unwrap();
    for [features, gradient] in both(&map, pooled_moments) {
        let [mean, deviation] = [0, 2].map(|first| features.narrow(1, first, 2).unwrap());
        close(&mean, &Tensor::full(3f32, (2, 2), &Device::Cpu).unwrap());
        close(&deviation, &Tensor::zeros_like(&deviation).unwrap());
        let numbers = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(numbers.iter().all(|x| x.is_finite()));
    }
}

#[test]
fn a_map_keeps_its_numbers_in_every_layout() {
    let map = numbers("map", &[19, 21, 4, 5]);
    let buffers = BufferPool::default();
    let first = FeatureMap::from_batch_first(&map, &buffers).unwrap();
    let last = FeatureMap::from_channels_last(&map.permute((0, 2, 3, 1)).unwrap(), &buffers).unwrap();
    for found in [first, last] {
        close(&found.to_tensor().unwrap().permute((3, 0, 1, 2)).unwrap().contiguous().unwrap(), &map);
    }
}
