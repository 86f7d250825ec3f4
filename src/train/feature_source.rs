//! Where the features of a batch come from: the interface, and precomputed features of a frozen backbone.

use super::optimizer::Parameter;
use crate::error::Result;
use crate::model::Tensors;
use candle_core::Tensor;
use rand::rngs::StdRng;
use rand::Rng;

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
}

/// Precomputed features of a frozen backbone. If there are features of the mirrored images too, each image is mirrored half of the time.
#[derive(Debug, Clone)]
pub struct FrozenFeatures {
    plain: Tensor,
    flipped: Option<Tensor>,
}

impl FrozenFeatures {
    /// From features `[images, F]` of the training images and, optionally, of the mirrored images.
    pub fn new(plain: Tensor, flipped: Option<Tensor>) -> Self {
        Self { plain, flipped }
    }
}

impl FeatureSource for FrozenFeatures {
    fn features(&self) -> usize {
        self.plain.dims().last().copied().unwrap_or_default()
    }

    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    fn begin_epoch(&mut self, _epoch: usize, _order: &[u32]) -> Result<()> {
        Ok(())
    }

    fn training_batch(&mut self, images: &[u32], rng: &mut StdRng) -> Result<Tensor> {
        let plain = self.evaluation_batch(images)?;
        let Some(flipped) = &self.flipped else { return Ok(plain) };
        let index = Tensor::new(images, plain.device())?;
        let mirror: Vec<u8> = images.iter().map(|_| rng.random_range(0..2)).collect();
        let mirror = Tensor::new(mirror, plain.device())?.unsqueeze(1)?.broadcast_as(plain.shape())?;
        Ok(mirror.where_cond(&flipped.index_select(&index, 0)?, &plain)?)
    }

    fn evaluation_batch(&mut self, images: &[u32]) -> Result<Tensor> {
        let index = Tensor::new(images, self.plain.device())?;
        Ok(self.plain.index_select(&index, 0)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use rand::SeedableRng;

    #[test]
    fn rows_come_from_the_plain_or_the_mirrored_features() {
        let plain = Tensor::arange(0f32, 12.0, &Device::Cpu).unwrap().reshape((4, 3)).unwrap();
        let flipped = plain.neg().unwrap();
        let mut source = FrozenFeatures::new(plain, Some(flipped));
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
