//! The layers of a convolutional network: what they are, in which order they run and what their tensors are called.
//!
//! One description serves loading, inference on the CPU ([`super::cpu`]), inference on a GPU ([`super::candle_backbone`]) and
//! training (`train/trainable_backbone.rs`).

use super::feature_layout::{FeatureLayout, FeatureSet, Tap};
use crate::error::Result;

/// A backbone as its layers, first to last. [`FeatureLayout`] says what becomes of its maps. `ConvNet` (of [`ConvSpec`]s)
/// describes a network, `ConvNet<L>` holds the same network with loaded layers `L`.
#[derive(Debug, Clone)]
pub struct ConvNet<L = ConvSpec> {
    /// The first convolution, on the normalised image.
    pub stem: L,
    /// Whether a 3x3 max pool of stride 2 follows the stem.
    pub max_pool: bool,
    /// The residual blocks.
    pub blocks: Vec<Block<L>>,
    /// A last convolution after the blocks.
    pub head: Option<L>,
    /// The maps whose statistics are features of every level: the stem's and the last of each stage.
    pub taps: Vec<Tap>,
    /// Channels of the last feature map.
    pub channels: usize,
    /// ε, which batch normalisation adds to a variance.
    pub norm_epsilon: f64,
}

/// A residual block: convolutions in sequence. The shortcut is added before the last one's activation.
#[derive(Debug, Clone)]
pub struct Block<L = ConvSpec> {
    /// The main path.
    pub path: Vec<L>,
    /// The branch beside it.
    pub shortcut: Shortcut<L>,
}

/// What is added to the output of a block's main path.
#[derive(Debug, Clone)]
pub enum Shortcut<L = ConvSpec> {
    /// The block has no shortcut.
    None,
    /// The block's input.
    Identity,
    /// The block's input after a convolution that changes its shape.
    Projection(L),
}

/// A convolution without bias, the batch normalisation that follows it, and the activation.
#[derive(Debug, Clone)]
pub struct ConvSpec {
    /// The convolution's tensor is `{name}.weight`.
    pub name: String,
    /// The normalisation's tensors are `{norm}.weight`, `.bias`, `.running_mean` and `.running_var`.
    pub norm: String,
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Height and width of the kernel, an odd number.
    pub kernel: usize,
    /// Input pixels between neighbouring output pixels.
    pub stride: usize,
    /// One filter per channel, instead of each filter over all channels.
    pub depthwise: bool,
    /// Where zeros go around the input.
    pub padding: Padding,
    /// Applied after the normalisation.
    pub activation: Activation,
}

/// How a convolution pads its input with zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// Half a kernel on every side, as in PyTorch's models.
    Symmetric,
    /// TensorFlow's `SAME`: as few as give ceil(size / stride) outputs, the odd one at the bottom or the right.
    Same,
}

impl Padding {
    /// Zeros before the first pixel of an axis of `size` pixels, and the number of output pixels.
    pub fn before_and_output(self, size: usize, kernel: usize, stride: usize) -> (usize, usize) {
        match self {
            Self::Symmetric => (kernel / 2, (size + 2 * (kernel / 2) - kernel) / stride + 1),
            Self::Same => {
                let output = size.div_ceil(stride);
                (((output - 1) * stride + kernel).saturating_sub(size) / 2, output)
            }
        }
    }
}

/// The function applied to a convolution's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// No activation.
    None,
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
}

impl Activation {
    /// The interval that it clamps to. Use it with `f32::clamp`, which keeps NaN; `f32::max` would turn NaN into a number and hide
    /// an overflow.
    pub fn bounds(self) -> (f32, f32) {
        match self {
            Self::None => (f32::NEG_INFINITY, f32::INFINITY),
            Self::Relu => (0.0, f32::INFINITY),
            Self::Relu6 => (0.0, 6.0),
        }
    }
}

impl ConvSpec {
    /// Shape of `{name}.weight`: `[outputs, inputs / groups, kernel, kernel]`.
    pub fn weight_shape(&self) -> [usize; 4] {
        let inputs = if self.depthwise { 1 } else { self.inputs };
        [self.outputs, inputs, self.kernel, self.kernel]
    }

    /// Names and shapes of its five tensors: the filter, and γ, β, mean and variance of the normalisation.
    pub fn tensor_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let norm = ["weight", "bias", "running_mean", "running_var"]
            .map(|part| (format!("{}.{part}", self.norm), vec![self.outputs]));
        let weight = (format!("{}.weight", self.name), self.weight_shape().to_vec());
        std::iter::once(weight).chain(norm).collect()
    }
}

impl<L> ConvNet<L> {
    /// Where the numbers of a feature vector come from.
    pub fn feature_layout(&self, set: FeatureSet) -> FeatureLayout {
        FeatureLayout::new(self, set)
    }

    /// Every layer, in the order of the forward pass (a block's shortcut after its path).
    pub fn layers(&self) -> impl Iterator<Item = &L> {
        let blocks = self.blocks.iter().flat_map(|block| {
            let shortcut = match &block.shortcut {
                Shortcut::Projection(layer) => Some(layer),
                Shortcut::None | Shortcut::Identity => None,
            };
            block.path.iter().chain(shortcut)
        });
        std::iter::once(&self.stem).chain(blocks).chain(&self.head)
    }
}

impl<L> Block<L> {
    /// How many layers it has, the shortcut's included.
    pub fn layer_count(&self) -> usize {
        self.path.len() + usize::from(matches!(self.shortcut, Shortcut::Projection(_)))
    }
}

impl ConvNet {
    /// The same network with each convolution replaced by what `load` makes of it.
    ///
    /// # Errors
    /// The first error of `load`.
    pub fn load<L>(&self, load: impl Fn(&ConvSpec) -> Result<L>) -> Result<ConvNet<L>> {
        let block = |block: &Block| -> Result<Block<L>> {
            let shortcut = match &block.shortcut {
                Shortcut::None => Shortcut::None,
                Shortcut::Identity => Shortcut::Identity,
                Shortcut::Projection(conv) => Shortcut::Projection(load(conv)?),
            };
            Ok(Block { path: block.path.iter().map(&load).collect::<Result<_>>()?, shortcut })
        };
        Ok(ConvNet {
            stem: load(&self.stem)?,
            max_pool: self.max_pool,
            blocks: self.blocks.iter().map(block).collect::<Result<_>>()?,
            head: self.head.as_ref().map(&load).transpose()?,
            taps: self.taps.clone(),
            channels: self.channels,
            norm_epsilon: self.norm_epsilon,
        })
    }

    /// Names and shapes of all tensors.
    pub fn tensor_shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.layers().flat_map(ConvSpec::tensor_shapes).collect()
    }
}
