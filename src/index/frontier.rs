//! The queue of a best-first search in which most items are never looked at.
//!
//! Bounds only grow, so items beyond a threshold lie in a heap of the other kind, unsorted, until the threshold reaches
//! them: pushing costs nothing, and only what comes near the top is ever ordered.

use crate::error::Result;
use crate::memory;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Something to look at, not nearer than `bound`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Item {
    /// Lower bound of the normalized squared distance.
    pub bound: f32,
    /// Which group, or for pieces and the tail nothing.
    pub group: u32,
    /// What kind of item (2 bits) and which.
    pub index: u32,
}

impl Eq for Item {}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The smallest bound is the greatest item: what a heap gives first. Of equals, those that are nearer to an answer.
impl Ord for Item {
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .bound
            .total_cmp(&self.bound)
            .then_with(|| self.index.cmp(&other.index))
            .then_with(|| self.group.cmp(&other.group))
    }
}

/// See the module.
#[derive(Debug)]
pub struct Frontier {
    heap: BinaryHeap<Item>,
    beyond: Vec<Item>,
    /// Items of a bound up to this are in the heap.
    threshold: f32,
    /// How many items the next threshold should let in.
    stride: usize,
}

/// Fewer items than this are not worth a threshold.
const LEAST: usize = 512;

impl Frontier {
    /// Nothing to look at.
    pub fn new() -> Self {
        Self { heap: BinaryHeap::new(), beyond: Vec::new(), threshold: f32::NEG_INFINITY, stride: LEAST }
    }

    /// Makes room for so many more items, wherever they go.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn reserve(&mut self, items: usize) -> Result<()> {
        let bytes = (self.heap.len() + items) * size_of::<Item>();
        self.heap.try_reserve(items).map_err(|_| memory::out_of_memory(bytes))?;
        memory::reserve(&mut self.beyond, items)
    }

    /// Adds an item for which there is room; its bound is a number and not below that of the item it came from.
    #[inline]
    pub fn push(&mut self, item: Item) {
        if item.bound <= self.threshold {
            self.heap.push(item);
        } else {
            self.beyond.push(item);
        }
    }

    /// The item of the smallest bound. Its room stays free.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn pop(&mut self) -> Result<Option<Item>> {
        loop {
            if let Some(item) = self.heap.pop() {
                return Ok(Some(item));
            }
            if self.beyond.is_empty() {
                return Ok(None);
            }
            self.advance()?;
        }
    }

    /// The smallest bound.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn least(&mut self) -> Result<Option<f32>> {
        let Some(item) = self.pop()? else { return Ok(None) };
        self.push(item);
        Ok(Some(item.bound))
    }

    /// Raises the threshold over the next few items.
    fn advance(&mut self) -> Result<()> {
        let items = self.beyond.len();
        if items <= 2 * self.stride {
            self.threshold = f32::INFINITY;
            self.heap = std::mem::take(&mut self.beyond).into();
            return Ok(());
        }
        // The quantile of a sample: near enough, and the smallest item is always let in.
        let step = (items / 4096).max(1);
        let mut sample: Vec<f32> = memory::collect(self.beyond.iter().step_by(step).map(|i| i.bound))?;
        let rank = (self.stride / step).min(sample.len() - 1);
        let threshold = *sample.select_nth_unstable_by(rank, f32::total_cmp).1;
        let mut near = std::mem::take(&mut self.heap).into_vec();
        let mut outcome = Ok(());
        self.beyond.retain(|item| {
            if item.bound <= threshold && outcome.is_ok() {
                outcome = memory::push(&mut near, *item);
            }
            item.bound > threshold
        });
        outcome?;
        self.threshold = threshold;
        self.heap = near.into();
        self.stride *= 2;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn items_come_in_order_whatever_was_pushed_meanwhile(seed in any::<u64>(), count in 0usize..5000) {
            let mut state = seed;
            let mut random = move || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 40) as f32 / 1000.0
            };
            let mut frontier = Frontier::new();
            frontier.reserve(count + 1).unwrap();
            for index in 0..count {
                frontier.push(Item { bound: random(), group: 0, index: index as u32 });
            }
            let (mut last, mut seen) = (f32::NEG_INFINITY, 0);
            while let Some(least) = frontier.least().unwrap() {
                let item = frontier.pop().unwrap().unwrap();
                prop_assert_eq!(item.bound, least);
                prop_assert!(item.bound >= last);
                last = item.bound;
                seen += 1;
                if item.group == 0 && seen % 3 == 0 {
                    frontier.push(Item { bound: item.bound + random() / 10.0, group: 1, index: 0 });
                    seen -= 1;
                }
            }
            prop_assert_eq!(seen, count);
        }
    }
}
