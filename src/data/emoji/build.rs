//! Builds the set: fetches the packages, renders every drawing, and writes the images and tables.

use super::args::EmojiArgs;
use super::attributes::ATTRIBUTES;
use super::csv_tables;
use super::designers::{View, VIEWS};
use super::drawings::{DrawingSource, Drawings};
use super::image_labels::{self, ImageLabels};
use super::instances::{self, image_name};
use super::render;
use super::sequences::{self, Emoji};
use crate::data::builder::output::OutputFolder;
use crate::data::builder::packages::PackageCache;
use crate::data::builder::statistics;
use crate::data::progress::progress_bar;
use crate::error::{Error, Kind, Result};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};

/// A drawing to render: the positions of its emoji and view, and where it is.
struct RenderJob {
    emoji: usize,
    view: usize,
    source: DrawingSource,
}

/// The result of a [`RenderJob`].
enum Rendered {
    /// Written; with the SHA-256 of its pixels.
    Image { labels: ImageLabels, digest: [u8; 32] },
    /// Almost nothing is visible.
    Empty,
    /// The drawing could not be read.
    Failed(Error),
}

/// Builds the set and prints statistics of it.
///
/// # Errors
/// [`Kind::Unavailable`] if a package cannot be fetched, [`Kind::InvalidData`] if one cannot be parsed,
/// [`Kind::InvalidParameter`] if the output folder holds something else, [`Kind::Io`].
pub fn run(args: &EmojiArgs) -> Result<()> {
    let output = OutputFolder::open(&args.out, &csv_tables::TABLE_NAMES)?;
    let views: Vec<&View> = VIEWS.iter().filter(|v| !(args.no_sharealike && v.share_alike())).collect();
    let cache = PackageCache::open(args.cache.as_deref())?;
    let emoji = sequences::read(&cache, usize::from(args.tones))?;
    let mut folders = Vec::new();
    for view in &views {
        eprintln!("{} {}: {}, {}", view.package, view.version, view.author, view.licence);
        folders.push(cache.package(view.package, view.version, view.files)?);
    }
    let emoji_count = emoji.len();
    let drawings = Drawings::read(&views, &folders)?;
    output.make_folders(views.iter().map(|v| v.name))?;
    let jobs = jobs(&emoji, views.len(), &drawings);
    let rendered = render_all(&jobs, &emoji, &views, args.size, &output)?;
    let images = remove_duplicates(&jobs, rendered, &emoji, &views, &output)?;
    let instances = instances::select(emoji, images, &views, args, &output)?;
    if instances.is_empty() {
        return Err(Error::new(Kind::InvalidData, "no emoji is drawn by enough designers")
            .detail(format!(
                "There are {} emoji; each needs {} images by designers of two families.",
                emoji_count, args.min_views
            ))
            .hint("Lower --min-views."));
    }
    let rows = instances::rows(&instances, &views);
    statistics::check(&rows)?;
    output.finish(&rows, &ATTRIBUTES, &csv_tables::tables(&views, &instances)?)?;
    print!("{}", statistics::report(&rows, &ATTRIBUTES));
    println!(
        "checked: every query instance has gallery images, no test instance is in train, every file exists"
    );
    Ok(())
}

fn jobs(emoji: &[Emoji], views: usize, drawings: &Drawings) -> Vec<RenderJob> {
    let mut jobs = Vec::new();
    for (i, e) in emoji.iter().enumerate() {
        for view in 0..views {
            jobs.extend(drawings.source(view, &e.code).map(|source| RenderJob { emoji: i, view, source }));
        }
    }
    jobs
}

/// Renders all drawings and writes the images.
fn render_all(
    jobs: &[RenderJob],
    emoji: &[Emoji],
    views: &[&View],
    size: u32,
    output: &OutputFolder,
) -> Result<Vec<Rendered>> {
    let progress = progress_bar("drawing", jobs.len());
    let rendered = jobs.par_iter().map(|job| {
        let result = match render::render(&job.source, size) {
            Err(e) => Rendered::Failed(e),
            Ok(None) => Rendered::Empty,
            Ok(Some(image)) => match image_labels::measure(&image) {
                None => Rendered::Empty,
                Some(labels) => {
                    let name = image_name(views[job.view], &emoji[job.emoji].code);
                    output.write_image(&name, &image.png()?)?;
                    Rendered::Image { labels, digest: Sha256::digest(image.over_white.as_flattened()).into() }
                }
            },
        };
        progress.inc(1);
        Ok(result)
    });
    let rendered = rendered.collect();
    progress.finish_and_clear();
    rendered
}

/// The views that draw each emoji, by the emoji's position, with the labels of each image. Removes every image that equals an
/// earlier one, because two labels for the same pixels would only confuse training. Prints what was left out.
fn remove_duplicates(
    jobs: &[RenderJob],
    rendered: Vec<Rendered>,
    emoji: &[Emoji],
    views: &[&View],
    output: &OutputFolder,
) -> Result<HashMap<usize, Vec<(usize, ImageLabels)>>> {
    let (mut seen, mut images) = (HashSet::new(), HashMap::<usize, Vec<_>>::new());
    let (mut empty, mut failed, mut duplicates) = (Vec::new(), Vec::new(), 0);
    for (job, rendered) in jobs.iter().zip(rendered) {
        let (view, code) = (views[job.view], &emoji[job.emoji].code);
        match rendered {
            Rendered::Image { labels, digest } if seen.insert(digest) => {
                images.entry(job.emoji).or_default().push((job.view, labels));
            }
            Rendered::Image { .. } => {
                output.remove_image(&image_name(view, code))?;
                duplicates += 1;
            }
            Rendered::Empty => empty.push(image_name(view, code)),
            Rendered::Failed(e) => failed.push(format!("{} ({e})", image_name(view, code))),
        }
    }
    for (what, names) in [("almost empty drawings", empty), ("drawings that could not be read", failed)] {
        if !names.is_empty() {
            let more = if names.len() > 5 { ", ..." } else { "" };
            println!("left out {} {what}: {}{more}", names.len(), names[..names.len().min(5)].join(", "));
        }
    }
    println!("left out {duplicates} images with the same pixels as another");
    Ok(images)
}
