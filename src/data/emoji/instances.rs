//! The instances of the set: which emoji are in it, with their labels, their half of the split, and their rows of `images.csv`.

use super::args::{CategoryKind, EmojiArgs};
use super::attributes::{self, Labels};
use super::codes;
use super::designers::View;
use super::image_labels::{self, ImageLabels};
use super::name_labels::labels_from_name;
use super::sequences::Emoji;
use super::split::{self, Half, SplitInput};
use crate::data::builder::output::OutputFolder;
use crate::data::builder::row::BuiltRow;
use crate::error::Result;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An emoji that is in the set.
#[derive(Debug)]
pub struct Instance {
    /// Code, name, group and subgroup.
    pub emoji: Emoji,
    /// See [`codes::concept`].
    pub concept: String,
    /// Name of the category.
    pub category: String,
    /// The attribute values.
    pub labels: Labels,
    /// Train or test.
    pub half: Half,
    /// Each view that draws it, by number, with the labels of that image.
    pub views: Vec<(usize, ImageLabels)>,
}

/// Path of an image below `images/`.
pub fn image_name(view: &View, code: &str) -> String {
    format!("{}/{}.png", view.name, code.to_lowercase())
}

/// Selects the emoji with enough images, by designers of at least two families, sorted by code. Removes the images of all others.
/// `images` has the views that draw each emoji, by the emoji's position.
///
/// # Errors
/// [`Kind::Io`](crate::error::Kind::Io).
pub fn select(
    emoji: Vec<Emoji>,
    mut images: HashMap<usize, Vec<(usize, ImageLabels)>>,
    views: &[&View],
    args: &EmojiArgs,
    output: &OutputFolder,
) -> Result<Vec<Instance>> {
    let mut by_code = BTreeMap::new();
    for (i, emoji) in emoji.into_iter().enumerate() {
        let drawn = images.remove(&i).unwrap_or_default();
        if drawn.len() < usize::from(args.min_views) || families(&drawn, views).len() < 2 {
            for (view, _) in drawn {
                output.remove_image(&image_name(views[view], &emoji.code))?;
            }
            continue;
        }
        let category = match args.category {
            CategoryKind::Group => emoji.group.clone(),
            CategoryKind::Subgroup => attributes::category(&emoji.subgroup).to_owned(),
        };
        let labels = labels(&emoji, &drawn);
        let concept = codes::concept(&emoji.code);
        by_code.insert(
            emoji.code.clone(),
            Instance { emoji, concept, category, labels, half: Half::Train, views: drawn },
        );
    }
    let mut instances: Vec<Instance> = by_code.into_values().collect();
    let halves = split::assign_halves(instances.iter().map(|i| SplitInput {
        concept: &i.concept,
        category: &i.category,
        labels: &i.labels,
    }));
    for instance in &mut instances {
        instance.half = halves[&instance.concept];
    }
    Ok(instances)
}

/// The families of the designers who drew an instance.
fn families(drawn: &[(usize, ImageLabels)], views: &[&View]) -> BTreeSet<&'static str> {
    drawn.iter().map(|(view, _)| views[*view].family).collect()
}

/// The labels from the name, and those that most of the images show.
fn labels(emoji: &Emoji, drawn: &[(usize, ImageLabels)]) -> Labels {
    let mut labels = labels_from_name(emoji);
    let measured = drawn.iter().map(|(_, image)| [image.hue, image.aspect, image.symmetric]);
    for (i, attribute) in ["hue", "aspect", "symmetric"].into_iter().enumerate() {
        match image_labels::most_common(measured.clone().map(|values| values[i])) {
            Some((value, n)) if n * 2 > drawn.len() => labels.set(attribute, value),
            _ => {}
        }
    }
    labels
}

/// The rows of `images.csv`, by instance and then by view name.
pub fn rows<'a>(instances: &'a [Instance], views: &[&View]) -> Vec<BuiltRow<'a>> {
    let mut rows = Vec::new();
    for instance in instances {
        let code = &instance.emoji.code;
        let query_families = split::query_families(code, families(&instance.views, views));
        let mut drawn: Vec<&View> = instance.views.iter().map(|(view, _)| views[*view]).collect();
        drawn.sort_by_key(|view| view.name);
        rows.extend(drawn.into_iter().map(|view| BuiltRow {
            path: format!("images/{}", image_name(view, code)),
            instance: code.to_lowercase(),
            group: &instance.concept,
            category: &instance.category,
            split: match instance.half {
                Half::Train => "train",
                Half::Test if query_families.contains(&view.family) => "query",
                Half::Test => "gallery",
            },
            values: instance.labels.columns(),
        }));
    }
    rows
}
