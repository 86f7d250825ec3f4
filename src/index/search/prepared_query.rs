//! A query prepared for a search: weights and targets in the search's units, and tables that meet a row's codes.

use super::lookup_table::{FineOffsets, LookupTable, ProductTable, MAX_SQUARED_DISTANCE, ROUNDING_MARGIN};
use crate::error::Result;
use crate::index::kernels::{squared_residual, RowCodes, SumScale};
use crate::index::metapage::Meta;
use crate::index::page_error::{PageError, PageResult};
use crate::index::pages::Pages;
use crate::index::quantizer::{Quantizer, SubspaceQuantizer};
use crate::index::rounding::{round_down, round_up};
use crate::memory;
use crate::space::QueryRef;

/// A query in the units of a search: *normalized* squared distances, with weights of at most 1 and without the constant.
pub struct PreparedQuery {
    constant: f64,
    /// The largest weight of the query, which becomes 1.
    scale: f64,
    /// What single precision can lose, relatively, in the distance that the executor computes and in our own sums.
    slack: f64,
    /// The subspaces of positive weight, in order.
    pub active: Vec<SubspaceQuery>,
}

/// One subspace of a query.
pub struct SubspaceQuery {
    /// The number of the subspace.
    pub k: usize,
    /// Its weight, as a share of the largest.
    pub weight: f32,
    /// `[n]`: the query's target.
    target: Vec<f32>,
    quantizer: SubspaceQuantizer,
    /// The error that each error code stands for.
    errors: [f32; 256],
    /// A factor just below 1 that covers what single precision loses in a distance by 8-bit codes.
    fine_slack: f32,
    /// `[cells]`: distance of the target from each centre.
    centre_distances: Vec<f64>,
    /// How much of a row's error counts against a sum of products: twice the norm of the target.
    error_weight: f32,
    /// `[cells]`: how much better a typical bound by products is than one by squares, if rows have norm 1.
    product_gains: Vec<f64>,
    /// `[cells]`, made when needed.
    square_tables: Vec<Option<LookupTable>>,
    /// Made when needed.
    product_table: Option<ProductTable>,
    /// `[cells]`, made when needed.
    fine_offsets: Vec<Option<FineOffsets>>,
}

impl PreparedQuery {
    /// Prepares a query, reading the parts of the quantizer that it needs.
    ///
    /// # Errors
    /// Those of [`Pages::read`]; [`PageError::Failed`] if the query is another model's or the quantizer is damaged.
    pub fn new<P: Pages + ?Sized>(pages: &P, meta: &Meta, query: QueryRef<'_>) -> PageResult<Self> {
        let layout = query.layout;
        if let Some(ours) = meta.layout {
            ours.check_same(&layout)?;
        }
        let scale = query.weights.iter().copied().fold(0.0, f32::max);
        let mut prepared = Self {
            constant: query.constant,
            scale: scale.into(),
            slack: (layout.dimensions() + 64) as f64 * 2f64.powi(-23),
            active: Vec::new(),
        };
        let Some(extent) = meta.quantizer_extent() else { return Ok(prepared) };
        memory::reserve(&mut prepared.active, query.active().count())?;
        for (k, weight, target) in query.active() {
            let weight = (f64::from(weight) / f64::from(scale) * ROUNDING_MARGIN) as f32;
            // A smaller weight changes no distance, and a bound without it is still a bound.
            if weight > 1e-30 {
                let quantizer = Quantizer::read_subspace(pages, extent, layout, meta.cells as usize, k)?;
                prepared.active.push(SubspaceQuery::new(k, weight, target, quantizer)?);
            }
        }
        if prepared.active.is_empty() {
            return Err(PageError::corrupt("A query without a subspace."));
        }
        Ok(prepared)
    }

    /// The distance that a normalized squared distance stands for: at most what [`crate::space::distance`] computes.
    pub fn distance(&self, bound: f32) -> f64 {
        // Differences below 1e-19 have no square in single precision.
        let squared = (f64::from(bound) * (1.0 - 2.0 * self.slack) - 1e-30).max(0.0);
        (self.constant + self.scale * squared).sqrt() * (1.0 - 1e-11)
    }

    /// The inverse of [`PreparedQuery::distance`], for rows whose distance is known: puts rows of the tail and rows of groups
    /// in one order.
    pub fn normalized_bound(&self, distance: f64) -> f32 {
        let squared = (distance * distance - self.constant) / self.scale * ROUNDING_MARGIN;
        round_down(squared.clamp(0.0, MAX_SQUARED_DISTANCE.into()))
    }

