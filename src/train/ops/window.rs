//! Which numbers of a batch-last channel a kernel's taps see.

use crate::model::arch::Conv;
use crate::model::shape::MapShape;

/// How a kernel moves over one channel `[height, width, batch]`.
#[derive(Debug, Clone, Copy)]
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
    /// Images.
    pub batch: usize,
}

/// Numbers next to each other in the result and those that a tap sees for them, as offsets within their channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// First number of the result.
    pub output: usize,
    /// First number under the tap.
    pub input: usize,
    /// How many.
    pub length: usize,
}

impl Window {
    /// Of a convolution over maps of this shape.
    pub fn new(conv: &Conv, shape: MapShape) -> Self {
        let (top, height) = conv.padding.before_and_output(shape.height, conv.kernel, conv.stride);
        let (left, width) = conv.padding.before_and_output(shape.width, conv.kernel, conv.stride);
        Self {
            kernel: conv.kernel,
            stride: conv.stride,
            top,
            left,
            input: [shape.height, shape.width],
            output: [height, width],
            batch: shape.batch,
        }
    }

    /// With stride 1, the window by which gradients go back: over the result, by the mirrored kernel.
    pub fn reversed(self) -> Self {
        let back = self.kernel - 1;
        Self { top: back - self.top, left: back - self.left, input: self.output, output: self.input, ..self }
    }

    /// Taps of the kernel.
    pub fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Numbers of a row of the result.
    pub fn line(&self) -> usize {
        self.output[1] * self.batch
    }

    /// Numbers of a channel of the result.
    pub fn output_len(&self) -> usize {
        self.output[0] * self.line()
    }

    /// Numbers of a channel under the kernel.
    pub fn input_len(&self) -> usize {
        self.input[0] * self.input[1] * self.batch
    }

    /// Whether a tap sees for each pixel of the result just that pixel.
    pub fn is_identity(&self) -> bool {
        self.kernel == 1 && self.stride == 1
    }

    /// Calls `visit` with the runs of row `y` of the result that see a pixel through tap (ky, kx), left to right.
    #[inline]
    pub fn runs(&self, y: usize, tap: usize, mut visit: impl FnMut(Run)) {
        let (ky, kx) = (tap / self.kernel, tap % self.kernel);
        let Some(row) = (y * self.stride + ky).checked_sub(self.top).filter(|row| *row < self.input[0])
        else {
            return;
        };
        let (left, width) = (self.left, self.input[1]);
        let first = left.saturating_sub(kx).div_ceil(self.stride);
        let end = (width + left).saturating_sub(kx).div_ceil(self.stride).min(self.output[1]);
        if first >= end {
            return;
        }
        let column = first * self.stride + kx - left;
        let (output, input) =
            ((y * self.output[1] + first) * self.batch, (row * width + column) * self.batch);
        if self.stride == 1 {
            visit(Run { output, input, length: (end - first) * self.batch });
            return;
        }
        for i in 0..end - first {
            visit(Run {
                output: output + i * self.batch,
                input: input + i * self.stride * self.batch,
                length: self.batch,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(window: &Window, y: usize, tap: usize) -> Vec<[usize; 3]> {
        let mut all = Vec::new();
        window.runs(y, tap, |r| all.push([r.output, r.input, r.length]));
        all
    }

    #[test]
    fn taps_see_runs_of_pixels_and_nothing_outside() {
        let same = Window { kernel: 3, stride: 1, top: 1, left: 1, input: [2, 4], output: [2, 4], batch: 10 };
        assert_eq!(runs(&same, 0, 0), [[0; 3]; 0]); // above the first row
        assert_eq!(runs(&same, 0, 4), [[0, 0, 40]]);
        assert_eq!(runs(&same, 1, 0), [[50, 0, 30]]);
        assert_eq!(runs(&same, 0, 8), [[0, 50, 30]]);
        assert_eq!(runs(&same, 1, 7), [[0; 3]; 0]); // under the last
        let half = Window { stride: 2, output: [1, 2], ..same };
        assert_eq!(runs(&half, 0, 3), [[10, 10, 10]]);
        assert_eq!(runs(&half, 0, 5), [[0, 10, 10], [10, 30, 10]]);
    }
}
