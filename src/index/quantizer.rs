//! The quantizer: from an embedding to its codes. In each subspace a row gets the nearest of a few centres (its cell) and 8
//! bits for each dimension of the residual, together with the length of the error that they leave.

use super::encoded_rows::{CodeMetadata, EncodedRows};
use super::extent::Extent;
use super::format::{parents, Tid, CHILDREN, MAX_CELLS};
use super::k_means::nearest;
use super::page_error::{PageError, PageResult};
use super::pages::Pages;
use super::rounding::{round_down, round_up};
use super::sketch::{correction_code, correction_unit, sketch_level};
use crate::error::Result;
use crate::memory;
use crate::space::{squared_l2_f16_f32, Layout};
use half::f16;

/// What has been learned about the rows of an index.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantizer {
    /// The space of the rows.
    pub layout: Layout,
    /// Cells of each subspace.
    pub cells: usize,
    /// `[K]`: centres and code ranges of each subspace.
    pub subspaces: Vec<SubspaceQuantizer>,
}

/// Centres and ranges of one subspace.
///
/// A value x in cell c and dimension d has the code `u = floor((x − centre − low) / step)`, clamped to 0..=255. Code u
/// stands for `centre + low + (u + 1/2)·step`; its high nibble h alone stands for `centre + low + (16h + 8)·step`.
#[derive(Debug, Clone, PartialEq)]
pub struct SubspaceQuantizer {
    /// `[cells, n]`: the centre of each cell.
    pub centres: Vec<f32>,
    /// `[parents, n]`: the centre of each parent; empty if there are none.
    pub parents: Vec<f32>,
    /// `[cells]`: the mean squared distance of a cell's rows from its centre; empty if there are no parents.
    pub spreads: Vec<f32>,
    /// `[n]`: the smallest residual that has a code.
    pub low: Vec<f32>,
    /// `[n]`: the width of a code, positive.
    pub step: Vec<f32>,
    /// The smallest error above 0 that has a code.
    pub error_unit: f32,
}

/// How many parents' cells are compared with a row: near the border of two parents, the nearest cell may be of either.
const NEAREST_PARENTS: usize = 4;

/// Neighbouring error codes differ by this factor: 255 of them span six decades from the unit.
const ERROR_RATIO: f32 = 1.06;

impl SubspaceQuantizer {
    /// Numbers on disk, for `cells` cells of `n` dimensions.
    fn numbers(cells: usize, n: usize) -> usize {
        (cells + parents(cells) + 2) * n + spreads(cells) + 1
    }

    /// The error that each code stands for: 0, a geometric series, and infinity for all larger errors.
    pub fn error_table(&self) -> [f32; 256] {
        let mut table = [0.0; 256];
        let mut value = self.error_unit;
        for entry in &mut table[1..255] {
            *entry = value;
            value *= ERROR_RATIO;
        }
        table[255] = f32::INFINITY;
        table
    }

    /// The values that high nibble 0 stands for in a cell, `[n]`.
    pub fn coarse_origin(&self, cell: usize) -> impl Iterator<Item = f64> + '_ {
        let n = self.step.len();
        let centre = &self.centres[cell * n..(cell + 1) * n];
        let sum = |((&c, &low), &step)| f64::from(c) + f64::from(low) + 8.0 * f64::from(step);
        centre.iter().zip(&self.low).zip(&self.step).map(sum)
    }

    /// The expected error of the high nibbles: a uniform quantizer's mean squared error is a twelfth of its squared step.
    pub fn typical_coarse_error(&self) -> f64 {
        16.0 * (self.step.iter().map(|s| f64::from(s * s)).sum::<f64>() / 12.0).sqrt()
    }

    /// The cell with the nearest centre, among those of the [`NEAREST_PARENTS`] nearest parents.
    pub fn nearest_cell(&self, values: &[f16]) -> usize {
        if self.parents.is_empty() {
            return nearest(values, &self.centres).0;
        }
        let n = values.len();
        let mut parents: [(f32, usize); MAX_CELLS / CHILDREN] = [(f32::INFINITY, 0); MAX_CELLS / CHILDREN];
        for (i, (parent, centre)) in parents.iter_mut().zip(self.parents.chunks_exact(n)).enumerate() {
            *parent = (squared_l2_f16_f32(values, centre), i);
        }
        parents.select_nth_unstable_by(NEAREST_PARENTS - 1, |a, b| a.0.total_cmp(&b.0));
        let of_parent = |parent: usize| {
            let first = parent * CHILDREN;
            let (cell, distance) = nearest(values, &self.centres[first * n..(first + CHILDREN) * n]);
            (distance, first + cell)
        };
        let near = parents[..NEAREST_PARENTS].iter().filter(|(distance, _)| *distance < f32::INFINITY);
        let cells = near.map(|&(_, parent)| of_parent(parent));
        cells.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0, |(_, cell)| cell)
    }

    /// Appends the codes `[n]` of one row to `codes`, and returns the metadata that goes with them.
    fn encode(&self, values: &[f16], units: &Units, codes: &mut Vec<u8>) -> CodeMetadata {
        let n = values.len();
        let cell = self.nearest_cell(values);
        let centre = &self.centres[cell * n..(cell + 1) * n];
        let (mut coarse, mut fine, mut radius, mut norm) = (0f64, 0f64, 0f64, 0f64);
        // The inner product with what the sketch stands for.
        let mut sketched = 0f64;
        for (((x, &c), &low), &step) in values.iter().zip(centre).zip(&self.low).zip(&self.step) {
            let residual = f64::from(x.to_f32()) - f64::from(c);
            let (offset, step) = (residual - f64::from(low), f64::from(step));
            let code = (offset / step) as u8; // a cast from float saturates
            codes.push(code);
            norm += x.to_f64() * x.to_f64();
            let sketch = (f64::from(sketch_level(code)) + 0.5) * step;
            sketched += x.to_f64() * (f64::from(c) + f64::from(low) + sketch);
            radius += residual * residual;
            fine += (offset - (f64::from(code) + 0.5) * step).powi(2);
            coarse += (offset - (f64::from(code & 0xf0) + 8.0) * step).powi(2);
        }
        let radius = radius.sqrt();
        CodeMetadata {
            cell: cell as u8,
            coarse_error: error_code(&units.errors, coarse.sqrt()),
            fine_error: error_code(&units.errors, fine.sqrt()),
            sketch_correction: match self.parents.is_empty() {
                true => 0,
                false => correction_code(sketched, norm, units.correction),
            },
            min_radius: round_down(radius),
            max_radius: round_up(radius),
            // The margin covers the rounding of a sum of fewer than 2^14 squares.
            min_squared_norm: round_down(norm * (1.0 - 1e-11)),
        }
    }
}

