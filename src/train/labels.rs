//! The labels of a batch as tensors, in the form that the losses need.

use crate::data::manifest::ValueSet;
use crate::error::Result;
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// The label of an image that shows several values of an attribute, in the attribute's loss (Eq. 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum MultiLabels {
    /// All its values, each with the same share
    #[default]
    Uniform,
    /// One of them at a time, drawn anew in each step
    Sampled,
}

/// The labels of a batch.
#[derive(Debug, Clone)]
pub struct BatchLabels {
    /// `[batch]`: each image's instance, a row of the instance proxies.
    pub instances: Tensor,
    /// `[batch]`: each image's category, a row of the category proxies.
    pub categories: Tensor,
    /// Per attribute, the images with a value; `None` if no image of the batch has one.
    pub attributes: Vec<Option<AttributeLabels>>,
    /// Beyond the paper: per attribute, the images without a value, labelled with the absent proxy (the row after those of the values);
    /// `None` if every image of the batch has a value. Empty if there are no absent proxies.
    pub absences: Vec<Option<AttributeLabels>>,
}

/// Which images of a batch take part in the loss of one attribute, and with which label.
#[derive(Debug, Clone)]
pub struct AttributeLabels {
    /// `[batch]`: rows of the attribute's proxies; any valid row for images that do not take part.
    pub values: Tensor,
    /// `[batch, V]`: the share of each of the V values in the label of an image; `None` where each image has one value at most, so that
    /// `values` says it all.
    pub shares_of_values: Option<Tensor>,
    /// `[batch]`: the weight of each image in the mean: 1/m for the m images that take part, 0 for the others.
    pub share: Tensor,
}

impl AttributeLabels {
    /// Labels from one optional row per image; `None` if no image has one. `like` gives device and number type.
    ///
    /// # Errors
    /// If the device fails.
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
            shares_of_values: None,
            share: Tensor::new(shares, like.device())?.to_dtype(like.dtype())?,
        }))
    }

    /// Labels from the values of each image, of V = `count`: each of an image's values has the same share. `None` if no image has a value.
    ///
    /// # Errors
    /// If the device fails.
    pub fn of_sets(sets: &[&ValueSet], count: usize, like: &Tensor) -> Result<Option<Self>> {
        let first: Vec<Option<u32>> = sets.iter().map(|set| set.iter().next()).collect();
        let labels = Self::new(&first, like)?;
        if sets.iter().all(|set| set.len() <= 1) {
            return Ok(labels);
        }
        let mut shares = vec![0f64; sets.len() * count];
        for (row, set) in shares.chunks_exact_mut(count).zip(sets) {
            set.iter().for_each(|value| row[value as usize] = 1.0 / set.len() as f64);
        }
        let shares = Tensor::from_vec(shares, (sets.len(), count), like.device())?.to_dtype(like.dtype())?;
        Ok(labels.map(|labels| Self { shares_of_values: Some(shares), ..labels }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::losses::soft_labels;
    use candle_core::{Device, Var};

    const LOSS: f64 = 1.120189489123015;
    const SOFT_LOSS: f64 = 1.438101825548643;
    const GRADIENT: [[f64; 4]; 3] = [
        [-0.013004576872960999, 0.08718574382016463, -0.21792615728532133, 0.14374499033811766],
        [0.04129726972176768, -0.19485215729318844, 0.112257617849653, 0.04129726972176768],
        [0.0, 0.0, 0.0, 0.0],
    ];

    fn sets(values: &[&[u32]]) -> Vec<ValueSet> {
        values.iter().map(|values| values.iter().copied().collect()).collect()
    }

    /// ```text
    /// import numpy as np
    /// l = np.array([[1, 0, -1, .5], [0, 2, 1, 0], [.3, .3, .3, .3]])
    /// y = np.array([[.5, 0, .5, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    /// p = l - np.log(np.exp(l).sum(1, keepdims=True))
    /// print(-(y * p).sum() / 2, ((np.exp(p) - y) * [[.5], [.5], [0]]).tolist())
    /// s = np.exp(-np.abs(np.subtract.outer(np.arange(3), np.arange(3)))); s /= s.sum(1, keepdims=True)
    /// print(-(np.pad(y[:, :3] @ s, ((0, 0), (0, 1))) * p).sum() / 2)
    /// ```
    #[test]
    fn the_loss_of_several_values_and_its_gradient_agree_with_numpy() {
        let logits = [[1.0f64, 0.0, -1.0, 0.5], [0.0, 2.0, 1.0, 0.0], [0.3, 0.3, 0.3, 0.3]];
        let logits = Var::new(&logits, &Device::Cpu).unwrap();
        // Three values; the fourth class is that of images without one. The third image takes no part.
        let sets = sets(&[&[0, 2], &[1], &[]]);
        let labels = AttributeLabels::of_sets(&sets.iter().collect::<Vec<_>>(), 3, &logits).unwrap().unwrap();
        let loss = labels.cross_entropy(&logits, None).unwrap();
        assert!((loss.to_scalar::<f64>().unwrap() - LOSS).abs() < 1e-12, "{loss}");
        let gradient = loss.backward().unwrap().get(&logits).unwrap().to_vec2::<f64>().unwrap();
        for (got, want) in gradient.iter().flatten().zip(GRADIENT.iter().flatten()) {
            assert!((got - want).abs() < 1e-12, "{gradient:?}");
        }
        let soft = soft_labels(3, 1.0, &Device::Cpu).unwrap();
        let loss = labels.cross_entropy(&logits, Some(&soft)).unwrap();
        assert!((loss.to_scalar::<f64>().unwrap() - SOFT_LOSS).abs() < 1e-12, "{loss}");
    }

    #[test]
    fn a_batch_of_single_values_needs_no_shares() {
        let like = Var::new(&[0.0f32], &Device::Cpu).unwrap();
        let several = |values: &[&[u32]]| {
            let sets = sets(values);
            let labels = AttributeLabels::of_sets(&sets.iter().collect::<Vec<_>>(), 3, &like).unwrap();
            labels.map(|labels| labels.shares_of_values.is_some())
        };
        assert_eq!(several(&[&[0], &[], &[2]]), Some(false));
        assert_eq!(several(&[&[0], &[1, 2]]), Some(true));
        assert_eq!(several(&[&[], &[]]), None);
    }
}
