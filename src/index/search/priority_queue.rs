//! The priority queue of a best-first search in which most items are never popped.
//!
//! The smallest bound comes first. Bounds only grow during a search, so items beyond a threshold are kept unsorted until the
//! threshold reaches them: pushing them costs nothing, and only what comes near the top is ever sorted.

use crate::error::Result;
use crate::memory;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A row or rows whose distance from the query is at least `bound`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QueueItem {
    /// Lower bound of the normalized squared distance.
    pub bound: f32,
    pub candidate: Candidate,
}

/// A queue may hold hundreds of thousands of items.
const _: () = assert!(size_of::<QueueItem>() == 12);

/// What an item of the queue stands for. Of equal bounds, the later variants are popped first: they are closer to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Candidate {
    /// Rows of a group that are not in the queue one by one.
    Unopened { group: u32 },
    /// A row with a bound by its high nibbles, known by its number in the group.
    CoarseRow { row: u16, group: u32 },
    /// A row with a bound by its high nibbles, known by its position in the query's only subspace.
    CoarsePosition { position: u16, group: u32 },
    /// A row with a bound by all bits of its codes, known by its number in the group.
    FineRow { row: u16, group: u32 },
    /// A row of the tail, whose distance is known; `index` counts the rows of the tail.
    TailRow { index: u32 },
}

impl Eq for QueueItem {}

impl PartialOrd for QueueItem {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The smallest bound is the greatest item, because a [`BinaryHeap`] pops the greatest.
impl Ord for QueueItem {
    fn cmp(&self, other: &Self) -> Ordering {
        other.bound.total_cmp(&self.bound).then_with(|| self.candidate.cmp(&other.candidate))
    }
}

/// A priority queue that sorts its items only when they come near the top; see the module.
#[derive(Debug)]
pub struct PriorityQueue {
    /// Items with a bound up to the threshold.
    heap: BinaryHeap<QueueItem>,
    /// All other items, in no order.
    deferred: Vec<QueueItem>,
    threshold: f32,
    /// About how many items the next threshold lets into the heap.
    batch_size: usize,
}

/// The first batch; so few items more or less are not worth another threshold.
const MIN_BATCH: usize = 512;

impl PriorityQueue {
    /// An empty queue without reserved memory.
    pub fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            deferred: Vec::new(),
            threshold: f32::NEG_INFINITY,
            batch_size: MIN_BATCH,
        }
    }

    /// Makes room for `items` more items, wherever they go.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn reserve(&mut self, items: usize) -> Result<()> {
        let bytes = (self.heap.len() + items) * size_of::<QueueItem>();
        self.heap.try_reserve(items).map_err(|_| memory::out_of_memory(bytes))?;
        memory::reserve(&mut self.deferred, items)
    }

    /// Adds an item for which [`PriorityQueue::reserve`] has made room. Its bound must not be NaN.
    #[inline]
    pub fn push(&mut self, item: QueueItem) {
        if item.bound <= self.threshold {
            self.heap.push(item);
        } else {
            self.deferred.push(item);
        }
    }

    /// Removes the item with the smallest bound. Its room stays reserved.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn pop(&mut self) -> Result<Option<QueueItem>> {
        loop {
            if let Some(item) = self.heap.pop() {
                return Ok(Some(item));
            }
            if self.deferred.is_empty() {
                return Ok(None);
            }
            self.raise_threshold()?;
        }
    }

    /// The smallest bound.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn peek_bound(&mut self) -> Result<Option<f32>> {
        let Some(item) = self.pop()? else { return Ok(None) };
        self.push(item);
        Ok(Some(item.bound))
    }

    /// Moves the next batch of deferred items into the heap.
    fn raise_threshold(&mut self) -> Result<()> {
        let items = self.deferred.len();
        if items <= 2 * self.batch_size {
            self.threshold = f32::INFINITY;
            self.heap = std::mem::take(&mut self.deferred).into();
            return Ok(());
        }
        // A quantile of a sample is near enough. At least the smallest sampled item passes.
        let step = (items / 4096).max(1);
        let mut sample: Vec<f32> = memory::collect(self.deferred.iter().step_by(step).map(|i| i.bound))?;
        let rank = (self.batch_size / step).min(sample.len() - 1);
        let threshold = *sample.select_nth_unstable_by(rank, f32::total_cmp).1;
        let mut batch = std::mem::take(&mut self.heap).into_vec();
        let mut outcome = Ok(());
        self.deferred.retain(|item| {
            if item.bound <= threshold && outcome.is_ok() {
                outcome = memory::push(&mut batch, *item);
            }
            item.bound > threshold
        });
        outcome?;
        self.threshold = threshold;
        self.heap = batch.into();
        self.batch_size *= 2;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item(bound: f32, index: u32) -> QueueItem {
        QueueItem { bound, candidate: Candidate::TailRow { index } }
    }

    proptest! {
        #[test]
        fn items_come_in_order_whatever_was_pushed_meanwhile(seed in any::<u64>(), count in 0usize..5000) {
            let mut state = seed;
            let mut random = move || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 40) as f32 / 1000.0
            };
            let mut queue = PriorityQueue::new();
            queue.reserve(count + 1).unwrap();
            for _ in 0..count {
                queue.push(item(random(), 0));
            }
            let (mut last, mut seen) = (f32::NEG_INFINITY, 0);
            while let Some(smallest) = queue.peek_bound().unwrap() {
                let next = queue.pop().unwrap().unwrap();
                prop_assert_eq!(next.bound, smallest);
                prop_assert!(next.bound >= last);
                last = next.bound;
                seen += 1;
                if next.candidate == (Candidate::TailRow { index: 0 }) && seen % 3 == 0 {
                    queue.push(item(next.bound + random() / 10.0, 1));
                    seen -= 1;
                }
            }
            prop_assert_eq!(seen, count);
        }
    }
}
