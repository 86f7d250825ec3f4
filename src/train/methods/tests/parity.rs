//! Losses and gradients against PyTorch in float64. `python tests/fixtures/losses.py` draws the inputs and writes the expected values.

use crate::model::standardized;
use crate::train::cooperative_parameters::CooperativeParameters;
use crate::train::geometry::{Geometry, SoftmaxScale};
use crate::train::initializer::Linear;
use crate::train::labels::{AttributeLabels, BatchLabels, MultiLabels};
use crate::train::losses::{LossWeights, OrdinalLabels};
use crate::train::methods::cooperative::Objective;
use crate::train::training_set::{AttributeShape, TrainingSet};
use candle_core::{DType, Device, Tensor, Var};
use serde_json::Value;
use std::collections::BTreeMap;

fn numbers(v: &Value) -> Vec<f64> {
    match v {
        Value::Array(a) => a.iter().flat_map(numbers).collect(),
        v => vec![v.as_f64().unwrap()],
    }
}

fn shape(v: &Value) -> Vec<usize> {
    match v {
        Value::Array(a) => [vec![a.len()], a.first().map_or(vec![], shape)].concat(),
        _ => vec![],
    }
}

fn tensor(v: &Value) -> Tensor {
    Tensor::from_vec(numbers(v), shape(v), &Device::Cpu).unwrap()
}

fn indices(v: &Value) -> Vec<u32> {
    numbers(v).iter().map(|&x| x as u32).collect()
}

fn agree(what: &str, ours: Option<&Tensor>, theirs: &Value) {
    let Some(ours) = ours else {
        // A missing gradient must be missing or all zeros in PyTorch, too.
        assert!(theirs.is_null() || numbers(theirs).iter().all(|&x| x == 0.0), "{what} is missing");
        return;
    };
    let ours: Vec<f64> = ours.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let theirs = if theirs.is_null() { vec![0.0; ours.len()] } else { numbers(theirs) };
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (a, b) in ours.iter().zip(&theirs) {
        assert!((a - b).abs() <= 1e-9 * (1.0 + b.abs()), "{what}: {a} is not {b}");
    }
}

/// The inputs of the fixture, and those that learn, under the names of our parameters.
struct Inputs {
    parameters: CooperativeParameters,
    learned: BTreeMap<String, Var>,
    labels: BatchLabels,
    set: TrainingSet,
}

impl Inputs {
    fn of(j: &Value, fixed: &[&str], absence: bool) -> Self {
        let mut learned = BTreeMap::new();
        let mut take = |name: String, v: &Value, learns: bool| {
            if !learns {
                return tensor(v);
            }
            let var = Var::from_tensor(&tensor(v)).unwrap();
            let tensor = var.as_tensor().clone();
            learned.insert(name, var);
            tensor
        };
        let projection = Linear {
            weight: take("projection.weight".into(), &j["weight"], true),
            bias: take("projection.bias".into(), &j["bias"], true),
        };
        let learns = |kind: &str| !fixed.contains(&kind);
        let instance_proxies = take("proxies.instance".into(), &j["instance_proxies"], learns("instance"));
        let attribute_proxies: Vec<Tensor> = (j["attribute_proxies"].as_array().unwrap().iter().enumerate())
            .map(|(k, v)| take(format!("proxies.attribute.{k}"), v, learns("attribute")))
            .collect();
        let absent_proxies: Vec<Option<Tensor>> =
            (j["absent_proxies"].as_array().unwrap().iter().enumerate())
                .map(|(k, v)| absence.then(|| take(format!("proxies.absent.{k}"), v, learns("attribute"))))
                .collect();
        let optional = |v: &Value| -> Vec<Option<u32>> {
            numbers(v).iter().map(|&x| (x >= 0.0).then_some(x as u32)).collect()
        };
        let values: Vec<Vec<Option<u32>>> = j["values"].as_array().unwrap().iter().map(optional).collect();
        let like = tensor(&j["features"]);
        let labels = BatchLabels {
            instances: Tensor::new(indices(&j["instances"]), &Device::Cpu).unwrap(),
            categories: Tensor::new(indices(&j["categories"]), &Device::Cpu).unwrap(),
            attributes: values.iter().map(|v| AttributeLabels::new(v, &like).unwrap()).collect(),
            absences: Vec::new(),
        };
        let ordered = j["ordered"].as_array().unwrap();
        let attributes =
            attribute_proxies.iter().zip(ordered).enumerate().map(|(k, (p, ordered))| AttributeShape {
                name: k.to_string(),
                values: p.dim(0).unwrap(),
                ordered: ordered.as_bool().unwrap(),
            });
        let images = 0..values[0].len();
        let set = TrainingSet {
            images: images.clone().collect(),
            instances: vec![],
            categories: vec![],
            values: images.map(|i| values.iter().map(|v| v[i].into()).collect()).collect(),
            instance_category: indices(&j["instance_category"]),
            category_count: 3,
            attributes: attributes.collect(),
        };
        Self {
            parameters: CooperativeParameters {
                projection,
                instance_proxies,
                attribute_proxies,
                absent_proxies,
            },
            learned,
            labels,
            set,
        }
    }
}

