//! The labels of a batch as tensors, in the form that the losses need.

use crate::data::manifest::ValueSet;
use crate::error::Result;
use candle_core::Tensor;

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
