//! A query prepared for a search: weights and targets in the search's units, and tables that meet a row's codes.

use super::lookup_table::{FineOffsets, LookupTable, ProductTable, MAX_SQUARED_DISTANCE, ROUNDING_MARGIN};
use super::sketch_table::SketchTable;
use crate::error::Result;
use crate::index::kernels::{squared_residual, RowCodes, SumScale};
use crate::index::metapage::Meta;
use crate::index::page_error::{PageError, PageResult};
use crate::index::pages::Pages;
use crate::index::quantizer::{Quantizer, SubspaceQuantizer};
use crate::index::rounding::{round_down, round_up};
use crate::index::sketch::correction_unit;
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
    /// `[active subspaces]`: indices into `active`, those first in which rows are far from the target.
    pub order: Vec<usize>,
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
    /// `[cells]`: where centre and target lie in the plane of both and the origin.
    planes: Vec<CentrePlane>,
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
            slack: (layout.dimensions() + layout.subspaces() + 64) as f64 * 2f64.powi(-23),
            active: Vec::new(),
            order: Vec::new(),
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
        let mut order: Vec<usize> = memory::collect(0..prepared.active.len())?;
        let typical = |i: usize| prepared.active[i].typical_distance();
        order.sort_by(|&a, &b| typical(b).total_cmp(&typical(a)));
        prepared.order = order;
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
}

impl SubspaceQuery {
    fn new(k: usize, weight: f32, target: &[f32], quantizer: SubspaceQuantizer) -> Result<Self> {
        let n = target.len();
        let distance = |c: &[f32]| {
            target.iter().zip(c).map(|(t, c)| (f64::from(*t) - f64::from(*c)).powi(2)).sum::<f64>().sqrt()
        };
        let norm = dot(target, target).sqrt();
        let plane = |centre: &[f32]| CentrePlane::new(target, norm, centre, distance(centre));
        let planes: Vec<CentrePlane> = memory::collect(quantizer.centres.chunks_exact(n).map(plane))?;
        let cells = planes.len();
        let double_error = 2.0 * quantizer.typical_coarse_error();
        let product_gain = |plane: &CentrePlane| double_error * (plane.distance - norm);
        Ok(Self {
            k,
            weight,
            target: memory::copied(target)?,
            errors: quantizer.error_table(),
            fine_slack: (1.0 - (n + 64) as f64 * 2f64.powi(-23)) as f32,
            quantizer,
            product_gains: memory::collect(planes.iter().map(product_gain))?,
            planes,
            error_weight: round_up(2.0 * norm * (1.0 + 1e-6)),
            square_tables: memory::collect((0..cells).map(|_| None))?,
            product_table: None,
            fine_offsets: memory::collect((0..cells).map(|_| None))?,
        })
    }

    /// The mean squared distance of the cells' centres from the target, times the weight: how much the subspace tells, roughly.
    pub fn typical_distance(&self) -> f64 {
        let squares = self.planes.iter().map(|plane| plane.distance * plane.distance);
        squares.sum::<f64>() / self.planes.len().max(1) as f64 * f64::from(self.weight)
    }

    /// A lower bound of the squared distance from rows of a cell whose distance from the centre is between `min_radius` and
    /// `max_radius`, and whose squared norm is not below `min_squared_norm`: see [`CentrePlane`].
    pub fn cell_bound(&self, cell: usize, min_radius: f32, max_radius: f32, min_squared_norm: f32) -> f32 {
        let (min, max) = (f64::from(min_radius), f64::from(max_radius));
        let squared = self.planes[cell].squared_gap(min, max, min_squared_norm.into());
        (squared as f32).min(MAX_SQUARED_DISTANCE)
    }

    /// What is to be expected of the squared distance of rows of a cell that are between `min_radius` and `max_radius` from its centre, and whose
    /// squared norm is about `squared_norm`.
    pub fn expected_distance(&self, cell: usize, min_radius: f32, max_radius: f32, squared_norm: f32) -> f32 {
        let (min, max) = (f64::from(min_radius), f64::from(max_radius));
        let squared = self.planes[cell].expected(0.5 * (min * min + max * max), squared_norm.into());
        (squared as f32).clamp(0.0, MAX_SQUARED_DISTANCE)
    }

