//! Trains a quantizer on a sample of the rows: k-means centres and per-dimension code ranges for each subspace.

use super::clusters::Clusters;
use super::format::{parents, CHILDREN};
use super::k_means::{k_means, k_means_tree, Random};
use super::quantizer::{Quantizer, SubspaceQuantizer};
use crate::error::Result;
use crate::memory;
use crate::space::Layout;
use half::f16;

/// The most rows that a quantizer is trained on.
const SAMPLE_ROWS: usize = 16_384;
/// The share of a dimension's residuals that may lie outside of the code range, on either side. Wider ranges make every step
/// coarser, narrower ones clamp more rows.
const CLAMPED_SHARE: f64 = 0.001;
/// The code range of a dimension that hardly varies in the sample is still this wide.
const MIN_RANGE: f32 = 1e-3;

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
        Self { layout, seen: 0, values: Vec::new(), random: Random::new(42) }
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

    /// Finds clusters among the sampled rows: see [`Clusters::train`].
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn clusters(&self, wanted: usize) -> Result<Option<Clusters>> {
        Clusters::train(self.layout, &self.values, wanted)
    }
}

/// Trains a quantizer on `values`, `[rows, K·n]`. No rows at all give a quantizer of correct but loose bounds.
///
/// # Errors
/// [`crate::error::Kind::OutOfMemory`].
pub fn train_quantizer(layout: Layout, values: &[f16], cells: usize) -> Result<Quantizer> {
    let mut random = Random::new(7);
    let mut subspaces = memory::with_capacity(layout.subspaces())?;
    for k in 0..layout.subspaces() {
        let range = layout.range(k);
        let rows = values.chunks_exact(layout.dimensions()).map(|row| &row[range.clone()]);
        subspaces.push(train_subspace(layout.subspace_dim(), &memory::collect(rows)?, cells, &mut random)?);
    }
    Ok(Quantizer { layout, cells, subspaces })
}

fn train_subspace(n: usize, rows: &[&[f16]], cells: usize, random: &mut Random) -> Result<SubspaceQuantizer> {
    let (centres, parents) = match parents(cells) {
        0 => (k_means(n, rows, cells, random)?, Vec::new()),
        parents => train_cells(n, rows, parents, random)?,
    };
    let quantizer = SubspaceQuantizer {
        centres,
        parents,
        spreads: Vec::new(),
        low: Vec::new(),
        step: Vec::new(),
        error_unit: 1.0,
    };
    // `[n, rows]`. A row is written to all dimensions: the padding keeps them from lying a power of two apart, where they
    // would compete for the same cache lines.
    let stride = rows.len() + 16;
    let mut residuals: Vec<f32> = memory::filled(0.0, n * stride)?;
    // `[cells]`: rows, and the sum of their squared distances from the centre.
    let mut spreads: Vec<(f32, f32)> = memory::filled((0.0, 0.0), cells)?;
    for (r, row) in rows.iter().enumerate() {
        let cell = quantizer.nearest_cell(row);
        let (count, sum) = &mut spreads[cell];
        *count += 1.0;
        for (d, (x, c)) in row.iter().zip(&quantizer.centres[cell * n..]).enumerate() {
            let residual = x.to_f32() - c;
            residuals[d * stride + r] = residual;
            *sum += residual * residual;
        }
    }
    // Centres fit the sample better than other rows: of few rows, a cell has about the spread of all cells.
    let all = spreads.iter().map(|(_, sum)| sum).sum::<f32>() / (rows.len() as f32).max(1.0);
    let spread = |&(count, sum): &(f32, f32)| ((sum + all) / count.max(1.0)).min(f32::MAX);
    let spreads = match quantizer.parents.is_empty() {
        true => Vec::new(),
        false => memory::collect(spreads.iter().map(spread))?,
    };
    let (mut low, mut step): (Vec<f32>, Vec<f32>) = (memory::with_capacity(n)?, memory::with_capacity(n)?);
    for d in 0..n {
        let (from, width) = code_range(&mut residuals[d * stride..][..rows.len()]);
        low.push(from);
        step.push(width);
    }
    // The mean squared error of a uniform quantizer is a twelfth of its squared step. The unit is far below the typical error,
    // and the largest code far above it.
    let typical = (step.iter().map(|s| s * s).sum::<f32>() / 12.0).sqrt();
    Ok(SubspaceQuantizer { spreads, low, step, error_unit: (typical / 64.0).max(1e-6), ..quantizer })
}

/// Centres of cells, and of their parents.
fn train_cells(
    n: usize,
    rows: &[&[f16]],
    parents: usize,
    random: &mut Random,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let (parents, children) = k_means_tree(n, rows, parents, |_| CHILDREN, random)?;
    let mut centres = memory::with_capacity(CHILDREN * parents.len())?;
    centres.extend(children.into_iter().flatten());
    Ok((centres, parents))
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
