//! The emoji retrieval set: the same emoji drawn by up to nine designers.
//!
//! Instance: one emoji with its gender and skin tone. View: one designer's drawing of it. Category: its Unicode
//! subgroup. Attributes come from the Unicode name and from the pictures; an emoji has only those that it shows. The
//! set is a function of the pinned package versions and the options: built again, it is the same.

mod codes;
mod icons;
mod measure;
mod names;
mod ordered;
mod render;
mod sequences;
mod split;
mod tables;
#[cfg(test)]
mod tests;
mod vocabulary;

use crate::data::builder::output::Output;
use crate::data::builder::packages::Cache;
use crate::data::builder::row::Row;
use crate::data::builder::statistics;
use crate::error::{Error, Kind, Result};
use icons::{Atlas, Source};
use indicatif::{ProgressBar, ProgressStyle};
use measure::Look;
use rayon::prelude::*;
use sequences::Emoji;
use sha2::{Digest, Sha256};
use split::{Member, Side};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use tables::picture_name;
use vocabulary::{Labels, View, ATTRIBUTES, VIEWS};

/// Build the emoji retrieval set: the same emoji drawn by up to nine designers
///
/// The drawings are fetched as npm packages, once. Instance = emoji, category = Unicode subgroup, 13 attributes from
/// names and pictures. The split is by concept: half of the concepts train; of the others, whole designers are
/// queries and the rest is the gallery.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  coopembed data emoji --out data/emoji
  coopembed data emoji --out data/emoji-permissive --no-sharealike   # for a model that is passed on")]
pub struct EmojiArgs {
    /// Folder to write images/, images.csv, attributes.json, views.csv and instances.csv to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Folder for the fetched packages [default: coopembed/npm in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Height and width of the pictures in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 128, value_parser = clap::value_parser!(u32).range(16..=1024))]
    pub size: u32,
    /// How many of the five skin tones to keep of each concept that has them, besides the toneless one
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=5))]
    pub tones: u8,
    /// What a category is: a Unicode subgroup (small ones merged) or one of the nine groups
    #[arg(long, value_enum, default_value_t = Category::Subgroup)]
    pub category: Category,
    /// Leave out emoji with fewer pictures than this
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=9))]
    pub min_views: u8,
    /// Leave out the two designers whose licence (CC-BY-SA) asks that what is derived be shared alike
    #[arg(long)]
    pub no_sharealike: bool,
}

/// Which Unicode names are the categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Category {
    /// Unicode subgroups, small ones merged: 73.
    Subgroup,
    /// Unicode groups: 9.
    Group,
}

/// An emoji that is in the set.
#[derive(Debug)]
struct Instance {
    emoji: Emoji,
    concept: String,
    category: String,
    labels: Labels,
    side: Side,
    /// The views that draw it, by place in the list of views, with what each looks like.
    looks: Vec<(usize, Look)>,
}

/// A picture to draw.
struct Job {
    emoji: usize,
    view: usize,
    source: Source,
}

/// What became of a job.
enum Drawn {
    Picture { look: Look, pixels: [u8; 32] },
    Empty,
    Failed(Error),
}

/// Builds the set and prints what is in it.
///
/// # Errors
/// [`Kind::Unavailable`] if a package cannot be fetched, [`Kind::InvalidData`] if one is not as expected,
/// [`Kind::InvalidParameter`] if the output folder holds something else, [`Kind::Io`].
pub fn run(args: &EmojiArgs) -> Result<()> {
    let output = Output::open(&args.out, &tables::NAMES)?;
    let views: Vec<&View> = VIEWS.iter().filter(|v| !(args.no_sharealike && v.share_alike())).collect();
    let cache = Cache::open(args.cache.as_deref())?;
    let emoji = sequences::read(&cache, usize::from(args.tones))?;
    let mut folders = Vec::new();
    for view in &views {
        eprintln!("{} {}: {}, {}", view.package, view.version, view.author, view.licence);
        folders.push(cache.package(view.package, view.version, view.files)?);
    }
    let emoji_count = emoji.len();
    let atlas = Atlas::read(&views, &folders)?;
    output.make_folders(views.iter().map(|v| v.name))?;
    let jobs = jobs(&emoji, views.len(), &atlas);
    let drawn = draw_all(&jobs, &emoji, &views, args.size, &output)?;
    let looks = distinct(&jobs, drawn, &emoji, &views, &output)?;
    let instances = instances(emoji, looks, &views, args, &output)?;
    if instances.is_empty() {
        return Err(Error::new(Kind::InvalidData, "no emoji is drawn by enough designers")
            .detail(format!(
                "{} were drawn; each needs {} pictures by two designers.",
                emoji_count, args.min_views
            ))
            .hint("Lower --min-views."));
    }
    let rows = rows(&instances, &views);
    statistics::check(&rows)?;
    output.finish(&rows, &ATTRIBUTES, &tables::tables(&views, &instances)?)?;
    if !output.has_all(&rows) {
        return Err(Error::new(Kind::Internal, "images.csv names a picture that is not there"));
    }
    print!("{}", statistics::report(&rows, &ATTRIBUTES));
    println!(
        "checked: every query instance has gallery images, no test instance in train, every file exists"
    );
    Ok(())
}

fn jobs(emoji: &[Emoji], views: usize, atlas: &Atlas) -> Vec<Job> {
    let mut out = Vec::new();
    for (i, e) in emoji.iter().enumerate() {
        for view in 0..views {
            out.extend(atlas.source(view, &e.code).map(|source| Job { emoji: i, view, source }));
        }
    }
    out
}

