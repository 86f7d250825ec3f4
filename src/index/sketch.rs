//! Sketches: two bits for each dimension of a row, by which a search tells the rows of a cell apart before it reads their codes.
//!
//! Let x be a row, c the centre of its cell, x̂ what its sketch stands for and e = x − x̂. The squared distance of a target t is
//!
//! ```text
//! ‖t − x‖² = ‖t − x̂‖² − ‖e‖² − 2⟨t − x, e⟩
//! ```
//!
//! The last term is about 0, and smaller the nearer the row is. The others are an estimate, `‖t‖² − 2⟨t, x̂⟩ + ‖x̂‖² − ‖e‖²`, in which
//! `‖x̂‖² − ‖e‖² = 2⟨x, x̂⟩ − ‖x‖²` is known when the row is encoded: by how much it differs from 1 is the row's *correction*. An estimate
//! may be on either side of the distance.
//!
//! Levels come from the 8-bit codes, whose range is about 6.8 standard deviations of a dimension's residuals: four levels for normally
//! distributed numbers (Max, Quantizing for minimum distortion, 1960).

use super::format::SKETCH_HEADER;

/// The codes that the levels of a dimension stand for.
pub const LEVELS: [u8; 4] = [71, 111, 145, 185];
/// Codes below these have the level of that number.
const BORDERS: [u8; 3] = [91, 128, 165];
/// The standard deviation of a dimension's residuals, in codes.
const DEVIATION: f64 = 256.0 / 6.8;
/// The mean squared error of a level, in variances of the dimension: 0.1175 for normally distributed numbers, somewhat more for others.
const LEVEL_ERROR: f64 = 0.14;

/// The level of an 8-bit code, 0 to 3.
fn level(code: u8) -> u8 {
    BORDERS.iter().map(|&border| u8::from(code >= border)).sum()
}

/// The code that the level of this code stands for.
pub fn sketch_level(code: u8) -> u8 {
    LEVELS[usize::from(level(code))]
}

/// What 1 in a correction stands for, in a subspace whose codes have these steps.
pub fn correction_unit(step: &[f32]) -> f64 {
    let variance: f64 = step.iter().map(|&step| (DEVIATION * f64::from(step)).powi(2)).sum();
    2.0 * (LEVEL_ERROR * variance).sqrt() / 127.0
}

/// The correction of a row whose inner product with what its sketch stands for, and whose squared norm, are these.
pub fn correction_code(sketched: f64, squared_norm: f64, unit: f64) -> i8 {
    // A cast from float saturates.
    ((2.0 * sketched - squared_norm - 1.0) / unit).round() as i8
}

/// Writes the sketch of a row in one subspace, of zeros before.
pub fn write_sketch(out: &mut [u8], cell: u8, correction: i8, codes: &[u8]) {
    if let [at_cell, at_correction, levels @ ..] = out {
        (*at_cell, *at_correction) = (cell, correction.cast_unsigned());
        for (byte, codes) in levels.iter_mut().zip(codes.chunks(4)) {
            *byte = levels_of(codes);
        }
    }
}

/// Whether `sketch` is that of a row of this cell with these codes, whatever its correction.
pub fn is_sketch_of(sketch: &[u8], cell: u8, codes: &[u8]) -> bool {
    let levels = sketch.iter().skip(SKETCH_HEADER).copied();
    sketch.first() == Some(&cell) && levels.eq(codes.chunks(4).map(levels_of))
}

/// The levels of at most four codes, the first in the lowest bits.
fn levels_of(codes: &[u8]) -> u8 {
    codes.iter().rev().fold(0, |byte, &code| byte << 2 | level(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_level_is_the_nearest_one() {
        for code in 0..=255u8 {
            let distance = |level: &u8| level.abs_diff(code);
            let nearest = LEVELS.iter().map(distance).min();
            assert_eq!(Some(distance(&sketch_level(code))), nearest, "{code}");
        }
    }

    proptest! {
        #[test]
        fn a_sketch_is_that_of_its_codes_and_of_no_other_levels(
            codes in prop::collection::vec(any::<u8>(), 1..70), at in any::<prop::sample::Index>(), cell: u8,
            correction: i8,
        ) {
            let mut sketch = vec![0; SKETCH_HEADER + codes.len().div_ceil(4)];
            write_sketch(&mut sketch, cell, correction, &codes);
            prop_assert!(is_sketch_of(&sketch, cell, &codes));
            prop_assert!(!is_sketch_of(&sketch, cell.wrapping_add(1), &codes));
            let mut other = codes;
            let code = &mut other[at.index(sketch.len().min(1))];
            *code = code.wrapping_add(128);
            prop_assert!(!is_sketch_of(&sketch, cell, &other));
        }
    }
}
