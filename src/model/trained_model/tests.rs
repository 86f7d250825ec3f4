//! A model embeds as its parts say, and refuses what does not fit or is damaged.

use super::*;
use crate::model::architectures::Arch;
use crate::model::prototypes::Proxies;
use crate::model::synthetic;
use crate::model::tensors::{write_tensors, Precision, Tensors};
use candle_core::DType;

const ARCH: Arch = Arch::EfficientNetLite0;

fn written(config: &ModelConfig, tensors: &Tensors) -> Vec<u8> {
    let metadata = (tensor_names::CONFIG_DIGEST_KEY, tensor_names::config_digest(config));
    write_tensors(tensors, Precision::HalfMatrices, metadata).unwrap()
}

/// A file with the tensors as they are, valid or not.
fn serialized(tensors: &Tensors) -> Vec<u8> {
    safetensors::serialize(tensors, None).unwrap()
}

fn refused(config: &ModelConfig, weights: &[u8]) -> Error {
    Model::from_parts(&config.to_json(), weights).unwrap_err()
}

fn pixels(count: usize) -> Vec<u8> {
    synthetic::uniform("pixels", count * 32 * 32 * 3).map(|u| (u * 256.0) as u8).collect()
}

#[test]
fn a_batch_embeds_bit_for_bit_as_its_images_do_alone() {
    for arch in [Arch::EfficientNetLite0, Arch::ResNet18] {
        let (config, tensors) = synthetic::model(arch);
        let model = Model::from_parts(&config.to_json(), &written(&config, &tensors)).unwrap();
        let pixels = pixels(5);
        let batch = model.embed(&pixels, 5).unwrap();
        assert_eq!(batch.len(), 5 * 8);
        let largest = batch.iter().fold(0f32, |m, x| m.max(x.abs()));
        for (image, together) in pixels.chunks_exact(32 * 32 * 3).zip(batch.chunks_exact(8)) {
            assert_eq!(model.embed(image, 1).unwrap(), together, "{arch}");
        }
        assert!(batch[..8].iter().zip(&batch[8..16]).any(|(a, b)| (a - b).abs() > 1e-3 * largest));
    }
}

#[test]
fn an_embedding_is_the_projection_of_the_features() {
    let (config, tensors) = synthetic::model(ARCH);
    let model = Model::from_parts(&config.to_json(), &serialized(&tensors)).unwrap();
    let input = normalize_pixels(&pixels(1), 1, &config.preprocessing, &Device::Cpu).unwrap();
    let features: Vec<f32> =
        model.backbone.forward(&input).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let weight: Vec<Vec<f32>> = tensors[tensor_names::PROJECTION_WEIGHT].to_vec2().unwrap();
    let bias: Vec<f32> = tensors[tensor_names::PROJECTION_BIAS].to_vec1().unwrap();
    for (d, found) in model.embed(&pixels(1), 1).unwrap().into_iter().enumerate() {
        let expected: f64 = weight[d].iter().zip(&features).map(|(w, f)| f64::from(*w) * f64::from(*f)).sum();
        assert!((f64::from(found) - expected - f64::from(bias[d])).abs() < 1e-4, "{found} {expected}");
    }
}

#[test]
fn standardised_features_have_mean_0_and_variance_1_before_the_projection() {
    let (mut config, mut tensors) = synthetic::model(ARCH);
    config.architecture.standardize_features = true;
    config.format_version = config.needed_version();
    // A projection that makes every dimension the mean of the features.
    let (dims, inputs) = tensors[tensor_names::PROJECTION_WEIGHT].dims2().unwrap();
    let weight = Tensor::full(1.0 / inputs as f32, (dims, inputs), &Device::Cpu).unwrap();
    tensors.insert(tensor_names::PROJECTION_WEIGHT.into(), weight);
    tensors
        .insert(tensor_names::PROJECTION_BIAS.into(), Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap());
    let model = Model::from_parts(&config.to_json(), &serialized(&tensors)).unwrap();
    let mean = model.embed(&pixels(1), 1).unwrap()[0];
    assert!(mean.abs() < 1e-5, "{mean}");
    let x = Tensor::new(&[[1.0f64, 2.0, 6.0]], &Device::Cpu).unwrap();
    // Mean 3, variance 14 / 3.
    let root = (14.0f64 / 3.0 + 1e-5).sqrt();
    let found: Vec<f64> = standardized(&x).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    for (a, b) in found.iter().zip([-2.0 / root, -1.0 / root, 3.0 / root]) {
        assert!((a - b).abs() < 1e-12);
    }
}

