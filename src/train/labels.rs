//! The labels of a batch as tensors, in the form that the losses need.

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
            share: Tensor::new(shares, like.device())?.to_dtype(like.dtype())?,
        }))
    }
}
