//! Every instruction set against a naive implementation, over shapes that do not fill registers.

use super::conv_layer::Layer;
use super::kernels::{available, Kernels, SLACK};
use super::pooling::{average, from_planes, max_pool, pooled};
use super::{Linear, Network};
use crate::model::architectures::Arch;
use crate::model::feature_layout::FeatureSet;
use crate::model::layers::{Activation, ConvSpec, Padding};
use crate::model::map_shape::MapShape;
use crate::model::synthetic::uniform;
use half::f16;
use proptest::prelude::*;

/// Numbers between -1 and 1.
fn numbers(name: &str, count: usize) -> Vec<f32> {
    uniform(name, count).map(|u| (u * 2.0 - 1.0) as f32).collect()
}

/// A map and its slack. The slack is NaN, which must not reach a result.
fn map(shape: MapShape) -> Vec<f32> {
    let mut map = numbers("map", shape.len());
    map.resize(shape.len() + SLACK, f32::NAN);
    map
}

/// The definition of a convolution, in double precision. Each result comes with the sum of absolute values, to which rounding errors
/// are relative.
fn naive(
    conv: &ConvSpec,
    weight: &[f32],
    bias: &[f32],
    map: &[f32],
    shape: MapShape,
    residual: Option<&[f32]>,
) -> Vec<(f64, f64)> {
    let out = shape.after(conv);
    let (top, _) = conv.padding.before_and_output(shape.height, conv.kernel, conv.stride);
    let (left, _) = conv.padding.before_and_output(shape.width, conv.kernel, conv.stride);
    let [_, inputs, kernel, _] = conv.weight_shape();
    let (low, high) = conv.activation.bounds();
    let mut result = Vec::new();
    for pixel in 0..out.pixels() {
        let (image, y, x) = (pixel / out.plane(), pixel % out.plane() / out.width, pixel % out.width);
        for output in 0..out.channels {
            let more = residual.map_or(0.0, |r| f64::from(r[pixel * out.channels + output]));
            let bias = f64::from(bias[output]);
            let (mut sum, mut size) = (bias + more, bias.abs() + more.abs());
            for (ky, kx) in (0..kernel * kernel).map(|tap| (tap / kernel, tap % kernel)) {
                let y = (y * conv.stride + ky).checked_sub(top).filter(|y| *y < shape.height);
                let x = (x * conv.stride + kx).checked_sub(left).filter(|x| *x < shape.width);
                let (Some(y), Some(x)) = (y, x) else { continue };
                for input in 0..inputs {
                    let channel = if conv.depthwise { output } else { input };
                    let at = ((image * shape.height + y) * shape.width + x) * shape.channels + channel;
                    let w = weight[((output * inputs + input) * kernel + ky) * kernel + kx];
                    let product = f64::from(w) * f64::from(map[at]);
                    sum += product;
                    size += product.abs();
                }
            }
            result.push((sum.clamp(f64::from(low), f64::from(high)), size));
        }
    }
    result
}

fn agrees_with_definition(conv: &ConvSpec, shape: MapShape, has_residual: bool) -> Result<(), TestCaseError> {
    let weight = numbers("weight", conv.weight_shape().iter().product());
    let bias = numbers("bias", conv.outputs);
    let map = map(shape);
    let out = shape.after(conv);
    let residual = has_residual.then(|| numbers("residual", out.len()));
    let expected = naive(conv, &weight, &bias, &map, shape, residual.as_deref());
    for kernels in available() {
        let layer = Layer::new(conv, &weight, &bias, kernels);
        let mut found = vec![f32::NAN; out.len()];
        layer.forward(&map, shape, residual.as_deref(), &mut found, 3);
        for (at, (found, (expected, size))) in found.iter().zip(&expected).enumerate() {
            let error = (f64::from(*found) - expected).abs();
            prop_assert!(error <= 1e-5 * size, "{kernels:?} at {at}: {found}, expected {expected}");
        }
    }
    Ok(())
}

prop_compose! {
    fn shapes()(batch in 1usize..4, height in 1usize..20, width in 1usize..20) -> (usize, usize, usize) {
        (batch, height, width)
    }
}

