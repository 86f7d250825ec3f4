//! Tables that turn a row's codes into a lower bound of its squared distance from the query, in one subspace.
//!
//! Let q be the query's target, x a row, y what the high nibbles of its codes stand for, and `error` at least `‖x − y‖`. The
//! triangle inequality gives two bounds of `‖q − x‖²`:
//!
//! - by squares, `(‖q − y‖ − error)²`, which loses `2·‖q − y‖·error`;
//! - by products, `‖q‖² + ‖x‖² − 2⟨q, y⟩ − 2·‖q‖·error`, which loses `2·‖q‖·error`. That is less for a short target, such as the
//!   mean of vectors that have little in common, which is about equally far from all rows.
//!
//! Both `‖q − y‖²` and `−2⟨q, y⟩` are sums over the dimensions of a function of the nibble, and so 16 table entries per
//! dimension.

use crate::error::Result;
use crate::index::quantizer::SubspaceQuantizer;
use crate::index::rounding::round_down;
use crate::memory;

/// The largest value of a bound: sums of bounds stay finite, and a smaller number is still a lower bound.
pub const MAX_SQUARED_DISTANCE: f32 = 1e33;
/// A factor just below 1 that covers what single precision loses in a table's sum and its square root.
pub const ROUNDING_MARGIN: f64 = 1.0 - 1e-6;
/// Table entries saturate at this share of the widest dimension's range, which makes the steps of all entries finer.
const SATURATION: f64 = 0.5;

/// For 4-bit codes: 16 bytes per dimension, what each nibble adds to the sum of a row.
pub struct LookupTable {
    /// `[n, 16]`.
    pub bytes: Vec<u8>,
    /// The squared distance that 1 in a sum stands for.
    pub step: f32,
    /// The part of the sum that is not in the table.
    pub base: f32,
}

impl LookupTable {
    /// The table of `‖q − y‖²` in a cell.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn of_squares(target: &[f32], quantizer: &SubspaceQuantizer, cell: usize) -> Result<Self> {
        let origin = quantizer.coarse_origin(cell);
        let (table, minimum) =
            Self::new(target.iter().zip(origin).zip(&quantizer.step).map(|((&q, origin), &step)| {
                let (q, step) = (f64::from(q), 16.0 * f64::from(step));
                std::array::from_fn(|nibble| (q - (origin + nibble as f64 * step)).powi(2))
            }))?;
        Ok(Self { base: (minimum * ROUNDING_MARGIN).min(MAX_SQUARED_DISTANCE.into()) as f32, ..table })
    }

    /// A table of these terms, each less the smallest of its dimension, and the sum of the smallest. The base is 0.
    fn new(dimensions: impl Iterator<Item = [f64; 16]>) -> Result<(Self, f64)> {
        let mut terms: Vec<[f64; 16]> = memory::collect(dimensions)?;
        let (mut sum, mut widest) = (0f64, 0f64);
        for terms in &mut terms {
            let smallest = terms.iter().copied().fold(f64::INFINITY, f64::min);
            terms.iter_mut().for_each(|term| *term -= smallest);
            sum += smallest;
            widest = terms.iter().copied().fold(widest, f64::max);
        }
        let step = (widest * SATURATION / 255.0).min(1e28);
        let inverse = if step > 1e-30 { 1.0 / step } else { 0.0 };
        // The cast rounds down and saturates at 255, so that a sum never exceeds what it stands for.
        let mut bytes = memory::with_capacity(16 * terms.len())?;
        bytes.extend(terms.iter().flatten().map(|s| (s * inverse) as u8));
        Ok((Self { bytes, base: 0.0, step: (step * ROUNDING_MARGIN) as f32 }, sum))
    }
}

/// The table of `−2⟨q, y⟩`, which is the same in all cells: only its base differs.
pub struct ProductTable {
    /// Its own base is not used.
    pub table: LookupTable,
    /// What the table leaves out of every sum in every cell.
    minimum: f64,
    /// `[cells]`, computed when needed.
    bases: Vec<Option<f32>>,
}

impl ProductTable {
    /// The table, and room for the bases of `cells` cells.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn new(target: &[f32], quantizer: &SubspaceQuantizer, cells: usize) -> Result<Self> {
        let (table, minimum) = LookupTable::new(target.iter().zip(&quantizer.step).map(|(&q, &step)| {
            let slope = -32.0 * f64::from(q) * f64::from(step);
            std::array::from_fn(|nibble| slope * nibble as f64)
        }))?;
        Ok(Self { table, minimum, bases: memory::filled(None, cells)? })
    }

    /// The base of a cell's sums: `‖q‖²` and what `−2⟨q, y⟩` has in common in the cell. The rows' own squared norms are to
    /// be added.
    pub fn base(&mut self, target: &[f32], quantizer: &SubspaceQuantizer, cell: usize) -> f32 {
        *self.bases[cell].get_or_insert_with(|| {
            let (mut base, mut magnitude) = (self.minimum, 1.0);
            for ((&q, origin), &step) in target.iter().zip(quantizer.coarse_origin(cell)).zip(&quantizer.step)
            {
                let (q, reach) = (f64::from(q), 256.0 * f64::from(step));
                base += q * q - 2.0 * q * origin;
                magnitude += q * q + 2.0 * q.abs() * (origin.abs() + reach);
            }
            // The terms cancel out: what single precision loses is a share of the terms, not of their sum.
            let lost = (1.0 - ROUNDING_MARGIN) * magnitude;
            let limit = f64::from(MAX_SQUARED_DISTANCE);
            round_down((base - lost).clamp(-limit, limit))
        })
    }
}

/// For 8-bit codes: the target relative to what code 0 stands for in a cell.
pub struct FineOffsets {
    /// `[n]`.
    pub values: Vec<f32>,
    /// What single precision can lose of the distance, absolutely.
    pub slack: f32,
}

impl FineOffsets {
    /// The offsets in a cell.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn new(target: &[f32], quantizer: &SubspaceQuantizer, cell: usize) -> Result<Self> {
        let n = target.len();
        let centre = &quantizer.centres[cell * n..(cell + 1) * n];
        let mut values = memory::with_capacity(n)?;
        let (mut norm, mut reach) = (0f64, 0f64);
        for d in 0..n {
            let step = f64::from(quantizer.step[d]);
            let value =
                f64::from(target[d]) - f64::from(centre[d]) - f64::from(quantizer.low[d]) - 0.5 * step;
            values.push(value as f32);
            norm += value * value;
            reach += (256.0 * step).powi(2);
        }
        Ok(Self { values, slack: ((norm.sqrt() + reach.sqrt()) * 2f64.powi(-22)) as f32 })
    }
}
