//! The losses of the paper (Eq. 1 to 5) and of its rivals as candle expressions; autograd gives their gradients.
//!
//! Every softmax over `-D(f, p_z)`, the negative squared Euclidean distances to proxies, leaves out what is the same for
//! every z: `-D = 2 f·p − ‖p‖² − ‖f‖²`, so one matrix product ([`negative_distances`]) gives the very same softmax and
//! gradient without a `[batch, proxies, N]` intermediate.
//!
//! [`negative_distances`]: super::pairwise::negative_distances

use crate::error::Result;
use candle_core::{Device, Tensor, D};
use candle_nn::ops::log_softmax;
use serde::{Deserialize, Serialize};

/// What each part of the objective weighs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LossWeights {
    /// λ of the instance loss, Eq. 1; 0 leaves it out, as for every loss.
    pub instance: f64,
    /// λ of the attribute losses, Eq. 2; divided by K.
    pub attribute: f64,
    /// λ of the category loss, Eq. 5.
    pub category: f64,
    /// λ of `‖f(x)‖²`, summed over dimensions and averaged over the batch.
    pub regularization: f64,
    /// λ of the order regulariser of ordered attributes, Eq. 3.
    pub order: f64,
    /// σ of Eq. 4, in ranks.
    pub order_sigma: f64,
}

/// The labels of a batch.
#[derive(Debug, Clone)]
pub struct BatchLabels {
    /// `[batch]`, rows of the instance proxies.
    pub instances: Tensor,
    /// `[batch]`, rows of the category means.
    pub categories: Tensor,
    /// Per attribute; `None` where no image of the batch has a value.
    pub attributes: Vec<Option<AttributeLabels>>,
    /// Beyond the paper, per attribute the images without a value, whose proxy comes after those of the values; `None` where
    /// every image of the batch has one. Empty if absence is not learned.
    pub absences: Vec<Option<AttributeLabels>>,
}

/// Which images of a batch show which value of one attribute.
#[derive(Debug, Clone)]
pub struct AttributeLabels {
    /// `[batch]`, rows of the value proxies; anything valid where the attribute is absent.
    pub values: Tensor,
    /// `[batch]`: 1/m for the m images that have a value, 0 for the others.
    pub share: Tensor,
}

impl AttributeLabels {
    /// Labels from one optional value per image; `None` if all are absent.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn new(values: &[Option<u32>], like: &Tensor) -> Result<Option<Self>> {
        let shown = values.iter().flatten().count();
        if shown == 0 {
            return Ok(None);
        }
        let share = |v: &Option<u32>| if v.is_some() { 1.0 / shown as f64 } else { 0.0 };
        let rows: Vec<u32> = values.iter().map(|v| v.unwrap_or(0)).collect();
        let shares: Vec<f64> = values.iter().map(share).collect();
        Ok(Some(Self {
            values: Tensor::new(rows, like.device())?,
            share: Tensor::new(shares, like.device())?.to_dtype(like.dtype())?,
        }))
    }

    /// The mean cross-entropy of `logits` (`[batch, V]`) over the images that have a value: Eq. 2's softmax part.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn cross_entropy(&self, logits: &Tensor) -> Result<Tensor> {
        Ok((cross_entropy(logits, &self.values)? * &self.share)?.sum_all()?)
    }
}

/// `[batch]`: `log Σ_z exp(logit_z) − logit_target`.
///
/// # Errors
/// If shapes do not fit.
pub fn cross_entropy(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    Ok(log_softmax(logits, 1)?.gather(&target.unsqueeze(1)?, 1)?.squeeze(1)?.neg()?)
}

/// The mean of [`cross_entropy`] over the batch.
///
/// # Errors
/// If shapes do not fit.
pub fn mean_cross_entropy(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    Ok(cross_entropy(logits, target)?.mean_all()?)
}

/// Averages rows that belong together.
#[derive(Debug, Clone)]
pub struct SegmentMean {
    /// `[P]`, the segment of each row.
    segments: Tensor,
    /// `[C, 1]`, one over each segment's size.
    shares: Tensor,
}

impl SegmentMean {
    /// Of rows whose segments (below `count`) are given, in the number type of `like`.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn new(segments: &[u32], count: usize, like: &Tensor) -> Result<Self> {
        let mut sizes = vec![0usize; count];
        segments.iter().for_each(|&c| sizes[c as usize] += 1);
        let shares: Vec<f64> = sizes.iter().map(|&s| 1.0 / s.max(1) as f64).collect();
        Ok(Self {
            segments: Tensor::new(segments, like.device())?,
            shares: Tensor::from_vec(shares, (count, 1), like.device())?.to_dtype(like.dtype())?,
        })
    }

    /// `[P, N]` to `[C, N]`.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn of(&self, rows: &Tensor) -> Result<Tensor> {
        let zeros = Tensor::zeros((self.shares.dim(0)?, rows.dim(1)?), rows.dtype(), rows.device())?;
        Ok(zeros.index_add(&self.segments, rows, 0)?.broadcast_mul(&self.shares)?)
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

/// `x / ‖x‖` along the last dimension; the floor under the norm keeps a row of zeros (and its gradient) finite.
fn unit_rows(x: &Tensor) -> Result<Tensor> {
    let norm = (x.sqr()?.sum_keepdim(D::Minus1)? + 1e-12)?.sqrt()?;
    Ok(x.broadcast_div(&norm)?)
}

/// Eq. 3: `‖S − P‖` (the Frobenius norm, not squared), where S are the cosine similarities of `proxies` (`[V, n]`) and P
/// is `target` (`[V, V]`, see [`rank_similarities`]).
///
/// # Errors
/// If shapes do not fit.
pub fn order_norm(proxies: &Tensor, target: &Tensor) -> Result<Tensor> {
    let unit = unit_rows(proxies)?;
    Ok((unit.matmul(&unit.t()?)? - target)?.sqr()?.sum_all()?.sqrt()?)
}

/// Eq. 4, `[values, values]`: exp(−(rank_v − rank_u)² / 2σ²).
///
/// # Errors
/// If the device refuses.
pub fn rank_similarities(values: usize, sigma: f64, device: &Device) -> Result<Tensor> {
    let gap = |i: usize| (i / values) as f64 - (i % values) as f64;
    let p: Vec<f64> = (0..values * values).map(|i| (-gap(i).powi(2) / (2.0 * sigma * sigma)).exp()).collect();
    Ok(Tensor::from_vec(p, (values, values), device)?)
}
