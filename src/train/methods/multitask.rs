//! The rival that shares everything: one embedding, and a linear classifier on it for each task (Section 5.4 of the paper,
//! "multitask", in the field's usual reading: hard parameter sharing after Caruana 1997).
//!
//! Classifiers serve training only. In retrieval, all questions are asked in the one embedding at unit length: instances by
//! its distance, values and categories by the mean of the training images that show them.

use super::layers::{Initializer, Linear};
use super::sum::Sum;
use super::triplets::{sample, triplet_loss};
use crate::error::Result;
use crate::space::{Part, TaskLayout};
use crate::train::losses::{mean_cross_entropy, unit_subspaces, LossWeights};
use crate::train::method::{Method, Terms};
use crate::train::optimizer::{Group, Parameter};
use crate::train::settings::Settings;
use crate::train::training_set::TrainingSet;
use candle_core::Tensor;
use rand::rngs::StdRng;

/// [`Method`] of one embedding and K + 2 classifiers.
pub struct Multitask<'a> {
    set: &'a TrainingSet,
    weights: LossWeights,
    projection: Linear,
    instance: Linear,
    category: Linear,
    attributes: Vec<Linear>,
    /// With a triplet loss on instances beside: its margin.
    margin: Option<f64>,
    learned: Vec<Parameter>,
}

impl<'a> Multitask<'a> {
    /// A fresh start; the embedding has as many dimensions as the cooperative one, N = K·n.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn new(
        set: &'a TrainingSet,
        features: usize,
        settings: &Settings,
        triplets: bool,
        mut start: Initializer<'_>,
    ) -> Result<Self> {
        let dims = settings.subspace_dim * set.attributes.len();
        let projection = start.linear("projection", Group::Projection, [dims, features])?;
        // A class's row is what a proxy is elsewhere, and learns as fast.
        let mut classifier = |task: &str, classes: usize| {
            start.linear(&format!("classifier.{task}"), Group::Proxies, [classes, dims])
        };
        Ok(Self {
            set,
            weights: settings.losses,
            projection,
            instance: classifier("instance", set.instance_category.len())?,
            category: classifier("category", set.category_count)?,
            attributes: (set.attributes.iter())
                .map(|a| classifier(&format!("attribute.{}", a.name), a.values))
                .collect::<Result<_>>()?,
            margin: triplets.then_some(settings.margin),
            learned: start.parameters,
        })
    }
}

impl Method for Multitask<'_> {
    fn parameters(&self) -> Vec<Parameter> {
        self.learned.clone()
    }

    fn losses(&self, features: &Tensor, images: &[u32], rng: &mut StdRng) -> Result<Terms> {
        let labels = self.set.labels(images, features)?;
        let w = &self.weights;
        let f = self.embed(features)?;
        let mut sum = Sum::default();
        for (name, weight, head, target) in [
            ("instance", w.instance, &self.instance, &labels.instances),
            ("category", w.category, &self.category, &labels.categories),
        ] {
            let loss = (weight > 0.0).then(|| mean_cross_entropy(&head.forward(&f)?, target));
            sum.add(name, weight, loss.transpose()?)?;
        }
        let of_instances: Vec<Option<u32>> =
            images.iter().map(|&i| Some(self.set.instances[i as usize])).collect();
        if let Some(margin) = self.margin {
            let unit = unit_subspaces(&f, 1)?;
            let triplets = sample(&unit, &of_instances, margin, rng)?;
            let loss = (!triplets.is_empty()).then(|| triplet_loss(&unit, &triplets, margin));
            sum.add("triplet:instance", w.instance, loss.transpose()?)?;
        }
        let share = w.attribute / self.attributes.len() as f64;
        for ((shape, head), labels) in
            self.set.attributes.iter().zip(&self.attributes).zip(&labels.attributes)
        {
            let labels = labels.as_ref().filter(|_| share > 0.0);
            let loss = labels.map(|labels| labels.cross_entropy(&head.forward(&f)?)).transpose()?;
            sum.add(&format!("attribute:{}", shape.name), share, loss)?;
        }
        sum.terms(&f)
    }

    fn embed(&self, features: &Tensor) -> Result<Tensor> {
        self.projection.forward(features)
    }

    fn task_layout(&self) -> TaskLayout {
        TaskLayout {
            subspaces: 1,
            dim: self.projection.bias.elem_count(),
            instance: Part::Superspace,
            attributes: vec![Part::Superspace; self.attributes.len()],
            category: Part::Superspace,
        }
    }
}