    /// The number of dimensions.
    pub fn dimensions(&self) -> usize {
        self.target.len()
    }

    /// `[cells]`: the squared distance of the centre from the target, and the cell's spread, both times the weight. Cells of an old format have
    /// no spread.
    pub fn cells(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let weight = f64::from(self.weight);
        let spreads = self.quantizer.spreads.iter().copied().chain(std::iter::repeat(0.0));
        let cells = self.planes.iter().zip(spreads);
        cells.map(move |(plane, spread)| (weight * plane.distance.powi(2), weight * f64::from(spread)))
    }

    /// What meets the sketches of rows.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn sketch_table(&self) -> Result<SketchTable> {
        let (weight, quantizer) = (f64::from(self.weight), &self.quantizer);
        // Code u of a dimension stands for the centre and `low + (u + 1/2)·step`.
        let terms =
            || self.target.iter().zip(&quantizer.step).map(|(&t, &step)| f64::from(t) * f64::from(step));
        let widest = terms().map(f64::abs).fold(1e-30, f64::max);
        let mut weights = memory::filled([0i8; 64], self.target.len().div_ceil(64))?;
        for (weight, term) in weights.as_flattened_mut().iter_mut().zip(terms()) {
            *weight = (127.0 * term / widest).round() as i8;
        }
        let low: f64 =
            self.target.iter().zip(&quantizer.low).map(|(&t, &low)| f64::from(t) * f64::from(low)).sum();
        let (norm, offset) = (dot(&self.target, &self.target), low + 0.5 * terms().sum::<f64>());
        let base = |plane: &CentrePlane| {
            let product = plane.along * plane.centre + offset;
            (weight * (norm + 1.0 - 2.0 * product)) as f32
        };
        Ok(SketchTable {
            k: self.k,
            bases: memory::collect(self.planes.iter().map(base))?,
            weights,
            product_scale: (-2.0 * weight * widest / 127.0) as f32,
            correction_unit: (weight * correction_unit(&quantizer.step)) as f32,
        })
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
            let cells = self.planes.len();
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

/// The inner product, in double precision.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// The half-plane of the origin, a cell's centre and the target. Every point of the space has a place in it, by how far it reaches
/// along the direction of the centre and how far it is from that line; two points are at least as far apart as their places.
///
/// Rows with a distance from the centre between two radii have their places in an annulus, and outside of the circle of the
/// smallest norm. Of the annulus alone, which is the triangle inequality, most would be near most targets; rows of norm 1 do
/// not reach those parts of it.
struct CentrePlane {
    /// The length of the centre.
    centre: f64,
    /// The target's place, along the direction of the centre and away from it.
    along: f64,
    across: f64,
    /// The target's length, and its distance from the centre.
    length: f64,
    distance: f64,
}

impl CentrePlane {
    /// The plane of a target of this length, which is this far from the centre.
    fn new(target: &[f32], length: f64, centre: &[f32], distance: f64) -> Self {
        let centre_length = dot(centre, centre).sqrt();
        let along = if centre_length > 0.0 { dot(target, centre) / centre_length } else { 0.0 };
        let across = (length * length - along * along).max(0.0).sqrt();
        Self { centre: centre_length, along, across, length, distance }
    }

    /// The mean of the target's squared distance from points whose squared distance from the centre is `radius2` and whose squared norm is
    /// `norm2`, if they are in all directions around the centre's line.
    fn expected(&self, radius2: f64, norm2: f64) -> f64 {
        let Self { centre, along, across, distance, .. } = *self;
        let x = (norm2 + centre * centre - radius2) / (2.0 * centre);
        let y2 = norm2 - x * x;
        // There are no such points where the norm is not about that of all.
        if !x.is_finite() || y2 < 0.0 {
            return distance * distance + radius2;
        }
        (x - along).powi(2) + y2 + across * across
    }

