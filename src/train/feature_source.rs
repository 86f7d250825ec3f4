//! Where the features of a batch come from: the interface, and precomputed features of a frozen backbone.

use super::feature_scaling::FeatureScaling;
use super::optimizer::Parameter;
use crate::error::Result;
use crate::model::Tensors;
use candle_core::{Device, Tensor};
use rand::rngs::StdRng;
use rand::Rng;
use std::ops::Range;

/// Supplies the features of training images, batch by batch.
pub trait FeatureSource {
    /// F, the length of a feature vector.
    fn features(&self) -> usize;

    /// The parameters of the backbone; empty if it is frozen.
    fn parameters(&self) -> Vec<Parameter>;

    /// Starts an epoch (counted from 0). `order` lists the images in the order in which [`FeatureSource::training_batch`] will ask for
    /// them, so that images can be loaded ahead.
    ///
    /// # Errors
    /// If the epoch cannot start.
    fn begin_epoch(&mut self, epoch: usize, order: &[u32]) -> Result<()>;

    /// Features `[batch, F]` of augmented training images, with gradient if the backbone learns; `rng` is for the augmentation.
    ///
    /// # Errors
    /// Those of reading images, and of the device.
    fn training_batch(&mut self, images: &[u32], rng: &mut StdRng) -> Result<Tensor>;

    /// Features `[batch, F]` of images as in retrieval: not augmented, batch normalisation by running statistics.
    ///
    /// # Errors
    /// Those of reading images, and of the device.
    fn evaluation_batch(&mut self, images: &[u32]) -> Result<Tensor>;

    /// The state that a checkpoint stores beside the parameters: running statistics, by name.
    ///
    /// # Errors
    /// If the device fails.
    fn state(&self) -> Result<Tensors> {
        Ok(Tensors::new())
    }

    /// Restores what [`FeatureSource::state`] returned.
    ///
    /// # Errors
    /// If the state does not fit.
    fn restore(&mut self, _state: &Tensors) -> Result<()> {
        Ok(())
    }

    /// The tensors of the backbone under their published names, in main memory; `None` if none of it learns.
    ///
    /// # Errors
    /// If the device fails.
    fn backbone(&self) -> Result<Option<Tensors>> {
        Ok(None)
    }
}

/// Features of several views of the same images. View 0 is plain: the image as retrieval sees it.
#[derive(Debug, Clone)]
pub struct ViewFeatures {
    /// `[views * images, F]`: row `v * images + i` is view v of image i.
    rows: Tensor,
    images: usize,
    /// The views that training draws from.
    drawn: Range<usize>,
}

impl ViewFeatures {
    /// From features `[images, F]` of the training images and, optionally, of the mirrored images: each image is mirrored half of the time.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn new(plain: Tensor, flipped: Option<Tensor>) -> Result<Self> {
        match flipped {
            Some(flipped) => Self::of_views(&[plain, flipped], 0..2),
            None => Self::of_views(&[plain], 0..1),
        }
    }

    /// From features `[images, F]` of each view, the plain one first; training draws from the views `drawn`.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn of_views(views: &[Tensor], drawn: Range<usize>) -> Result<Self> {
        let rows = if let [one] = views { one.clone() } else { Tensor::cat(views, 0)? };
        Ok(Self { images: rows.dim(0)? / views.len(), rows, drawn })
    }

    /// The number of images.
    pub fn images(&self) -> usize {
        self.images
    }

    /// The same, from which training only draws the plain view.
    pub fn plain(self) -> Self {
        Self { drawn: 0..1, ..self }
    }

    /// F, the length of a feature vector.
    pub fn features(&self) -> usize {
        self.rows.dims().last().copied().unwrap_or_default()
    }

    /// The features with a scaling applied.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn scaled(&self, scaling: &FeatureScaling) -> Result<Self> {
        Ok(Self { rows: scaling.apply(&self.rows)?, ..self.clone() })
    }

    /// The features on another device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        Ok(Self { rows: self.rows.to_device(device)?, ..self.clone() })
    }

    /// Draws a view of each image; returns row numbers.
    pub fn draw(&self, images: &[u32], rng: &mut StdRng) -> Vec<u32> {
        if self.drawn.len() < 2 {
            return images.iter().map(|&i| (self.drawn.start * self.images) as u32 + i).collect();
        }
        let views = self.drawn.start as u8..self.drawn.end as u8;
        images.iter().map(|&i| u32::from(rng.random_range(views.clone())) * self.images as u32 + i).collect()
    }

    /// `[rows, F]`: the features of these rows.
    ///
    /// # Errors
    /// If the device fails.
    pub fn rows(&self, rows: &[u32]) -> Result<Tensor> {
        Ok(self.rows.index_select(&Tensor::new(rows, self.rows.device())?, 0)?)
    }
}

/// Precomputed features of a frozen backbone.
#[derive(Debug, Clone)]
pub struct FrozenFeatures {
    features: ViewFeatures,
    /// Per image of the training, its number in `features`.
    images: Vec<u32>,
}

impl FrozenFeatures {
    /// Features as training uses them, scaled if they are to be; `images` are the numbers of the training's images in them.
    pub fn new(features: ViewFeatures, images: Vec<u32>) -> Self {
        Self { features, images }
    }

    /// The training's images are all those of `features`.
    pub fn all(features: ViewFeatures) -> Self {
        let images = (0..features.images() as u32).collect();
        Self { features, images }
    }
}

impl FeatureSource for FrozenFeatures {
    fn features(&self) -> usize {
        self.features.features()
    }

    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    fn begin_epoch(&mut self, _epoch: usize, _order: &[u32]) -> Result<()> {
        Ok(())
    }

    fn training_batch(&mut self, images: &[u32], rng: &mut StdRng) -> Result<Tensor> {
        self.features.rows(&self.features.draw(&pick(&self.images, images), rng))
    }

    fn evaluation_batch(&mut self, images: &[u32]) -> Result<Tensor> {
        self.features.rows(&pick(&self.images, images))
    }
}

/// The entries of a list at some positions.
pub(super) fn pick(list: &[u32], positions: &[u32]) -> Vec<u32> {
    positions.iter().map(|&i| list[i as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn rows_come_from_the_plain_or_the_mirrored_features() {
        let plain = Tensor::arange(0f32, 12.0, &Device::Cpu).unwrap().reshape((4, 3)).unwrap();
        let flipped = plain.neg().unwrap();
        let mut source = FrozenFeatures::all(ViewFeatures::new(plain, Some(flipped)).unwrap());
        let mut rng = StdRng::seed_from_u64(1);
        let mut mirrored = 0;
        for _ in 0..50 {
            let rows: Vec<Vec<f32>> = source.training_batch(&[3, 1], &mut rng).unwrap().to_vec2().unwrap();
            for (row, want) in rows.iter().zip([[9.0, 10.0, 11.0], [3.0, 4.0, 5.0]]) {
                mirrored += usize::from(row[0] < 0.0);
                assert_eq!(row.iter().map(|x| x.abs()).collect::<Vec<_>>(), want);
            }
        }
        assert!((30..70).contains(&mirrored), "{mirrored} of 100");
        assert_eq!(source.evaluation_batch(&[2]).unwrap().to_vec2::<f32>().unwrap(), [[6.0, 7.0, 8.0]]);
        assert_eq!((source.features(), source.parameters().len()), (3, 0));
    }
}
