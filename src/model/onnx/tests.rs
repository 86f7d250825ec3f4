//! Exported graphs are well formed. `tests/clients/onnx.sh` runs them.

use super::export_onnx;
use super::protobuf::{Dimension, Graph, Length, Model, Tensor, ValueInfo, FLOAT, INT64, UINT8};
use crate::error::Kind;
use crate::model::tensors::{write_tensors, Precision};
use crate::model::{synthetic, tensor_names, Arch, FeatureSet, ModelConfig, Tensors};
use candle_core::{Device, Tensor as CandleTensor};
use prost::Message;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A small model for images of `size` px with these features.
fn model(arch: Arch, set: FeatureSet, standardize: bool, size: u32) -> (ModelConfig, Tensors) {
    let (mut config, mut tensors) = synthetic::model(arch);
    let features = arch.description().feature_layout(set).len;
    config.architecture.features = features;
    config.architecture.feature_set = set;
    config.architecture.standardize_features = standardize;
    config.preprocessing.size = size;
    config.format_version = config.needed_version();
    let numbers = synthetic::uniform(tensor_names::PROJECTION_WEIGHT, 8 * features);
    let numbers: Vec<f32> = numbers.map(|u| ((u - 0.5) * 0.25) as f32).collect();
    let weight = CandleTensor::from_vec(numbers, (8, features), &Device::Cpu).unwrap();
    tensors.insert(tensor_names::PROJECTION_WEIGHT.into(), weight);
    (config, tensors)
}

/// A model whose raw embeddings are these numbers, whatever the image.
fn constant(raw: [f32; 8]) -> (ModelConfig, Tensors) {
    let (config, mut tensors) = synthetic::model(Arch::EfficientNetLite0);
    let weight = tensors[tensor_names::PROJECTION_WEIGHT].zeros_like().unwrap();
    tensors.insert(tensor_names::PROJECTION_WEIGHT.into(), weight);
    tensors.insert(tensor_names::PROJECTION_BIAS.into(), CandleTensor::new(&raw, &Device::Cpu).unwrap());
    (config, tensors)
}

/// Every backbone, every kind of features, sizes that fit strides and sizes that do not.
fn models() -> Vec<(String, ModelConfig, Tensors)> {
    let of_backbones = Arch::ALL.into_iter().flat_map(|arch| {
        [
            (format!("{arch}_last"), model(arch, FeatureSet::Last, false, 32)),
            (format!("{arch}_levels"), model(arch, FeatureSet::Levels, false, 75)),
        ]
    });
    let lite = Arch::EfficientNetLite0;
    let others = [
        ("standardized_last".to_owned(), model(lite, FeatureSet::Last, true, 50)),
        ("standardized_levels".to_owned(), model(lite, FeatureSet::Levels, true, 64)),
        ("zeros".to_owned(), constant([0.0, 0.0, 0.0, 0.0, 3.0, 0.0, -4.0, 0.0])),
        ("extremes".to_owned(), constant([3e-30, 0.0, -4e-30, 0.0, 3e30, 0.0, -4e30, 0.0])),
    ];
    of_backbones.chain(others).map(|(name, (config, tensors))| (name, config, tensors)).collect()
}

fn written(config: &ModelConfig, tensors: &Tensors) -> Vec<u8> {
    let metadata = (tensor_names::CONFIG_DIGEST_KEY, tensor_names::config_digest(config));
    write_tensors(tensors, Precision::HalfMatrices, metadata).unwrap()
}

fn exported(config: &ModelConfig, tensors: &Tensors) -> Model {
    let onnx = export_onnx(&config.to_json(), &written(config, tensors)).unwrap();
    let model = Model::decode(onnx.bytes.as_slice()).unwrap();
    assert_eq!(model.encode_to_vec(), onnx.bytes);
    model
}

/// Fails unless every value is defined once, before it is used, and is used or the graph's output.
fn check_values(name: &str, graph: &Graph) {
    let mut defined: BTreeSet<&str> = graph.input.iter().map(|input| input.name.as_str()).collect();
    let mut unused = BTreeSet::new();
    for Tensor { name: tensor, dims, data_type, raw_data } in &graph.initializer {
        assert!(defined.insert(tensor) && unused.insert(tensor.as_str()), "{name}: {tensor}");
        let bytes = match *data_type {
            FLOAT => 4,
            INT64 => 8,
            other => panic!("{name}: {tensor} has numbers of type {other}"),
        };
        assert_eq!(raw_data.len() as i64, bytes * dims.iter().product::<i64>(), "{name}: {tensor}");
    }
    for node in &graph.node {
        for input in &node.input {
            assert!(defined.contains(input.as_str()), "{name}: {} takes {input}", node.name);
            unused.remove(input.as_str());
        }
        for output in &node.output {
            assert!(defined.insert(output) && unused.insert(output), "{name}: {output}");
        }
    }
    let outputs: BTreeSet<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(unused, outputs, "{name}");
}

