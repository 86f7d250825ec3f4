//! The components of a JPEG: their coefficients, and samples from these, a row of MCUs at a time.

use super::bits::Damage;
use super::kernels;
use super::markers::Frame;
use crate::error::Result;
use crate::memory;

/// A colour component: its coefficients, and the samples of the last two rows of MCUs.
pub(super) struct Plane {
    /// Blocks in an MCU: across, down.
    pub(super) sampling: (usize, usize),
    /// Size in samples.
    pub(super) width: usize,
    pub(super) height: usize,
    /// Blocks in a row of `coefficients`, in whole MCUs.
    pub(super) blocks_per_row: usize,
    /// Blocks in natural order: those of one row of MCUs, or of all.
    pub(super) coefficients: Vec<[i16; 64]>,
    /// The quantisation table as it was at the component's first scan, in natural order.
    pub(super) quantisation: Option<[u16; 64]>,
    /// How many times the image is larger: across, down.
    ratio: (usize, usize),
    /// Row `y` of samples is row `y` modulo `RING * 8 * sampling.1` here.
    samples: Vec<u8>,
    /// A row of the image's width, and sums for it.
    upsampled: Vec<u8>,
    sums: Vec<u16>,
}

/// Rows of MCUs whose samples are kept: upsampling needs the last row above and the first row below.
const RING: usize = 2;

impl Plane {
    /// One for each component of a frame, with the coefficients of all MCUs or of one row of them.
    pub(super) fn of_frame(frame: &Frame, mcus: (usize, usize), buffered: bool) -> Result<Vec<Self>> {
        let (widest, tallest) = frame.max_sampling();
        let mut planes = Vec::with_capacity(frame.components.len());
        for component in &frame.components {
            let (h, v) = component.sampling;
            let blocks_per_row = mcus.0 * h as usize;
            let rows = v as usize * if buffered { mcus.1 } else { 1 };
            let width = (u64::from(frame.width) * h).div_ceil(widest) as usize;
            let ratio = ((widest / h) as usize, (tallest / v) as usize);
            planes.push(Self {
                sampling: (h as usize, v as usize),
                width,
                height: (u64::from(frame.height) * v).div_ceil(tallest) as usize,
                blocks_per_row,
                coefficients: memory::filled([0; 64], blocks_per_row * rows)?,
                quantisation: None,
                ratio,
                samples: memory::filled(0, blocks_per_row * 8 * RING * 8 * v as usize)?,
                upsampled: memory::filled(0, width * ratio.0)?,
                sums: memory::filled(0, if ratio == (2, 2) { width } else { 0 })?,
            });
        }
        Ok(planes)
    }

    /// Rows of the image below a row that it depends on.
    pub(super) fn context(&self) -> usize {
        if self.ratio.1 == 2 && self.ratio.0 <= 2 {
            2
        } else {
            0
        }
    }

    /// Computes the samples of a row of MCUs from its coefficients, which begin at block `first`.
    pub(super) fn compute_samples(
        &mut self,
        mcu_row: usize,
        first: usize,
    ) -> std::result::Result<(), Damage> {
        let quantisation = self.quantisation.as_ref().ok_or("a component has no scan")?;
        let stride = self.blocks_per_row * 8;
        for row in 0..self.sampling.1 {
            let blocks = &self.coefficients[first + row * self.blocks_per_row..][..self.blocks_per_row];
            let at = (mcu_row % RING * self.sampling.1 + row) * 8 * stride;
            kernels::inverse_dct(blocks, quantisation, &mut self.samples[at..at + 8 * stride], stride);
        }
        Ok(())
    }

    /// Upsamples the component's row for row `y` of the image, and returns it.
    pub(super) fn row(&mut self, y: usize) -> &[u8] {
        let stride = self.blocks_per_row * 8;
        let ring_rows = RING * 8 * self.sampling.1;
        let own = y / self.ratio.1;
        let start = |row: usize| row % ring_rows * stride;
        let near = &self.samples[start(own)..][..self.width];
        // The farther row for a ratio of two: above for even rows, below for odd ones.
        let far = if y.is_multiple_of(2) { own.saturating_sub(1) } else { (own + 1).min(self.height - 1) };
        let far = &self.samples[start(far)..][..self.width];
        match self.ratio {
            (1, 1) => return near,
            (2, 1) if self.width > 2 => kernels::upsample_row(near, &mut self.upsampled),
            (2, 2) if self.width > 2 => {
                kernels::upsample_rows(near, far, &mut self.sums, &mut self.upsampled)
            }
            (1, 2) => {
                let rounding = if y.is_multiple_of(2) { 1 } else { 2 };
                kernels::upsample_column(near, far, rounding, &mut self.upsampled);
            }
            (across, _) => {
                for (out, sample) in self.upsampled.chunks_exact_mut(across).zip(near) {
                    out.fill(*sample);
                }
            }
        }
        &self.upsampled
    }
}
