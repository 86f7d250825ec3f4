//! Packed rows to samples: predictors undone, bits unpacked, numbers in the machine's order.

use super::layout::{Layout, Numbers};

/// Undoes the predictor of one row of a chunk, in place, and puts its numbers into this machine's order. `row` has `samples` samples
/// for each pixel: all of the file's, or one where each has a plane of its own.
pub(super) fn undo_predictor(row: &mut [u8], layout: &Layout, samples: usize) {
    let bytes = usize::from(layout.bits / 8);
    if layout.predictor == 3 {
        return undo_float_predictor(row, samples, bytes);
    }
    if !layout.little_endian {
        row.chunks_exact_mut(bytes.max(1)).for_each(<[u8]>::reverse);
    }
    if layout.predictor != 2 {
        return;
    }
    match layout.bits {
        8 => {
            for i in samples..row.len() {
                row[i] = row[i].wrapping_add(row[i - samples]);
            }
        }
        16 => add_previous::<2>(row, samples, |a, b| {
            u16::from_le_bytes(a).wrapping_add(u16::from_le_bytes(b)).to_le_bytes()
        }),
        32 => add_previous::<4>(row, samples, |a, b| {
            u32::from_le_bytes(a).wrapping_add(u32::from_le_bytes(b)).to_le_bytes()
        }),
        _ => add_previous::<8>(row, samples, |a, b| {
            u64::from_le_bytes(a).wrapping_add(u64::from_le_bytes(b)).to_le_bytes()
        }),
    }
}

fn add_previous<const N: usize>(row: &mut [u8], samples: usize, add: impl Fn([u8; N], [u8; N]) -> [u8; N]) {
    let (numbers, _) = row.as_chunks_mut::<N>();
    for i in samples..numbers.len() {
        numbers[i] = add(numbers[i], numbers[i - samples]);
    }
}

/// The bytes of a row are differences, and sorted by their place in the number, the most significant first.
fn undo_float_predictor(row: &mut [u8], samples: usize, bytes: usize) {
    for i in samples..row.len() {
        row[i] = row[i].wrapping_add(row[i - samples]);
    }
    let sorted = row.to_vec();
    let numbers = row.len() / bytes;
    for (i, number) in row.chunks_exact_mut(bytes).enumerate() {
        for (place, byte) in number.iter_mut().rev().enumerate() {
            *byte = sorted[place * numbers + i];
        }
    }
}

/// One row's samples as numbers, little-endian after [`undo_predictor`].
pub(super) fn unpack(row: &[u8], layout: &Layout, out: &mut Vec<f32>, integers: &mut Vec<u32>) {
    out.clear();
    integers.clear();
    match (layout.numbers, layout.bits) {
        (Numbers::Float, 16) => {
            out.extend(row.as_chunks::<2>().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f32()));
        }
        (Numbers::Float, 32) => out.extend(row.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b))),
        (Numbers::Float, _) => {
            out.extend(row.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b) as f32));
        }
        (_, 8) => integers.extend(row.iter().map(|byte| u32::from(*byte))),
        (_, 16) => integers.extend(row.as_chunks::<2>().0.iter().map(|b| u32::from(u16::from_le_bytes(*b)))),
        (_, 32) => integers.extend(row.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b))),
        (_, bits) => {
            let (mut buffer, mut count) = (0u64, 0u32);
            for byte in row {
                buffer = buffer << 8 | u64::from(*byte);
                count += 8;
                while count >= u32::from(bits) {
                    count -= u32::from(bits);
                    integers.push((buffer >> count) as u32 & ((1 << bits) - 1));
                }
            }
        }
    }
}
