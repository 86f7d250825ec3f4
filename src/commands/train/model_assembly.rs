//! Assembles a model directory from what was learned: tensors, query prototypes and config.

use super::args::TrainArgs;
use crate::data::features::{half_matrices, FrozenBackbone};
use crate::data::manifest::{Manifest, Split};
use crate::error::Result;
use crate::image::Preprocessing;
use crate::model::{standardized, tensor_names, Architecture, ModelConfig, Proxies, Tensors, FORMAT_VERSION};
use crate::space::{normalize_subspaces, Embedding, Layout, TaskLayout};
use crate::train::calibration::{uncalibrated, CalibrationFold};
use crate::train::cooperative_parameters::CooperativeParameters;
use crate::train::feature_scaling::FeatureScaling;
use crate::train::geometry::unit_subspaces;
use crate::train::mean_queries::MeanQueries;
use crate::train::optimizer::OptimizerKind;
use crate::train::settings::Settings;
use candle_core::{Device, Tensor};
use std::collections::BTreeSet;

/// What a model is assembled from beside the learned parameters.
pub struct AssemblyInputs<'a> {
    /// The data set.
    pub manifest: &'a Manifest,
    /// The hyper-parameters.
    pub settings: &'a Settings,
    /// How image bytes become network input.
    pub preprocessing: &'a Preprocessing,
    /// The command's options, for names and licence.
    pub args: &'a TrainArgs,
    /// Training images that were held out, as indices in the manifest.
    pub held_out: &'a [usize],
    /// How training scaled features; the projection takes it in.
    pub scaling: Option<&'a FeatureScaling>,
}

/// The contents of a model directory, and the held-out images that can calibrate its tags.
pub struct AssembledModel {
    /// The config, without metrics and with uncalibrated tagging.
    pub config: ModelConfig,
    /// The tensors by name.
    pub tensors: Tensors,
    /// The held-out images, embedded by this model.
    pub fold: CalibrationFold,
}

/// Assembles a model. `features` (`[images, F]`) are those of all training images, as the backbone gives them.
///
/// Query prototypes are means of the embeddings by the *stored* projection, so it is rounded to half precision first.
///
/// # Errors
/// If shapes do not fit, or if an embedding is not finite.
pub fn assemble(
    inputs: &AssemblyInputs<'_>,
    backbone: &FrozenBackbone,
    features: &Tensor,
    learned: &CooperativeParameters,
) -> Result<AssembledModel> {
    let manifest = inputs.manifest;
    let layout = Layout::new(manifest.attributes.len(), inputs.settings.subspace_dim, 0)?;
    let mut tensors = half_matrices(&proxies_and_projection(manifest, learned, inputs.scaling)?)?;
    if let Some(scaling) = inputs.scaling {
        let weight = &tensors[tensor_names::PROJECTION_WEIGHT];
        let bias = scaling.bias(&tensors[tensor_names::PROJECTION_BIAS], weight)?;
        tensors.insert(tensor_names::PROJECTION_BIAS.into(), bias);
    }
    let projection = tensors[tensor_names::PROJECTION_WEIGHT].t()?;
    let features = if inputs.settings.layer_norm { standardized(features)? } else { features.clone() };
    let raw = features.matmul(&projection)?.broadcast_add(&tensors[tensor_names::PROJECTION_BIAS])?;
    let mut embeddings: Vec<Vec<f32>> = raw.to_vec2()?;
    let radii = match inputs.settings.normalize {
        true => vec![1.0; layout.subspaces()],
        false => mean_lengths(&embeddings, layout),
    };
    embeddings.iter_mut().try_for_each(|e| normalize_subspaces(layout, e))?;
    let n = inputs.settings.subspace_dim;
    let space = TaskLayout::cooperative(manifest.attributes.len(), n);
    let mut queries = MeanQueries::new(manifest, &space, &embeddings);
    if inputs.settings.renormalize_queries {
        queries = queries.renormalized(n);
    }
    for (attribute, means) in queries.vocabulary.iter().zip(&queries.attributes) {
        let rows = Tensor::from_slice(means, (attribute.values.len(), n), &Device::Cpu)?;
        tensors.insert(tensor_names::attribute_queries(&attribute.name), rows);
    }
    let shape = (queries.category_vocabulary.len(), layout.dimensions());
    let rows = Tensor::from_slice(&queries.categories, shape, &Device::Cpu)?;
    tensors.insert(tensor_names::CATEGORY_QUERIES.into(), rows);
    let categories = category_proxies(inputs, &tensors[tensor_names::INSTANCE_PROXIES])?;
    tensors.extend(half_matrices(&[(tensor_names::CATEGORY_PROXIES.to_owned(), categories)].into())?);
    let backbone_tensors = backbone.tensors.iter();
    tensors.extend(
        backbone_tensors.map(|(name, t)| (format!("{}{name}", tensor_names::BACKBONE_PREFIX), t.clone())),
    );

    let architecture = Architecture {
        backbone: backbone.arch.name().into(),
        features: backbone.features(),
        feature_set: backbone.set,
        standardize_features: inputs.settings.layer_norm,
    };
    let scale = inputs.settings.normalize.then_some(inputs.settings.scale);
    let config = ModelConfig {
        format_version: FORMAT_VERSION,
        architecture,
        subspace_dim: n,
        attributes: queries.vocabulary,
        categories: queries.category_vocabulary,
        preprocessing: inputs.preprocessing.clone(),
        tagging: Some(uncalibrated(radii, scale)),
        training: training_record(inputs.settings),
        dataset: dataset_record(inputs),
        metrics: serde_json::Value::Null,
        licence: inputs.args.card.licence.clone().unwrap_or_default(),
    };
    let all = manifest.split(Split::Train);
    let held_out = inputs.held_out.iter().map(|&image| {
        let row = all.partition_point(|&a| a < image);
        Ok((image, Embedding::from_f32(layout, &embeddings[row])?))
    });
    let held_out = held_out.collect::<Result<_>>()?;
    let fold = CalibrationFold::new(&config, Proxies::of(&config, &tensors)?, manifest, held_out)?;
    Ok(AssembledModel { config, tensors, fold })
}

