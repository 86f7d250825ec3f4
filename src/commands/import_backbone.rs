//! `coopembed import-backbone`: converts a PyTorch checkpoint to the file that training reads.

use crate::error::{Error, Result};
use crate::model::import_backbone;
use std::path::PathBuf;

/// The flags of `coopembed import-backbone`.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// Checkpoint to read (.pth or .safetensors)
    pub file: PathBuf,
    /// Backbone: resnet18, resnet34, resnet50 or efficientnet_lite0
    #[arg(long, value_name = "NAME")]
    pub arch: String,
    /// File to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Reads the checkpoint and writes the weights as safetensors.
///
/// # Errors
/// Those of [`import_backbone`], and of writing.
pub fn run(args: &ImportArgs) -> Result<()> {
    let weights = import_backbone(&args.file, args.arch.parse()?)?;
    std::fs::write(&args.out, &weights).map_err(|e| Error::io("write", &args.out, &e))?;
    println!("wrote {}: {} in {} bytes", args.out.display(), args.arch, weights.len());
    Ok(())
}
