//! How many rows are within a distance of a query, as the cells of a sample of rows let expect: for the planner.
//!
//! In one subspace, the squared distance of a row from the target is `δ² + ρ² − 2 (t − c)·(x − c)`: its cell's centre c is at the squared
//! distance δ² from the target t, and the row x at ρ² from the centre, in a direction of which nothing is known. So the mean is `δ² + ρ²`, with
//! ρ² the spread of the cell, and in n dimensions the variance about `(4 δ² ρ² + 2 ρ⁴) / n`. Sums over subspaces are taken to be normal.

use crate::error::Result;
use crate::index::format::{GroupShape, BLOCK_ROWS};
use crate::index::metapage::Meta;
use crate::index::page_error::PageResult;
use crate::index::pages::Pages;
use crate::index::quantizer::{Quantizer, SubspaceQuantizer};
use crate::index::snapshot::IndexSnapshot;
use crate::memory;
use crate::space::{Layout, QueryRef};

/// The groups whose samples are read, at most.
const MAX_GROUPS: usize = 16;
/// So many rows stand for a query that is not known yet.
const TRIALS: usize = 8;

/// What is known of the query.
#[derive(Debug, Clone, Copy)]
pub enum ExpectedQuery<'a> {
    /// The query itself.
    Known(QueryRef<'a>),
    /// The number of its subspaces; `None`: all. It is taken to be like a row of the index in as many of them, with weights of 1: the mean over
    /// some rows is expected.
    Unknown(Option<usize>),
}

/// What an index tells of its rows' distances: cells of some rows, and where the cells lie. Reading it takes as long as a search, so it is to be kept
/// for as long as [`DistanceSample::is_current`].
pub struct DistanceSample {
    /// The metapage's counter when it was read.
    reorganizations: u32,
    layout: Layout,
    samples: Vec<Sample>,
    /// `[K]`.
    quantizers: Vec<SubspaceQuantizer>,
    /// For numbers of subspaces of a query that is not known: what is to be expected of rows.
    unknown: Vec<(usize, Vec<ExpectedRow>)>,
}

/// What is to be expected of a row's squared distance from a query.
struct ExpectedRow {
    mean: f32,
    deviation: f32,
    /// The share of all rows that it stands for.
    weight: f32,
}

/// So many numbers of subspaces are kept.
const MAX_UNKNOWN: usize = 8;

impl DistanceSample {
    /// Reads the sample of an index; `None` if it has none, or no rows. Rows of the tail are taken to be like the others.
    ///
    /// # Errors
    /// Those of [`Pages::read`]; [`crate::index::PageError::Failed`] for damaged pages or refused memory.
    pub fn read<P: Pages + ?Sized>(pages: &P) -> PageResult<Option<Self>> {
        let snapshot = IndexSnapshot::read(pages, &mut (), &mut |()| (), &mut |(), _, _| Ok(()))?;
        let samples = read_samples(pages, &snapshot)?;
        let meta = &snapshot.meta;
        let (Some(layout), Some(extent), false) = (meta.layout, meta.quantizer_extent(), samples.is_empty())
        else {
            return Ok(None);
        };
        let mut quantizers = memory::with_capacity(layout.subspaces())?;
        for k in 0..layout.subspaces() {
            quantizers.push(Quantizer::read_subspace(pages, extent, layout, meta.cells as usize, k)?);
        }
        let reorganizations = meta.reorganizations;
        Ok(Some(Self { reorganizations, layout, samples, quantizers, unknown: Vec::new() }))
    }

    /// Whether no rows have moved since the sample was read; `meta` is the metapage of its index.
    pub fn is_current(&self, meta: &Meta) -> bool {
        self.reorganizations == meta.reorganizations && Some(self.layout) == meta.layout
    }

    /// Bytes of memory that it takes, about.
    pub fn memory(&self) -> usize {
        let numbers = |quantizer: &SubspaceQuantizer| quantizer.centres.len() + quantizer.parents.len();
        4 * self.quantizers.iter().map(numbers).sum::<usize>()
            + self.samples.iter().map(|sample| sample.cells.len()).sum::<usize>()
            + self.unknown.iter().map(|(_, rows)| size_of_val(&**rows)).sum::<usize>()
    }

    /// The share of the rows that is expected within the distance `limit`, from 0 to 1; `None` if the query is another model's.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn share_within(&mut self, query: ExpectedQuery<'_>, limit: f64) -> Result<Option<f64>> {
        if limit < 0.0 {
            return Ok(Some(0.0));
        }
        match query {
            ExpectedQuery::Known(query) if query.layout != self.layout => Ok(None),
            ExpectedQuery::Known(query) => {
                let mut tables = DistanceTables::default();
                for (k, weight, target) in query.active() {
                    tables.add(k, weight.into(), target, 0.0, &self.quantizers[k])?;
                }
                let rows = tables.expected_rows(&self.samples, 0, 1)?;
                Ok(Some(share(&rows, limit * limit - query.constant)))
            }
            ExpectedQuery::Unknown(subspaces) => {
                let count = subspaces.unwrap_or(self.layout.subspaces());
                if !self.unknown.iter().any(|(of, _)| *of == count) {
                    let rows = self.unknown_rows(count)?;
                    self.unknown.truncate(MAX_UNKNOWN - 1);
                    memory::push(&mut self.unknown, (count, rows))?;
                }
                let rows = self.unknown.iter().find(|(of, _)| *of == count);
                Ok(rows.map(|(_, rows)| share(rows, limit * limit)))
            }
        }
    }

    /// What is to be expected of rows if the query is like a row in so many subspaces. Each of the rows that it may be like is compared with a
    /// part of the samples, so that many take no longer than one.
    fn unknown_rows(&self, count: usize) -> Result<Vec<ExpectedRow>> {
        let (all, samples) = (self.layout.subspaces(), &self.samples);
        let mut rows = Vec::new();
        for trial in 0..TRIALS {
            let mut tables = DistanceTables::default();
            for (k, quantizer) in self.quantizers.iter().enumerate() {
                // Each trial starts with another subspace.
                if (k + all - trial % all) % all < count {
                    let sample = &samples[trial * samples.len() / TRIALS];
                    let n = self.layout.subspace_dim();
                    let last = (quantizer.centres.len() / n).saturating_sub(1);
                    let cell = usize::from(sample.cells[k * BLOCK_ROWS + trial]).min(last);
                    let target = &quantizer.centres[cell * n..][..n];
                    let spread = quantizer.spreads.get(cell).copied().unwrap_or(0.0);
                    tables.add(k, 1.0, target, spread.into(), quantizer)?;
                }
            }
            let of_trial = tables.expected_rows(samples, trial, TRIALS)?;
            memory::reserve(&mut rows, of_trial.len())?;
            let weight = |row: ExpectedRow| ExpectedRow { weight: row.weight / TRIALS as f32, ..row };
            rows.extend(of_trial.into_iter().map(weight));
        }
        Ok(rows)
    }
}

