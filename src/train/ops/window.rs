//! Which numbers of a batch-last channel a kernel's taps see.

pub use crate::model::shape::Window;

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

/// Over a channel `[height, width, batch]`: a pixel's numbers are those of the images.
impl Window {
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
        self.output[1] * self.numbers
    }

    /// Numbers of a channel of the result.
    pub fn output_len(&self) -> usize {
        self.output[0] * self.line()
    }

    /// Numbers of a channel under the kernel.
    pub fn input_len(&self) -> usize {
        self.input[0] * self.input[1] * self.numbers
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
            ((y * self.output[1] + first) * self.numbers, (row * width + column) * self.numbers);
        if self.stride == 1 {
            visit(Run { output, input, length: (end - first) * self.numbers });
            return;
        }
        for i in 0..end - first {
            visit(Run {
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
    fn taps_see_runs_of_pixels_and_nothing_outside() {
        let same =
            Window { kernel: 3, stride: 1, top: 1, left: 1, input: [2, 4], output: [2, 4], numbers: 10 };
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
