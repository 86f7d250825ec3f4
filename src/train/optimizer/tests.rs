//! Steps against PyTorch, groups and their rates, and restoring the state.

use super::*;
use crate::error::Kind;
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};

fn parameter(name: &str, group: ParameterGroup, values: &[f64], dtype: DType) -> Parameter {
    let tensor = Tensor::new(values, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
    Parameter { name: name.into(), group, var: Var::from_tensor(&tensor).unwrap() }
}

fn close(v: &Var, want: &[f64], tolerance: f64) {
    let got: Vec<f64> = v.to_dtype(DType::F64).unwrap().to_vec1().unwrap();
    got.iter().zip(want).for_each(|(a, b)| assert!((a - b).abs() < tolerance, "{a} is not {b}"));
}

/// The proxies' rate is ten times the projection's.
const RATES: LearningRates = LearningRates { projection: 0.1, backbone: 0.01, proxies: 1.0 };

/// Gradients of Σ c a² and, in every other step, of Σ sin b.
fn gradients(a: &Var, b: &Var, step: usize) -> GradStore {
    let scale = Tensor::new(&[1.0f64, 2.0, 3.0], &Device::Cpu).unwrap().to_dtype(a.dtype()).unwrap();
    let mut loss = (a.sqr().unwrap() * &scale).unwrap().sum_all().unwrap();
    if step.is_multiple_of(2) {
        loss = (loss + b.sin().unwrap().sum_all().unwrap()).unwrap();
    }
    loss.backward().unwrap()
}

fn pair(dtype: DType) -> [Parameter; 2] {
    [
        parameter("a", ParameterGroup::Projection, &[1.0, -2.0, 0.5], dtype),
        parameter("b", ParameterGroup::Proxies, &[0.3, 0.0], dtype),
    ]
}

/// Four steps at 0.1, in double precision (candle's operations) and in single precision (fused).
fn agrees(settings: AdamSettings, want_a: &[f64], want_b: &[f64]) {
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-6)] {
        let [a, b] = pair(dtype);
        let mut adam = Adam::new(settings, vec![a.clone(), b.clone()]).unwrap();
        (0..4).for_each(|i| adam.step(&gradients(&a.var, &b.var, i), RATES).unwrap());
        close(&a.var, want_a, tolerance);
        close(&b.var, want_b, tolerance);
    }
}

/// ```text
/// import torch
/// def run(optimizer, decay_b, clip):
///     a = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64, requires_grad=True)
///     b = torch.tensor([0.3, 0.0], dtype=torch.float64, requires_grad=True)
///     o = optimizer([{'params': [a], 'lr': 0.1}, {'params': [b], 'lr': 1.0, 'weight_decay': decay_b}], weight_decay=0.05)
///     for i in range(4):
///         o.zero_grad()
///         loss = (a ** 2 * torch.tensor([1., 2., 3.])).sum() + (b.sin().sum() if i % 2 == 0 else 0.0)
///         loss.backward()
///         if clip: torch.nn.utils.clip_grad_norm_([a, b], clip)
///         o.step()
///     print(a.tolist(), b.tolist())
/// run(torch.optim.Adam, 0.05, None)
/// run(torch.optim.AdamW, 0.0, None)
/// run(torch.optim.Adam, 0.05, 0.5)
/// ```
#[test]
fn steps_agree_with_pytorch() {
    let settings = AdamSettings { weight_decay: 0.05, proxy_weight_decay: 0.05, ..Default::default() };
    agrees(
        settings,
        &[0.6039390605223225, -1.6015048947680062, 0.11291539534512353],
        &[-1.6828399698973233, -1.9293021108315647],
    );
    let decoupled = AdamSettings { kind: OptimizerKind::AdamW, proxy_weight_decay: 0.0, ..settings };
    agrees(
        decoupled,
        &[0.5873511048265126, -1.5649785915469974, 0.10649422018264373],
        &[-1.6881850444530393, -1.943312677945868],
    );
    let clipped = AdamSettings { clip_norm: Some(0.5), ..settings };
    agrees(
        clipped,
        &[0.601750940231096, -1.5997852526240823, 0.10879286847264626],
        &[-1.5131960793317645, -1.4603381900981076],
    );
}

#[test]
fn each_group_has_its_rate() {
    // The first step of Adam is the learning rate, in the direction of the gradient's sign.
    let settings = AdamSettings { weight_decay: 0.0, proxy_weight_decay: 0.0, ..Default::default() };
    let backbone = ParameterGroup::Backbone { norm_from: 1 };
    let groups = [backbone, ParameterGroup::Projection, ParameterGroup::Proxies];
    let all: Vec<_> = groups.iter().map(|&g| parameter(&format!("{g:?}"), g, &[1.0], DType::F32)).collect();
    let mut adam = Adam::new(settings, all.clone()).unwrap();
    let sum = all.iter().map(|p| p.var.sum_all().unwrap()).reduce(|a, b| (a + b).unwrap()).unwrap();
    let rates = LearningRates { projection: 0.01, backbone: 0.001, proxies: 0.1 };
    adam.step(&sum.backward().unwrap(), rates).unwrap();
    all.iter().zip([0.999, 0.99, 0.9]).for_each(|(p, want)| close(&p.var, &[want], 1e-6));
}

