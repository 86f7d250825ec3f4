//! The network as ONNX nodes, in the order of the forward pass. Maps are `[batch, channels, height, width]`.

use super::graph_builder::{GraphBuilder, Value};
use super::metadata::{OnnxMetadata, INPUT, OUTPUT};
use super::protobuf::{Attribute, Graph, ValueInfo, FLOAT, UINT8};
use crate::error::Result;
use crate::image::Preprocessing;
use crate::model::batch_norm_folding::fold_batch_norm;
use crate::model::feature_layout::FeatureSet;
use crate::model::layers::{Activation, Block, ConvNet, ConvSpec, Shortcut};
use crate::model::map_shape::MapShape;
use crate::model::standardize;
use crate::model::tensor_names;
use crate::model::tensors::Tensors;
use crate::model::trained_model::CheckedParts;

/// The graph of a model.
///
/// # Errors
/// [`Kind::InvalidModel`](crate::error::Kind::InvalidModel) for weights that cannot be folded.
pub(super) fn build(parts: &CheckedParts<'_>, metadata: &OnnxMetadata) -> Result<Graph> {
    let config = &parts.config;
    let (size, k, n) = (config.preprocessing.size as usize, config.attributes.len(), config.subspace_dim);
    let network = parts.arch.description();
    let mut writer = NetworkWriter {
        graph: GraphBuilder::default(),
        tensors: &parts.file.tensors_under(tensor_names::BACKBONE_PREFIX)?,
        epsilon: network.norm_epsilon,
    };
    let image = writer.normalized_pixels(&config.preprocessing);
    let shape = MapShape { channels: 3, batch: 1, height: size, width: size };
    let mut features = writer.features(&network, config.architecture.feature_set, image, shape)?;
    if config.architecture.standardize_features {
        features = writer.standardized(&features);
    }
    let weight = parts.file.numbers(tensor_names::PROJECTION_WEIGHT)?;
    let bias = parts.file.numbers(tensor_names::PROJECTION_BIAS)?;
    let graph = &mut writer.graph;
    let weight =
        graph.tensor(tensor_names::PROJECTION_WEIGHT, &[k * n, config.architecture.features], &weight);
    let bias = graph.tensor(tensor_names::PROJECTION_BIAS, &[k * n], &bias);
    let raw =
        graph.node("projection", "Gemm", &[&features, &weight, &bias], vec![Attribute::int("transB", 1)]);
    unit_subspaces(graph, &raw, k, n);
    let input = ValueInfo::batch_of(INPUT, UINT8, &[size, size, 3]);
    Ok(writer.graph.finish(&metadata.model, input, ValueInfo::batch_of(OUTPUT, FLOAT, &[k * n])))
}

/// Appends the layers of a backbone to a graph.
struct NetworkWriter<'a> {
    graph: GraphBuilder,
    tensors: &'a Tensors,
    /// ε of batch normalisation.
    epsilon: f64,
}

/// Mean, and what is left of a value without it: both with all dimensions, and the variance without those that were averaged.
struct Moments {
    mean: Value,
    centred: Value,
    variance: Value,
}

