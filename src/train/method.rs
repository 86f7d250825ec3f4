//! What learns on top of the backbone's features.

use super::methods::cooperative::Parameters;
use super::optimizer::Parameter;
use crate::error::Result;
use crate::space::TaskLayout;
use candle_core::Tensor;
use rand::rngs::StdRng;

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
    /// [`Method::task_layout`].
    ///
    /// # Errors
    /// If shapes do not fit.
    fn embed(&self, features: &Tensor) -> Result<Tensor>;

    /// Which part of an embedding answers which question.
    fn task_layout(&self) -> TaskLayout;

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