/// `[K]`: the mean length of raw embeddings in each subspace.
fn mean_lengths(embeddings: &[Vec<f32>], layout: Layout) -> Vec<f32> {
    let length = |slice: &[f32]| slice.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let mean = |k: usize| {
        let total: f64 = embeddings.iter().map(|e| length(&e[layout.range(k)])).sum();
        total / embeddings.len().max(1) as f64
    };
    // Avoid a length of 0; a subspace that is all zeros has no direction anyway.
    (0..layout.subspaces()).map(|k| mean(k).max(1e-6) as f32).collect()
}

/// `[C, N]`: the category proxies of Eq. 5, the mean of the instance proxies of each category, after scaling their subspaces to unit length if
/// training did so. Zeros for categories without instances that learned.
fn category_proxies(inputs: &AssemblyInputs<'_>, instances: &Tensor) -> Result<Tensor> {
    let manifest = inputs.manifest;
    let (_, dimensions) = instances.dims2()?;
    let unit = inputs.settings.normalize;
    let proxies =
        if unit { unit_subspaces(instances, manifest.attributes.len())? } else { instances.clone() };
    let held_out: BTreeSet<usize> = inputs.held_out.iter().copied().collect();
    let learned = manifest.split(Split::Train).into_iter().filter(|i| !held_out.contains(i));
    let instances: BTreeSet<u32> = learned.map(|i| manifest.images[i].instance).collect();
    let mut sums = vec![0f64; manifest.categories.len() * dimensions];
    let mut counts = vec![0f64; manifest.categories.len()];
    for (row, instance) in proxies.to_vec2::<f32>()?.iter().zip(instances) {
        let category = manifest.instance_category[instance as usize] as usize;
        counts[category] += 1.0;
        sums[category * dimensions..][..dimensions]
            .iter_mut()
            .zip(row)
            .for_each(|(s, &x)| *s += f64::from(x));
    }
    let means = sums.iter().enumerate().map(|(i, sum)| (sum / counts[i / dimensions].max(1.0)) as f32);
    Ok(Tensor::from_vec(means.collect::<Vec<f32>>(), (counts.len(), dimensions), &Device::Cpu)?)
}

/// The learned tensors under their names in `model.safetensors`.
fn proxies_and_projection(
    manifest: &Manifest,
    learned: &CooperativeParameters,
    scaling: Option<&FeatureScaling>,
) -> Result<Tensors> {
    let weight = learned.projection.weight.detach().to_device(&Device::Cpu)?;
    let weight = scaling.map_or(Ok(weight.clone()), |s| s.weight(&weight))?;
    let attributes = manifest.attributes.iter().zip(&learned.attribute_proxies);
    let absent = manifest.attributes.iter().zip(&learned.absent_proxies);
    attributes
        .map(|(a, proxies)| (tensor_names::attribute_proxies(&a.name), proxies))
        .chain(absent.filter_map(|(a, proxy)| Some((tensor_names::absent_proxy(&a.name), proxy.as_ref()?))))
        .chain([
            (tensor_names::PROJECTION_WEIGHT.into(), &weight),
            (tensor_names::PROJECTION_BIAS.into(), &learned.projection.bias),
            (tensor_names::INSTANCE_PROXIES.into(), &learned.instance_proxies),
        ])
        .map(|(name, tensor)| Ok((name, tensor.detach().to_device(&Device::Cpu)?)))
        .collect()
}

/// The record of the training in `config.json`: the settings, and the choices that have no setting.
fn training_record(settings: &Settings) -> serde_json::Value {
    let optimizer = match settings.optimizer {
        OptimizerKind::Adam => "Adam, betas 0.9 and 0.999, epsilon 1e-8, coupled weight decay",
        OptimizerKind::AdamW => "AdamW, betas 0.9 and 0.999, epsilon 1e-8, decoupled weight decay",
    };
    serde_json::json!({
        "program": concat!("coopembed ", env!("CARGO_PKG_VERSION")),
        "backbone_frozen": !settings.trains_backbone(),
        "optimizer": optimizer,
        "projection": "linear with bias, uniform in 1/sqrt(F) at the start",
        "norm_term": "sum over dimensions, mean over the batch",
        "attribute_loss": "mean over the images of the batch that have a value, then over K",
        "category_proxies": "mean of the category's instance proxies, with gradient",
        "queries": if settings.renormalize_queries {
            "mean of normalised training embeddings, normalised again"
        } else {
            "mean of normalised training embeddings, not normalised again"
        },
        "settings": settings,
    })
}

/// The record of the data set in `config.json`.
fn dataset_record(inputs: &AssemblyInputs<'_>) -> serde_json::Value {
    let manifest = inputs.manifest;
    let size = |split| manifest.split(split).len();
    serde_json::json!({
        "name": dataset_name(inputs.args, manifest),
        "train_images": size(Split::Train),
        "query_images": size(Split::Query),
        "gallery_images": size(Split::Gallery),
        "instances": manifest.instances.len(),
        "categories": manifest.categories.len(),
    })
}

fn dataset_name(args: &TrainArgs, manifest: &Manifest) -> String {
    let folder = manifest.root.file_name().map(|n| n.to_string_lossy().into_owned());
    args.card.dataset.clone().or(folder).unwrap_or_default()
}
