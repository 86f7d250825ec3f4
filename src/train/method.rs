//! The interface of a method: what learns on top of the backbone's features.

use super::batch_losses::BatchLosses;
use super::cooperative_parameters::CooperativeParameters;
use super::optimizer::Parameter;
use crate::error::Result;
use crate::space::TaskLayout;
use candle_core::Tensor;
use rand::rngs::StdRng;

/// A way to learn embeddings from features and labels. It is all that the trainer knows about a method.
pub trait Method {
    /// Everything that learns. Names are stable from run to run, because checkpoints use them.
    fn parameters(&self) -> Vec<Parameter>;

    /// The losses of a batch. `features` (`[batch, F]`) carry gradient if the backbone learns; `images` are indices in the training
    /// set; `rng` is for methods that sample.
    ///
    /// # Errors
    /// If shapes do not fit.
    fn losses(&self, features: &Tensor, images: &[u32], rng: &mut StdRng) -> Result<BatchLosses>;

    /// Features `[images, F]` to raw embeddings `[images, S·d]`, for the S subspaces of d dimensions of [`Method::task_layout`].
    ///
    /// # Errors
    /// If shapes do not fit.
    fn embed(&self, features: &Tensor) -> Result<Tensor>;

    /// Which part of an embedding serves which task.
    fn task_layout(&self) -> TaskLayout;

    /// What a model directory is made from. Only the cooperative method has it; PostgreSQL does not load models of the baselines.
    fn cooperative(&self) -> Option<&CooperativeParameters> {
        None
    }
}