    /// A lookup table that ranks rows by their cells alone, 16 bytes per subspace: the weighted squared distance of each
    /// cell's centre from the target, less the smallest, in steps of some length. Not a bound.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn cell_ranking_table(&self, subspaces: usize) -> Result<Vec<u8>> {
        fn weighted(subspace: &SubspaceQuery) -> impl Iterator<Item = f64> + '_ {
            subspace.centre_distances.iter().map(|d| d * d * f64::from(subspace.weight))
        }
        let range = |subspace: &SubspaceQuery| {
            let smallest = weighted(subspace).fold(f64::INFINITY, f64::min);
            (smallest, weighted(subspace).fold(0.0, f64::max) - smallest)
        };
        let mut table = memory::filled(0, 16 * subspaces)?;
        let widest = self.active.iter().map(|a| range(a).1).fold(f64::MIN_POSITIVE, f64::max);
        for active in &self.active {
            let (smallest, _) = range(active);
            for (entry, square) in table[16 * active.k..].iter_mut().zip(weighted(active)) {
                *entry = ((square - smallest) / widest * 255.0) as u8;
            }
        }
        Ok(table)
    }
}

impl SubspaceQuery {
    fn new(k: usize, weight: f32, target: &[f32], quantizer: SubspaceQuantizer) -> Result<Self> {
        let n = target.len();
        let centre_distances = memory::collect(quantizer.centres.chunks_exact(n).map(|c| {
            target.iter().zip(c).map(|(t, c)| (f64::from(*t) - f64::from(*c)).powi(2)).sum::<f64>().sqrt()
        }))?;
        let cells = centre_distances.len();
        let norm = target.iter().map(|&t| f64::from(t).powi(2)).sum::<f64>().sqrt();
        let double_error = 2.0 * quantizer.typical_coarse_error();
        let product_gain = |distance: &f64| double_error * (distance - norm);
        Ok(Self {
            k,
            weight,
            target: memory::copied(target)?,
            errors: quantizer.error_table(),
            fine_slack: (1.0 - (n + 64) as f64 * 2f64.powi(-23)) as f32,
            quantizer,
            product_gains: memory::collect(centre_distances.iter().map(product_gain))?,
            centre_distances,
            error_weight: round_up(2.0 * norm * (1.0 + 1e-6)),
            square_tables: memory::collect((0..cells).map(|_| None))?,
            product_table: None,
            fine_offsets: memory::collect((0..cells).map(|_| None))?,
        })
    }

    /// A lower bound of the squared distance from rows of a cell whose distance from the centre is between `min_radius` and
    /// `max_radius`: the gap between the target and that annulus.
    pub fn annulus_bound(&self, cell: usize, min_radius: f32, max_radius: f32) -> f32 {
        let (min, max, distance) =
            (f64::from(min_radius), f64::from(max_radius), self.centre_distances[cell]);
        let gap = (min - distance).max(distance - max) - 1e-6 * (distance + max);
        clamped_square(gap as f32)
    }

    /// The lookup table for the high nibbles of a cell's rows, and what its sums stand for, if no row's squared norm is below
    /// `min_squared_norm`.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn lookup_table(&mut self, cell: usize, min_squared_norm: f32) -> Result<(&[u8], SumScale<'_>)> {
        let (target, quantizer, errors) = (&self.target, &self.quantizer, &self.errors);
        let min_squared_norm = f64::from(min_squared_norm);
        // Rows have norm 1 as a rule; a bound by products loses by how far the smallest norm is below that.
        if self.product_gains[cell] > (1.0 - min_squared_norm).max(0.0) {
            let cells = self.centre_distances.len();
            let products =
                get_or_try_insert(&mut self.product_table, || ProductTable::new(target, quantizer, cells))?;
            let base = f64::from(products.base(target, quantizer, cell)) + min_squared_norm * ROUNDING_MARGIN;
            let base = (base.min(MAX_SQUARED_DISTANCE.into()) as f32).next_down();
            let error_weight = Some(self.error_weight);
            let LookupTable { bytes, step, .. } = &products.table;
            return Ok((bytes, SumScale { base, step: *step, error_weight, errors }));
        }
        let table = get_or_try_insert(&mut self.square_tables[cell], || {
            LookupTable::of_squares(target, quantizer, cell)
        })?;
        Ok((&table.bytes, SumScale { base: table.base, step: table.step, error_weight: None, errors }))
    }

    /// A lower bound of the squared distance from the row of a cell with these 8-bit codes and this error code.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn fine_bound(&mut self, cell: usize, codes: RowCodes<'_>, error: u8) -> Result<f32> {
        let (target, quantizer) = (&self.target, &self.quantizer);
        let offsets =
            get_or_try_insert(&mut self.fine_offsets[cell], || FineOffsets::new(target, quantizer, cell))?;
        let distance = squared_residual(&offsets.values, &quantizer.step, codes).sqrt();
        Ok(clamped_square(distance * self.fine_slack - offsets.slack - self.errors[usize::from(error)]))
    }
}

/// The value that is there, or else the one that `make` returns.
#[inline]
fn get_or_try_insert<T>(slot: &mut Option<T>, make: impl FnOnce() -> Result<T>) -> Result<&mut T> {
    match slot {
        Some(value) => Ok(value),
        none => Ok(none.insert(make()?)),
    }
}

/// The square of a lower bound of a distance. A bound that is negative or NaN says nothing, and gives 0.
fn clamped_square(distance: f32) -> f32 {
    let distance = distance.max(0.0);
    (distance * distance).min(MAX_SQUARED_DISTANCE)
}
