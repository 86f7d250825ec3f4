//! Layers and gradients against PyTorch (`python tests/fixtures/ops.py`) and against finite differences.

use super::buffer_pool::BufferPool;
use super::candle_conv_norm;
use super::conv_norm::ConvNorm;
use super::feature_map::FeatureMap;
use super::layer_state::{parameter_ranges, RunningStatistics, Statistics};
use super::max_pool::max_pool;
use crate::model::candle_ops::max_pool as candle_max_pool;
use crate::model::layers::{Activation, ConvSpec, Padding};
use crate::model::synthetic::uniform;
use candle_core::{DType, Device, Tensor, Var};
use serde_json::Value;

const BATCH: usize = 3;
const SIZE: [usize; 2] = [5, 6];
const EPSILON: f64 = 1e-3;

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/ops.json")).unwrap()
}

/// Numbers between -1 and 1.
fn numbers(name: &str, shape: &[usize]) -> Tensor {
    let numbers: Vec<f32> = uniform(name, shape.iter().product()).map(|u| (u * 2.0 - 1.0) as f32).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
}

fn close(what: &str, found: &Tensor, expected: &Value) {
    let found: Vec<f32> = found.flatten_all().unwrap().to_vec1().unwrap();
    let expected: Vec<f64> = expected.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-3f64, |m, x| m.max(x.abs()));
    for (f, e) in found.iter().zip(&expected) {
        assert!((f64::from(*f) - e).abs() < 1e-5 * largest, "{what}: {f} is not {e}");
    }
}

struct Case {
    layer: ConvNorm,
    statistics: Statistics,
    x: Tensor,
    parameters: Tensor,
    residual: Option<Tensor>,
    /// Weights of the sum of the result, which is differentiated; all maps are `[batch, channels, height, width]`.
    weights: Tensor,
}

impl Case {
    fn new(case: &Value) -> Self {
        let int = |name: &str| case[name].as_u64().unwrap() as usize;
        let flag = |name: &str| case[name].as_bool().unwrap();
        let depthwise = flag("depthwise");
        let (inputs, outputs) = if depthwise { (4, 4) } else { (2, 4) };
        let conv = ConvSpec {
            name: "conv".into(),
            norm: "bn".into(),
            inputs,
            outputs,
            kernel: int("kernel"),
            stride: int("stride"),
            depthwise,
            padding: if flag("same") { Padding::Same } else { Padding::Symmetric },
            activation: match case["activation"].as_str().unwrap() {
                "none" => Activation::None,
                "relu" => Activation::Relu,
                _ => Activation::Relu6,
            },
        };
        let running = RunningStatistics {
            mean: numbers("mean", &[outputs]),
            variance: (numbers("var", &[outputs]) + 1.5).unwrap(),
        };
        let parameters = [
            numbers("w", &conv.weight_shape()).flatten_all().unwrap(),
            (numbers("gamma", &[outputs]) + 2.0).unwrap(),
            (numbers("beta", &[outputs]) + 1.0).unwrap(),
        ];
        let shape: Vec<usize> =
            case["shape"].as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect();
        Self {
            layer: ConvNorm::new(&conv, EPSILON, running, &BufferPool::default()),
            statistics: if flag("of_batch") { Statistics::Batch } else { Statistics::Running },
            x: numbers("x", &[BATCH, inputs, SIZE[0], SIZE[1]]),
            parameters: Tensor::cat(&parameters, 0).unwrap(),
            residual: flag("shortcut").then(|| numbers("r", &shape)),
            weights: numbers("c", &shape),
        }
    }

    /// The result as `[batch, channels, height, width]`, by our kernels.
    fn run(&self, x: &Tensor, parameters: &Tensor, residual: Option<&Tensor>) -> Tensor {
        let residual = residual.map(batch_last);
        let y = self.layer.forward(&batch_last(x), parameters, residual.as_ref(), self.statistics).unwrap();
        batch_first(&y)
    }

    /// The result of candle's operations; updates the running statistics too.
    fn run_with_candle(&self, x: &Tensor, parameters: &Tensor, residual: Option<&Tensor>) -> Tensor {
        self.run_with_candle_in(DType::F32, x, parameters, residual)
    }

    fn run_with_candle_in(
        &self,
        precision: DType,
        x: &Tensor,
        parameters: &Tensor,
        residual: Option<&Tensor>,
    ) -> Tensor {
        let running = (self.statistics == Statistics::Running).then(|| self.layer.running());
        let layer = (self.layer.conv(), EPSILON, precision);
        let (y, batch) =
            candle_conv_norm::conv_norm(layer, x, parameters, residual, running.as_ref()).unwrap();
        if let Some((mean, variance, pixels)) = batch {
            let mut running = self.layer.running();
            running.update(&mean, &variance, pixels).unwrap();
            self.layer.set_running(running);
        }
        y
    }

    fn sum(&self, y: &Tensor) -> Tensor {
        (y * &self.weights).unwrap().sum_all().unwrap()
    }
}

/// A map with the layout of our kernels, which passes its gradient on.
fn batch_last(x: &Tensor) -> FeatureMap {
    FeatureMap::from_tensor(&x.permute((1, 2, 3, 0)).unwrap(), &BufferPool::default()).unwrap()
}

fn batch_first(map: &FeatureMap) -> Tensor {
    map.to_tensor().unwrap().permute((3, 0, 1, 2)).unwrap().contiguous().unwrap()
}

type Run = fn(&Case, &Tensor, &Tensor, Option<&Tensor>) -> Tensor;