prop_compose! {
    fn geometries()(
        kernel in prop::sample::select(vec![1usize, 3, 5, 7]),
        stride in 1usize..3,
        padding in prop::sample::select(vec![Padding::Symmetric, Padding::Same]),
        activation in prop::sample::select(vec![Activation::None, Activation::Relu, Activation::Relu6]),
    ) -> ConvSpec {
        ConvSpec {
            name: "conv".into(), norm: "norm".into(), inputs: 1, outputs: 1, depthwise: false,
            kernel, stride, padding, activation,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_convolution_agrees_with_its_definition(
        conv in geometries(), (batch, height, width) in shapes(), inputs in 1usize..70, outputs in 1usize..70,
        residual in any::<bool>(),
    ) {
        let conv = ConvSpec { inputs, outputs, ..conv };
        agrees_with_definition(&conv, MapShape { channels: inputs, batch, height, width }, residual)?;
    }

    #[test]
    fn a_depthwise_convolution_agrees_with_its_definition(
        conv in geometries(), (batch, height, width) in shapes(), channels in 1usize..70, residual in any::<bool>(),
    ) {
        let conv = ConvSpec { inputs: channels, outputs: channels, depthwise: true, ..conv };
        agrees_with_definition(&conv, MapShape { channels, batch, height, width }, residual)?;
    }

    #[test]
    fn a_linear_layer_agrees_with_its_definition_in_both_formats(
        batch in 1usize..12, inputs in 1usize..70, outputs in 1usize..200, halves in any::<bool>(),
    ) {
        let mut weight = numbers("weight", outputs * inputs);
        if halves {
            weight.iter_mut().for_each(|w| *w = f16::from_f32(*w).to_f32());
        }
        let (bias, rows) = (numbers("bias", outputs), numbers("rows", batch * inputs));
        for kernels in available() {
            let layer = Linear::new(&weight, &bias, kernels);
            let single = size_of::<f32>() * (inputs + 1) * outputs.next_multiple_of(kernels.linear_panel());
            let in_half = layer.memory_bytes() < single;
            let exact = weight.iter().all(|w| f16::from_f32(*w).to_f32() == *w);
            prop_assert_eq!(in_half, exact && kernels.multiplies_half(), "{:?}", kernels);
            let found = layer.forward(&rows, 1);
            prop_assert_eq!(&found, &layer.forward(&rows, 3));
            for (row, found) in rows.chunks(inputs).zip(found.chunks(outputs)) {
                prop_assert_eq!(found, layer.forward(row, 1), "another batch, {:?}", kernels);
                for (output, found) in found.iter().enumerate() {
                    let of_output = &weight[output * inputs..][..inputs];
                    let products = row.iter().zip(of_output).map(|(x, w)| f64::from(*x) * f64::from(*w));
                    let expected = f64::from(bias[output]) + products.sum::<f64>();
                    prop_assert!((f64::from(*found) - expected).abs() < 1e-4, "{kernels:?}: {found}, {expected}");
                }
            }
        }
    }

    #[test]
    fn pools_agree_with_their_definitions((batch, height, width) in shapes(), channels in 1usize..40) {
        let shape = MapShape { channels, batch, height, width };
        let (map, out) = (map(shape), pooled(shape));
        let number = |image: usize, y: usize, x: usize, c: usize| {
            map[((image * height + y) * width + x) * channels + c]
        };
        for kernels in available() {
            let mut found = vec![f32::NAN; out.len()];
            max_pool(kernels, &map, shape, &mut found, 3);
            let mut mean = vec![f32::NAN; batch * channels];
            average(kernels, &map, shape, &mut mean);
            for (at, found) in found.into_iter().enumerate() {
                let (c, pixel) = (at % channels, at / channels);
                let (image, y, x) = (pixel / out.plane(), pixel % out.plane() / out.width, pixel % out.width);
                let rows = (2 * y).saturating_sub(1)..(2 * y + 2).min(height);
                let columns = (2 * x).saturating_sub(1)..(2 * x + 2).min(width);
                let under = rows.flat_map(|y| columns.clone().map(move |x| (y, x)));
                let expected = under.map(|(y, x)| number(image, y, x, c)).fold(0.0, f32::max);
                prop_assert_eq!(found, expected);
            }
            for (at, found) in mean.into_iter().enumerate() {
                let (image, c) = (at / channels, at % channels);
                let pixels = (0..height * width).map(|p| f64::from(number(image, p / width, p % width, c)));
                let expected = pixels.sum::<f64>() / (height * width) as f64;
                prop_assert!((f64::from(found) - expected).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn images_become_maps_with_their_channels_last() {
    let shape = MapShape { channels: 3, batch: 2, height: 1, width: 2 };
    let mut found = [0.0; 12];
    from_planes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0], shape, &mut found, 2);
    assert_eq!(found, [1.0, 3.0, 5.0, 2.0, 4.0, 6.0, 7.0, 9.0, 11.0, 8.0, 10.0, 12.0]);
}

#[test]
fn nan_stays_nan() {
    for kernels in available() {
        for depthwise in [false, true] {
            let conv = ConvSpec {
                name: "conv".into(),
                norm: "norm".into(),
                inputs: 16,
                outputs: 16,
                kernel: 1,
                stride: 1,
                depthwise,
                padding: Padding::Symmetric,
                activation: Activation::Relu6,
            };
            let weight = vec![1.0; conv.weight_shape().iter().product()];
            let layer = Layer::new(&conv, &weight, &[0.0; 16], kernels);
            let shape = MapShape { channels: 16, batch: 1, height: 1, width: 1 };
            let mut found = [0.0; 16];
            layer.forward(&[f32::NAN; 16 + SLACK], shape, None, &mut found, 1);
            assert!(found.iter().all(|x| x.is_nan()), "{kernels:?}");
        }
    }
}

/// Older models embed to the same bits: their projection was a 1x1 convolution.
#[test]
fn a_linear_layer_gives_the_bits_of_a_convolution_of_one_pixel() {
    let (inputs, outputs, batch) = (1280, 130, 17);
    let weight: Vec<f32> =
        numbers("weight", inputs * outputs).into_iter().map(|w| f16::from_f32(w).to_f32()).collect();
    let bias = numbers("bias", outputs);
    let conv = ConvSpec {
        name: "projection".into(),
        norm: String::new(),
        inputs,
        outputs,
        kernel: 1,
        stride: 1,
        depthwise: false,
        padding: Padding::Symmetric,
        activation: Activation::None,
    };
    let shape = MapShape { channels: inputs, batch, height: 1, width: 1 };
    let rows = map(shape);
    for kernels in available() {
        let mut expected = vec![0.0; batch * outputs];
        Layer::new(&conv, &weight, &bias, kernels).forward(&rows, shape, None, &mut expected, 1);
        let found = Linear::new(&weight, &bias, kernels).forward(&rows[..batch * inputs], 1);
        assert!(found == expected, "{kernels:?}");
    }
}

fn network(arch: Arch, kernels: &'static Kernels) -> Network {
    let filter = |conv: &ConvSpec| {
        let weight = numbers(&conv.name, conv.weight_shape().iter().product());
        let scale = (6.0 / (weight.len() / conv.outputs) as f32).sqrt();
        Ok((weight.into_iter().map(|w| w * scale).collect(), numbers(&conv.norm, conv.outputs)))
    };
    Network::new(&arch.description(), FeatureSet::Levels, kernels, filter).unwrap()
}

fn features(network: &Network, shape: MapShape) -> Vec<f32> {
    let mut features = vec![0.0; shape.batch * network.features()];
    network.forward(&numbers("pictures", shape.len()), shape, &mut features);
    features
}

#[test]
fn all_instruction_sets_compute_the_same_features() {
    for arch in [Arch::EfficientNetLite0, Arch::ResNet50] {
        let shape = MapShape { channels: 3, batch: 3, height: 61, width: 40 };
        let all: Vec<_> =
            available().into_iter().map(|kernels| features(&network(arch, kernels), shape)).collect();
        let largest = all[0].iter().fold(0f32, |m, x| m.max(x.abs()));
        for other in &all[1..] {
            let error = all[0].iter().zip(other).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
            assert!(error < 1e-5 * largest, "{arch}: {error} of {largest}");
        }
    }
}

#[test]
fn features_do_not_depend_on_threads_neighbours_or_other_calls() {
    for arch in [Arch::EfficientNetLite0, Arch::ResNet50] {
        for kernels in available() {
            let network = network(arch, kernels);
            let shape = MapShape { channels: 3, batch: 5, height: 48, width: 33 };
            let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let expected = pool(1).install(|| features(&network, shape));
            for threads in [2, 7] {
                assert!(
                    pool(threads).install(|| features(&network, shape)) == expected,
                    "{arch} {kernels:?}"
                );
            }
            std::thread::scope(|scope| {
                let calls: Vec<_> = (0..3).map(|_| scope.spawn(|| features(&network, shape))).collect();
                assert!(calls.into_iter().all(|call| call.join().unwrap() == expected));
            });
            let first = features(&network, MapShape { batch: 1, ..shape });
            assert_eq!(first, expected[..network.features()], "{arch} {kernels:?}");
        }
    }
}
