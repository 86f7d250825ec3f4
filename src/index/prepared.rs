//! A query, ready to meet codes.

use super::kernels::{squared_residual, Codes, Scale};
use super::layout::Meta;
use super::pages::{PageError, PageResult, Pages};
use super::quantizer::{above, below, Quantizer, Subspace};
use crate::error::Result;
use crate::memory;
use crate::space::QueryRef;

/// A normalized squared distance is never taken to be more than this: sums of it stay finite, and it is still a lower bound.
const FARTHEST: f32 = 1e33;
/// A factor that covers what single precision loses in a table's sum and its root.
const MARGIN: f64 = 1.0 - 1e-6;
/// Table entries are cut off at this share of what the widest dimension would need: the rest gets finer steps.
const CUT: f64 = 0.5;

/// The query in the units of a search: squared distances, with weights of at most 1 and without the constant.
pub struct Prepared {
    constant: f64,
    scale: f64,
    /// What single precision can lose, relatively, in the distance that the executor computes and in our own sums.
    slack: f64,
    /// Subspaces that count.
    pub active: Vec<Active>,
}

/// One subspace of a query.
pub struct Active {
    /// Which.
    pub k: usize,
    /// Its weight, as a share of the greatest.
    pub weight: f32,
    target: Vec<f32>,
    subspace: Subspace,
    errors: [f32; 256],
    slack: f32,
    /// `[cells]`: how far the target is from each centre.
    distances: Vec<f64>,
    /// What an error takes from a sum of products: twice the target's length.
    pull: f32,
    /// `[cells]`: what products lose less than squares, if rows are of length 1.
    gains: Vec<f64>,
    /// `[cells]`, made when needed.
    tables: Vec<Option<Table>>,
    /// Made when needed.
    products: Option<Products>,
    /// `[cells]`, made when needed.
    offsets: Vec<Option<Offsets>>,
}

/// For 4-bit codes: 16 bytes a dimension, what each nibble adds to a squared distance ‖q − y‖², or to −2⟨q, y⟩.
///
/// From either follows a bound of ‖q − x‖² for a row x that is `error` from y. By the first it is at least (‖q − y‖ − error)², which
/// loses 2·‖q − y‖·error. By the second, ‖q‖² + ‖x‖² − 2⟨q, y⟩ − 2·‖q‖·error, which loses less for a target that is short, like
/// the mean of vectors that have little in common, and as far from all of them: `error` takes effect by the target's length.
struct Table {
    bytes: Vec<u8>,
    base: f32,
    step: f32,
}

/// A table of −2⟨q, y⟩: what each nibble adds is the same in all cells.
struct Products {
    table: Table,
    /// What the table leaves out of every sum in every cell.
    least: f64,
    /// `[cells]`, made when needed.
    bases: Vec<Option<f32>>,
}

/// For 8-bit codes: the target as seen from code 0.
struct Offsets {
    values: Vec<f32>,
    /// What single precision can lose, absolutely.
    slack: f32,
}

impl Prepared {
    /// Reads of the quantizer what `query` needs.
    ///
    /// # Errors
    /// Those of [`Pages::read`]; [`PageError::Failed`] if the query is another model's or the quantizer makes no sense.
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
            let weight = (f64::from(weight) / f64::from(scale) * MARGIN) as f32;
            // What weighs less than this changes no distance; without it, the bound is still one.
            if weight > 1e-30 {
                let subspace = Quantizer::read_subspace(pages, extent, layout, meta.cells as usize, k)?;
                prepared.active.push(Active::new(k, weight, target, subspace)?);
            }
        }
        if prepared.active.is_empty() {
            return Err(PageError::corrupt("A query without a subspace."));
        }
        Ok(prepared)
    }

    /// The distance that a normalized squared distance stands for: not above what [`crate::space::distance`] computes.
    pub fn distance(&self, bound: f32) -> f64 {
        // Differences below 1e-19 have no square in single precision.
        let squared = (f64::from(bound) * (1.0 - 2.0 * self.slack) - 1e-30).max(0.0);
        (self.constant + self.scale * squared).sqrt() * (1.0 - 1e-11)
    }

    /// For rows' cells, 16 bytes a subspace: how far each cell's centre is from the target, in steps of some length.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn cell_table(&self, subspaces: usize) -> Result<Vec<u8>> {
        fn weighed(a: &Active) -> impl Iterator<Item = f64> + '_ {
            a.distances.iter().map(|d| d * d * f64::from(a.weight))
        }
        let mut table = memory::filled(0, 16 * subspaces)?;
        let spread = |a: &Active| {
            let least = weighed(a).fold(f64::INFINITY, f64::min);
            (least, weighed(a).fold(0.0, f64::max) - least)
        };
        let widest = self.active.iter().map(|a| spread(a).1).fold(f64::MIN_POSITIVE, f64::max);
        for active in &self.active {
            let (least, _) = spread(active);
            for (entry, square) in table[16 * active.k..].iter_mut().zip(weighed(active)) {
                *entry = ((square - least) / widest * 255.0) as u8;
            }
        }
        Ok(table)
    }

    /// The bound of a row whose distance has been computed: in these units rows of the tail and of groups come in one order.
    pub fn bound(&self, distance: f64) -> f32 {
        let squared = (distance * distance - self.constant) / self.scale * MARGIN;
        below(squared.clamp(0.0, FARTHEST.into()))
    }
}