/// Filters and batch normalisation are groups of their own in PyTorch, and here parts of one vector:
///
/// ```text
/// import torch
/// def run(optimizer, clip):
///     w = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64, requires_grad=True)
///     norm = torch.tensor([0.3, -0.7], dtype=torch.float64, requires_grad=True)
///     groups = [{'params': [w], 'weight_decay': 0.05}, {'params': [norm], 'weight_decay': 0.01}]
///     o = optimizer(groups, lr=0.1)
///     c = torch.tensor([1., 2., 3., 4., 5.], dtype=torch.float64)
///     for i in range(4):
///         o.zero_grad()
///         (torch.cat([w, norm]) ** 2 * c).sum().backward()
///         if clip: torch.nn.utils.clip_grad_norm_([w, norm], clip)
///         o.step()
///     print(torch.cat([w, norm]).tolist())
/// run(torch.optim.Adam, None)
/// run(torch.optim.AdamW, None)
/// run(torch.optim.Adam, 0.5)
/// ```
#[test]
fn filters_and_batch_normalisation_decay_apart_as_in_pytorch() {
    let adam = AdamSettings { backbone_weight_decay: 0.05, norm_weight_decay: 0.01, ..Default::default() };
    let adamw = AdamSettings { kind: OptimizerKind::AdamW, ..adam };
    let clipped = AdamSettings { clip_norm: Some(0.5), ..adam };
    let c = Tensor::new(&[1f64, 2.0, 3.0, 4.0, 5.0], &Device::Cpu).unwrap();
    for (settings, want) in [
        (
            adam,
            [
                0.6039390605223225,
                -1.6015048947680062,
                0.11291539534512353,
                -0.06218267785654556,
                -0.3070016527702453,
            ],
        ),
        (
            adamw,
            [
                0.5873511048265126,
                -1.5649785915469974,
                0.10649422018264373,
                -0.06259774909631706,
                -0.3048777954220705,
            ],
        ),
        (
            clipped,
            [
                0.6010152102417098,
                -1.5992885344684746,
                0.10707353230527492,
                -0.06823752954384082,
                -0.3018758572798349,
            ],
        ),
    ] {
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-6)] {
            let group = ParameterGroup::Backbone { norm_from: 3 };
            let layer = parameter("layer", group, &[1.0, -2.0, 0.5, 0.3, -0.7], dtype);
            let mut adam = Adam::new(settings, vec![layer.clone()]).unwrap();
            for _ in 0..4 {
                let squares = (layer.var.sqr().unwrap() * c.to_dtype(dtype).unwrap()).unwrap();
                let gradients = squares.sum_all().unwrap().backward().unwrap();
                adam.step(&gradients, LearningRates::uniform(0.1)).unwrap();
            }
            close(&layer.var, &want, tolerance);
        }
    }
}

#[test]
fn a_restored_state_continues_as_if_never_stopped() {
    for dtype in [DType::F32, DType::F64] {
        let [a, b] = pair(dtype);
        let settings = AdamSettings::default();
        let mut adam = Adam::new(settings, vec![a.clone(), b.clone()]).unwrap();
        (0..3).for_each(|i| adam.step(&gradients(&a.var, &b.var, i), RATES).unwrap());
        let copy = |p: &Parameter| Parameter {
            var: Var::from_tensor(&p.var.as_detached_tensor().copy().unwrap()).unwrap(),
            ..p.clone()
        };
        let (c, d) = (copy(&a), copy(&b));
        let mut other = Adam::new(settings, vec![c.clone(), d.clone()]).unwrap();
        other.restore(&adam.state().unwrap()).unwrap();
        for i in 3..6 {
            adam.step(&gradients(&a.var, &b.var, i), RATES).unwrap();
            other.step(&gradients(&c.var, &d.var, i), RATES).unwrap();
        }
        let numbers = |v: &Var| v.to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
        assert_eq!((numbers(&a.var), numbers(&b.var)), (numbers(&c.var), numbers(&d.var)));
    }
}

#[test]
fn a_state_of_other_shapes_and_names_that_collide_are_refused() {
    let [a, b] = pair(DType::F32);
    let mut adam = Adam::new(AdamSettings::default(), vec![a.clone()]).unwrap();
    adam.step(&gradients(&a.var, &b.var, 0), RATES).unwrap();
    let longer = parameter("a", ParameterGroup::Projection, &[1.0; 4], DType::F32);
    let e = Adam::new(AdamSettings::default(), vec![longer])
        .unwrap()
        .restore(&adam.state().unwrap())
        .unwrap_err();
    assert_eq!(e.kind, Kind::Mismatch);
    assert_eq!(Adam::new(AdamSettings::default(), vec![a.clone(), a]).unwrap_err().kind, Kind::Internal);
}
