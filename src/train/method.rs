//! What learns on top of the backbone's features.

use super::methods::cooperative::Parameters;
use super::optimizer::Parameter;
use crate::error::Result;
use candle_core::Tensor;
use rand::rngs::StdRng;
use std::ops::Range;

/// A way to learn embeddings from features and labels; the trainer knows nothing else about it.
pub trait Method {
    /// Everything that learns here, each with a name that is stable between runs (checkpoints) and its group.
    fn parameters(&self) -> Vec<Parameter>;

    /// The losses of a batch. `features` (`[batch, F]`) carry gradient when the backbone learns; `images` index the
    /// training set; `rng` is for what a method samples.
    ///
    /// # Errors
    /// If shapes do not fit.
    fn losses(&self, features: &Tensor, images: &[u32], rng: &mut StdRng) -> Result<Terms>;

    /// Raw embeddings of features: `[images, F]` to `[images, S·d]` for the S subspaces of d dimensions of
    /// [`Method::space`].
    ///
    /// # Errors
    /// If shapes do not fit.
    fn embed(&self, features: &Tensor) -> Result<Tensor>;

    /// Which part of an embedding answers which question.
    fn space(&self) -> Space;

    /// What a model is made of, if this is the method whose models PostgreSQL loads.
    fn cooperative(&self) -> Option<&Parameters> {
        None
    }
}

/// The losses of one batch.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The weighted sum: what is minimised.
    pub total: Tensor,
    /// Scalars before their λ, under the names that the log uses; `None` where a loss took no part. The names and their
    /// order are the same for every batch.
    pub parts: Vec<(String, Option<Tensor>)>,
}

/// How an embedding is divided: S subspaces of d dimensions, each L2-normalised for retrieval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// S.
    pub subspaces: usize,
    /// d.
    pub dim: usize,
    /// Where instances are compared.
    pub instance: Place,
    /// Where each attribute's values are.
    pub attributes: Vec<Place>,
    /// Where categories are.
    pub category: Place,
}

/// A part of an embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// All subspaces.
    Whole,
    /// One.
    Subspace(usize),
}

impl Space {
    /// The paper's: a subspace per attribute, instances and categories in all of them.
    pub fn cooperative(attributes: usize, dim: usize) -> Self {
        Self {
            subspaces: attributes,
            dim,
            instance: Place::Whole,
            attributes: (0..attributes).map(Place::Subspace).collect(),
            category: Place::Whole,
        }
    }

    /// The dimensions of a part.
    pub fn range(&self, place: Place) -> Range<usize> {
        match place {
            Place::Whole => 0..self.subspaces * self.dim,
            Place::Subspace(k) => k * self.dim..(k + 1) * self.dim,
        }
    }
}
