//! How distances become logits: on raw embeddings, as in the paper, or on embeddings of unit length.

use super::pairwise::negative_distances;
use crate::error::Result;
use candle_core::{Tensor, D};

/// How embeddings and proxies are compared.
#[derive(Debug, Clone)]
pub enum Geometry {
    /// The paper's: the logits are negative squared distances of raw embeddings from raw proxies.
    Raw,
    /// Beyond the paper: every subspace of embeddings and proxies is scaled to unit length, and the logits are the negative squared
    /// distances, averaged over the subspaces, times the inverse temperature.
    Normalized(SoftmaxScale),
}

/// The inverse temperature of the softmax.
#[derive(Debug, Clone)]
pub enum SoftmaxScale {
    /// A constant. (ProxyNCA++'s temperature of 1/9 is a scale of 9.)
    Fixed(f64),
    /// Learned: its logarithm, `[1]`.
    Learned(Tensor),
}

impl Geometry {
    /// Prepares `x` (`[rows, subspaces·n]`) for [`Geometry::logits`]: as it is, or each subspace at unit length.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn prepare(&self, x: &Tensor, subspaces: usize) -> Result<Tensor> {
        match self {
            Self::Raw => Ok(x.clone()),
            Self::Normalized(_) => unit_subspaces(x, subspaces),
        }
    }

    /// `[batch, Z]`: the logits of `f` (`[batch, N]`) over `proxies` (`[Z, N]`), both prepared. They lack a constant per row, which no
    /// softmax depends on.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn logits(&self, f: &Tensor, proxies: &Tensor, subspaces: usize) -> Result<Tensor> {
        let logits = negative_distances(f, proxies)?;
        match self {
            Self::Raw => Ok(logits),
            Self::Normalized(SoftmaxScale::Fixed(scale)) => Ok((logits * (scale / subspaces as f64))?),
            Self::Normalized(SoftmaxScale::Learned(log)) => {
                Ok((logits.broadcast_mul(&log.exp()?)? / subspaces as f64)?)
            }
        }
    }
}

/// `x` (`[rows, subspaces·n]`) with each subspace at unit length.
///
/// # Errors
/// If shapes do not fit.
pub fn unit_subspaces(x: &Tensor, subspaces: usize) -> Result<Tensor> {
    let (rows, dims) = x.dims2()?;
    Ok(unit_rows(&x.reshape((rows, subspaces, dims / subspaces))?)?.reshape((rows, dims))?)
}

/// `x / ‖x‖` along the last dimension. A small number under the root keeps rows of zeros, and their gradients, finite.
///
/// # Errors
/// If the device fails.
pub fn unit_rows(x: &Tensor) -> Result<Tensor> {
    let norm = (x.sqr()?.sum_keepdim(D::Minus1)? + 1e-12)?.sqrt()?;
    Ok(x.broadcast_div(&norm)?)
}