#[test]
fn pixels_of_another_size_are_refused() {
    let (config, tensors) = synthetic::model(ARCH);
    let model = Model::from_parts(&config.to_json(), &written(&config, &tensors)).unwrap();
    for (pixels, batch) in [(pixels(2), 1), (vec![0; 100], 1), (vec![], usize::MAX), (vec![], 1)] {
        assert_eq!(model.embed(&pixels, batch).unwrap_err().kind, Kind::Mismatch);
    }
    assert!(model.embed(&[], 0).unwrap().is_empty());
}

#[test]
fn prototypes_and_proxies_are_read_with_and_without_the_network() {
    let (config, tensors) = synthetic::model(ARCH);
    let weights = written(&config, &tensors);
    let model = Model::from_parts(&config.to_json(), &weights).unwrap();
    let prototypes = Prototypes::from_parts(&config, &weights).unwrap();
    assert_eq!(&prototypes, model.prototypes());
    let colour = prototypes.attribute_queries(0);
    assert_eq!(colour.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false]);
    let stored: Vec<Vec<f32>> = tensors["queries.attribute.colour"].to_vec2().unwrap();
    let green = colour[1].as_ref().unwrap();
    assert!(green.iter().zip(&stored[1]).all(|(a, b)| (a - b).abs() <= b.abs() / 1024.0 && *a != 0.0));
    assert_eq!(prototypes.attribute_queries(1).len(), 2);
    assert_eq!(prototypes.category_queries()[0].as_ref().unwrap().len(), 8);
    assert_eq!(prototypes.category_queries()[1], None);
    let proxies = Proxies::from_parts(&config, &weights).unwrap();
    assert_eq!((proxies.attributes[0].len(), proxies.instances.unwrap().len()), (12, 56));
    // 3.37 million numbers in f32.
    assert!((13_000_000..14_000_000).contains(&model.memory_bytes()));
    assert_eq!(model.layout().to_string(), format!("2x4@{:08x}", model.digest().fingerprint()));
}

#[test]
fn instance_proxies_are_optional() {
    let (config, mut tensors) = synthetic::model(ARCH);
    tensors.remove(tensor_names::INSTANCE_PROXIES);
    let weights = written(&config, &tensors);
    assert!(Model::from_parts(&config.to_json(), &weights).is_ok());
    assert_eq!(Proxies::from_parts(&config, &weights).unwrap().instances, None);
}

#[test]
fn all_faults_of_the_tensors_are_listed() {
    let (config, mut tensors) = synthetic::model(ARCH);
    tensors.remove("projection.bias");
    tensors.remove("backbone._conv_head.weight");
    tensors.insert("queries.category".into(), Tensor::zeros((3, 8), DType::F16, &Device::Cpu).unwrap());
    tensors
        .insert("queries.attribute.shape".into(), Tensor::zeros((2, 4), DType::F64, &Device::Cpu).unwrap());
    tensors.insert("queries.attribute.size".into(), Tensor::zeros((2, 4), DType::F32, &Device::Cpu).unwrap());
    let nan = [1.0, f32::NAN, f32::INFINITY, 0.0].repeat(3);
    tensors.insert("proxies.attribute.colour".into(), Tensor::from_vec(nan, (3, 4), &Device::Cpu).unwrap());
    let half = Tensor::full(f32::INFINITY, (8, 1280), &Device::Cpu).unwrap().to_dtype(DType::F16).unwrap();
    tensors.insert("projection.weight".into(), half);
    let e = refused(&config, &serialized(&tensors));
    assert_eq!(
        (e.kind, e.message.as_str()),
        (Kind::InvalidModel, "the weights do not fit the model's config")
    );
    assert_eq!(
        e.detail.unwrap(),
        "Missing (2): backbone._conv_head.weight, projection.bias. Unexpected (1): queries.attribute.size. \
         \"queries.category\": found shape [3, 8], expected [2, 8]. \
         \"projection.weight\": 10240 numbers are NaN or infinite. \
         \"queries.attribute.shape\": numbers are F64, expected F16 or F32. \
         \"proxies.attribute.colour\": 6 numbers are NaN or infinite."
    );
}

