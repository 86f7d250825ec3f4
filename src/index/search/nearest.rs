//! The bounds of the nearest rows so far: what a search knows of how far it will have to go.

use super::refine::CoarseRow;
use super::state::SearchState;
use crate::error::Result;
use crate::index::page_error::PageResult;
use crate::index::pages::Pages;
use crate::memory;
use std::collections::BinaryHeap;

/// Of the rows that come near, so many are refined at once to lower the cutoff.
const REFINED_ROWS: usize = 16;

/// The smallest bounds of those that were pushed, as many as are wanted.
pub struct NearestBounds {
    wanted: usize,
    /// Not negative, so that their bits are in the order of the numbers.
    bits: BinaryHeap<u32>,
}

impl NearestBounds {
    /// No bounds yet, of which `wanted` are kept.
    pub fn new(wanted: usize) -> Self {
        Self { wanted, bits: BinaryHeap::new() }
    }

    /// How many more have to be pushed before there is a cutoff.
    fn missing(&self) -> usize {
        self.wanted.saturating_sub(self.bits.len())
    }

    /// Eight times as many bounds are kept from now on.
    pub fn want_more(&mut self) {
        self.wanted = self.wanted.saturating_mul(8);
    }

    /// The largest of the bounds that are kept; infinite if there are fewer than wanted.
    pub fn cutoff(&self) -> f32 {
        match self.bits.peek() {
            Some(&bits) if self.bits.len() >= self.wanted => f32::from_bits(bits),
            _ => f32::INFINITY,
        }
    }

    /// Takes the nearest of some rows, as many as are missing or few more, out of `rows`: refines them, puts them into the queue, and
    /// lowers the cutoff by them. Returns the largest bound that one of them had.
    ///
    /// # Errors
    /// Those of [`SearchState::refine`].
    pub fn refine_nearest<P: Pages + ?Sized>(
        &mut self,
        state: &mut SearchState,
        pages: &P,
        rows: &mut Vec<CoarseRow>,
    ) -> PageResult<f32> {
        let count = self.missing().max(REFINED_ROWS).min(rows.len());
        if count == 0 {
            return Ok(f32::NEG_INFINITY);
        }
        let rest = rows.len() - count;
        rows.select_nth_unstable_by(rest, |a, b| b.bound.total_cmp(&a.bound));
        let largest = rows[rest..].iter().map(|row| row.bound).fold(f32::NEG_INFINITY, f32::max);
        self.reserve(count)?;
        state.refine(pages, &mut rows[rest..], f32::INFINITY, |row| self.push(row.bound))?;
        rows.truncate(rest);
        Ok(largest)
    }

    /// Makes room for `bounds` more bounds.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    fn reserve(&mut self, bounds: usize) -> Result<()> {
        let bytes = (self.bits.len() + bounds) * size_of::<u32>();
        self.bits.try_reserve(bounds).map_err(|_| memory::out_of_memory(bytes))
    }

    /// Offers a bound, which must not be negative; [`NearestBounds::reserve`] has made room.
    fn push(&mut self, bound: f32) {
        self.bits.push(bound.to_bits());
        if self.bits.len() > self.wanted {
            self.bits.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cutoff_falls_as_nearer_rows_come_and_rises_when_more_are_wanted() {
        let mut nearest = NearestBounds::new(2);
        nearest.reserve(20).unwrap();
        nearest.push(3.0);
        assert_eq!((nearest.missing(), nearest.cutoff()), (1, f32::INFINITY));
        nearest.push(0.0);
        assert_eq!(nearest.cutoff(), 3.0);
        nearest.push(5.0);
        nearest.push(1.5);
        assert_eq!(nearest.cutoff(), 1.5);
        nearest.want_more();
        assert_eq!((nearest.missing(), nearest.cutoff()), (14, f32::INFINITY));
    }
}
