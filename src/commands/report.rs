//! `coopembed report`: what a model retrieves, as one HTML file that opens without a network.

use super::inputs::{cache_folder, read_manifest};
use crate::data::manifest::ReadingArgs;
use crate::error::{Error, Kind, Result};
use crate::eval::html_report::{self, CategoryPair, ReportOptions, ReportSources};
use crate::eval::label_issues::{read_issues, LabelIssue};
use crate::model::{read_directory, Model};
use std::path::{Path, PathBuf};

/// The file in a model directory with the labels that are probably wrong.
pub const LABEL_ISSUES: &str = "label_issues.csv";

/// The flags of `coopembed report`.
#[derive(Debug, Clone, clap::Args)]
pub struct ReportArgs {
    /// Model directory
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Folder of the data set: images.csv and attributes.json
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// HTML file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Write the data of the page to this file too, as JSON without images
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// File with the losses of every epoch, written by train [default: losses.csv in the model directory]
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Maximum number of query and gallery images; of a larger set, whole instances are drawn at random
    #[arg(long, value_name = "COUNT", default_value_t = 3000, value_parser = clap::value_parser!(u32).range(1..))]
    pub images: u32,
    /// Number of example queries to show for each task
    #[arg(long, value_name = "COUNT", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub questions: u32,
    /// Show the way from one category to another, such as t-shirt:dress; may be repeated [default: three pairs drawn at random]
    #[arg(long = "transition", value_name = "FROM:TO")]
    pub transitions: Vec<CategoryPair>,
    /// Seed of the random choices
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub seed: u64,
    /// Folder for cached features [default: coopembed/features in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// How to read the data set.
    #[command(flatten)]
    pub reading: ReadingArgs,
}

/// Writes the page and, on request, its data as JSON.
///
/// # Errors
/// Those of reading model and data set and of evaluating; [`Kind::Io`]. A missing or unreadable log of losses is not an error: the page
/// states it.
pub fn run(args: &ReportArgs) -> Result<()> {
    for path in std::iter::once(&args.out).chain(&args.json) {
        check_writable(path)?;
    }
    let (json, weights) = read_directory(&args.model)?;
    let model = Model::from_parts(&json, &weights)?;
    let manifest = read_manifest(&args.data, &args.reading)?;
    let cache = cache_folder(args.cache.as_ref())?;
    let options = ReportOptions {
        images: args.images as usize,
        queries: args.questions as usize,
        transitions: args.transitions.clone(),
        seed: args.seed,
    };
    let log = args.log.clone().unwrap_or_else(|| args.model.join("losses.csv"));
    let title = html_report::title(&args.model, &model);
    let issues = label_issues(&args.model)?;
    let sources =
        ReportSources { model: (&model, &weights), manifest: &manifest, log: &log, issues: &issues };
    let (mut page, thumbnails) = html_report::collect(title, &sources, &cache, &options)?;

    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&page)
            .map_err(|e| Error::new(Kind::Internal, format!("could not write JSON: {e}")))?;
        write(path, &(text + "\n"))?;
    }
    let shown = thumbnails.attach(&manifest, &mut page.images)?;
    if shown < page.images.len() {
        let missing = page.images.len() - shown;
        page.notes.push(format!("{missing} images of the maps are left out to keep this file small."));
    }
    write(&args.out, &html_report::document(&page)?)?;
    println!("wrote {}: {} images", args.out.display(), shown);
    Ok(())
}

/// The labels that are probably wrong, as far as training listed them.
fn label_issues(model: &Path) -> Result<Vec<LabelIssue>> {
    let path = model.join(LABEL_ISSUES);
    if path.is_file() {
        read_issues(&path)
    } else {
        Ok(Vec::new())
    }
}

/// Refuses a path that cannot be written before the work, rather than after it.
pub(super) fn check_writable(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let problem = if path.is_dir() {
        "it is a directory"
    } else if !folder.is_dir() {
        "its directory does not exist"
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::Io, format!("could not write \"{}\": {problem}", path.display())))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|e| Error::io("write", path, &e))
}