impl Active {
    fn new(k: usize, weight: f32, target: &[f32], subspace: Subspace) -> Result<Self> {
        let n = target.len();
        let distances = memory::collect(subspace.centres.chunks_exact(n).map(|c| {
            target.iter().zip(c).map(|(t, c)| (f64::from(*t) - f64::from(*c)).powi(2)).sum::<f64>().sqrt()
        }))?;
        let cells = distances.len();
        let length = target.iter().map(|&t| f64::from(t).powi(2)).sum::<f64>().sqrt();
        let gain = 2.0 * subspace.typical_error();
        Ok(Self {
            k,
            weight,
            target: memory::copied(target)?,
            errors: subspace.error_table(),
            slack: (1.0 - (n + 64) as f64 * 2f64.powi(-23)) as f32,
            subspace,
            gains: memory::collect(distances.iter().map(|distance| gain * (distance - length)))?,
            distances,
            pull: above(2.0 * length * (1.0 + 1e-6)),
            tables: memory::collect((0..cells).map(|_| None))?,
            products: None,
            offsets: memory::collect((0..cells).map(|_| None))?,
        })
    }

    /// Squared distance from rows of a cell that lie between `inner` and `outer` from its centre: at least this.
    pub fn annulus(&self, cell: usize, inner: f32, outer: f32) -> f32 {
        let (inner, outer, distance) = (f64::from(inner), f64::from(outer), self.distances[cell]);
        let gap = (inner - distance).max(distance - outer) - 1e-6 * (distance + outer);
        squared(gap as f32)
    }

    /// Tables of 4-bit codes in a cell, and what their sums mean, for rows of at least this squared length.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn table(&mut self, cell: usize, norm: f32) -> Result<(&[u8], Scale<'_>)> {
        let (target, subspace) = (&self.target, &self.subspace);
        // Lengths of rows are one as a rule; products know no more than the least of them.
        if self.gains[cell] > (1.0 - f64::from(norm)).max(0.0) {
            let cells = self.distances.len();
            let products = get_or_try_insert(&mut self.products, || Products::new(target, subspace, cells))?;
            let base = f64::from(products.base(target, subspace, cell)) + f64::from(norm) * MARGIN;
            let base = (base.min(FARTHEST.into()) as f32).next_down();
            let pull = Some(self.pull);
            let Table { bytes, step, .. } = &products.table;
            return Ok((bytes, Scale { base, step: *step, pull, errors: &self.errors }));
        }
        let table = get_or_try_insert(&mut self.tables[cell], || Table::of_squares(target, subspace, cell))?;
        Ok((&table.bytes, Scale { base: table.base, step: table.step, pull: None, errors: &self.errors }))
    }

    /// Squared distance from a row of this cell, 8-bit codes and error code: at least this.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn refined(&mut self, cell: usize, codes: Codes<'_>, error: u8) -> Result<f32> {
        let (target, subspace) = (&self.target, &self.subspace);
        let offsets = get_or_try_insert(&mut self.offsets[cell], || Offsets::new(target, subspace, cell))?;
        let distance = squared_residual(&offsets.values, &subspace.step, codes).sqrt();
        Ok(squared(distance * self.slack - offsets.slack - self.errors[usize::from(error)]))
    }
}

