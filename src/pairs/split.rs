//! The hyperplane that saves most comparisons of a sample.

use super::reach::{project, Reach};
use super::rows::Rows;
use crate::error::Result;
use crate::memory;

/// A hyperplane. Rows whose projection is below `cut` are on its left.
pub struct Split {
    /// `[K·n]`, of length 1.
    pub vector: Vec<f32>,
    pub cut: f32,
}

/// The rows that a direction is found by, at most.
const MAX_ROWS: usize = 128;
/// A split has to leave this share of the comparisons at most: it costs something itself.
const WORTHWHILE: f64 = 0.8;
/// Steps towards the direction in which rows differ most.
const POWER_STEPS: usize = 3;

impl Split {
    /// The split of the rows that these numbers say; `None` if none is worthwhile.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn best(rows: &Rows, sample: &[u32], reach: &Reach) -> Result<Option<Self>> {
        let Some(directions) = directions(rows, sample)? else { return Ok(None) };
        let mut best: Option<(f64, Self)> = None;
        for mut vector in directions {
            // The guests are those on the right, so a direction is not the same as its reverse.
            for _ in 0..2 {
                let mut projections =
                    memory::collect(sample.iter().map(|&row| project(rows, row as usize, &vector)))?;
                projections.sort_unstable_by(f32::total_cmp);
                let (cost, cut) = best_cut(&projections, reach.projection);
                let limit = best.as_ref().map_or(WORTHWHILE, |best| best.0);
                if cost < limit {
                    best = Some((cost, Self { vector: memory::copied(&vector)?, cut }));
                }
                vector.iter_mut().for_each(|x| *x = -*x);
            }
        }
        Ok(best.map(|(_, split)| split))
    }

    /// Whether a projection is on the left, and whether on the right; both for guests of the left.
    pub fn sides(&self, projection: f32, reach: &Reach) -> (bool, bool) {
        let right = projection >= self.cut;
        (!right || projection - self.cut <= reach.projection, right)
    }
}

/// The cut of sorted projections that leaves the smallest share of the comparisons, and this share.
fn best_cut(projections: &[f32], reach: f32) -> (f64, f32) {
    let all = projections.len();
    let mut best = (1.0, f32::INFINITY);
    for left in all / 16..all - all / 16 {
        let cut = projections[left];
        let with_guests = projections.partition_point(|&x| x < cut || x - cut <= reach);
        // Those that are equal to the cut are on the right.
        let right = all - projections.partition_point(|&x| x < cut);
        let cost = (with_guests as f64 / all as f64).powi(2) + (right as f64 / all as f64).powi(2);
        if cost < best.0 {
            best = (cost, cut);
        }
    }
    best
}

/// Two directions in which rows differ much, `[K·n]` each: from one row to another that is far from it, and about that of the greatest
/// variance; `None` if all rows are the same.
fn directions(rows: &Rows, sample: &[u32]) -> Result<Option<[Vec<f32>; 2]>> {
    let n = rows.layout().dimensions();
    let step = sample.len().div_ceil(MAX_ROWS).max(1);
    let count = sample.len().div_ceil(step);
    let mut centred = memory::with_capacity(count * n)?;
    for &row in sample.iter().step_by(step) {
        centred.extend(rows.values(row as usize).iter().map(|value| value.to_f32()));
    }
    let mut mean = memory::filled(0.0, n)?;
    centred.chunks_exact(n).for_each(|row| add(&mut mean, 1.0 / count as f32, row));
    centred.chunks_exact_mut(n).for_each(|row| add(row, -1.0, &mean));
    let farthest = |from: &[f32]| {
        let distances = centred.chunks_exact(n).map(|row| (squared_distance(row, from), row));
        distances.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(&[][..], |(_, row)| row)
    };
    let one = farthest(&memory::filled(0.0, n)?);
    let other = farthest(one);
    let mut apart = memory::copied(other)?;
    add(&mut apart, -1.0, one);
    if !normalize(&mut apart) {
        return Ok(None);
    }
    let mut widest = memory::copied(&apart)?;
    for _ in 0..POWER_STEPS {
        let mut next = memory::filled(0.0, n)?;
        centred.chunks_exact(n).for_each(|row| add(&mut next, dot(row, &widest), row));
        if !normalize(&mut next) {
            break;
        }
        widest = next;
    }
    Ok(Some([widest, apart]))
}

/// Scales a vector to length 1; false if it has none, or none that can be computed.
pub fn normalize(vector: &mut [f32]) -> bool {
    let length = vector.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    if !(length.is_finite() && length > 1e-6) {
        return false;
    }
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    true
}

/// Adds `factor · b` to `a`.
pub fn add(a: &mut [f32], factor: f32, b: &[f32]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += factor * b);
}

/// `a·b`, in eight sums that a compiler can keep in one register.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

/// `‖a − b‖²`.
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}
