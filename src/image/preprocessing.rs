//! What a model's config says about pixels.

use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

/// How pixels become network input; part of a model's config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Height and width of the network's input in pixels; images are squashed to it.
    pub size: u32,
    /// Subtracted from each of red, green and blue in [0, 1].
    pub mean: [f32; 3],
    /// What each is divided by after that.
    pub std: [f32; 3],
}

impl Preprocessing {
    /// ImageNet's mean and standard deviation.
    pub fn imagenet(size: u32) -> Self {
        Self { size, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
    }

    /// Bytes of one prepared image: `[size, size, 3]`, 8 bits each.
    pub fn pixel_bytes(&self) -> usize {
        self.size as usize * self.size as usize * 3
    }

    /// Fails if the numbers cannot be used.
    ///
    /// # Errors
    /// [`Kind::InvalidModel`].
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