#[test]
fn a_config_that_belongs_to_other_weights_is_refused() {
    let (mut config, tensors) = synthetic::model(ARCH);
    let weights = written(&config, &tensors);
    config.licence = "MIT".into();
    assert!(Model::from_parts(&config.to_json(), &weights).is_ok(), "notes may change");
    config.attributes[0].values.swap(0, 1);
    let e = refused(&config, &weights);
    assert_eq!(e.kind, Kind::InvalidModel);
    assert!(e.hint.unwrap().contains("same model directory"));
}

#[test]
fn a_config_this_version_cannot_use_is_refused() {
    let (config, tensors) = synthetic::model(ARCH);
    let weights = written(&config, &tensors);
    let mut newer = config.clone();
    newer.format_version = crate::model::FORMAT_VERSION + 1;
    assert_eq!(refused(&newer, &weights).kind, Kind::Unsupported);
    // Readers of version 1 would ignore the flag.
    let mut standardized = config.clone();
    standardized.architecture.standardize_features = true;
    let e = refused(&standardized, &weights);
    assert_eq!(e.detail.as_deref(), Some("The config needs format 2."));
    let mut unknown = config.clone();
    unknown.architecture.backbone = "resnet51".into();
    let e = refused(&unknown, &weights);
    assert_eq!((e.kind, e.message.as_str()), (Kind::UnknownName, "backbone \"resnet51\" does not exist"));
    let mut longer = config.clone();
    longer.architecture.features = 512;
    let e = refused(&longer, &weights);
    assert_eq!(e.detail.unwrap(), "Found 512 features of the backbone efficientnet_lite0, expected 1280.");
    assert_eq!(Model::from_parts("{", &weights).unwrap_err().kind, Kind::InvalidModel);
}

#[test]
fn truncated_or_damaged_weights_are_errors_and_never_panic() {
    let (config, tensors) = synthetic::model(ARCH);
    let (json, weights) = (config.to_json(), written(&config, &tensors));
    let header = 8 + u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    let steps = (0..weights.len()).step_by(weights.len() / 200);
    for end in (0..10).chain(steps).chain(header - 3..header + 3).chain([weights.len() - 1]) {
        let e = Model::from_parts(&json, &weights[..end]).unwrap_err();
        assert_eq!(e.kind, Kind::InvalidModel, "{end}");
        assert!(Prototypes::from_parts(&config, &weights[..end]).is_err());
    }
    let offsets = synthetic::uniform("places", 300).map(|u| (u * header as f64) as usize);
    for (at, bits) in offsets.zip(synthetic::uniform("bits", 300)) {
        let mut damaged = weights.clone();
        damaged[at] ^= (bits * 255.0) as u8 + 1;
        let _ = Model::from_parts(&json, &damaged);
        let _ = Prototypes::from_parts(&config, &damaged);
        let _ = Proxies::from_parts(&config, &damaged);
    }
    for garbage in [vec![], vec![0xff; 64], b"PK\x03\x04".to_vec(), vec![0; 1 << 16]] {
        assert_eq!(Model::from_parts(&json, &garbage).unwrap_err().kind, Kind::InvalidModel);
    }
}

#[test]
fn a_network_whose_numbers_overflow_is_an_error_not_an_embedding() {
    // The last block's sums are infinite, and in the head inf - inf is NaN, which the activation must not turn into a number.
    let block = "backbone._blocks.15._project_conv.weight";
    for (name, shape, numbers) in [
        ("projection.weight", [8, 1280].as_slice(), [1e38f32, -1e38]),
        (block, &[320, 1152, 1, 1], [1e38, 1e38]),
    ] {
        let (config, mut tensors) = synthetic::model(ARCH);
        let numbers = numbers.repeat(shape.iter().product::<usize>() / 2);
        tensors.insert(name.into(), Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap());
        let model = Model::from_parts(&config.to_json(), &serialized(&tensors)).unwrap();
        assert!(model.embed(&pixels(1), 1).unwrap_err().message.contains("not finite"), "{name}");
    }
}