/// Draws all pictures and writes them.
fn draw_all(
    jobs: &[Job],
    emoji: &[Emoji],
    views: &[&View],
    size: u32,
    output: &Output,
) -> Result<Vec<Drawn>> {
    let bar = ProgressBar::new(jobs.len() as u64);
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message("drawing");
    let drawn = jobs.par_iter().map(|job| {
        let result = match render::render(&job.source, size) {
            Err(e) => Drawn::Failed(e),
            Ok(None) => Drawn::Empty,
            Ok(Some(picture)) => match measure::look(&picture) {
                None => Drawn::Empty,
                Some(look) => {
                    let name = picture_name(views[job.view], &emoji[job.emoji].code);
                    output.write_picture(&name, &picture.png()?)?;
                    Drawn::Picture { look, pixels: Sha256::digest(picture.over_white.as_flattened()).into() }
                }
            },
        };
        bar.inc(1);
        Ok(result)
    });
    let drawn = drawn.collect();
    bar.finish_and_clear();
    drawn
}

/// What each emoji looks like in each view. A picture that equals one drawn before is taken back: two labels for the
/// same pixels could only confuse. Says what was left out.
fn distinct(
    jobs: &[Job],
    drawn: Vec<Drawn>,
    emoji: &[Emoji],
    views: &[&View],
    output: &Output,
) -> Result<HashMap<usize, Vec<(usize, Look)>>> {
    let (mut seen, mut looks) = (HashSet::new(), HashMap::<usize, Vec<_>>::new());
    let (mut empty, mut failed, mut repeated) = (Vec::new(), Vec::new(), 0);
    for (job, drawn) in jobs.iter().zip(drawn) {
        let (view, code) = (views[job.view], &emoji[job.emoji].code);
        match drawn {
            Drawn::Picture { look, pixels } if seen.insert(pixels) => {
                looks.entry(job.emoji).or_default().push((job.view, look));
            }
            Drawn::Picture { .. } => {
                output.remove_picture(&picture_name(view, code))?;
                repeated += 1;
            }
            Drawn::Empty => empty.push(picture_name(view, code)),
            Drawn::Failed(e) => failed.push(format!("{} ({e})", picture_name(view, code))),
        }
    }
    for (what, which) in [("with next to nothing to see", empty), ("that could not be drawn", failed)] {
        if !which.is_empty() {
            let more = if which.len() > 5 { ", ..." } else { "" };
            println!("left out {} {what}: {}{more}", which.len(), which[..which.len().min(5)].join(", "));
        }
    }
    println!("left out {repeated} with the same pixels as another");
    Ok(looks)
}

/// The emoji with enough pictures by at least two designers, by code, with their labels and side. The pictures of
/// the others are taken back.
fn instances(
    emoji: Vec<Emoji>,
    mut looks: HashMap<usize, Vec<(usize, Look)>>,
    views: &[&View],
    args: &EmojiArgs,
    output: &Output,
) -> Result<Vec<Instance>> {
    let mut out = BTreeMap::new();
    for (i, emoji) in emoji.into_iter().enumerate() {
        let looks = looks.remove(&i).unwrap_or_default();
        if looks.len() < usize::from(args.min_views) || families(&looks, views).len() < 2 {
            for (view, _) in looks {
                output.remove_picture(&picture_name(views[view], &emoji.code))?;
            }
            continue;
        }
        let category = match args.category {
            Category::Group => emoji.group.clone(),
            Category::Subgroup => vocabulary::category(&emoji.subgroup).to_owned(),
        };
        let labels = labels(&emoji, &looks);
        let concept = codes::concept(&emoji.code);
        out.insert(
            emoji.code.clone(),
            Instance { emoji, concept, category, labels, side: Side::Train, looks },
        );
    }
    let mut out: Vec<Instance> = out.into_values().collect();
    let sides = split::sides(out.iter().map(|i| Member {
        concept: &i.concept,
        category: &i.category,
        labels: &i.labels,
    }));
    for instance in &mut out {
        instance.side = sides[&instance.concept];
    }
    Ok(out)
}

/// The designers' families that drew an instance.
fn families(looks: &[(usize, Look)], views: &[&View]) -> BTreeSet<&'static str> {
    looks.iter().map(|(view, _)| views[*view].family).collect()
}

/// What the name tells, and what most of the pictures show.
fn labels(emoji: &Emoji, looks: &[(usize, Look)]) -> Labels {
    let mut labels = names::attributes(emoji);
    let measured = looks.iter().map(|(_, look)| [look.hue, look.aspect, look.symmetric]);
    for (i, attribute) in ["hue", "aspect", "symmetric"].into_iter().enumerate() {
        match measure::most_common(measured.clone().map(|values| values[i])) {
            Some((value, n)) if n * 2 > looks.len() => labels.set(attribute, value),
            _ => {}
        }
    }
    labels
}

fn rows<'a>(instances: &'a [Instance], views: &[&View]) -> Vec<Row<'a>> {
    let mut out = Vec::new();
    for instance in instances {
        let code = &instance.emoji.code;
        let queries = split::query_families(code, families(&instance.looks, views));
        let mut drawn: Vec<&View> = instance.looks.iter().map(|(view, _)| views[*view]).collect();
        drawn.sort_by_key(|view| view.name);
        out.extend(drawn.into_iter().map(|view| Row {
            path: format!("images/{}", picture_name(view, code)),
            instance: code.to_lowercase(),
            group: &instance.concept,
            category: &instance.category,
            split: match instance.side {
                Side::Train => "train",
                Side::Test if queries.contains(&view.family) => "query",
                Side::Test => "gallery",
            },
            values: instance.labels.columns(),
        }));
    }
    out
}
