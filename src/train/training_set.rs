//! The training half of a data set, as the losses need it.

use super::losses::{AttributeLabels, BatchLabels};
use crate::data::manifest::{AttributeEntry, Manifest, Split};
use crate::error::{Error, Kind, Result};
use candle_core::Tensor;
use std::collections::BTreeSet;

/// An attribute as far as losses are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeShape {
    /// Its name.
    pub name: String,
    /// How many values it has.
    pub values: usize,
    /// Whether their order means something.
    pub ordered: bool,
}

impl AttributeShape {
    fn of(a: &AttributeEntry) -> Self {
        Self { name: a.name.clone(), values: a.values.len(), ordered: a.ordered }
    }
}

/// The training half of a data set: instances and categories that have training images, counted from 0 without gaps.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSet {
    /// Per training image, its index in [`Manifest::images`].
    pub images: Vec<usize>,
    /// Per training image, its instance.
    pub instances: Vec<u32>,
    /// Per training image, its category.
    pub categories: Vec<u32>,
    /// Per training image, its values.
    pub values: Vec<Vec<Option<u32>>>,
    /// P: per instance, its category.
    pub instance_category: Vec<u32>,
    /// How many categories have training images. The others must not take part in the softmax.
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
        Self::of(manifest, manifest.split(Split::Train))
    }

    /// Some of the training images of a manifest, by their index in it.
    ///
    /// # Errors
    /// As [`TrainingSet::new`].
    pub fn of(manifest: &Manifest, images: Vec<usize>) -> Result<Self> {
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
        let place = |list: &[u32], x: u32| list.partition_point(|&y| y < x) as u32;
        Ok(Self {
            instances: entries().map(|i| place(&instances, i.instance)).collect(),
            categories: entries().map(|i| place(&categories, i.category)).collect(),
            values: entries().map(|i| i.values.clone()).collect(),
            instance_category: instances
                .iter()
                .map(|&i| place(&categories, manifest.instance_category[i as usize]))
                .collect(),
            category_count: categories.len(),
            attributes: manifest.attributes.iter().map(AttributeShape::of).collect(),
            images,
        })
    }

    /// The labels of some of its images, on the device and in the number type of `like`.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn labels(&self, batch: &[u32], like: &Tensor) -> Result<BatchLabels> {
        let pick = |from: &[u32]| -> Result<Tensor> {
            let picked: Vec<u32> = batch.iter().map(|&i| from[i as usize]).collect();
            Ok(Tensor::new(picked, like.device())?)
        };
        let attributes = (0..self.attributes.len())
            .map(|k| {
                let values: Vec<Option<u32>> = batch.iter().map(|&i| self.values[i as usize][k]).collect();
                AttributeLabels::new(&values, like)
            })
            .collect::<Result<_>>()?;
        let (instances, categories) = (pick(&self.instances)?, pick(&self.categories)?);
        Ok(BatchLabels { instances, categories, attributes, absences: Vec::new() })
    }

    /// [`BatchLabels::absences`] of some of its images.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn absences(&self, batch: &[u32], like: &Tensor) -> Result<Vec<Option<AttributeLabels>>> {
        let of = |(k, shape): (usize, &AttributeShape)| {
            let absent = |&i: &u32| self.values[i as usize][k].is_none().then_some(shape.values as u32);
            AttributeLabels::new(&batch.iter().map(absent).collect::<Vec<_>>(), like)
        };
        self.attributes.iter().enumerate().map(of).collect()
    }

    /// Whether some training image has no value of attribute `k`.
    pub fn lacks(&self, k: usize) -> bool {
        self.values.iter().any(|values| values[k].is_none())
    }
}
