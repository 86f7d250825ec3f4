//! The losses of the paper (arXiv 1904.01421) as candle expressions; autograd gives their gradients.
//!
//! | equation | loss | function |
//! |---|---|---|
//! | Eq. 1 | instance: cross-entropy over the distances from all instance proxies | [`instance_loss`] |
//! | Eq. 2 | attribute: the same in one subspace, over the proxies of the attribute's values | [`attribute_loss`] |
//! | beside Eq. 2 | soft labels of ordered attributes | [`soft_labels`] |
//! | beside Eq. 2 | labels of several values | [`MultiLabels`] |
//! | Eq. 3 | order regulariser of ordered attributes | [`order_regularizer`] |
//! | Eq. 4 | the similarities that Eq. 3 aims at | [`rank_similarities`] |
//! | Eq. 5 | category: cross-entropy over the distances from the means of instance proxies | [`category_loss`] |
//! | Eq. 6 | the weighted sum of Eq. 1, 2 and 5 | `Objective` in `methods/cooperative.rs` |
//! | Eq. 7 | Eq. 6 plus the squared norm of the embeddings | [`squared_norm`], weighted in the same place |
//!
//! Each λ is a field of [`LossWeights`]. The triplet loss of the baselines is in `methods/triplets.rs`.
//!
//! A softmax over `-D(f, p_z)`, the negative squared Euclidean distances from proxies, does not change if every z loses the same
//! amount: `-D = 2 f·p − ‖p‖² − ‖f‖²`, so `‖f‖²` is left out. One matrix product
//! ([`negative_distances`](super::pairwise::negative_distances)) then gives the same softmax and gradient without an intermediate
//! `[batch, proxies, N]`.

use super::geometry::{unit_rows, Geometry};
use super::labels::{AttributeLabels, MultiLabels};
use super::training_set::AttributeShape;
use crate::error::{Error, Result};
use candle_core::{Device, Tensor};
use candle_nn::ops::log_softmax;
use serde::{Deserialize, Serialize};

/// The weight λ of each part of the objective, and what else the parts depend on; a part with weight 0 is not computed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LossWeights {
    /// λ of the instance loss (Eq. 1).
    pub instance: f64,
    /// λ of the attribute losses (Eq. 2); divided by K.
    pub attribute: f64,
    /// λ of the category loss (Eq. 5).
    pub category: f64,
    /// λ of `‖f(x)‖²` (Eq. 7), summed over dimensions and averaged over the batch.
    pub regularization: f64,
    /// λ of the order regulariser of ordered attributes (Eq. 3).
    pub order: f64,
    /// σ of Eq. 4, in ranks.
    pub order_sigma: f64,
    /// Beyond the paper: the share of an instance's label that is spread evenly over all instances, as in torch's
    /// `cross_entropy(label_smoothing=...)`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub label_smoothing: f64,
    /// Beyond the paper: the labels of ordered attributes in Eq. 2.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ordinal: OrdinalLabels,
    /// τ of [`OrdinalLabels::Soft`], in ranks.
    #[serde(default = "tau", skip_serializing_if = "is_tau")]
    pub ordinal_tau: f64,
    /// Beyond the paper: the labels in Eq. 2 of images that show several values of an attribute.
    #[serde(default, skip_serializing_if = "is_default")]
    pub multi_labels: MultiLabels,
}

/// The labels of ordered attributes in their loss (Eq. 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OrdinalLabels {
    /// The value alone, as in the paper
    #[default]
    Hard,
    /// Also its neighbours in the order, less with each rank: softmax(-|rank - rank of the value| / tau) (Diaz and Marathe 2019)
    Soft,
}

fn is_default<T: Default + PartialEq>(x: &T) -> bool {
    *x == T::default()
}

fn tau() -> f64 {
    1.0
}

fn is_tau(x: &f64) -> bool {
    *x == tau()
}

/// **Eq. 1**, the instance loss: mean over the batch of the cross-entropy of softmax over `-D(f, p_z)`, z over all instances.
///
/// `f` (`[batch, N]`) and `proxies` (`[P, N]`) are as [`Geometry::prepare`] returns them; `instances` (`[batch]`) are rows of
/// `proxies`. Beyond the paper, the share `smoothing` of each label is spread evenly over all instances.
///
/// # Errors
/// If shapes do not fit.
pub fn instance_loss(
    geometry: &Geometry,
    f: &Tensor,
    proxies: &Tensor,
    instances: &Tensor,
    subspaces: usize,
    smoothing: f64,
) -> Result<Tensor> {
    smoothed_cross_entropy(&geometry.logits(f, proxies, subspaces)?, instances, smoothing)
}