    /// A lower bound of the target's squared distance from points between `min` and `max` from the centre whose squared norm is
    /// not below `norm2`; 0 if that says nothing.
    fn squared_gap(&self, min: f64, max: f64, norm2: f64) -> f64 {
        let Self { centre, along, across, length, distance } = *self;
        let (gap, reach) = ((min - distance).max(distance - max), distance + max);
        let squares = centre * centre + max * max + norm2;
        let of_annulus = (gap - 1e-6 * reach).max(0.0).powi(2);
        if centre * centre <= 1e-12 * squares || distance <= 0.0 || norm2 <= 0.0 {
            return of_annulus;
        }
        // If the nearest place of the annulus is outside of the circle, the norm excludes nothing.
        let radius = distance.min(max).max(min);
        let nearest = centre * centre + radius * radius + 2.0 * centre * radius * (along - centre) / distance;
        if nearest >= norm2 - 1e-9 * squares {
            return of_annulus;
        }
        // Otherwise the nearest place is on the circle: where the target's direction crosses it, or the annulus ends.
        let inverse = 0.5 / centre;
        let (from, to) = (
            (norm2 + centre * centre - max * max) * inverse,
            (norm2 + centre * centre - min * min) * inverse,
        );
        let error = 1e-12 * squares * inverse;
        let norm = norm2.sqrt();
        let x = if length > 0.0 { norm * along / length } else { 0.0 };
        let x = x.max(from - error).min(to + error).max(-norm).min(norm);
        let y = (norm2 - x * x).max(0.0).sqrt();
        let of_circle = ((x - along).powi(2) + (y - across).powi(2)).sqrt();
        // Where a place is next to the line, rounding loses half of the digits of its distance from it.
        (of_circle - 1e-6 * reach - 1e-7 * (norm + length)).max(0.0).powi(2)
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Points that all lie close together, near and far from the origin: there, what is left of two squares is mostly rounding.
        #[test]
        fn a_gap_is_never_above_the_distance(
            base in prop::collection::vec(-1f32..1.0, 1..6),
            noise in prop::collection::vec(-1f32..1.0, 18),
            scale in -3i32..4, spreads in prop::array::uniform3(-9i32..1),
        ) {
            let scale = 10f32.powi(scale);
            let [target, centre, row] = [0, 1, 2].map(|i| -> Vec<f32> {
                let spread = 10f32.powi(spreads[i]);
                base.iter().zip(&noise[6 * i..]).map(|(b, noise)| scale * (b + spread * noise)).collect()
            });
            let distance = |a: &[f32], b: &[f32]| {
                a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
            };
            let plane = CentrePlane::new(&target, dot(&target, &target).sqrt(), &centre, distance(&target, &centre));
            let (radius, norm2) = (distance(&row, &centre), dot(&row, &row));
            let (min, max) = (round_down(radius).into(), round_up(radius).into());
            let gap = plane.squared_gap(min, max, round_down(norm2 * (1.0 - 1e-11)).into());
            let squared = distance(&row, &target).powi(2);
            prop_assert!(gap <= squared, "{gap} is above {squared}");
        }
    }

    #[test]
    fn a_cell_tells_more_of_rows_of_norm_1_than_the_triangle_inequality() {
        // Rows of norm 1 at 0.6 from the centre (0.8, 0) lie at (0.8, ±0.6): the squared distance of (0, 1) is 0.64 + 0.16. Of the annulus, the
        // nearest point is |(0.8, 0) − (0, 1)| − 0.6 away, which is 0.463 squared.
        let distance = 1.64f64.sqrt();
        let plane = CentrePlane::new(&[0.0, 1.0], 1.0, &[0.8, 0.0], distance);
        let gap = |norm2| plane.squared_gap(0.6, 0.6, norm2);
        assert!((gap(1.0) - 0.8).abs() < 1e-5, "{}", gap(1.0));
        assert!((gap(0.0) - (distance - 0.6).powi(2)).abs() < 1e-5, "{}", gap(0.0));
        // In a cell that reaches further, the nearest row is where the target points.
        assert!(plane.squared_gap(0.6, 1.5, 1.0) <= 0.0);
        assert!((plane.squared_gap(0.6, 1.5, 1.44) - 0.04).abs() < 1e-4);
    }
}
