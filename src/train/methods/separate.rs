//! The rivals that keep tasks apart: K + 2 embeddings of n dimensions, one per attribute, one for instances and one for
//! categories, each learned by triplets that compare what its task compares (Section 5.4 of the paper).
//!
//! - *Concatenation*, after Veit, Belongie and Karaletsos 2017 (conditional similarity networks with disjoint masks): the
//!   K + 2 are slices of one projection of the features.
//! - *Modulation*, after Zhao, Li, Shi and Belongie 2018 (modulation module): one projection for all, of features whose
//!   channels a task's own vector scales.
//!
//! Each embedding is taken at unit length, in training as in retrieval. A task asks in its own embedding only.

use super::layers::{Initializer, Linear};
use super::sum::Sum;
use super::triplets::{sample, triplet_loss};
use crate::error::Result;
use crate::space::{Part, TaskLayout};
use crate::train::losses::{unit_subspaces, LossWeights};
use crate::train::method::{Method, Terms};
use crate::train::optimizer::{Group, Parameter};
use crate::train::settings::Settings;
use crate::train::training_set::TrainingSet;
use candle_core::Tensor;
use rand::rngs::StdRng;

/// [`Method`] of K + 2 embeddings learned by triplets.
pub struct Separate<'a> {
    set: &'a TrainingSet,
    weights: LossWeights,
    margin: f64,
    dim: usize,
    branches: Branches,
    learned: Vec<Parameter>,
}

/// How features become K + 2 embeddings.
enum Branches {
    /// `[(K + 2)·n, F]`.
    Slices(Linear),
    /// `[n, F]`, and K + 2 of `[F]`.
    Modulated(Linear, Vec<Tensor>),
}

impl<'a> Separate<'a> {
    /// A fresh start of concatenation.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn concatenation(
        set: &'a TrainingSet,
        features: usize,
        settings: &Settings,
        mut start: Initializer<'_>,
    ) -> Result<Self> {
        let dims = (set.attributes.len() + 2) * settings.subspace_dim;
        let branches = Branches::Slices(start.linear("projection", Group::Projection, [dims, features])?);
        Ok(Self::new(set, settings, branches, start.parameters))
    }

    /// A fresh start of modulation: every channel scaled by 1.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn modulation(
        set: &'a TrainingSet,
        features: usize,
        settings: &Settings,
        mut start: Initializer<'_>,
    ) -> Result<Self> {
        let projection = start.linear("projection", Group::Projection, [settings.subspace_dim, features])?;
        let ones = start.constant(1.0, &[features])?;
        let scales = (0..set.attributes.len() + 2)
            .map(|t| start.learned(&format!("modulation.{t}"), Group::Projection, &ones))
            .collect::<Result<_>>()?;
        Ok(Self::new(set, settings, Branches::Modulated(projection, scales), start.parameters))
    }

    fn new(set: &'a TrainingSet, settings: &Settings, branches: Branches, learned: Vec<Parameter>) -> Self {
        let (weights, margin, dim) = (settings.losses, settings.margin, settings.subspace_dim);
        Self { set, weights, margin, dim, branches, learned }
    }

    /// Tasks in the order of their embeddings: the attributes, instances, categories. Each with its name in the log, its λ
    /// and the images' labels.
    fn tasks(&self, images: &[u32]) -> Vec<(String, f64, Vec<Option<u32>>)> {
        let (set, w) = (self.set, &self.weights);
        let of = |label: &dyn Fn(usize) -> Option<u32>| images.iter().map(|&i| label(i as usize)).collect();
        let share = w.attribute / set.attributes.len() as f64;
        let attributes = set.attributes.iter().enumerate();
        attributes
            .map(|(k, a)| (format!("attribute:{}", a.name), share, of(&|i| set.values[i][k])))
            .chain([
                ("instance".into(), w.instance, of(&|i| Some(set.instances[i]))),
                ("category".into(), w.category, of(&|i| Some(set.categories[i]))),
            ])
            .collect()
    }
}

impl Method for Separate<'_> {
    fn parameters(&self) -> Vec<Parameter> {
        self.learned.clone()
    }

    fn losses(&self, features: &Tensor, images: &[u32], rng: &mut StdRng) -> Result<Terms> {
        let tasks = self.tasks(images);
        let f = self.embed(features)?;
        let unit = unit_subspaces(&f, tasks.len())?;
        let mut sum = Sum::default();
        for (t, (name, weight, labels)) in tasks.iter().enumerate() {
            let own = unit.narrow(1, t * self.dim, self.dim)?.contiguous()?;
            let triplets = if *weight > 0.0 { sample(&own, labels, self.margin, rng)? } else { Vec::new() };
            let loss = (!triplets.is_empty()).then(|| triplet_loss(&own, &triplets, self.margin));
            sum.add(name, *weight, loss.transpose()?)?;
        }
        sum.terms(&f)
    }

    fn embed(&self, features: &Tensor) -> Result<Tensor> {
        match &self.branches {
            Branches::Slices(projection) => projection.forward(features),
            Branches::Modulated(projection, scales) => {
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
