//! The labels of the training images, in the form that the losses need.

use super::labels::{AttributeLabels, BatchLabels, MultiLabels};
use crate::data::manifest::{AttributeEntry, Manifest, Split, ValueSet};
use crate::error::{Error, Kind, Result};
use candle_core::Tensor;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use std::collections::BTreeSet;

/// What the losses need to know about an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeShape {
    /// The attribute's name.
    pub name: String,
    /// The number of its values.
    pub values: usize,
    /// Whether the values are ordered.
    pub ordered: bool,
}

impl AttributeShape {
    fn of(a: &AttributeEntry) -> Self {
        Self { name: a.name.clone(), values: a.values.len(), ordered: a.ordered }
    }
}

/// The training images of a data set. Instances and categories are numbered from 0 without gaps, over those that have training images.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSet {
    /// Per image, its index in [`Manifest::images`].
    pub images: Vec<usize>,
    /// Per image, its instance.
    pub instances: Vec<u32>,
    /// Per image, its category.
    pub categories: Vec<u32>,
    /// Per image and attribute, its values.
    pub values: Vec<Vec<ValueSet>>,
    /// Per instance (there are P), its category.
    pub instance_category: Vec<u32>,
    /// The number of categories that have training images. Others take no part in the softmax.
    pub category_count: usize,
    /// The attributes, in the manifest's order.
    pub attributes: Vec<AttributeShape>,
}

impl TrainingSet {
    /// The training images of a manifest.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] without training images or attributes.
    pub fn new(manifest: &Manifest) -> Result<Self> {
        Self::of_images(manifest, manifest.split(Split::Train))
    }

    /// Some of the training images of a manifest, given by their indices.
    ///
    /// # Errors
    /// As [`TrainingSet::new`].
    pub fn of_images(manifest: &Manifest, images: Vec<usize>) -> Result<Self> {
        if images.is_empty() || manifest.attributes.is_empty() {
            let what = if images.is_empty() { "training images" } else { "attributes" };
            return Err(Error::new(
                Kind::InvalidData,
                format!("the data set \"{}\" has no {what}", manifest.root.display()),
            )
            .hint("Training needs rows whose split is train, and at least one attribute column."));
        }
        let entries = || images.iter().map(|&i| &manifest.images[i]);
        let instances: Vec<u32> =
            entries().map(|i| i.instance).collect::<BTreeSet<_>>().into_iter().collect();
        let categories: Vec<u32> =
            entries().map(|i| i.category).collect::<BTreeSet<_>>().into_iter().collect();
        // Both lists are sorted and hold everything that is looked up.
        let index_in = |list: &[u32], x: u32| list.partition_point(|&y| y < x) as u32;
        Ok(Self {
            instances: entries().map(|i| index_in(&instances, i.instance)).collect(),
            categories: entries().map(|i| index_in(&categories, i.category)).collect(),
            values: entries().map(|i| i.values.clone()).collect(),
            instance_category: instances
                .iter()
                .map(|&i| index_in(&categories, manifest.instance_category[i as usize]))
                .collect(),
            category_count: categories.len(),
            attributes: manifest.attributes.iter().map(AttributeShape::of).collect(),
            images,
        })
    }

    /// The labels of a batch (indices in this set), on the device and in the number type of `like`. `multi` says what the label of an
    /// image with several values is; `rng` draws one of them if it is to be one.
    ///
    /// # Errors
    /// If the device fails.
    pub fn labels(
        &self,
        batch: &[u32],
        like: &Tensor,
        multi: MultiLabels,
        rng: &mut StdRng,
    ) -> Result<BatchLabels> {
        let pick = |from: &[u32]| -> Result<Tensor> {
            let picked: Vec<u32> = batch.iter().map(|&i| from[i as usize]).collect();
            Ok(Tensor::new(picked, like.device())?)
        };
        let attributes = (0..self.attributes.len())
            .map(|k| {
                let sets: Vec<&ValueSet> = batch.iter().map(|&i| &self.values[i as usize][k]).collect();
                match multi {
                    MultiLabels::Uniform => AttributeLabels::of_sets(&sets, self.attributes[k].values, like),
                    MultiLabels::Sampled => {
                        let mut one = |set: &&ValueSet| match set.single() {
                            Some(value) => Some(value),
                            None => set.as_slice().choose(rng).copied(),
                        };
                        AttributeLabels::new(&sets.iter().map(&mut one).collect::<Vec<_>>(), like)
                    }
                }
            })
            .collect::<Result<_>>()?;
        let (instances, categories) = (pick(&self.instances)?, pick(&self.categories)?);
        Ok(BatchLabels { instances, categories, attributes, absences: Vec::new() })
    }

    /// [`BatchLabels::absences`] of a batch.
    ///
    /// # Errors
    /// If the device fails.
    pub fn absences(&self, batch: &[u32], like: &Tensor) -> Result<Vec<Option<AttributeLabels>>> {
        let of = |(k, shape): (usize, &AttributeShape)| {
            let absent = |&i: &u32| self.values[i as usize][k].is_empty().then_some(shape.values as u32);
            AttributeLabels::new(&batch.iter().map(absent).collect::<Vec<_>>(), like)
        };
        self.attributes.iter().enumerate().map(of).collect()
    }

    /// Whether any training image has no value of attribute `k`.
    pub fn has_absences(&self, k: usize) -> bool {
        self.values.iter().any(|values| values[k].is_empty())
    }
}