/// How many of `cells` cells have a spread.
fn spreads(cells: usize) -> usize {
    CHILDREN * parents(cells)
}

/// The smallest code that stands for at least `error`.
fn error_code(table: &[f32; 256], error: f64) -> u8 {
    // The factor covers what double precision may have lost in computing the error.
    let error = error * (1.0 + 1e-9);
    table.partition_point(|&e| f64::from(e) < error).min(255) as u8
}

impl Quantizer {
    /// Bytes of a quantizer's stream.
    pub fn size(layout: Layout, cells: usize) -> usize {
        layout.subspaces() * SubspaceQuantizer::numbers(cells, layout.subspace_dim()) * 4
    }

    /// Encodes the quantizer's stream.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut out = memory::with_capacity(Self::size(self.layout, self.cells))?;
        for s in &self.subspaces {
            let numbers = s
                .centres
                .iter()
                .chain(&s.parents)
                .chain(&s.spreads)
                .chain(&s.low)
                .chain(&s.step)
                .chain([&s.error_unit]);
            out.extend(numbers.flat_map(|v| v.to_le_bytes()));
        }
        Ok(out)
    }

    /// Reads the part of subspace `k`.
    ///
    /// # Errors
    /// Those of [`Pages::read`], and [`PageError::Failed`] for numbers that are not finite or steps that are not positive.
    pub fn read_subspace<P: Pages + ?Sized>(
        pages: &P,
        extent: Extent,
        layout: Layout,
        cells: usize,
        k: usize,
    ) -> PageResult<SubspaceQuantizer> {
        let n = layout.subspace_dim();
        let size = SubspaceQuantizer::numbers(cells, n) * 4;
        let mut bytes = memory::with_capacity(size)?;
        extent.copy(pages, k * size..(k + 1) * size, &mut bytes)?;
        let mut numbers = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let mut take = |count| memory::collect(numbers.by_ref().take(count));
        let (centres, parents, spreads) =
            (take(cells * n)?, take(parents(cells) * n)?, take(spreads(cells))?);
        let (low, step, unit) = (take(n)?, take(n)?, take(1)?);
        let mut numbers =
            centres.iter().chain(&parents).chain(&spreads).chain(&low).chain(&step).chain(&unit);
        let not_negative = step.iter().chain(&unit).all(|v| *v > 0.0) && spreads.iter().all(|v| *v >= 0.0);
        if !numbers.all(|v| v.is_finite()) || !not_negative {
            return Err(PageError::corrupt(format!(
                "The quantizer of subspace {k} holds impossible numbers."
            )));
        }
        Ok(SubspaceQuantizer { centres, parents, spreads, low, step, error_unit: unit[0] })
    }

    /// Reads all subspaces.
    ///
    /// # Errors
    /// As [`Quantizer::read_subspace`].
    pub fn read<P: Pages + ?Sized>(
        pages: &P,
        extent: Extent,
        layout: Layout,
        cells: usize,
    ) -> PageResult<Self> {
        let mut subspaces = memory::with_capacity(layout.subspaces())?;
        for k in 0..layout.subspaces() {
            subspaces.push(Self::read_subspace(pages, extent, layout, cells, k)?);
        }
        Ok(Self { layout, cells, subspaces })
    }

    /// Prepares for encoding rows.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn into_encoder(self) -> Result<Encoder> {
        Ok(Encoder { units: memory::collect(self.subspaces.iter().map(Units::new))?, quantizer: self })
    }
}

/// What codes of one subspace stand for that are not of a dimension.
struct Units {
    /// [`SubspaceQuantizer::error_table`].
    errors: [f32; 256],
    /// [`correction_unit`].
    correction: f64,
}

impl Units {
    fn new(subspace: &SubspaceQuantizer) -> Self {
        Self { errors: subspace.error_table(), correction: correction_unit(&subspace.step) }
    }
}

/// A quantizer with what its codes stand for, computed once for all rows.
pub struct Encoder {
    quantizer: Quantizer,
    /// `[K]`.
    units: Vec<Units>,
}

impl Encoder {
    /// Encodes a row of `[K·n]` numbers and appends it to `rows`.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn push(&self, rows: &mut EncodedRows, tid: Tid, values: &[f16]) -> Result<()> {
        let n = self.quantizer.layout.subspace_dim();
        rows.reserve(1)?;
        rows.tids.push(tid);
        for ((subspace, units), values) in
            self.quantizer.subspaces.iter().zip(&self.units).zip(values.chunks_exact(n))
        {
            let metadata = subspace.encode(values, units, &mut rows.codes);
            rows.metadata.push(metadata);
        }
        Ok(())
    }
}
