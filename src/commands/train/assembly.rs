//! What was learned as a model: tensors, query prototypes and config.

use super::args::TrainArgs;
use crate::data::features::{half_matrices, FrozenBackbone};
use crate::data::manifest::{Manifest, Split};
use crate::error::Result;
use crate::image::Preprocessing;
use crate::model::{contents, standardized, Architecture, ModelConfig, Proxies, Tensors, FORMAT_VERSION};
use crate::space::TaskLayout;
use crate::space::{normalize_subspaces, Embedding, Layout};
use crate::train::calibration::{uncalibrated, Round};
use crate::train::losses::unit_subspaces;
use crate::train::mean_queries::MeanQueries;
use crate::train::methods::cooperative::Parameters;
use crate::train::optimizer::Rule;
use crate::train::settings::Settings;
use candle_core::{Device, Tensor};
use std::collections::BTreeSet;

/// What a model was made from and with.
pub struct Parts<'a> {
    /// The data set.
    pub manifest: &'a Manifest,
    /// How it learned.
    pub settings: &'a Settings,
    /// Bytes to pixels.
    pub preprocessing: &'a Preprocessing,
    /// Names for the records.
    pub args: &'a TrainArgs,
    /// Training images that took no part in learning, as places in the manifest.
    pub held_out: &'a [usize],
}

/// What a model directory consists of, and what its tags can be calibrated on.
pub struct Assembled {
    /// Without metrics; its tagging is that of training.
    pub config: ModelConfig,
    /// By name.
    pub tensors: Tensors,
    /// The images held out.
    pub round: Round,
}

/// A model directory's contents. `features` (`[images, F]`) are the training images'.
///
/// Query prototypes are means over what the *stored* projection makes of the training images: it is rounded to half
/// precision first.
///
/// # Errors
/// If shapes do not fit, or an embedding is not finite.
pub fn assemble(
    parts: &Parts<'_>,
    backbone: &FrozenBackbone,
    features: &Tensor,
    learned: &Parameters,
) -> Result<Assembled> {
    let manifest = parts.manifest;
    let layout = Layout::new(manifest.attributes.len(), parts.settings.subspace_dim, 0)?;
    let mut tensors = half_matrices(&proxies_and_projection(manifest, learned)?)?;
    let projection = tensors[contents::PROJECTION_WEIGHT].t()?;
    let features =
        if parts.settings.standardize_features { standardized(features)? } else { features.clone() };
    let raw = features.matmul(&projection)?.broadcast_add(&tensors[contents::PROJECTION_BIAS])?;
    let mut embeddings: Vec<Vec<f32>> = raw.to_vec2()?;
    let radii = match parts.settings.normalize {
        true => vec![1.0; layout.subspaces()],
        false => mean_lengths(&embeddings, layout),
    };
    embeddings.iter_mut().try_for_each(|e| normalize_subspaces(layout, e))?;
    let n = parts.settings.subspace_dim;
    let space = TaskLayout::cooperative(manifest.attributes.len(), n);
    let mut queries = MeanQueries::new(manifest, &space, &embeddings);
    if parts.settings.renormalize_queries {
        queries = queries.renormalized(n);
    }
    for (attribute, means) in queries.vocabulary.iter().zip(&queries.attributes) {
        let rows = Tensor::from_slice(means, (attribute.values.len(), n), &Device::Cpu)?;
        tensors.insert(contents::attribute_queries(&attribute.name), rows);
    }
    let shape = (queries.named_categories.len(), layout.dimensions());
    let rows = Tensor::from_slice(&queries.categories, shape, &Device::Cpu)?;
    tensors.insert(contents::CATEGORY_QUERIES.into(), rows);
    let categories = category_proxies(parts, &tensors[contents::INSTANCE_PROXIES])?;
    tensors.extend(half_matrices(&[(contents::CATEGORY_PROXIES.to_owned(), categories)].into())?);
    let backbone_tensors = backbone.tensors.iter();
    tensors.extend(
        backbone_tensors.map(|(name, t)| (format!("{}{name}", contents::BACKBONE_PREFIX), t.clone())),
    );

    let architecture = Architecture {
        backbone: backbone.arch.name().into(),
        features: backbone.features(),
        standardize_features: parts.settings.standardize_features,
    };
    let scale = parts.settings.normalize.then_some(parts.settings.scale);
    let config = ModelConfig {
        format_version: FORMAT_VERSION,
        architecture,
        subspace_dim: n,
        attributes: queries.vocabulary,
        categories: queries.named_categories,
        preprocessing: parts.preprocessing.clone(),
        tagging: Some(uncalibrated(radii, scale)),
        training: training_record(parts.settings),
        dataset: dataset_record(parts),
        metrics: serde_json::Value::Null,
        licence: parts.args.card.licence.clone().unwrap_or_default(),
    };
    let all = manifest.split(Split::Train);
    let held_out = parts.held_out.iter().map(|&image| {
        let row = all.partition_point(|&a| a < image);
        Ok((image, Embedding::from_f32(layout, &embeddings[row])?))
    });
    let held_out = held_out.collect::<Result<_>>()?;
    let round = Round::new(&config, Proxies::of(&config, &tensors)?, manifest, held_out)?;
    Ok(Assembled { config, tensors, round })
}

