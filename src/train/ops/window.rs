//! Which input numbers lie under each tap of a kernel, for batch-last channels.

pub use crate::model::map_shape::Window;

/// A run of consecutive numbers of the result, and the consecutive input numbers under one tap for them, as offsets within a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapRun {
    /// Offset of the first number of the result.
    pub output: usize,
    /// Offset of the first input number.
    pub input: usize,
    /// Length of the run.
    pub length: usize,
}

/// For a channel `[height, width, batch]`, where the numbers of a pixel are those of the images.
impl Window {
    /// For stride 1: the window of the gradient, which is a convolution of the result with the mirrored kernel.
    pub fn reversed(self) -> Self {
        let back = self.kernel - 1;
        Self { top: back - self.top, left: back - self.left, input: self.output, output: self.input, ..self }
    }

    /// The number of taps of the kernel.
    pub fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Numbers in a row of the result.
    pub fn line(&self) -> usize {
        self.output[1] * self.numbers
    }

    /// Numbers in a channel of the result.
    pub fn output_len(&self) -> usize {
        self.output[0] * self.line()
    }

    /// Numbers in a channel of the input.
    pub fn input_len(&self) -> usize {
        self.input[0] * self.input[1] * self.numbers
    }

    /// Whether the input of each output pixel is that pixel alone: a 1x1 kernel with stride 1.
    pub fn is_identity(&self) -> bool {
        self.kernel == 1 && self.stride == 1
    }

    /// Calls `visit` with the runs of row `y` of the result whose input under the tap lies inside of the map, from left to right.
    #[inline]
    pub fn runs(&self, y: usize, tap: usize, mut visit: impl FnMut(TapRun)) {
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
            ((y * self.output[1] + first) * self.numbers, (row * width + column) * self.numbers);
        if self.stride == 1 {
            visit(TapRun { output, input, length: (end - first) * self.numbers });
            return;
        }
        for i in 0..end - first {
            visit(TapRun {
                output: output + i * self.numbers,
                input: input + i * self.stride * self.numbers,
                length: self.numbers,
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
    fn runs_under_a_tap_stay_inside_of_the_map() {
        let same =
            Window { kernel: 3, stride: 1, top: 1, left: 1, input: [2, 4], output: [2, 4], numbers: 10 };
        assert_eq!(runs(&same, 0, 0), [[0; 3]; 0]); // above the first row
        assert_eq!(runs(&same, 0, 4), [[0, 0, 40]]);
        assert_eq!(runs(&same, 1, 0), [[50, 0, 30]]);
        assert_eq!(runs(&same, 0, 8), [[0, 50, 30]]);
        assert_eq!(runs(&same, 1, 7), [[0; 3]; 0]); // below the last row
        let half = Window { stride: 2, output: [1, 2], ..same };
        assert_eq!(runs(&half, 0, 3), [[10, 10, 10]]);
        assert_eq!(runs(&half, 0, 5), [[0, 10, 10], [10, 30, 10]]);
    }
}
