//! The distance up to which pairs are wanted, with what rounding may add to it.

use super::rows::Rows;
use crate::space::{squared_l2_f16_f32, Layout};

/// How far apart the projections of a pair within the distance can be, as they are computed.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// On one vector of length 1.
    pub projection: f32,
    /// On several that are orthogonal to each other: squared.
    pub sketch_squared: f32,
    /// The squared distance in some of the dimensions.
    pub squared: f32,
}

impl Reach {
    /// For pairs within `threshold`, of rows whose squared length is `squared_norm` at most.
    pub fn new(threshold: f64, layout: Layout, squared_norm: f32) -> Self {
        // A sum of n products in single precision is off by n units in the last place at most. A projection comes from two sums, of
        // numbers up to (‖a‖ + 1)²; and the vector's length is 1 but for some units.
        let unit = f64::from(f32::EPSILON) * (layout.dimensions() + 16) as f64;
        let error = unit * (f64::from(squared_norm).sqrt() + 1.0).powi(2);
        let projection = threshold * (1.0 + unit) + 2.0 * error;
        let sketch = threshold * (1.0 + 1e-3) + 8.0 * error;
        Self {
            projection: round_up(projection),
            sketch_squared: round_up(sketch * sketch),
            squared: round_up(threshold * threshold * (1.0 + 4.0 * unit) + 1e-30),
        }
    }
}

/// The row's projection on a vector of length 1, `[K·n]`: `(‖a‖² + 1 − ‖a − w‖²) / 2`, by the kernel that distances have.
pub fn project(rows: &Rows, row: usize, vector: &[f32]) -> f32 {
    (rows.squared_norm(row) + 1.0 - squared_l2_f16_f32(rows.values(row), vector)) / 2.0
}

/// A number in single precision that is not below this one.
fn round_up(number: f64) -> f32 {
    (number as f32).next_up()
}
