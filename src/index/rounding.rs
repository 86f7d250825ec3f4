//! Rounding to single precision in a known direction, so that a bound stays a bound.

/// The largest single-precision number that is not above x.
pub fn round_down(x: f64) -> f32 {
    let y = x as f32;
    if f64::from(y) > x {
        y.next_down()
    } else {
        y
    }
}

/// The smallest single-precision number that is not below x.
pub fn round_up(x: f64) -> f32 {
    let y = x as f32;
    if f64::from(y) < x {
        y.next_up()
    } else {
        y
    }
}
