//! Shapes of feature maps, and how a kernel moves over them.

use super::layers::ConvSpec;

/// Shape of a feature map, whatever its memory layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapShape {
    /// Channels of an image.
    pub channels: usize,
    /// Number of images.
    pub batch: usize,
    /// Rows of a channel.
    pub height: usize,
    /// Columns of a channel.
    pub width: usize,
}

impl MapShape {
    /// The shape of the convolution's result for a map of this shape.
    pub fn after(self, conv: &ConvSpec) -> Self {
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

/// How a kernel moves over the rows and columns of a map. The layout decides which numbers of a pixel lie next to each other: with
/// channels last (inference) the channels of one image, with the batch last (training) the images of one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Input pixels between neighbouring output pixels.
    pub stride: usize,
    /// Rows of zeros above the first row.
    pub top: usize,
    /// Columns of zeros left of the first column.
    pub left: usize,
    /// Rows and columns of the input.
    pub input: [usize; 2],
    /// Rows and columns of the result.
    pub output: [usize; 2],
    /// Numbers of a pixel that lie next to each other.
    pub numbers: usize,
}

impl Window {
    /// The window of a convolution over maps of this shape; `numbers` of each pixel lie next to each other.
    pub fn new(conv: &ConvSpec, shape: MapShape, numbers: usize) -> Self {
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
