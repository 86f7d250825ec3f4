//! A model's settings for turning pixels into network input.

use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

/// How pixels become network input; part of a model's config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Height and width of the network's input in pixels; images are squashed to it.
    pub size: u32,
    /// Mean of red, green and blue, each in [0, 1]; subtracted first.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue; the divisor.
    pub std: [f32; 3],
}

impl Preprocessing {
    /// The mean and standard deviation of ImageNet, at an input size.
    pub fn imagenet(size: u32) -> Self {
        Self { size, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
    }

    /// Bytes of one prepared image: `[size, size, 3]`, 8 bits each.
    pub fn pixel_bytes(&self) -> usize {
        self.size as usize * self.size as usize * 3
    }

    /// Checks the values, which come from a config file.
    ///
    /// # Errors
    /// [`Kind::InvalidModel`] for a size outside 8 to 1024, and for a mean or standard deviation that is not finite or not positive.
    pub fn check(&self) -> Result<()> {
        let sane = (8..=1024).contains(&self.size)
            && self.mean.iter().all(|m| m.is_finite())
            && self.std.iter().all(|s| s.is_finite() && *s > 0.0);
        if sane {
            return Ok(());
        }
        Err(Error::new(
            Kind::InvalidModel,
            format!("preprocessing needs a size of 8 to 1024 and finite mean and std, found {self:?}"),
        ))
    }
}