impl NetworkWriter<'_> {
    /// Bytes `[batch, size, size, 3]` to planes, (pixel / 255 − mean) / std.
    fn normalized_pixels(&mut self, preprocessing: &Preprocessing) -> Value {
        let graph = &mut self.graph;
        let channels = [0, 1, 2].map(|c| (f64::from(preprocessing.mean[c]), f64::from(preprocessing.std[c])));
        let scale = graph.tensor(
            "pixels.scale",
            &[1, 3, 1, 1],
            &channels.map(|(_, std)| (1.0 / (255.0 * std)) as f32),
        );
        let offset =
            graph.tensor("pixels.offset", &[1, 3, 1, 1], &channels.map(|(mean, std)| (-mean / std) as f32));
        let order = vec![Attribute::ints("perm", &[0, 3, 1, 2])];
        let planes = graph.node("pixels.planes", "Transpose", &[&INPUT.to_owned()], order);
        let to_float = vec![Attribute::int("to", FLOAT.into())];
        let numbers = graph.node("pixels.numbers", "Cast", &[&planes], to_float);
        let scaled = graph.node("pixels.scaled", "Mul", &[&numbers, &scale], vec![]);
        graph.node("pixels.normalized", "Add", &[&scaled, &offset], vec![])
    }

    /// Normalised images to features `[batch, F]`, in the order of [`FeatureLayout`](crate::model::feature_layout::FeatureLayout).
    fn features(
        &mut self,
        network: &ConvNet,
        set: FeatureSet,
        image: Value,
        shape: MapShape,
    ) -> Result<Value> {
        let layout = network.feature_layout(set);
        let (mut map, mut shape) = self.conv(&network.stem, &image, shape, None)?;
        if network.max_pool {
            (map, shape) = self.max_pool(&map, shape);
        }
        let (mut means, mut deviations) = (Vec::new(), Vec::new());
        for passed in 0..=network.blocks.len() {
            if passed > 0 {
                (map, shape) = self.block(&network.blocks[passed - 1], &map, shape)?;
            }
            if let Some(columns) = layout.tap(passed) {
                let name = format!("level{}", deviations.len());
                let Moments { mean, variance, .. } = self.moments(&name, &map, &[2, 3]);
                let graph = &mut self.graph;
                if !columns.mean.is_empty() {
                    means.push(graph.node(&format!("{name}.flat_mean"), "Flatten", &[&mean], vec![]));
                }
                deviations.push(graph.node(&format!("{name}.deviation"), "Sqrt", &[&variance], vec![]));
            }
        }
        if let Some(head) = &network.head {
            (map, _) = self.conv(head, &map, shape, None)?;
        }
        let over = vec![Attribute::ints("axes", &[2, 3]), Attribute::int("keepdims", 0)];
        let last = self.graph.node("last.mean", "ReduceMean", &[&map], over);
        if deviations.is_empty() {
            return Ok(last);
        }
        let parts: Vec<&Value> = std::iter::once(&last).chain(&means).chain(&deviations).collect();
        Ok(self.graph.node("features", "Concat", &parts, vec![Attribute::int("axis", 1)]))
    }

    fn block(&mut self, block: &Block, input: &Value, input_shape: MapShape) -> Result<(Value, MapShape)> {
        let residual = match &block.shortcut {
            Shortcut::None => None,
            Shortcut::Identity => Some(input.clone()),
            Shortcut::Projection(conv) => Some(self.conv(conv, input, input_shape, None)?.0),
        };
        let (mut map, mut shape) = (input.clone(), input_shape);
        for (i, conv) in block.path.iter().enumerate() {
            let residual = residual.as_ref().filter(|_| i + 1 == block.path.len());
            (map, shape) = self.conv(conv, &map, shape, residual)?;
        }
        Ok((map, shape))
    }

    /// A convolution with its batch normalisation, the residual, and the activation.
    fn conv(
        &mut self,
        conv: &ConvSpec,
        map: &Value,
        shape: MapShape,
        residual: Option<&Value>,
    ) -> Result<(Value, MapShape)> {
        let (weight, bias) = fold_batch_norm(conv, self.epsilon, self.tensors)?;
        let after = shape.after(conv);
        let graph = &mut self.graph;
        let weight = graph.tensor(&format!("{}.weight", conv.name), &conv.weight_shape(), &weight);
        let bias = graph.tensor(&format!("{}.bias", conv.name), &[conv.outputs], &bias);
        let options = vec![
            Attribute::ints("kernel_shape", &[conv.kernel as i64; 2]),
            Attribute::ints("strides", &[conv.stride as i64; 2]),
            Attribute::ints("pads", &pads(conv, shape, after)),
            Attribute::int("group", if conv.depthwise { conv.outputs as i64 } else { 1 }),
        ];
        let mut result = graph.node(&conv.name, "Conv", &[map, &weight, &bias], options);
        if let Some(residual) = residual {
            result = graph.node(&format!("{}.residual", conv.name), "Add", &[&result, residual], vec![]);
        }
        Ok((self.activation(conv, result), after))
    }

    fn activation(&mut self, conv: &ConvSpec, map: Value) -> Value {
        let name = format!("{}.activation", conv.name);
        match conv.activation {
            Activation::None => map,
            Activation::Relu => self.graph.node(&name, "Relu", &[&map], vec![]),
            Activation::Relu6 => {
                let (low, high) = conv.activation.bounds();
                let bounds = [("low", low), ("high", high)]
                    .map(|(bound, number)| self.graph.tensor(&format!("{name}.{bound}"), &[], &[number]));
                self.graph.node(&name, "Clip", &[&map, &bounds[0], &bounds[1]], vec![])
            }
        }
    }

    /// The 3x3 max pool of stride 2 with one pixel of padding.
    fn max_pool(&mut self, map: &Value, shape: MapShape) -> (Value, MapShape) {
        let options = vec![
            Attribute::ints("kernel_shape", &[3; 2]),
            Attribute::ints("strides", &[2; 2]),
            Attribute::ints("pads", &[1; 4]),
        ];
        let half = |size: usize| size.div_ceil(2);
        let after = MapShape { height: half(shape.height), width: half(shape.width), ..shape };
        (self.graph.node("max_pool", "MaxPool", &[map], options), after)
    }

    /// [`standardize::standardized`]: features `[batch, F]` to mean 0 and variance 1.
    fn standardized(&mut self, features: &Value) -> Value {
        let Moments { centred, variance, .. } = self.moments("features", features, &[1]);
        let graph = &mut self.graph;
        let epsilon = graph.tensor("features.epsilon", &[], &[standardize::EPSILON as f32]);
        let raised = graph.node("features.raised", "Add", &[&variance, &epsilon], vec![]);
        let deviation = graph.node("features.deviation", "Sqrt", &[&raised], vec![]);
        let axis = graph.integers("features.axis", &[1]);
        let divisor = graph.node("features.divisor", "Unsqueeze", &[&deviation, &axis], vec![]);
        graph.node("features.standardized", "Div", &[&centred, &divisor], vec![])
    }

    fn moments(&mut self, name: &str, value: &Value, axes: &[i64]) -> Moments {
        let over = |keep: i64| vec![Attribute::ints("axes", axes), Attribute::int("keepdims", keep)];
        let of = |part: &str| format!("{name}.{part}");
        let graph = &mut self.graph;
        let mean = graph.node(&of("mean"), "ReduceMean", &[value], over(1));
        let centred = graph.node(&of("centred"), "Sub", &[value, &mean], vec![]);
        let squares = graph.node(&of("squares"), "Mul", &[&centred, &centred], vec![]);
        let variance = graph.node(&of("variance"), "ReduceMean", &[&squares], over(0));
        Moments { mean, centred, variance }
    }
}

