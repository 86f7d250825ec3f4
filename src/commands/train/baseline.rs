//! What `coopembed train` writes for a baseline, which PostgreSQL does not load: its weights and its figures.

use super::args::TrainArgs;
use crate::commands::evaluate_method::{evaluate_method, FeaturedDataset};
use crate::data::features::FrozenBackbone;
use crate::data::manifest::{Manifest, Split};
use crate::error::{Error, Kind, Result};
use crate::eval::Protocol;
use crate::model::{write_tensors, Precision};
use crate::train::method::Method;
use crate::train::settings::Settings;
use candle_core::{Device, Tensor};
use std::path::Path;

/// Writes `weights.safetensors` with everything that was learned. If there is a gallery, prints the figures and writes them to
/// `report.json`. `features` (`[images, F]`) are those of all training images.
///
/// # Errors
/// Those of features, evaluation and writing.
pub fn finish(
    method: &dyn Method,
    settings: &Settings,
    backbone: &FrozenBackbone,
    args: &TrainArgs,
    manifest: Manifest,
    features: Tensor,
    cache: &Path,
) -> Result<()> {
    let out = TrainArgs::required("out", &args.out)?;
    let learned = method.parameters().into_iter().map(|p| (p.name, p.var.as_detached_tensor())).collect();
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
    let rows = backbone.extract(&manifest, &test_images, false, &args.preprocessing()?, cache)?;
    let test = Tensor::from_vec(rows, (test_images.len(), backbone.features()), &Device::Cpu)?;
    let data = FeaturedDataset { manifest, train: features, test_images, test };
    let results = evaluate_method(method, &data, &data.manifest, settings, Protocol::default())?;
    println!("{results}");
    let internal = |e| Error::new(Kind::Internal, format!("could not write JSON: {e}"));
    let json = serde_json::json!({ "settings": settings, "report": results });
    let text = serde_json::to_string_pretty(&json).map_err(internal)? + "\n";
    write("report.json", text.as_bytes())?;
    println!("wrote {}", out.display());
    Ok(())
}
