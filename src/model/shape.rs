//! Shapes of feature maps.

use super::arch::Conv;

/// Shape of a feature map, whatever the order in which its numbers lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapShape {
    /// Channels of an image.
    pub channels: usize,
    /// Images.
    pub batch: usize,
    /// Rows of a channel.
    pub height: usize,
    /// Columns of a channel.
    pub width: usize,
}

impl MapShape {
    /// What the convolution makes of a map of this shape.
    pub fn after(self, conv: &Conv) -> Self {
        let axis = |size| conv.padding.before_and_output(size, conv.kernel, conv.stride).1;
        Self { channels: conv.outputs, height: axis(self.height), width: axis(self.width), ..self }
    }

    /// Pixels of one channel of one image.
    pub fn plane(self) -> usize {
        self.height * self.width
    }

    /// Pixels of all images.
    pub fn pixels(self) -> usize {
        self.batch * self.plane()
    }

    /// Numbers in the map.
    pub fn len(self) -> usize {
        self.channels * self.pixels()
    }
}