/// Zeros before and after the rows and columns of a map: top, left, bottom, right.
fn pads(conv: &ConvSpec, map: MapShape, result: MapShape) -> [i64; 4] {
    let axis = |size: usize, output: usize| {
        let (before, _) = conv.padding.before_and_output(size, conv.kernel, conv.stride);
        let seen = (output - 1) * conv.stride + conv.kernel;
        [before as i64, seen.saturating_sub(size + before) as i64]
    };
    let [[top, bottom], [left, right]] = [axis(map.height, result.height), axis(map.width, result.width)];
    [top, left, bottom, right]
}

/// Raw embeddings `[batch, K·n]` to [`OUTPUT`]: each subspace divided by its L2 norm, and zeros left as they are. A subspace is first
/// divided by its largest number, whose square might not be a number in single precision.
fn unit_subspaces(graph: &mut GraphBuilder, raw: &Value, subspaces: usize, dimensions: usize) {
    // 0 is the length that the input has: the batch's.
    let split = graph.integers("subspaces.shape", &[0, subspaces as i64, dimensions as i64]);
    let join = graph.integers("embedding.shape", &[0, (subspaces * dimensions) as i64]);
    let smallest = graph.tensor("subspaces.smallest", &[], &[f32::MIN_POSITIVE]);
    let over = || vec![Attribute::ints("axes", &[2]), Attribute::int("keepdims", 1)];
    let subspaces = graph.node("subspaces", "Reshape", &[raw, &split], vec![]);
    let sizes = graph.node("subspaces.sizes", "Abs", &[&subspaces], vec![]);
    let largest = graph.node("subspaces.largest", "ReduceMax", &[&sizes], over());
    let scale = graph.node("subspaces.scale", "Max", &[&largest, &smallest], vec![]);
    let scaled = graph.node("subspaces.scaled", "Div", &[&subspaces, &scale], vec![]);
    let length = graph.node("subspaces.length", "ReduceL2", &[&scaled], over());
    let norm = graph.node("subspaces.norm", "Max", &[&length, &smallest], vec![]);
    let unit = graph.node("subspaces.unit", "Div", &[&scaled, &norm], vec![]);
    graph.node(OUTPUT, "Reshape", &[&unit, &join], vec![]);
}
