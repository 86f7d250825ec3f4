use super::*;
use crate::model::synthetic;

#[test]
fn evaluation_is_what_the_server_computes() {
    for arch in [Arch::ResNet18, Arch::ResNet50, Arch::EfficientNetLite0] {
        let tensors = synthetic::backbone(arch);
        let served = load_backbone(arch, &tensors).unwrap();
        let learning = LearningBackbone::load(arch, &tensors, &Device::Cpu).unwrap();
        for (height, width) in [(64, 64), (75, 50)] {
            let pictures = synthetic::pictures(height, width);
            let numbers = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let want = numbers(served.forward(&pictures).unwrap());
            let got = numbers(learning.forward(&pictures, Mode::Evaluate).unwrap());
            let largest = want.iter().fold(0f32, |m, x| m.max(x.abs()));
            let error = want.iter().zip(&got).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(want.len() == got.len() && error < 2e-5 * largest, "{arch}: {error} of {largest}");
        }
    }
}

#[test]
fn tensors_come_out_as_they_went_in() {
    let tensors = synthetic::backbone(Arch::EfficientNetLite0);
    let learning = LearningBackbone::load(Arch::EfficientNetLite0, &tensors, &Device::Cpu).unwrap();
    let out = learning.tensors().unwrap();
    assert!(out.keys().eq(tensors.keys()));
    for (name, t) in &tensors {
        let numbers = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(t.dims() == out[name].dims() && numbers(t) == numbers(&out[name]), "{name}");
    }
}
