//! Lanes of a block as bits of a mask.

use std::ops::Range;

/// The mask of a range of lanes.
pub fn range_mask(lanes: Range<usize>) -> u32 {
    let first = |count: usize| ((1u64 << count) - 1) as u32;
    first(lanes.end) & !first(lanes.start)
}

/// The lanes whose bits are set, in order.
pub fn lanes_of(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = mask.trailing_zeros() as usize;
        let found = mask != 0;
        mask &= mask.wrapping_sub(1);
        found.then_some(lane)
    })
}