/// The proxies of one attribute.
#[derive(Debug, Clone, Copy)]
pub struct ValueProxies<'a> {
    /// `[V, n]`: the proxies of the values.
    pub values: &'a Tensor,
    /// Beyond the paper: `[1, n]`, the proxy of images without a value.
    pub absent: Option<&'a Tensor>,
    /// Beyond the paper: `[V, V]`, the [`soft_labels`] of an ordered attribute.
    pub soft_labels: Option<&'a Tensor>,
}

/// **Eq. 2**, the loss of one attribute: mean, over the images of the batch that have a value (`shown`), of the cross-entropy of softmax
/// over `-D(f_k, a_z)`, z over the values. Images without a value take no part, unless they have a proxy of their own: then the mean over
/// them (`absent`) is added. `None` if no image takes part.
///
/// `f_k` (`[batch, n]`) is the subspace as [`Geometry::prepare`] returns it.
///
/// # Errors
/// If shapes do not fit.
pub fn attribute_loss(
    geometry: &Geometry,
    f_k: &Tensor,
    proxies: ValueProxies<'_>,
    shown: Option<&AttributeLabels>,
    absent: Option<&AttributeLabels>,
) -> Result<Option<Tensor>> {
    if shown.is_none() && absent.is_none() {
        return Ok(None);
    }
    let all = match proxies.absent {
        Some(absent) => Tensor::cat(&[proxies.values, absent], 0)?,
        None => proxies.values.clone(),
    };
    let logits = geometry.logits(f_k, &geometry.prepare(&all, 1)?, 1)?;
    // Two means, not one: most attributes are absent from most images, which would drown the values in a mean over all images.
    let means = [(shown, proxies.soft_labels), (absent, None)]
        .map(|(labels, soft)| labels.map(|l| l.cross_entropy(&logits, soft)).transpose());
    let means = means.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten();
    means.map(Ok::<_, Error>).reduce(|a, b| Ok((a? + b?)?)).transpose()
}

/// `[values, values]`: in row v the label of an image with value v of an ordered attribute, softmax over u of −|rank_v − rank_u| / τ (the
/// SORD of Diaz and Marathe 2019, with absolute differences). With it, the loss of Eq. 2 counts a near miss less than a far one.
///
/// # Errors
/// If the device fails.
pub fn soft_labels(values: usize, tau: f64, device: &Device) -> Result<Tensor> {
    let row = |v: usize| {
        let weights: Vec<f64> = (0..values).map(|u| (-(v.abs_diff(u) as f64) / tau).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(move |w| w / sum)
    };
    let labels: Vec<f64> = (0..values).flat_map(row).collect();
    Ok(Tensor::from_vec(labels, (values, values), device)?)
}

/// **Eq. 3**, the order regulariser: `‖S − P‖` (the Frobenius norm, not squared), where S are the cosine similarities of the value proxies
/// (`[V, n]`) and P is `target` (`[V, V]`, see [`rank_similarities`]).
///
/// # Errors
/// If shapes do not fit.
pub fn order_regularizer(proxies: &Tensor, target: &Tensor) -> Result<Tensor> {
    let unit = unit_rows(proxies)?;
    Ok((unit.matmul(&unit.t()?)? - target)?.sqr()?.sum_all()?.sqrt()?)
}

/// **Eq. 4**, the similarities that the order regulariser aims at, `[values, values]`: exp(−(rank_v − rank_u)² / 2σ²).
///
/// # Errors
/// If the device fails.
pub fn rank_similarities(values: usize, sigma: f64, device: &Device) -> Result<Tensor> {
    let gap = |i: usize| (i / values) as f64 - (i % values) as f64;
    let p: Vec<f64> = (0..values * values).map(|i| (-gap(i).powi(2) / (2.0 * sigma * sigma)).exp()).collect();
    Ok(Tensor::from_vec(p, (values, values), device)?)
}

/// **Eq. 5**, the category loss: mean over the batch of the cross-entropy of softmax over `-D(f, c_y)`, y over the categories.
///
/// The category proxy c_y is the mean of the instance proxies of category y, recomputed in each step and with gradient: categories have no
/// parameters of their own, only the instance proxies learn. `f` (`[batch, N]`) and `instance_proxies` (`[P, N]`) are as
/// [`Geometry::prepare`] returns them; `categories` (`[batch]`) are rows of the means.
///
/// # Errors
/// If shapes do not fit.
pub fn category_loss(
    geometry: &Geometry,
    f: &Tensor,
    instance_proxies: &Tensor,
    means: &CategoryMeans,
    categories: &Tensor,
    subspaces: usize,
) -> Result<Tensor> {
    let category_proxies = geometry.prepare(&means.of(instance_proxies)?, subspaces)?;
    mean_cross_entropy(&geometry.logits(f, &category_proxies, subspaces)?, categories)
}

/// Averages the instance proxies of each category, with gradient: the c_y of Eq. 5.
#[derive(Debug, Clone)]
pub struct CategoryMeans {
    /// `[P]`: the category of each instance.
    categories: Tensor,
    /// `[C, 1]`: one over the number of instances of each category.
    shares: Tensor,
}

impl CategoryMeans {
    /// Means over instances whose categories (below `count`) are given, in the device and number type of `like`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(categories: &[u32], count: usize, like: &Tensor) -> Result<Self> {
        let mut sizes = vec![0usize; count];
        categories.iter().for_each(|&c| sizes[c as usize] += 1);
        let shares: Vec<f64> = sizes.iter().map(|&s| 1.0 / s.max(1) as f64).collect();
        Ok(Self {
            categories: Tensor::new(categories, like.device())?,
            shares: Tensor::from_vec(shares, (count, 1), like.device())?.to_dtype(like.dtype())?,
        })
    }

    /// Instance proxies `[P, N]` to category proxies `[C, N]`.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn of(&self, instance_proxies: &Tensor) -> Result<Tensor> {
        let shape = (self.shares.dim(0)?, instance_proxies.dim(1)?);
        let zeros = Tensor::zeros(shape, instance_proxies.dtype(), instance_proxies.device())?;
        Ok(zeros.index_add(&self.categories, instance_proxies, 0)?.broadcast_mul(&self.shares)?)
    }
}

