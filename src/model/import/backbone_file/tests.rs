//! Checkpoints are converted, read back, and refused with all their faults.

use super::*;
use crate::model::synthetic;

/// A checkpoint file of these tensors with the extra tensors that training scripts leave in it.
fn published(tensors: &Tensors, prefix: &str) -> tempfile::NamedTempFile {
    let mut all: Tensors = tensors.iter().map(|(name, t)| (format!("{prefix}{name}"), t.clone())).collect();
    for extra in ["_bn0.num_batches_tracked", "_fc.weight", "_fc.bias"] {
        all.insert(
            format!("{prefix}{extra}"),
            Tensor::zeros(3, candle_core::DType::F32, &Device::Cpu).unwrap(),
        );
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), write_tensors(&all, Precision::Single, ("", String::new())).unwrap())
        .unwrap();
    file
}

#[test]
fn a_trained_model_gives_its_backbone() {
    let (config, tensors) = synthetic::model(Arch::ResNet18);
    let dir = tempfile::tempdir().unwrap();
    crate::model::write_directory(dir.path(), &config, &tensors, "").unwrap();
    let bytes = import_backbone(&dir.path().join("model.safetensors"), Arch::ResNet18).unwrap();
    assert_eq!(read_backbone(&bytes).unwrap().0, Arch::ResNet18);
}

#[test]
fn an_imported_backbone_is_read_back() {
    let tensors = synthetic::backbone(Arch::EfficientNetLite0);
    let file = published(&tensors, "module.");
    let bytes = import_backbone(file.path(), Arch::EfficientNetLite0).unwrap();
    let source = hexadecimal(&Sha256::digest(std::fs::read(file.path()).unwrap()));
    assert_eq!(
        TensorFile::parse(&bytes).unwrap().metadata(METADATA),
        Some(format!("efficientnet_lite0 {source}").as_str())
    );
    assert_eq!(
        import_backbone(file.path(), Arch::EfficientNetLite0).unwrap(),
        bytes,
        "same file, same bytes"
    );
    let (arch, found) = read_backbone(&bytes).unwrap();
    assert_eq!(arch, Arch::EfficientNetLite0);
    assert!(found.keys().eq(tensors.keys()));
    let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(found.iter().all(|(name, t)| values(t) == values(&tensors[name])));
}

#[test]
fn any_prefix_of_the_names_is_removed_and_what_has_another_is_ignored() {
    let tensors = synthetic::backbone(Arch::ResNet18);
    let bare = import_backbone(published(&tensors, "").path(), Arch::ResNet18).unwrap();
    for prefix in ["model.", "encoder_q.backbone.", "state_dict.model.encoder."] {
        let mut all: Tensors =
            tensors.iter().map(|(name, t)| (format!("{prefix}{name}"), t.clone())).collect();
        all.insert("projector.0.weight".into(), synthetic::tensor("x", &[8, 8]));
        // A part of the network again, as an average.
        all.insert("ema.conv1.weight".into(), synthetic::tensor("y", &[64, 3, 7, 7]));
        let found = import_backbone(published(&all, "").path(), Arch::ResNet18).unwrap();
        let tensors_of = |bytes: &[u8]| {
            let (_, tensors) = read_backbone(bytes).unwrap();
            tensors
                .iter()
                .map(|(n, t)| (n.clone(), t.flatten_all().unwrap().to_vec1::<f32>().unwrap()))
                .collect::<Vec<_>>()
        };
        assert_eq!(tensors_of(&found), tensors_of(&bare), "{prefix}");
    }
}

#[test]
fn everything_wrong_with_a_checkpoint_is_reported_together() {
    let mut tensors = synthetic::backbone(Arch::EfficientNetLite0);
    tensors.remove("_conv_head.weight");
    tensors.remove("_blocks.3._bn1.bias");
    tensors.insert("_bn0.bias".into(), synthetic::tensor("x", &[31]));
    tensors.insert("_blocks.16._bn1.bias".into(), synthetic::tensor("x", &[320]));
    let file = published(&tensors, "");
    let e = import_backbone(file.path(), Arch::EfficientNetLite0).unwrap_err();
    assert_eq!(
        (e.kind, e.message.as_str()),
        (Kind::InvalidModel, "the checkpoint does not hold the backbone efficientnet_lite0")
    );
    assert_eq!(
        e.detail.unwrap(),
        "Missing (2): _blocks.3._bn1.bias, _conv_head.weight. Unexpected (1): _blocks.16._bn1.bias. \
         \"_bn0.bias\": found shape [31], expected [32]."
    );
}

#[test]
fn a_resnet34_is_not_accepted_as_a_resnet18() {
    let file = published(&synthetic::backbone(Arch::ResNet34), "");
    let e = import_backbone(file.path(), Arch::ResNet18).unwrap_err();
    assert!(e.detail.unwrap().contains("layer1.2.conv1.weight"));
}

#[test]
fn a_missing_or_foreign_file_is_an_error() {
    let e = import_backbone(Path::new("no/such/file.pth"), Arch::ResNet18).unwrap_err();
    assert_eq!(e.kind, Kind::Io);
    let file = published(&synthetic::backbone(Arch::EfficientNetLite0), "");
    let e = read_backbone(&std::fs::read(file.path()).unwrap()).unwrap_err();
    assert!(e.hint.unwrap().contains("import-backbone"));
}
