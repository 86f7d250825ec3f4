//! `coopembed eval`: evaluates a model directory on a data set.

use super::inputs::{cache_folder, read_manifest};
use crate::data::manifest::ReadingArgs;
use crate::error::{Error, Kind, Result};
use crate::eval::model_evaluation::evaluate_model;
use crate::eval::results::Absent;
use crate::eval::value_prediction::PredictBy;
use crate::eval::Protocol;
use crate::model::{read_directory, Model};
use std::path::PathBuf;

/// The flags of `coopembed eval`.
#[derive(Debug, Clone, clap::Args)]
pub struct EvalArgs {
    /// Model directory
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Folder of the data set: images.csv, In-Shop Clothes or CompCars
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Write all figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// How images without an attribute count in the rankings of its values
    #[arg(long, value_enum, default_value_t = Absent::Negative)]
    pub absent: Absent,
    /// Let each gallery image query the others for its instance; always so if there are no query images
    #[arg(long)]
    pub leave_one_out: bool,
    /// Which point represents a value when the values of gallery images are predicted
    #[arg(long, value_enum, default_value_t = PredictBy::Proxy)]
    pub predict_by: PredictBy,
    /// Folder for cached features [default: coopembed/features in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// How to read the data set.
    #[command(flatten)]
    pub reading: ReadingArgs,
}

/// Evaluates the model, prints a table and, on request, writes JSON.
///
/// # Errors
/// Those of reading model and data set, and of [`evaluate_model`].
pub fn run(args: &EvalArgs) -> Result<()> {
    let (json, weights) = read_directory(&args.model)?;
    let model = Model::from_parts(&json, &weights)?;
    let manifest = read_manifest(&args.data, &args.reading)?;
    let protocol =
        Protocol { absent: args.absent, leave_one_out: args.leave_one_out, predict_by: args.predict_by };
    let cache = cache_folder(args.cache.as_ref())?;
    let results = evaluate_model(&model, &weights, &manifest, protocol, &cache)?;
    println!("model {}\n{results}", model.layout());
    if let Some(path) = &args.json {
        let internal = |e| Error::new(Kind::Internal, format!("could not write JSON: {e}"));
        let mut value = serde_json::to_value(&results).map_err(internal)?;
        value["model"] = serde_json::json!({
            "digest": model.digest().to_string(),
            "attributes": model.config().attributes.len(),
            "subspace_dim": model.config().subspace_dim,
            "backbone": model.config().architecture.backbone,
        });
        let text = serde_json::to_string_pretty(&value).map_err(internal)? + "\n";
        std::fs::write(path, text).map_err(|e| Error::io("write", path, &e))?;
    }
    Ok(())
}