/// The regulariser of **Eq. 7**: `‖f(x)‖²` of raw embeddings `f` (`[batch, N]`), summed over dimensions and averaged over the batch.
///
/// # Errors
/// If shapes do not fit.
pub fn squared_norm(f: &Tensor) -> Result<Tensor> {
    Ok((f.sqr()?.sum_all()? / f.dim(0)? as f64)?)
}

/// The mean over the batch of the cross-entropy of `logits` (`[batch, classes]`) and the right classes `target` (`[batch]`).
///
/// # Errors
/// If shapes do not fit.
pub fn mean_cross_entropy(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    Ok(cross_entropy(logits, target)?.mean_all()?)
}

/// The mean over the batch of the cross-entropy of `logits` (`[batch, classes]`) and labels of which the share `smoothing` is spread
/// evenly over all classes and the rest is on `target` (`[batch]`): torch's `cross_entropy(logits, target, label_smoothing=smoothing)`.
///
/// # Errors
/// If shapes do not fit.
pub fn smoothed_cross_entropy(logits: &Tensor, target: &Tensor, smoothing: f64) -> Result<Tensor> {
    let loss = mean_cross_entropy(logits, target)?;
    if smoothing == 0.0 {
        return Ok(loss);
    }
    let even = log_softmax(logits, 1)?.mean_all()?;
    Ok(((loss * (1.0 - smoothing))? - (even * smoothing)?)?)
}

/// `[batch]`: the cross-entropy of each row, `log Σ_z exp(logit_z) − logit_target`.
///
/// # Errors
/// If shapes do not fit.
fn cross_entropy(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    Ok(log_softmax(logits, 1)?.gather(&target.unsqueeze(1)?, 1)?.squeeze(1)?.neg()?)
}

impl LossWeights {
    /// `[V, V]`: the [`soft_labels`] of an attribute, in the device and number type of `like`; `None` if its labels are hard.
    ///
    /// # Errors
    /// If the device fails.
    pub fn soft_labels_of(&self, attribute: &AttributeShape, like: &Tensor) -> Result<Option<Tensor>> {
        if !attribute.ordered || self.ordinal == OrdinalLabels::Hard {
            return Ok(None);
        }
        let labels = soft_labels(attribute.values, self.ordinal_tau, like.device())?;
        Ok(Some(labels.to_dtype(like.dtype())?))
    }
}

impl AttributeLabels {
    /// The mean cross-entropy of `logits` (`[batch, classes]`) over the images that these labels name; with the [`soft_labels`]
    /// (`[V, V]`, for the first V classes) of their values, if given. The label of an image with several values is the mean of theirs.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn cross_entropy(&self, logits: &Tensor, soft_labels: Option<&Tensor>) -> Result<Tensor> {
        let labels = match (soft_labels, &self.shares_of_values) {
            (None, None) => None,
            (Some(soft), None) => Some(soft.index_select(&self.values, 0)?),
            (None, Some(shares)) => Some(shares.clone()),
            (Some(soft), Some(shares)) => Some(shares.matmul(soft)?),
        };
        let losses = match labels {
            None => cross_entropy(logits, &self.values)?,
            Some(labels) => {
                let labels = labels.pad_with_zeros(1, 0, logits.dim(1)? - labels.dim(1)?)?;
                (log_softmax(logits, 1)? * labels)?.sum(1)?.neg()?
            }
        };
        Ok((losses * &self.share)?.sum_all()?)
    }
}
