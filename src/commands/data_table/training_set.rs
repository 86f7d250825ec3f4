//! From the rows of the table and what became of their images to the rows of `images.csv`.

use super::fetch::ImageState;
use super::image_store::ImageStore;
use super::journal::StoredImage;
use super::rows::{LabelledRow, LeftOut, Reason, Table};
use super::selection::Selection;
use super::split::{split, SplitImage};
use super::vocabulary::ExportedValues;
use crate::data::manifest::Split;
use crate::error::Result;
use crate::image::CropBox;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A row of `images.csv`.
#[derive(Debug, Clone)]
pub struct ExportedImage {
    /// The values of the columns that identify the row.
    pub id: Vec<String>,
    /// Number of its instance, in the names of [`TrainingSet::instances`].
    pub instance: u32,
    /// Number of its category, as its row says. That of the export is its instance's.
    pub category: u32,
    /// Number of its group, as its row says.
    pub group: Option<u32>,
    /// Per attribute, the numbers of its values.
    pub values: Vec<Vec<u32>>,
    /// The box to crop to.
    pub crop: Option<CropBox>,
    /// Its file.
    pub image: StoredImage,
    /// Its path in `images.csv`: that of the file, or of a link to it.
    pub path: String,
    /// Where it is used.
    pub split: Split,
}

/// Everything that is exported.
#[derive(Debug)]
pub struct TrainingSet {
    /// In the order of instance, id and file.
    pub images: Vec<ExportedImage>,
    /// Names of instances.
    pub instances: ExportedValues,
    /// Names of categories.
    pub categories: ExportedValues,
    /// Names of groups.
    pub groups: ExportedValues,
    /// Names of the values of each attribute.
    pub attributes: Vec<ExportedValues>,
    /// The category of each instance: the one that most of its images have.
    pub instance_category: Vec<u32>,
    /// The group of each instance, by the same rule.
    pub instance_group: Vec<Option<u32>>,
    /// Rows that are not exported.
    pub left_out: Vec<LeftOut>,
}

/// How a set is made.
#[derive(Debug, Clone, Copy)]
pub struct SetOptions {
    /// Whether to merge spellings and to drop placeholders.
    pub tidy: bool,
    /// Whether a column has the split; otherwise the share of instances that are not for training.
    pub share: Option<f64>,
    /// Number of the random split.
    pub seed: u64,
}

impl TrainingSet {
    /// Makes the set of the rows whose images are in the folder.
    pub fn new(table: &mut Table, states: &[ImageState], selection: &Selection, options: SetOptions) -> Self {
        let multi = selection.attributes.iter().map(|a| a.multi);
        let mut set = Self {
            images: Vec::with_capacity(table.rows.len()),
            instances: table.instances.exported(false, false),
            categories: table.categories.exported(options.tidy, false),
            groups: table.groups.exported(false, false),
            attributes: table
                .attributes
                .iter()
                .zip(multi)
                .map(|(v, multi)| v.exported(options.tidy, multi))
                .collect(),
            instance_category: Vec::new(),
            instance_group: Vec::new(),
            left_out: std::mem::take(&mut table.left_out),
        };
        for row in std::mem::take(&mut table.rows) {
            let name = table.image_names.get(&row.image).map_or("", String::as_str);
            let state = states.get(row.image);
            set.add(row, state, name);
        }
        set.sort();
        set.leave_out_repeated();
        set.instance_category =
            set.most_frequent(|i| Some(i.category)).into_iter().map(Option::unwrap_or_default).collect();
        set.instance_group = set.most_frequent(|i| i.group);
        if let Some(share) = options.share {
            set.split(share, options.seed);
        }
        set
    }