/// Name, element type and dimensions.
fn signature(value: &ValueInfo) -> (&str, i32, Vec<String>) {
    let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).unwrap();
    let length = |dimension: &Dimension| match dimension.value.as_ref().unwrap() {
        Length::Fixed(length) => length.to_string(),
        Length::Named(name) => name.clone(),
    };
    (&value.name, tensor.elem_type, tensor.shape.as_ref().unwrap().dim.iter().map(length).collect())
}

#[test]
fn graphs_of_all_backbones_are_well_formed() {
    for (name, config, tensors) in models() {
        let model = exported(&config, &tensors);
        let graph = model.graph.as_ref().unwrap();
        check_values(&name, graph);
        let size = config.preprocessing.size.to_string();
        let strings = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            signature(&graph.input[0]),
            ("pixels", UINT8, strings(&["batch", &size, &size, "3"])),
            "{name}"
        );
        assert_eq!(signature(&graph.output[0]), ("embedding", FLOAT, strings(&["batch", "8"])), "{name}");
        let arch: Arch = config.architecture.backbone.parse().unwrap();
        let count = |op: &str| graph.node.iter().filter(|node| node.op_type == op).count();
        assert_eq!(count("Conv"), arch.description().layers().count(), "{name}");
        let levels = arch.description().feature_layout(config.architecture.feature_set).taps.len();
        let roots = levels + usize::from(config.architecture.standardize_features);
        assert_eq!((count("Sqrt"), count("Gemm")), (roots, 1), "{name}");
    }
}

#[test]
fn odd_sizes_get_the_padding_of_the_padding_rule() {
    let (config, tensors) = model(Arch::EfficientNetLite0, FeatureSet::Last, false, 75);
    let graph = exported(&config, &tensors).graph.unwrap();
    let pads = |name: &str| {
        let node = graph.node.iter().find(|node| node.name == name).unwrap();
        node.attribute.iter().find(|a| a.name == "pads").unwrap().ints.clone()
    };
    // 75 px become 38: 37 steps of 2 and a kernel of 3 see 77. 38 become 19: 18 steps and a kernel of 3 see 39.
    assert_eq!(pads("_conv_stem"), [1, 1, 1, 1]);
    assert_eq!(pads("_blocks.1._depthwise_conv"), [0, 0, 1, 1]);
}

#[test]
fn the_metadata_say_what_the_graph_does_not() {
    let (config, tensors) = model(Arch::ResNet18, FeatureSet::Levels, false, 40);
    let weights = written(&config, &tensors);
    let onnx = export_onnx(&config.to_json(), &weights).unwrap();
    let model = Model::decode(onnx.bytes.as_slice()).unwrap();
    assert_eq!((model.ir_version, model.opset_import[0].version), (8, 17));
    assert_eq!(model.metadata_props[0].value, onnx.metadata.to_json());
    let metadata: serde_json::Value = serde_json::from_str(&model.metadata_props[0].value).unwrap();
    let digest = config.digest(&weights);
    assert_eq!(metadata["model"], format!("2x4@{:08x}", digest.fingerprint()));
    assert_eq!(metadata["digest"], digest.to_string());
    assert_eq!(metadata["preprocessing"]["resize"]["size"], 40);
    assert_eq!(metadata["preprocessing"]["normalize"]["in_graph"], true);
    let shape = &metadata["attributes"][1];
    assert_eq!((&shape["name"], &shape["ordered"]), (&"shape".into(), &true.into()));
    assert_eq!(shape["columns"], serde_json::json!([4, 8]));
    assert_eq!(shape["values"], serde_json::json!(["round", "square"]));
    assert_eq!(metadata["categories"], serde_json::json!(["toy", "tool"]));
    assert_eq!(onnx.metadata.input.to_string(), "pixels: uint8 [batch,40,40,3]");
}

#[test]
fn a_model_that_cannot_be_used_is_not_exported() {
    let (config, mut tensors) = synthetic::model(Arch::EfficientNetLite0);
    let weights = written(&config, &tensors);
    let error = |weights: &[u8]| export_onnx(&config.to_json(), weights).unwrap_err();
    assert_eq!(error(&weights[..weights.len() - 1]).kind, Kind::InvalidModel);
    assert_eq!(export_onnx("{}", &weights).unwrap_err().kind, Kind::InvalidModel);
    let variance = "backbone._bn0.running_var";
    tensors.insert(variance.into(), (tensors[variance].neg().unwrap() - 1.0).unwrap());
    let e = error(&written(&config, &tensors));
    assert!(e.kind == Kind::InvalidModel && e.message.contains("_bn0"), "{e:?}");
}

/// Writes the models to folders under $MODELS, for `tests/clients/onnx.sh`.
#[test]
#[ignore = "tests/clients/onnx.sh runs it"]
fn write_models() {
    let folder = PathBuf::from(std::env::var_os("MODELS").expect("MODELS is a folder"));
    for (name, config, tensors) in models() {
        crate::model::write_directory(&folder.join(name), &config, &tensors, "").unwrap();
    }
}
