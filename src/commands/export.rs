//! `coopembed export`: writes a model directory's network as an ONNX graph.

use super::report::check_writable;
use crate::error::{Error, Kind, Result};
use crate::model::{export_onnx, read_directory, replace_files};
use std::path::{Path, PathBuf};

/// The flags of `coopembed export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// Model directory
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// ONNX file to write; its description goes to FILE.json
    #[arg(long, value_name = "FILE")]
    pub onnx: PathBuf,
}

/// Writes the graph and, beside it, its description as JSON.
///
/// # Errors
/// [`Kind::InvalidParameter`] for a file that is not called `*.onnx`; those of reading the model, and [`Kind::Io`].
pub fn run(args: &ExportArgs) -> Result<()> {
    let name = file_name(&args.onnx)?;
    check_writable(&args.onnx)?;
    let (json, weights) = read_directory(&args.model)?;
    let onnx = export_onnx(&json, &weights)?;
    let folder = args.onnx.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let description = onnx.metadata.to_json();
    replace_files(folder, &[(name, &onnx.bytes), (&format!("{name}.json"), description.as_bytes())])?;
    println!("wrote {path} and {path}.json: model {}", onnx.metadata.model, path = args.onnx.display());
    println!("input {}\noutput {}", onnx.metadata.input, onnx.metadata.output);
    Ok(())
}

/// The name of the file to write. Its end keeps anybody from overwriting the model, or another file, by a slip.
fn file_name(path: &Path) -> Result<&str> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.filter(|name| name.len() > ".onnx".len() && name.ends_with(".onnx")).ok_or_else(|| {
        Error::new(Kind::InvalidParameter, "an ONNX file needs a name that ends in .onnx")
            .detail(format!("Found \"{}\".", path.display()))
            .hint("Write --onnx model.onnx, for example.")
    })
}