/// The expected share of rows whose squared distance is not above `limit`.
fn share(rows: &[ExpectedRow], limit: f64) -> f64 {
    let probability = |row: &ExpectedRow| {
        f64::from(row.weight) * normal_cdf((limit - f64::from(row.mean)) / f64::from(row.deviation))
    };
    rows.iter().map(probability).sum::<f64>().clamp(0.0, 1.0)
}

/// The cells of a group's sampled rows, `[blocks, K, BLOCK_ROWS]`.
struct Sample {
    shape: GroupShape,
    cells: Vec<u8>,
}

/// The samples of some groups.
fn read_samples<P: Pages + ?Sized>(pages: &P, snapshot: &IndexSnapshot) -> PageResult<Vec<Sample>> {
    let step = snapshot.groups.len().div_ceil(MAX_GROUPS).max(1);
    let mut samples = memory::with_capacity(MAX_GROUPS)?;
    for (extent, shape) in snapshot.groups.iter().step_by(step) {
        if snapshot.meta.has_samples() && shape.sample_rows() > 0 {
            let mut cells = Vec::new();
            extent.copy(pages, shape.sample(), &mut cells)?;
            samples.push(Sample { shape: *shape, cells });
        }
    }
    Ok(samples)
}

/// What the cells of a row say of its squared distance from a query.
#[derive(Default)]
struct DistanceTables {
    /// A subspace, and for each of its cells mean and variance of what it adds.
    subspaces: Vec<(usize, Vec<(f64, f64)>)>,
}

impl DistanceTables {
    /// Adds a subspace of the query, whose target is somewhere around `target`, at this mean squared distance.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    fn add(
        &mut self,
        k: usize,
        weight: f64,
        target: &[f32],
        around: f64,
        quantizer: &SubspaceQuantizer,
    ) -> Result<()> {
        let n = target.len();
        let moments = |(centre, &spread): (&[f32], &f32)| {
            let squared = f64::from(squared_distance(target, centre)) + around;
            let (centre, spread) = (weight * squared, weight * f64::from(spread));
            (centre + spread, (4.0 * centre * spread + 2.0 * spread * spread) / n as f64)
        };
        let cells = quantizer.centres.chunks_exact(n).zip(&quantizer.spreads);
        memory::push(&mut self.subspaces, (k, memory::collect(cells.map(moments))?))
    }

    /// What is to be expected of the rows in block `first` of the samples and each `step`th after it; a group's sample stands for all its rows.
    /// The weights add up to 1.
    fn expected_rows(&self, samples: &[Sample], first: usize, step: usize) -> Result<Vec<ExpectedRow>> {
        let (mut expected, mut rows, mut skip) = (Vec::new(), 0.0, first);
        for Sample { shape, cells } in samples {
            let blocks = cells.chunks_exact(shape.cells_of_block());
            let count = blocks.len();
            let weight = shape.rows as f32 / count as f32;
            for block in blocks.skip(skip).step_by(step) {
                memory::reserve(&mut expected, BLOCK_ROWS)?;
                expected.extend((0..BLOCK_ROWS).map(|lane| self.expected_row(block, lane, weight)));
                rows += weight * BLOCK_ROWS as f32;
            }
            skip = (skip + step - count % step) % step;
        }
        expected.iter_mut().for_each(|row| row.weight /= rows);
        Ok(expected)
    }

    /// What is to be expected of the row in a lane of a block of cells.
    fn expected_row(&self, block: &[u8], lane: usize, weight: f32) -> ExpectedRow {
        let (mut mean, mut variance) = (0.0, 0.0);
        for (k, table) in &self.subspaces {
            if let Some(of_cell) = table.get(usize::from(block[k * BLOCK_ROWS + lane])) {
                (mean, variance) = (mean + of_cell.0, variance + of_cell.1);
            }
        }
        let deviation = variance.sqrt().max(1e-6 * mean).max(1e-30);
        ExpectedRow { mean: mean as f32, deviation: deviation as f32, weight }
    }
}

/// The squared distance of two vectors of one length.
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut lanes = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += (a - b) * (a - b);
        }
    }
    lanes.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()
}

/// The standard normal distribution function, to about 0.0002.
fn normal_cdf(x: f64) -> f64 {
    1.0 / (1.0 + (-1.5976 * x - 0.07056 * x.powi(3)).exp())
}
