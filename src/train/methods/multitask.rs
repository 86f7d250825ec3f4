//! The baseline that shares everything: one embedding, and a linear classifier on it for each task ("multitask" in Section 5.4 of the
//! paper, read as usual: hard parameter sharing after Caruana 1997).
//!
//! The classifiers are only used in training. Retrieval compares the one embedding at unit length: with the query image for instances,
//! with the mean of the training images that show it for a value or a category.

use super::triplets::{sample_triplets, triplet_loss};
use crate::data::manifest::ValueSet;
use crate::error::Result;
use crate::space::{Part, TaskLayout};
use crate::train::batch_losses::{BatchLosses, LossSum};
use crate::train::geometry::unit_subspaces;
use crate::train::initializer::{Initializer, Linear};
use crate::train::losses::{smoothed_cross_entropy, squared_norm, LossWeights};
use crate::train::method::Method;
use crate::train::optimizer::{Parameter, ParameterGroup};
use crate::train::settings::Settings;
use crate::train::training_set::TrainingSet;
use candle_core::Tensor;
use rand::rngs::StdRng;

/// [`Method`] with one embedding and K + 2 classifiers.
pub struct Multitask<'a> {
    set: &'a TrainingSet,
    weights: LossWeights,
    projection: Linear,
    instance: Linear,
    category: Linear,
    attributes: Vec<Linear>,
    /// Per attribute, its soft labels, if it has them.
    soft_labels: Vec<Option<Tensor>>,
    /// The margin of the additional triplet loss on instances, if there is one.
    margin: Option<f64>,
    learned: Vec<Parameter>,
}

impl<'a> Multitask<'a> {
    /// The method with fresh parameters. The embedding has as many dimensions as the cooperative one, N = K·n.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(
        set: &'a TrainingSet,
        features: usize,
        settings: &Settings,
        triplets: bool,
        mut initializer: Initializer<'_>,
    ) -> Result<Self> {
        let dims = settings.subspace_dim * set.attributes.len();
        let projection = initializer.linear("projection", ParameterGroup::Projection, [dims, features])?;
        // The row of a class plays the role of a proxy, so it has the proxies' learning rate.
        let mut classifier = |task: &str, classes: usize| {
            initializer.linear(&format!("classifier.{task}"), ParameterGroup::Proxies, [classes, dims])
        };
        let soft_labels =
            set.attributes.iter().map(|a| settings.losses.soft_labels_of(a, &projection.weight));
        Ok(Self {
            set,
            weights: settings.losses,
            soft_labels: soft_labels.collect::<Result<_>>()?,
            projection,
            instance: classifier("instance", set.instance_category.len())?,
            category: classifier("category", set.category_count)?,
            attributes: (set.attributes.iter())
                .map(|a| classifier(&format!("attribute.{}", a.name), a.values))
                .collect::<Result<_>>()?,
            margin: triplets.then_some(settings.margin),
            learned: initializer.parameters,
        })
    }
}

impl Method for Multitask<'_> {
    fn parameters(&self) -> Vec<Parameter> {
        self.learned.clone()
    }

    fn losses(&self, features: &Tensor, images: &[u32], rng: &mut StdRng) -> Result<BatchLosses> {
        let labels = self.set.labels(images, features, self.weights.multi_labels, rng)?;
        let w = &self.weights;
        let f = self.embed(features)?;
        let mut sum = LossSum::default();
        for (name, weight, head, target, smoothing) in [
            ("instance", w.instance, &self.instance, &labels.instances, w.label_smoothing),
            ("category", w.category, &self.category, &labels.categories, 0.0),
        ] {
            let loss = (weight > 0.0).then(|| smoothed_cross_entropy(&head.forward(&f)?, target, smoothing));
            sum.add(name, weight, loss.transpose()?)?;
        }
        let instances: Vec<ValueSet> =
            images.iter().map(|&i| Some(self.set.instances[i as usize]).into()).collect();
        if let Some(margin) = self.margin {
            let unit = unit_subspaces(&f, 1)?;
            let triplets = sample_triplets(&unit, &instances, margin, rng)?;
            let loss = (!triplets.is_empty()).then(|| triplet_loss(&unit, &triplets, margin));
            sum.add("triplet:instance", w.instance, loss.transpose()?)?;
        }
        let norm = (w.regularization > 0.0).then(|| squared_norm(&f));
        sum.add("norm", w.regularization, norm.transpose()?)?;
        let attribute_weight = w.attribute / self.attributes.len() as f64;
        let heads = self.attributes.iter().zip(&self.soft_labels);
        for ((shape, (head, soft)), labels) in self.set.attributes.iter().zip(heads).zip(&labels.attributes) {
            let labels = labels.as_ref().filter(|_| attribute_weight > 0.0);
            let loss =
                labels.map(|labels| labels.cross_entropy(&head.forward(&f)?, soft.as_ref())).transpose()?;
            sum.add(&format!("attribute:{}", shape.name), attribute_weight, loss)?;
        }
        sum.finish(&f)
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
