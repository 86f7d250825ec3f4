//! A sketch of each row: its projections on a few vectors that are orthogonal to each other. Two sketches are no further apart than their rows,
//! and in the directions in which rows differ most they are nearly as far.

use super::reach::{project, Reach};
use super::rows::Rows;
use super::split::{add, dot, normalize};
use crate::error::Result;
use crate::memory;

/// Numbers of a sketch.
const SIZE: usize = 16;

/// The sketch of a row.
pub type Sketch = [f32; SIZE];

/// The vectors that rows are projected on.
pub struct Sketcher {
    /// `[at most SIZE, K·n]`.
    vectors: Vec<Vec<f32>>,
}

impl Sketcher {
    /// Vectors between some of the rows, made orthogonal. `first` is the first of them.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn new(
        rows: &Rows,
        members: impl ExactSizeIterator<Item = usize>,
        first: Option<Vec<f32>>,
    ) -> Result<Self> {
        let mut vectors: Vec<Vec<f32>> = memory::collect(first)?;
        let step = (members.len() / (2 * SIZE)).max(1);
        let mut former: Option<usize> = None;
        for row in members.step_by(step) {
            let Some(former) = former.replace(row) else { continue };
            if vectors.len() == SIZE {
                break;
            }
            let (from, to) = (rows.values(former), rows.values(row));
            let mut vector = memory::collect(from.iter().zip(to).map(|(a, b)| b.to_f32() - a.to_f32()))?;
            if !normalize(&mut vector) {
                continue;
            }
            // Twice, as rounding leaves something the first time.
            for _ in 0..2 {
                for other in &vectors {
                    let along = dot(&vector, other);
                    add(&mut vector, -along, other);
                }
            }
            // What is left of a vector that was nearly a sum of the others is rounding.
            if dot(&vector, &vector) > 0.01 && normalize(&mut vector) {
                memory::push(&mut vectors, vector)?;
            }
        }
        Ok(Self { vectors })
    }

    /// The sketch of a row.
    pub fn sketch(&self, rows: &Rows, row: usize) -> Sketch {
        let mut sketch = [0.0; SIZE];
        for (number, vector) in sketch.iter_mut().zip(&self.vectors) {
            *number = project(rows, row, vector);
        }
        sketch
    }
}

/// Whether two sketches are so near each other that their rows may be a pair.
#[inline]
pub fn may_be_pair(a: &Sketch, b: &Sketch, reach: &Reach) -> bool {
    let mut sums = [0.0; 4];
    for (a, b) in a.as_chunks::<4>().0.iter().zip(b.as_chunks::<4>().0) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += (a - b) * (a - b);
        }
    }
    sums.iter().sum::<f32>() <= reach.sketch_squared
}
