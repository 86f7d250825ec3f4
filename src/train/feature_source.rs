//! Where a batch's features come from: a matrix of frozen features, or a backbone that learns.

use super::optimizer::Parameter;
use crate::error::Result;
use crate::model::Tensors;
use candle_core::Tensor;
use rand::rngs::StdRng;
use rand::Rng;

/// Gives the features of training images, batch by batch.
pub trait FeatureSource {
    /// F, the length of a feature vector.
    fn features(&self) -> usize;

    /// What learns here; empty if features are frozen.
    fn parameters(&self) -> Vec<Parameter>;

    /// Announces the images of an epoch (counted from 0) in the order in which [`FeatureSource::batch`] will ask for them, so
    /// that loading can run ahead.
    ///
    /// # Errors
    /// What keeps an epoch from starting.
    fn begin_epoch(&mut self, epoch: usize, order: &[u32]) -> Result<()>;

    /// Features `[batch, F]` of some training images, with gradient where something learns; `rng` picks views.
    ///
    /// # Errors
    /// Those of reading images, and of the device.
    fn batch(&mut self, images: &[u32], rng: &mut StdRng) -> Result<Tensor>;

    /// Features `[batch, F]` of images as retrieval will see them: no random views, running statistics.
    ///
    /// # Errors
    /// Those of reading images, and of the device.
    fn plain(&mut self, images: &[u32]) -> Result<Tensor>;

    /// What a checkpoint has to hold beside the parameters: running statistics, by name.
    ///
    /// # Errors
    /// If the device refuses.
    fn state(&self) -> Result<Tensors> {
        Ok(Tensors::new())
    }

    /// Goes on from what [`FeatureSource::state`] gave.
    ///
    /// # Errors
    /// If it does not fit.
    fn restore(&mut self, _state: &Tensors) -> Result<()> {
        Ok(())
    }
}

/// Rows of a matrix, mirrored half of the time if there is a second one.
#[derive(Debug, Clone)]
pub struct FrozenFeatures {
    plain: Tensor,
    flipped: Option<Tensor>,
}

impl FrozenFeatures {
    /// Features `[images, F]` of the training set's images and, with flips, those of their mirror images.
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

    fn batch(&mut self, images: &[u32], rng: &mut StdRng) -> Result<Tensor> {
        let plain = self.plain(images)?;
        let Some(flipped) = &self.flipped else { return Ok(plain) };
        let index = Tensor::new(images, plain.device())?;
        let mirror: Vec<u8> = images.iter().map(|_| rng.random_range(0..2)).collect();
        let mirror = Tensor::new(mirror, plain.device())?.unsqueeze(1)?.broadcast_as(plain.shape())?;
        Ok(mirror.where_cond(&flipped.index_select(&index, 0)?, &plain)?)
    }

    fn plain(&mut self, images: &[u32]) -> Result<Tensor> {
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
    fn rows_are_those_of_one_view_or_the_other() {
        let plain = Tensor::arange(0f32, 12.0, &Device::Cpu).unwrap().reshape((4, 3)).unwrap();
        let flipped = plain.neg().unwrap();
        let mut source = FrozenFeatures::new(plain, Some(flipped));
        let mut rng = StdRng::seed_from_u64(1);
        let mut mirrored = 0;
        for _ in 0..50 {
            let rows: Vec<Vec<f32>> = source.batch(&[3, 1], &mut rng).unwrap().to_vec2().unwrap();
            for (row, want) in rows.iter().zip([[9.0, 10.0, 11.0], [3.0, 4.0, 5.0]]) {
                mirrored += usize::from(row[0] < 0.0);
                assert_eq!(row.iter().map(|x| x.abs()).collect::<Vec<_>>(), want);
            }
        }
        assert!((30..70).contains(&mirrored), "{mirrored} of 100");
        assert_eq!(source.plain(&[2]).unwrap().to_vec2::<f32>().unwrap(), [[6.0, 7.0, 8.0]]);
        assert_eq!((source.features(), source.parameters().len()), (3, 0));
    }
}
