//! The baselines that keep tasks apart: K + 2 embeddings of n dimensions, one per attribute, one for instances and one for categories.
//! Each is learned with triplets of its own task (Section 5.4 of the paper).
//!
//! - *Concatenation*, after Veit, Belongie and Karaletsos 2017 (conditional similarity networks with disjoint masks): the
//!   K + 2 embeddings are slices of one projection of the features.
//! - *Modulation*, after Zhao, Li, Shi and Belongie 2018 (modulation module): one projection for all tasks, of features
//!   whose channels are scaled by a vector of the task.
//!
//! Embeddings are compared at unit length, in training and in retrieval. Each task only uses its own embedding.

use super::triplets::{sample_triplets, triplet_loss};
use crate::data::manifest::ValueSet;
use crate::error::Result;
use crate::space::{Part, TaskLayout};
use crate::train::batch_losses::{BatchLosses, LossSum};
use crate::train::geometry::unit_subspaces;
use crate::train::initializer::{Initializer, Linear};
use crate::train::losses::LossWeights;
use crate::train::method::Method;
use crate::train::optimizer::{Parameter, ParameterGroup};
use crate::train::settings::Settings;
use crate::train::training_set::TrainingSet;
use candle_core::Tensor;
use rand::rngs::StdRng;

/// [`Method`] with K + 2 embeddings learned with triplets.
pub struct SeparateEmbeddings<'a> {
    set: &'a TrainingSet,
    weights: LossWeights,
    margin: f64,
    dim: usize,
    projections: Projections,
    learned: Vec<Parameter>,
}

/// How features become K + 2 embeddings.
enum Projections {
    /// Concatenation: one projection `[(K + 2)·n, F]`.
    Slices(Linear),
    /// Modulation: one projection `[n, F]`, and K + 2 scales `[F]`.
    Modulated(Linear, Vec<Tensor>),
}

impl<'a> SeparateEmbeddings<'a> {
    /// Concatenation with fresh parameters.
    ///
    /// # Errors
    /// If the device fails.
    pub fn concatenation(
        set: &'a TrainingSet,
        features: usize,
        settings: &Settings,
        mut initializer: Initializer<'_>,
    ) -> Result<Self> {
        let dims = (set.attributes.len() + 2) * settings.subspace_dim;
        let projections = Projections::Slices(initializer.linear(
            "projection",
            ParameterGroup::Projection,
            [dims, features],
        )?);
        Ok(Self::new(set, settings, projections, initializer.parameters))
    }

    /// Modulation with fresh parameters; every channel is scaled by 1.
    ///
    /// # Errors
    /// If the device fails.
    pub fn modulation(
        set: &'a TrainingSet,
        features: usize,
        settings: &Settings,
        mut initializer: Initializer<'_>,
    ) -> Result<Self> {
        let projection = initializer.linear(
            "projection",
            ParameterGroup::Projection,
            [settings.subspace_dim, features],
        )?;
        let ones = initializer.constant(1.0, &[features])?;
        let scales = (0..set.attributes.len() + 2)
            .map(|t| initializer.learned(&format!("modulation.{t}"), ParameterGroup::Projection, &ones))
            .collect::<Result<_>>()?;
        Ok(Self::new(set, settings, Projections::Modulated(projection, scales), initializer.parameters))
    }

    fn new(
        set: &'a TrainingSet,
        settings: &Settings,
        projections: Projections,
        learned: Vec<Parameter>,
    ) -> Self {
        let (weights, margin, dim) = (settings.losses, settings.margin, settings.subspace_dim);
        Self { set, weights, margin, dim, projections, learned }
    }

    /// The tasks in the order of their embeddings (attributes, instances, categories), each with its name in the log, its λ and the
    /// images' labels.
    fn tasks(&self, images: &[u32]) -> Vec<(String, f64, Vec<ValueSet>)> {
        let (set, w) = (self.set, &self.weights);
        let of = |label: &dyn Fn(usize) -> ValueSet| images.iter().map(|&i| label(i as usize)).collect();
        let attribute_weight = w.attribute / set.attributes.len() as f64;
        let attributes = set.attributes.iter().enumerate();
        attributes
            .map(|(k, a)| {
                (format!("attribute:{}", a.name), attribute_weight, of(&|i| set.values[i][k].clone()))
            })
            .chain([
                ("instance".into(), w.instance, of(&|i| Some(set.instances[i]).into())),
                ("category".into(), w.category, of(&|i| Some(set.categories[i]).into())),
            ])
            .collect()
    }
}

impl Method for SeparateEmbeddings<'_> {
    fn parameters(&self) -> Vec<Parameter> {
        self.learned.clone()
    }

    fn losses(&self, features: &Tensor, images: &[u32], rng: &mut StdRng) -> Result<BatchLosses> {
        let tasks = self.tasks(images);
        let f = self.embed(features)?;
        let unit = unit_subspaces(&f, tasks.len())?;
        let mut sum = LossSum::default();
        for (t, (name, weight, labels)) in tasks.iter().enumerate() {
            let own = unit.narrow(1, t * self.dim, self.dim)?.contiguous()?;
            let triplets =
                if *weight > 0.0 { sample_triplets(&own, labels, self.margin, rng)? } else { Vec::new() };
            let loss = (!triplets.is_empty()).then(|| triplet_loss(&own, &triplets, self.margin));
            sum.add(name, *weight, loss.transpose()?)?;
        }
        sum.finish(&f)
    }

    fn embed(&self, features: &Tensor) -> Result<Tensor> {
        match &self.projections {
            Projections::Slices(projection) => projection.forward(features),
            Projections::Modulated(projection, scales) => {
                let embed = |scale: &Tensor| projection.forward(&features.broadcast_mul(scale)?);
                let all = scales.iter().map(embed).collect::<Result<Vec<_>>>()?;
                Ok(Tensor::cat(&all, 1)?)
            }
        }
    }

    fn task_layout(&self) -> TaskLayout {
        let k = self.set.attributes.len();
        TaskLayout {
            subspaces: k + 2,
            dim: self.dim,
            instance: Part::Subspace(k),
            attributes: (0..k).map(Part::Subspace).collect(),
            category: Part::Subspace(k + 1),
        }
    }
}
