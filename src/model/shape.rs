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

/// How a kernel moves over the rows and columns of a map whose pixels each have some numbers next to each other: an image's
/// channels, or a channel's images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Step between output pixels.
    pub stride: usize,
    /// Zeros over the first row.
    pub top: usize,
    /// Zeros left of the first column.
    pub left: usize,
    /// Rows and columns under the kernel.
    pub input: [usize; 2],
    /// Rows and columns of the result.
    pub output: [usize; 2],
    /// Numbers of a pixel.
    pub numbers: usize,
}

impl Window {
    /// Of a convolution over maps of this shape, with so many numbers next to each other.
    pub fn new(conv: &Conv, shape: MapShape, numbers: usize) -> Self {
        let (top, height) = conv.padding.before_and_output(shape.height, conv.kernel, conv.stride);
        let (left, width) = conv.padding.before_and_output(shape.width, conv.kernel, conv.stride);
        Self {
            kernel: conv.kernel,
            stride: conv.stride,
            top,
            left,
            input: [shape.height, shape.width],
            output: [height, width],
            numbers,
        }
    }
}
