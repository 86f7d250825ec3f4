//! What `coopembed train` writes for a baseline, which PostgreSQL does not load: its weights and its figures.

use super::args::TrainArgs;
use crate::commands::evaluate_method::{evaluate_method, FeaturedDataset};
use crate::data::features::FrozenBackbone;
use crate::data::manifest::{Manifest, Split};
use crate::data::view::View;
use crate::error::{Error, Kind, Result};
use crate::eval::Protocol;
use crate::model::{tensor_names, write_tensors, Precision, Tensors};
use crate::train::feature_scaling::FeatureScaling;
use crate::train::method::Method;
use crate::train::settings::Settings;
use candle_core::{Device, Tensor};
use std::path::Path;

/// What a training has left.
pub struct Trained<'a> {
    /// The method.
    pub method: &'a dyn Method,
    /// The backbone.
    pub backbone: &'a FrozenBackbone,
    /// How features are scaled for the method.
    pub scaling: Option<&'a FeatureScaling>,
    /// `[images, F]`: features of all training images, not scaled.
    pub features: Tensor,
}

/// Writes `weights.safetensors` with everything that was learned. If there is a gallery, prints the figures and writes them to
/// `report.json`.
///
/// # Errors
/// Those of features, evaluation and writing.
pub fn finish(
    trained: Trained<'_>,
    settings: &Settings,
    args: &TrainArgs,
    manifest: &Manifest,
    cache: &Path,
) -> Result<()> {
    let Trained { method, backbone, scaling, features } = trained;
    let out = TrainArgs::required("out", &args.out)?;
    let mut learned: Tensors =
        method.parameters().into_iter().map(|p| (p.name, p.var.as_detached_tensor())).collect();
    if settings.trains_backbone() {
        let named = backbone.tensors.iter();
        learned
            .extend(named.map(|(name, t)| (format!("{}{name}", tensor_names::BACKBONE_PREFIX), t.clone())));
    }
    if let Some(scaling) = scaling {
        learned.extend(scaling.tensors()?);
    }
    let bytes = write_tensors(&learned, Precision::Single, ("method", format!("{:?}", settings.method)))?;
    let write = |name: &str, bytes: &[u8]| {
        let path = out.join(name);
        std::fs::write(&path, bytes).map_err(|e| Error::io("write", &path, &e))
    };
    write("weights.safetensors", &bytes)?;
    if manifest.split(Split::Gallery).is_empty() {
        eprintln!("no gallery images: nothing is evaluated");
        return Ok(());
    }
    let test_images = [manifest.split(Split::Query), manifest.split(Split::Gallery)].concat();
    let rows = backbone.extract(manifest, &test_images, View::Plain, &args.preprocessing()?, Some(cache))?;
    let test = Tensor::from_vec(rows, (test_images.len(), backbone.features()), &Device::Cpu)?;
    let data = FeaturedDataset { manifest, train: features, test_images: &test_images, test };
    let data = data.scaled(scaling)?;
    let results = evaluate_method(method, &data, manifest, settings, Protocol::default())?;
    println!("{results}");
    let internal = |e| Error::new(Kind::Internal, format!("could not write JSON: {e}"));
    let json = serde_json::json!({ "settings": settings, "report": results });
    let text = serde_json::to_string_pretty(&json).map_err(internal)? + "\n";
    write("report.json", text.as_bytes())?;
    println!("wrote {}", out.display());
    Ok(())
}
