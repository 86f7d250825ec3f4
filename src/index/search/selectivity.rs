//! How many rows are within a distance of a query, as the cells of a sample of rows let expect: for the planner.
//!
//! In one subspace, the squared distance of a row from the target is `δ² + ρ² − 2 (t − c)·(x − c)`: its cell's centre c is at the squared
//! distance δ² from the target t, and the row x at ρ² from the centre, in a direction of which nothing is known. So the mean is `δ² + ρ²`, with
//! ρ² the spread of the cell, and in n dimensions the variance about `(4 δ² ρ² + 2 ρ⁴) / n`. Sums over subspaces are taken to be normal.

use crate::error::Result;
use crate::index::format::{GroupShape, BLOCK_ROWS};
use crate::index::page_error::PageResult;
use crate::index::pages::Pages;
use crate::index::quantizer::{Quantizer, SubspaceQuantizer};
use crate::index::snapshot::IndexSnapshot;
use crate::memory;
use crate::space::{distance, Layout, QueryRef};

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

/// The share of the rows that is expected within the distance `limit`, from 0 to 1; `None` if the index has no sample, no rows, or another
/// model's.
///
/// # Errors
/// Those of [`Pages::read`]; [`crate::index::PageError::Failed`] for damaged pages or refused memory.
pub fn share_within<P: Pages + ?Sized>(
    pages: &P,
    query: ExpectedQuery<'_>,
    limit: f64,
) -> PageResult<Option<f64>> {
    let mut tail = Vec::new();
    let snapshot =
        IndexSnapshot::read(pages, &mut tail, &mut Vec::clear, &mut |tail, _, embedding| match query {
            ExpectedQuery::Known(query) if query.layout == embedding.layout => {
                Ok(memory::push(tail, distance(embedding, query)?)?)
            }
            _ => Ok(()),
        })?;
    let samples = read_samples(pages, &snapshot)?;
    let (Some(layout), false) = (snapshot.meta.layout, samples.is_empty()) else { return Ok(None) };
    let mut sums = match query {
        ExpectedQuery::Known(query) if query.layout != layout => return Ok(None),
        ExpectedQuery::Known(query) => {
            memory::collect([DistanceTables::new(limit * limit - query.constant)])?
        }
        ExpectedQuery::Unknown(_) => {
            memory::collect((0..TRIALS).map(|_| DistanceTables::new(limit * limit)))?
        }
    };
    fill_tables(pages, &snapshot, layout, query, &samples, &mut sums)?;
    // Each row is compared with a part of the samples, so that many take no longer than one.
    let share = |(i, tables): (usize, &DistanceTables)| tables.share(&samples, i, sums.len());
    let shares = sums.iter().enumerate().map(share).sum::<f64>();
    let mean = if limit < 0.0 { 0.0 } else { shares / sums.len() as f64 };
    let grouped = snapshot.groups.iter().map(|(_, shape)| shape.rows).sum::<usize>() as f64;
    let in_tail = tail.iter().filter(|&&distance| distance <= limit).count() as f64;
    Ok(Some((grouped * mean + in_tail) / (grouped + tail.len() as f64)))
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

/// Makes the tables of one query, or of a row for each element of `sums`, subspace by subspace.
fn fill_tables<P: Pages + ?Sized>(
    pages: &P,
    snapshot: &IndexSnapshot,
    layout: Layout,
    query: ExpectedQuery<'_>,
    samples: &[Sample],
    sums: &mut [DistanceTables],
) -> PageResult<()> {
    let Some(extent) = snapshot.meta.quantizer_extent() else { return Ok(()) };
    let (n, cells) = (layout.subspace_dim(), snapshot.meta.cells as usize);
    let read = |k| Quantizer::read_subspace(pages, extent, layout, cells, k);
    match query {
        ExpectedQuery::Known(query) => {
            for (k, weight, target) in query.active() {
                sums[0].add(k, weight.into(), target, 0.0, &read(k)?)?;
            }
        }
        ExpectedQuery::Unknown(subspaces) => {
            let (all, trials) = (layout.subspaces(), sums.len());
            let count = subspaces.unwrap_or(all);
            for k in 0..all {
                let quantizer = read(k)?;
                for (trial, sums) in sums.iter_mut().enumerate() {
                    // Each trial starts with another subspace.
                    if (k + all - trial % all) % all < count {
                        let sample = &samples[trial * samples.len() / trials];
                        let cell = usize::from(sample.cells[k * BLOCK_ROWS + trial]).min(cells - 1);
                        let (target, spread) =
                            (&quantizer.centres[cell * n..][..n], quantizer.spreads.get(cell));
                        sums.add(k, 1.0, target, spread.map_or(0.0, |&spread| spread.into()), &quantizer)?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// What the cells of a row say of its squared distance from a query.
struct DistanceTables {
    /// The greatest squared distance that counts, without the query's constant.
    limit: f64,
    /// A subspace, and for each of its cells mean and variance of what it adds.
    subspaces: Vec<(usize, Vec<(f64, f64)>)>,
}

impl DistanceTables {
    fn new(limit: f64) -> Self {
        Self { limit, subspaces: Vec::new() }
    }

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

    /// The expected share of rows within the limit, by block `first` of the samples and each `step`th after it; a group's sample stands for
    /// all its rows.
    fn share(&self, samples: &[Sample], first: usize, step: usize) -> f64 {
        let (mut sum, mut rows, mut skip) = (0.0, 0, first);
        for Sample { shape, cells } in samples {
            let blocks = cells.chunks_exact(shape.cells_of_block());
            let count = blocks.len();
            for block in blocks.skip(skip).step_by(step) {
                let of_block = (0..BLOCK_ROWS).map(|lane| self.probability(block, lane)).sum::<f64>();
                sum += of_block * shape.rows as f64 / count as f64;
                rows += BLOCK_ROWS * shape.rows / count;
            }
            skip = (skip + step - count % step) % step;
        }
        sum / rows.max(1) as f64
    }

    /// How likely the row in a lane of a block of cells is within the limit.
    fn probability(&self, block: &[u8], lane: usize) -> f64 {
        let (mut mean, mut variance) = (0.0, 0.0);
        for (k, table) in &self.subspaces {
            if let Some(of_cell) = table.get(usize::from(block[k * BLOCK_ROWS + lane])) {
                (mean, variance) = (mean + of_cell.0, variance + of_cell.1);
            }
        }
        normal_cdf((self.limit - mean) / variance.sqrt().max(1e-6 * mean).max(1e-30))
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
