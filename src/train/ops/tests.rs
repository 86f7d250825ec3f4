//! Layers and gradients against PyTorch (`python tests/fixtures/ops.py`) and against finite differences.

use super::buffers::Buffers;
use super::composed;
use super::layer::{ConvNorm, Running, Statistics};
use super::max_pool::max_pool;
use crate::model::arch::{Activation, Conv, Padding};
use crate::model::composed::max_pool as max_pool_of_slices;
use crate::model::synthetic::uniform;
use candle_core::{Device, Tensor, Var};
use serde_json::Value;

const BATCH: usize = 3;
const SIZE: [usize; 2] = [5, 6];

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/ops.json")).unwrap()
}

/// Between -1 and 1.
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
    learned: Tensor,
    residual: Option<Tensor>,
    /// What the sum of the result is weighted by; all maps are `[batch, channels, height, width]`.
    weights: Tensor,
}

impl Case {
    fn new(case: &Value) -> Self {
        let int = |name: &str| case[name].as_u64().unwrap() as usize;
        let flag = |name: &str| case[name].as_bool().unwrap();
        let depthwise = flag("depthwise");
        let (inputs, outputs) = if depthwise { (4, 4) } else { (2, 4) };
        let conv = Conv {
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
        let running = Running {
            mean: numbers("mean", &[outputs]),
            variance: (numbers("var", &[outputs]) + 1.5).unwrap(),
        };
        let learned = [
            numbers("w", &conv.weight_shape()).flatten_all().unwrap(),
            (numbers("gamma", &[outputs]) + 2.0).unwrap(),
            (numbers("beta", &[outputs]) + 1.0).unwrap(),
        ];
        let shape: Vec<usize> =
            case["shape"].as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect();
        Self {
            layer: ConvNorm::new(&conv, 1e-3, running, &Buffers::default()),
            statistics: if flag("of_batch") { Statistics::Batch } else { Statistics::Running },
            x: numbers("x", &[BATCH, inputs, SIZE[0], SIZE[1]]),
            learned: Tensor::cat(&learned, 0).unwrap(),
            residual: flag("shortcut").then(|| numbers("r", &shape)),
            weights: numbers("c", &shape),
        }
    }

    /// The result as `[batch, channels, height, width]`, by our kernels.
    fn run(&self, x: &Tensor, learned: &Tensor, residual: Option<&Tensor>) -> Tensor {
        let residual = residual.map(batch_last);
        let y = self.layer.forward(&batch_last(x), learned, residual.as_ref(), self.statistics).unwrap();
        y.permute((3, 0, 1, 2)).unwrap().contiguous().unwrap()
    }

    /// The result by candle's operations; moves the running statistics too.
    fn composed(&self, x: &Tensor, learned: &Tensor, residual: Option<&Tensor>) -> Tensor {
        let (y, batch) = composed::conv_norm(&self.layer, x, learned, residual, self.statistics).unwrap();
        if let Some((mean, variance, pixels)) = batch {
            let mut running = self.layer.running();
            running.follow(&mean, &variance, pixels).unwrap();
            self.layer.set_running(running);
        }
        y
    }

    fn sum(&self, y: &Tensor) -> Tensor {
        (y * &self.weights).unwrap().sum_all().unwrap()
    }
}

fn batch_last(x: &Tensor) -> Tensor {
    x.permute((1, 2, 3, 0)).unwrap().contiguous().unwrap()
}

type Run = fn(&Case, &Tensor, &Tensor, Option<&Tensor>) -> Tensor;

fn agrees_with_pytorch(run: Run) {
    for want in fixture()["layers"].as_array().unwrap() {
        let case = Case::new(want);
        let var = |t: &Tensor| Var::from_tensor(t).unwrap();
        let (x, learned, residual) = (var(&case.x), var(&case.learned), case.residual.as_ref().map(var));
        let y = run(&case, &x, &learned, residual.as_ref().map(Var::as_tensor));
        let of = format!("{:?}", case.layer.conv());
        close(&of, &y, &want["y"]);
        let running = case.layer.running();
        close("running mean", &running.mean, &want["mean"]);
        close("running variance", &running.variance, &want["var"]);
        let gradients = case.sum(&y).backward().unwrap();
        close(&of, gradients.get(&x).unwrap(), &want["d_x"]);
        let d_learned = gradients.get(&learned).unwrap();
        for (part, range) in ["d_w", "d_gamma", "d_beta"].iter().zip(ConvNorm::parts(case.layer.conv())) {
            close(
                &format!("{part} of {of}"),
                &d_learned.narrow(0, range.start, range.len()).unwrap(),
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
fn composed_layers_and_their_gradients_agree_with_pytorch() {
    agrees_with_pytorch(Case::composed);
}

#[test]
fn gradients_agree_with_finite_differences() {
    for want in fixture()["layers"].as_array().unwrap() {
        let case = Case::new(want);
        let (x, learned) = (Var::from_tensor(&case.x).unwrap(), Var::from_tensor(&case.learned).unwrap());
        let residual = case.residual.as_ref();
        let gradients = case.sum(&case.run(&x, &learned, residual)).backward().unwrap();
        for (argument, var) in [&x, &learned].into_iter().enumerate() {
            // Along the gradient itself, where the difference is largest beside the rounding of single precision.
            let gradient = gradients.get(var).unwrap();
            let norm = gradient.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
            let step = 1e-2 / f64::from(norm);
            let at = |sign: f64| {
                let moved = (var.as_tensor() + (gradient * (sign * step)).unwrap()).unwrap();
                let y = match argument {
                    0 => case.run(&moved, &learned, residual),
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
        let y = max_pool(&batch_last(&x)).unwrap().permute((3, 0, 1, 2)).unwrap().contiguous().unwrap();
        close("max pool", &y, &want["y"]);
        let sum = (&y * numbers("c", y.dims())).unwrap().sum_all().unwrap();
        close("its gradient", sum.backward().unwrap().get(&x).unwrap(), &want["d_x"]);
        let composed = max_pool_of_slices(&x).unwrap();
        close("composed max pool", &composed, &want["y"]);
    }
}

#[test]
fn the_composed_max_pool_has_the_gradient_of_ours_without_ties() {
    let x = Var::from_tensor(&numbers("x", &[2, 3, 7, 8])).unwrap();
    let ours = max_pool(&batch_last(&x)).unwrap().permute((3, 0, 1, 2)).unwrap().contiguous().unwrap();
    let composed = max_pool_of_slices(&x).unwrap();
    let weights = numbers("c", ours.dims());
    let gradient = |y: &Tensor| {
        let sum = (y * &weights).unwrap().sum_all().unwrap();
        sum.backward().unwrap().get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let (ours, composed) = (gradient(&ours), gradient(&composed));
    ours.iter().zip(&composed).for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{a} {b}"));
}
