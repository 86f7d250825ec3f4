//! Trains a quantizer on a sample of the rows: k-means centres and per-dimension code ranges for each subspace.

use super::quantizer::{Quantizer, SubspaceQuantizer};
use crate::error::Result;
use crate::memory;
use crate::space::{squared_l2_f16_f32, Layout};
use half::f16;

/// The most rows that a quantizer is trained on.
const SAMPLE_ROWS: usize = 8192;
/// Iterations of Lloyd's algorithm.
const LLOYD_ITERATIONS: usize = 8;
/// The share of a dimension's residuals that may lie outside of the code range, on either side. Wider ranges make every step
/// coarser, narrower ones clamp more rows.
const CLAMPED_SHARE: f64 = 0.001;
/// The code range of a dimension that hardly varies in the sample is still this wide.
const MIN_RANGE: f32 = 1e-3;

/// A small generator of pseudo-random numbers (SplitMix64) with a fixed seed: the same rows always make the same index.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A whole number in `[0, limit)`; `limit` is positive.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// A number in `[0, 1)`.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A uniform sample of a stream of rows (reservoir sampling).
#[derive(Debug, Clone)]
pub struct Reservoir {
    layout: Layout,
    seen: usize,
    values: Vec<f16>,
    random: Random,
}

impl Reservoir {
    /// An empty sample of rows of this space.
    pub fn new(layout: Layout) -> Self {
        Self { layout, seen: 0, values: Vec::new(), random: Random(42) }
    }

    /// Offers a row of `[K·n]` numbers to the sample.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn push(&mut self, values: &[f16]) -> Result<()> {
        self.seen += 1;
        if self.seen <= SAMPLE_ROWS {
            return memory::extend(&mut self.values, values);
        }
        let at = self.random.below(self.seen);
        if at < SAMPLE_ROWS {
            let n = self.layout.dimensions();
            self.values[at * n..(at + 1) * n].copy_from_slice(values);
        }
        Ok(())
    }

    /// The space of the rows.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Trains a quantizer with `cells` cells per subspace on the sampled rows.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn train(&self, cells: usize) -> Result<Quantizer> {
        train_quantizer(self.layout, &self.values, cells)
    }
}

/// Trains a quantizer on `values`, `[rows, K·n]`. No rows at all give a quantizer of correct but loose bounds.
///
/// # Errors
/// [`crate::error::Kind::OutOfMemory`].
pub fn train_quantizer(layout: Layout, values: &[f16], cells: usize) -> Result<Quantizer> {
    let mut random = Random(7);
    let mut subspaces = memory::with_capacity(layout.subspaces())?;
    for k in 0..layout.subspaces() {
        let range = layout.range(k);
        let rows = values.chunks_exact(layout.dimensions()).map(|row| &row[range.clone()]);
        subspaces.push(train_subspace(layout.subspace_dim(), &memory::collect(rows)?, cells, &mut random)?);
    }
    Ok(Quantizer { layout, cells, subspaces })
}

fn train_subspace(n: usize, rows: &[&[f16]], cells: usize, random: &mut Random) -> Result<SubspaceQuantizer> {
    let centres = k_means(n, rows, cells, random)?;
    // `[n, rows]`. A row is written to all dimensions: the padding keeps them from lying a power of two apart, where they
    // would compete for the same cache lines.
    let stride = rows.len() + 16;
    let mut residuals: Vec<f32> = memory::filled(0.0, n * stride)?;
    for (r, row) in rows.iter().enumerate() {
        let (cell, _) = nearest(row, &centres);
        for (d, (x, c)) in row.iter().zip(&centres[cell * n..]).enumerate() {
            residuals[d * stride + r] = x.to_f32() - c;
        }
    }
    let (mut low, mut step) = (memory::with_capacity(n)?, memory::with_capacity(n)?);
    for d in 0..n {
        let (from, width) = code_range(&mut residuals[d * stride..][..rows.len()]);
        low.push(from);
        step.push(width);
    }
    // The mean squared error of a uniform quantizer is a twelfth of its squared step. The unit is far below the typical error,
    // and the largest code far above it.
    let typical = (step.iter().map(|s| s * s).sum::<f32>() / 12.0).sqrt();
    Ok(SubspaceQuantizer { centres, low, step, error_unit: (typical / 64.0).max(1e-6) })
}

/// The lowest value that the codes of a dimension cover, and their step.
fn code_range(residuals: &mut [f32]) -> (f32, f32) {
    if residuals.is_empty() {
        return (-1.0, 2.0 / 256.0);
    }
    let clamped = (residuals.len() as f64 * CLAMPED_SHARE) as usize;
    let last = residuals.len() - 1;
    let low = *residuals.select_nth_unstable_by(clamped, f32::total_cmp).1;
    let high = *residuals.select_nth_unstable_by(last - clamped, f32::total_cmp).1;
    let (middle, width) = ((low + high) / 2.0, (high - low).max(MIN_RANGE));
    (middle - width / 2.0, width / 256.0)
}

/// The nearest centre and its squared distance.
fn nearest(row: &[f16], centres: &[f32]) -> (usize, f32) {
    let distances = centres.chunks_exact(row.len()).map(|c| squared_l2_f16_f32(row, c));
    distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0))
}

/// k-means: seeds far from each other (k-means++), then Lloyd's algorithm. Returns centres `[cells, n]`.
fn k_means(n: usize, rows: &[&[f16]], cells: usize, random: &mut Random) -> Result<Vec<f32>> {
    let mut centres = memory::filled(0.0, cells * n)?;
    if rows.is_empty() {
        return Ok(centres);
    }
    let mut nearest_seed = memory::filled(f32::INFINITY, rows.len())?;
    let mut seed = random.below(rows.len());
    for centre in centres.chunks_exact_mut(n) {
        centre.iter_mut().zip(rows[seed]).for_each(|(c, x)| *c = x.to_f32());
        let mut total = 0.0;
        for (distance, row) in nearest_seed.iter_mut().zip(rows) {
            *distance = distance.min(squared_l2_f16_f32(row, centre));
            total += f64::from(*distance);
        }
        let mut left = random.unit() * total;
        seed = nearest_seed
            .iter()
            .position(|distance| {
                left -= f64::from(*distance);
                left <= 0.0
            })
            .unwrap_or(0);
    }
    let mut sums = memory::filled(0f64, cells * n)?;
    let mut counts = memory::filled(0f64, cells)?;
    for _ in 0..LLOYD_ITERATIONS {
        sums.fill(0.0);
        counts.fill(0.0);
        for row in rows {
            let (cell, _) = nearest(row, &centres);
            counts[cell] += 1.0;
            sums[cell * n..].iter_mut().zip(*row).for_each(|(s, x)| *s += x.to_f64());
        }
        for ((centre, sum), &count) in centres.chunks_exact_mut(n).zip(sums.chunks_exact(n)).zip(&counts) {
            if count > 0.0 {
                centre.iter_mut().zip(sum).for_each(|(c, s)| *c = (s / count) as f32);
            }
        }
    }
    Ok(centres)
}
