//! k-means, and the random numbers that it and the samples take.

use crate::error::Result;
use crate::memory;
use crate::space::squared_l2_f16_f32;
use half::f16;

/// Iterations of Lloyd's algorithm.
const LLOYD_ITERATIONS: usize = 8;

/// A small generator of pseudo-random numbers (SplitMix64) with a fixed seed: the same rows always make the same index.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator that always gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A whole number in `[0, limit)`; `limit` is positive.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The nearest centre and its squared distance.
pub fn nearest(row: &[f16], centres: &[f32]) -> (usize, f32) {
    let distances = centres.chunks_exact(row.len()).map(|c| squared_l2_f16_f32(row, c));
    distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0))
}

/// k-means: seeds far from each other (k-means++), then Lloyd's algorithm. Returns centres `[cells, n]`.
///
/// # Errors
/// [`crate::error::Kind::OutOfMemory`].
pub fn k_means(n: usize, rows: &[&[f16]], cells: usize, random: &mut Random) -> Result<Vec<f32>> {
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

/// k-means in two levels: `branches` centres `[branches, n]`, and of the rows nearest to each of them as many centres as `children` says of
/// their number.
///
/// # Errors
/// [`crate::error::Kind::OutOfMemory`].
pub fn k_means_tree(
    n: usize,
    rows: &[&[f16]],
    branches: usize,
    children: impl Fn(usize) -> usize,
    random: &mut Random,
) -> Result<(Vec<f32>, Vec<Vec<f32>>)> {
    let branches = k_means(n, rows, branches, random)?;
    let mut of_branch: Vec<Vec<&[f16]>> = memory::collect(branches.chunks_exact(n).map(|_| Vec::new()))?;
    for &row in rows {
        memory::push(&mut of_branch[nearest(row, &branches).0], row)?;
    }
    let mut centres = memory::with_capacity(of_branch.len())?;
    for rows in &of_branch {
        centres.push(k_means(n, rows, children(rows.len()), random)?);
    }
    Ok((branches, centres))
}