/// What is there, or what can be made.
#[inline]
fn get_or_try_insert<T>(place: &mut Option<T>, make: impl FnOnce() -> Result<T>) -> Result<&mut T> {
    match place {
        Some(value) => Ok(value),
        none => Ok(none.insert(make()?)),
    }
}

/// The square of a distance that may have come out negative, or as no number at all, and then says nothing.
fn squared(distance: f32) -> f32 {
    let distance = distance.max(0.0);
    (distance * distance).min(FARTHEST)
}

impl Table {
    fn of_squares(target: &[f32], subspace: &Subspace, cell: usize) -> Result<Self> {
        let from = subspace.coarse(cell);
        let (table, least) =
            Self::of(target.iter().zip(from).zip(&subspace.step).map(|((&q, from), &step)| {
                let (q, step) = (f64::from(q), 16.0 * f64::from(step));
                std::array::from_fn(|nibble| (q - (from + nibble as f64 * step)).powi(2))
            }))?;
        Ok(Self { base: (least * MARGIN).min(FARTHEST.into()) as f32, ..table })
    }

    /// A table of what each nibble adds in each dimension, less the least of the dimension; their sum. The base is left open.
    fn of(dimensions: impl Iterator<Item = [f64; 16]>) -> Result<(Self, f64)> {
        let mut terms: Vec<[f64; 16]> = memory::collect(dimensions)?;
        let (mut sum, mut widest) = (0f64, 0f64);
        for terms in &mut terms {
            let least = terms.iter().copied().fold(f64::INFINITY, f64::min);
            terms.iter_mut().for_each(|entry| *entry -= least);
            sum += least;
            widest = terms.iter().copied().fold(widest, f64::max);
        }
        let step = (widest * CUT / 255.0).min(1e28);
        let inverse = if step > 1e-30 { 1.0 / step } else { 0.0 };
        // Rounded down, and cut off at 255: sums never exceed what they stand for.
        let mut bytes = memory::with_capacity(16 * terms.len())?;
        bytes.extend(terms.iter().flatten().map(|s| (s * inverse) as u8));
        Ok((Self { bytes, base: 0.0, step: (step * MARGIN) as f32 }, sum))
    }
}

impl Products {
    fn new(target: &[f32], subspace: &Subspace, cells: usize) -> Result<Self> {
        let (table, least) = Table::of(target.iter().zip(&subspace.step).map(|(&q, &step)| {
            let slope = -32.0 * f64::from(q) * f64::from(step);
            std::array::from_fn(|nibble| slope * nibble as f64)
        }))?;
        Ok(Self { table, least, bases: memory::filled(None, cells)? })
    }

    /// ‖q‖² and what all sums of a cell have in common; the rows' own lengths are to be added.
    fn base(&mut self, target: &[f32], subspace: &Subspace, cell: usize) -> f32 {
        *self.bases[cell].get_or_insert_with(|| {
            let (mut base, mut magnitude) = (self.least, 1.0);
            for ((&q, from), &step) in target.iter().zip(subspace.coarse(cell)).zip(&subspace.step) {
                let (q, reach) = (f64::from(q), 256.0 * f64::from(step));
                base += q * q - 2.0 * q * from;
                magnitude += q * q + 2.0 * q.abs() * (from.abs() + reach);
            }
            // Its parts cancel out: what single precision loses is a share of the parts, not of the sum.
            let lost = (1.0 - MARGIN) * magnitude;
            below((base - lost).clamp(-f64::from(FARTHEST), FARTHEST.into()))
        })
    }
}

impl Offsets {
    fn new(target: &[f32], subspace: &Subspace, cell: usize) -> Result<Self> {
        let n = target.len();
        let centre = &subspace.centres[cell * n..(cell + 1) * n];
        let mut values = memory::with_capacity(n)?;
        let (mut norm, mut reach) = (0f64, 0f64);
        for d in 0..n {
            let step = f64::from(subspace.step[d]);
            let value = f64::from(target[d]) - f64::from(centre[d]) - f64::from(subspace.low[d]) - 0.5 * step;
            values.push(value as f32);
            norm += value * value;
            reach += (256.0 * step).powi(2);
        }
        Ok(Self { values, slack: ((norm.sqrt() + reach.sqrt()) * 2f64.powi(-22)) as f32 })
    }
}