fn agrees_with_pytorch(run: Run) {
    for want in fixture()["layers"].as_array().unwrap() {
        let case = Case::new(want);
        let var = |t: &Tensor| Var::from_tensor(t).unwrap();
        let (x, parameters, residual) =
            (var(&case.x), var(&case.parameters), case.residual.as_ref().map(var));
        let y = run(&case, &x, &parameters, residual.as_ref().map(Var::as_tensor));
        let of = format!("{:?}", case.layer.conv());
        close(&of, &y, &want["y"]);
        let running = case.layer.running();
        close("running mean", &running.mean, &want["mean"]);
        close("running variance", &running.variance, &want["var"]);
        let gradients = case.sum(&y).backward().unwrap();
        close(&of, gradients.get(&x).unwrap(), &want["d_x"]);
        let d_parameters = gradients.get(&parameters).unwrap();
        for (part, range) in ["d_w", "d_gamma", "d_beta"].iter().zip(parameter_ranges(case.layer.conv())) {
            close(
                &format!("{part} of {of}"),
                &d_parameters.narrow(0, range.start, range.len()).unwrap(),
                &want[part],
            );
        }
        if let Some(r) = residual {
            close(&of, gradients.get(&r).unwrap(), &want["d_r"]);
        }
    }
}

#[test]
fn layers_and_their_gradients_agree_with_pytorch() {
    agrees_with_pytorch(Case::run);
}

#[test]
fn candle_layers_and_their_gradients_agree_with_pytorch() {
    agrees_with_pytorch(Case::run_with_candle);
}

/// With f16 in the place of bfloat16, which candle multiplies on GPUs only: the same code, and three bits more. A number that rounding
/// moves across the ReLU's bend changes a gradient by more than rounding does.
#[test]
fn mixed_precision_stays_close_to_single_precision() {
    for want in fixture()["layers"].as_array().unwrap() {
        let case = Case::new(want);
        let pass = |precision| {
            let var = |t: &Tensor| Var::from_tensor(t).unwrap();
            let (x, parameters) = (var(&case.x), var(&case.parameters));
            let y = case.run_with_candle_in(precision, &x, &parameters, case.residual.as_ref());
            let gradients = case.sum(&y).backward().unwrap();
            let of = |t: &Var| gradients.get(t).unwrap().clone();
            [y, of(&x), of(&parameters)].map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        };
        for (single, mixed) in pass(DType::F32).iter().zip(pass(DType::F16)) {
            let size = single.iter().map(|x| x * x).sum::<f32>().sqrt();
            let error = single.iter().zip(&mixed).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
            assert!(error < 0.03 * size, "{:?}: {error} of {size}", case.layer.conv());
            let depthwise = case.layer.conv().depthwise;
            assert!(depthwise == (error == 0.0), "{:?}: {error}", case.layer.conv());
        }
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    for want in fixture()["layers"].as_array().unwrap() {
        let case = Case::new(want);
        let (x, parameters) =
            (Var::from_tensor(&case.x).unwrap(), Var::from_tensor(&case.parameters).unwrap());
        let residual = case.residual.as_ref();
        let gradients = case.sum(&case.run(&x, &parameters, residual)).backward().unwrap();
        for (argument, var) in [&x, &parameters].into_iter().enumerate() {
            // Along the gradient itself, where the difference is largest beside the rounding of single precision.
            let gradient = gradients.get(var).unwrap();
            let norm = gradient.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
            let step = 1e-2 / f64::from(norm);
            let at = |sign: f64| {
                let moved = (var.as_tensor() + (gradient * (sign * step)).unwrap()).unwrap();
                let y = match argument {
                    0 => case.run(&moved, &parameters, residual),
                    _ => case.run(&x, &moved, residual),
                };
                f64::from(case.sum(&y).to_scalar::<f32>().unwrap())
            };
            let slope = (at(1.0) - at(-1.0)) / 2e-2;
            let error = (slope / f64::from(norm) - 1.0).abs();
            assert!(error < 5e-3, "{:?}, argument {argument}: {slope} is not {norm}", case.layer.conv());
        }
    }
}

#[test]
fn max_pools_and_their_gradients_agree_with_pytorch() {
    for want in fixture()["pools"].as_array().unwrap() {
        let size = |name: &str| want[name].as_u64().unwrap() as usize;
        let x = ((numbers("pool", &[2, 3, size("height"), size("width")]) * 3.0).unwrap()).round().unwrap();
        let x = Var::from_tensor(&x).unwrap();
        let y = batch_first(&max_pool(&batch_last(&x)).unwrap());
        close("max pool", &y, &want["y"]);
        let sum = (&y * numbers("c", y.dims())).unwrap().sum_all().unwrap();
        close("its gradient", sum.backward().unwrap().get(&x).unwrap(), &want["d_x"]);
        let candle = candle_max_pool(&x).unwrap();
        close("max pool of candle", &candle, &want["y"]);
    }
}

#[test]
fn without_ties_both_max_pools_have_the_same_gradient() {
    let x = Var::from_tensor(&numbers("x", &[2, 3, 7, 8])).unwrap();
    let ours = batch_first(&max_pool(&batch_last(&x)).unwrap());
    let candle = candle_max_pool(&x).unwrap();
    let weights = numbers("c", ours.dims());
    let gradient = |y: &Tensor| {
        let sum = (y * &weights).unwrap().sum_all().unwrap();
        sum.backward().unwrap().get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let (ours, candle) = (gradient(&ours), gradient(&candle));
    ours.iter().zip(&candle).for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{a} {b}"));
}