/// `[K]`: the mean length of raw embeddings in each subspace.
fn mean_lengths(embeddings: &[Vec<f32>], layout: Layout) -> Vec<f32> {
    let length = |slice: &[f32]| slice.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let mean = |k: usize| {
        let total: f64 = embeddings.iter().map(|e| length(&e[layout.range(k)])).sum();
        total / embeddings.len().max(1) as f64
    };
    // A subspace in which everything is zero has no direction either.
    (0..layout.subspaces()).map(|k| mean(k).max(1e-6) as f32).collect()
}

/// `[C, N]`: the mean of the instances' proxies of each category (Eq. 5), each subspace at unit length before if training did so;
/// zeros for categories of which nothing learned.
fn category_proxies(parts: &Parts<'_>, instances: &Tensor) -> Result<Tensor> {
    let manifest = parts.manifest;
    let (_, dimensions) = instances.dims2()?;
    let unit = parts.settings.normalize;
    let proxies =
        if unit { unit_subspaces(instances, manifest.attributes.len())? } else { instances.clone() };
    let held_out: BTreeSet<usize> = parts.held_out.iter().copied().collect();
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

fn proxies_and_projection(manifest: &Manifest, learned: &Parameters) -> Result<Tensors> {
    let attributes = manifest.attributes.iter().zip(&learned.attribute_proxies);
    let absent = manifest.attributes.iter().zip(&learned.absent_proxies);
    attributes
        .map(|(a, proxies)| (contents::attribute_proxies(&a.name), proxies))
        .chain(absent.filter_map(|(a, proxy)| Some((contents::absent_proxy(&a.name), proxy.as_ref()?))))
        .chain([
            (contents::PROJECTION_WEIGHT.into(), &learned.projection.weight),
            (contents::PROJECTION_BIAS.into(), &learned.projection.bias),
            (contents::INSTANCE_PROXIES.into(), &learned.instance_proxies),
        ])
        .map(|(name, tensor)| Ok((name, tensor.detach().to_device(&Device::Cpu)?)))
        .collect()
}

/// The settings, and the choices that have no setting.
fn training_record(settings: &Settings) -> serde_json::Value {
    let optimizer = match settings.optimizer {
        Rule::Adam => "Adam, betas 0.9 and 0.999, epsilon 1e-8, coupled weight decay",
        Rule::AdamW => "AdamW, betas 0.9 and 0.999, epsilon 1e-8, decoupled weight decay",
    };
    serde_json::json!({
        "program": concat!("coopembed ", env!("CARGO_PKG_VERSION")),
        "backbone_frozen": !settings.train_backbone,
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

fn dataset_record(parts: &Parts<'_>) -> serde_json::Value {
    let manifest = parts.manifest;
    let size = |split| manifest.split(split).len();
    serde_json::json!({
        "name": dataset_name(parts.args, manifest),
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