fn check(j: &Value, name: &str, case: &Value) {
    let fixed: Vec<&str> = case["fixed"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    let absence = case["absence"].as_bool().unwrap();
    let mut inputs = Inputs::of(j, &fixed, absence);
    if absence {
        let batch: Vec<u32> = (0..inputs.set.images.len() as u32).collect();
        inputs.labels.absences = inputs.set.absences(&batch, &inputs.parameters.instance_proxies).unwrap();
    }
    let lambdas = numbers(&case["lambdas"]);
    let weights = LossWeights {
        instance: lambdas[0],
        attribute: lambdas[1],
        category: lambdas[2],
        regularization: lambdas[3],
        order: lambdas[4],
        order_sigma: j["sigma"].as_f64().unwrap(),
        label_smoothing: case["smoothing"].as_f64().unwrap(),
        ordinal: if case["tau"].is_null() { OrdinalLabels::Hard } else { OrdinalLabels::Soft },
        ordinal_tau: case["tau"].as_f64().unwrap_or(1.0),
        multi_labels: MultiLabels::Uniform,
    };
    let geometry = match (case["scale"].as_f64(), case["learned_scale"].as_bool().unwrap()) {
        (None, _) => Geometry::Raw,
        (Some(scale), false) => Geometry::Normalized(SoftmaxScale::Fixed(scale)),
        (Some(scale), true) => {
            let log = Var::new(&[scale.ln()], &Device::Cpu).unwrap();
            let tensor = log.as_tensor().clone();
            inputs.learned.insert("log_scale".into(), log);
            Geometry::Normalized(SoftmaxScale::Learned(tensor))
        }
    };
    let p = &inputs.parameters;
    let objective = Objective::new(weights, geometry, &inputs.set, &p.instance_proxies).unwrap();
    let mut features = tensor(&j["features"]);
    if case["standardize"].as_bool().unwrap() {
        features = standardized(&features).unwrap();
    }
    let f = p.projection.forward(&features).unwrap();
    let losses = objective.losses(&f, p, &inputs.labels).unwrap();
    for (part, loss) in &losses.parts {
        let want = match part.strip_prefix("attribute:") {
            Some(k) => &case["attributes"][k.parse::<usize>().unwrap()],
            None => &case[part],
        };
        assert_eq!(loss.is_none(), want.is_null(), "{name}: {part}");
        if let Some(loss) = loss {
            agree(&format!("{name}: {part}"), Some(loss), want);
        }
    }
    agree(&format!("{name}: total"), Some(&losses.total), &case["total"]);
    let gradients = losses.total.backward().unwrap();
    for (parameter, var) in &inputs.learned {
        let want = &case["gradients"][parameter];
        agree(&format!("{name}: gradient of {parameter}"), gradients.get(var), want);
    }
    for proxies in fixed {
        assert!(inputs.learned.keys().all(|k| !k.starts_with(&format!("proxies.{proxies}"))));
        assert!(proxies != "attribute" || inputs.learned.keys().all(|k| !k.starts_with("proxies.absent")));
    }
}

#[test]
fn losses_and_gradients_agree_with_pytorch() {
    let j: Value = serde_json::from_str(include_str!("../../../../tests/fixtures/losses.json")).unwrap();
    let cases = j["cases"].as_object().unwrap();
    assert_eq!(cases.len(), 21);
    cases.iter().for_each(|(name, case)| check(&j, name, case));
}