    /// Adds a row, whose image has become what `state` says; `name` is where that is, for people.
    fn add(&mut self, row: LabelledRow, state: Option<&ImageState>, name: &str) {
        let number = |of: &ExportedValues, raw: u32| of.of_raw.get(raw as usize).copied().flatten();
        let instance = number(&self.instances, row.instance).unwrap_or_default();
        let left_out = |reason, why: &str| LeftOut {
            id: row.id.clone(),
            instance: self.instances.names[instance as usize].clone(),
            image: name.to_owned(),
            reason,
            why: why.to_owned(),
        };
        let image = match state {
            Some(ImageState::Stored(image)) => image.clone(),
            other => {
                let (reason, why) = match other {
                    Some(ImageState::TooLarge(why)) => (Reason::TooLarge, why.as_str()),
                    Some(ImageState::Undecodable(why)) => (Reason::Undecodable, why.as_str()),
                    Some(ImageState::Unreadable(why)) => (Reason::Unreadable, why.as_str()),
                    _ => (Reason::Unreadable, "it was not read"),
                };
                return self.left_out.push(left_out(reason, why));
            }
        };
        let Some(category) = number(&self.categories, row.category) else {
            return self.left_out.push(left_out(Reason::NoCategory, "it has no category"));
        };
        if row.crop.is_some_and(|c| {
            c.x1.max(0) >= c.x2.min(image.width as i32) || c.y1.max(0) >= c.y2.min(image.height as i32)
        }) {
            let why = format!("its box lies outside of the image of {}x{} pixels", image.width, image.height);
            return self.left_out.push(left_out(Reason::BadBox, &why));
        }
        let values = row.values.iter().zip(&self.attributes).map(|(raw, of)| {
            let mut values: Vec<u32> = raw.iter().filter_map(|&v| number(of, v)).collect();
            values.sort_unstable();
            values.dedup();
            values
        });
        self.images.push(ExportedImage {
            instance,
            category,
            group: row.group.and_then(|g| number(&self.groups, g)),
            values: values.collect(),
            crop: row.crop,
            path: image.path.clone(),
            image,
            split: row.split.unwrap_or(Split::Train),
            id: row.id,
        });
    }

    /// An order that does not depend on the order in which the server sent the rows.
    fn sort(&mut self) {
        let names = &self.instances.names;
        let corners = |i: &ExportedImage| i.crop.map(|c| [c.x1, c.y1, c.x2, c.y2]);
        self.images.sort_by(|a, b| {
            let name = |i: &ExportedImage| &names[i.instance as usize];
            name(a).cmp(name(b)).then_with(|| a.id.cmp(&b.id)).then_with(|| {
                (&a.path, corners(a), a.category, &a.values).cmp(&(
                    &b.path,
                    corners(b),
                    b.category,
                    &b.values,
                ))
            })
        });
    }

    /// Keeps one of several rows that show the same part of the same image as the same instance.
    fn leave_out_repeated(&mut self) {
        let mut seen = HashSet::new();
        let (kept, repeated): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.images).into_iter().partition(|i| {
                seen.insert((i.instance, i.path.clone(), i.crop.map(|c| (c.x1, c.y1, c.x2, c.y2))))
            });
        self.images = kept;
        for image in repeated {
            self.left_out.push(LeftOut {
                id: image.id,
                instance: self.instances.names[image.instance as usize].clone(),
                image: image.path,
                reason: Reason::Repeated,
                why: "another row has the same instance and image".to_owned(),
            });
        }
    }

    /// For each instance what most of its images have; of several the first in the order of names.
    fn most_frequent(&self, of: impl Fn(&ExportedImage) -> Option<u32>) -> Vec<Option<u32>> {
        let mut counts: Vec<BTreeMap<u32, usize>> = vec![BTreeMap::new(); self.instances.names.len()];
        for image in &self.images {
            if let Some(value) = of(image) {
                *counts[image.instance as usize].entry(value).or_default() += 1;
            }
        }
        let best =
            |c: BTreeMap<u32, usize>| c.into_iter().rev().max_by_key(|&(_, n)| n).map(|(value, _)| value);
        counts.into_iter().map(best).collect()
    }

    fn split(&mut self, share: f64, seed: u64) {
        let images: Vec<SplitImage<'_>> = self
            .images
            .iter()
            .map(|i| SplitImage {
                instance: i.instance,
                group: i.group,
                content: &i.image.path,
                labels: std::iter::once((0, self.instance_category[i.instance as usize]))
                    .chain(
                        i.values.iter().zip(1..).flat_map(|(values, k)| values.iter().map(move |&v| (k, v))),
                    )
                    .collect(),
            })
            .collect();
        let splits = split(&images, &self.instances.names, share, seed);
        self.images.iter_mut().zip(splits).for_each(|(image, split)| image.split = split);
    }

    /// Gives each row a path of its own: a file that several rows have gets more names.
    ///
    /// # Errors
    /// Those of [`ImageStore::link`].
    pub fn name_files(&mut self, store: &ImageStore) -> Result<()> {
        let mut uses: HashMap<String, usize> = HashMap::new();
        for image in &mut self.images {
            let used = uses.entry(image.image.path.clone()).or_default();
            *used += 1;
            if *used > 1 {
                image.path = store.link(&image.image.path, *used)?;
            }
        }
        Ok(())
    }

    /// The files that the set needs.
    pub fn files(&self) -> HashSet<&str> {
        self.images.iter().flat_map(|i| [i.path.as_str(), i.image.path.as_str()]).collect()
    }

    /// The number of images of each split: train, query, gallery.
    pub fn split_counts(&self) -> [usize; 3] {
        [Split::Train, Split::Query, Split::Gallery]
            .map(|s| self.images.iter().filter(|i| i.split == s).count())
    }
}
