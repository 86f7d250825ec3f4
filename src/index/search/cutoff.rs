//! A cutoff on bounds: rows up to it go into a queue one by one, all others of a group as one item. Those rarely come next,
//! and rows that are not in the queue cost neither time nor memory.

use super::lanes::{lanes_of, range_mask};
use super::priority_queue::{Candidate, PriorityQueue, QueueItem};
use crate::error::Result;
use crate::index::format::BLOCK_ROWS;
use crate::index::kernels::partition_by_cutoff;
use crate::memory;

/// At least this many rows of all groups pass the first cutoff: more than most queries look at.
pub const MIN_FIRST_ROWS: usize = 2048;

/// The bounds of one group's rows at a time, and the cutoff that decides which of them go into a queue.
pub struct Cutoff {
    /// Negative infinity until it is chosen from a sample of bounds.
    cutoff: f32,
    /// The share of rows that the cutoff is meant to let pass.
    share: f64,
    /// `[groups]`: rows up to this bound are in the queue, or were.
    enqueued_bounds: Vec<f32>,
    /// `[rows of the group, rounded up to whole blocks]`.
    bounds: Vec<f32>,
}

impl Cutoff {
    /// A cutoff that at first lets about `first_rows` pass, of the `rows` of `groups` groups.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn new(groups: usize, rows: usize, first_rows: usize) -> Result<Self> {
        let share = first_rows as f64 / rows.max(1) as f64;
        Ok(Self {
            cutoff: if share < 0.5 { f32::NEG_INFINITY } else { f32::INFINITY },
            share,
            enqueued_bounds: memory::filled(f32::NEG_INFINITY, groups)?,
            bounds: Vec::new(),
        })
    }

    /// A bound of 0 for each of a group's `rows`, rounded up to whole blocks.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn zero_bounds(&mut self, rows: usize) -> Result<&mut [f32]> {
        let rows = rows.next_multiple_of(BLOCK_ROWS);
        self.bounds.clear();
        memory::reserve(&mut self.bounds, rows)?;
        self.bounds.resize(rows, 0.0);
        Ok(&mut self.bounds)
    }

    /// The rows of a group that are beyond the cutoff, all of at least this bound, are about to be enqueued: if the cutoff is
    /// below that bound, the next one lets eight times as many rows pass.
    pub fn raise(&mut self, bound: f32) {
        if self.cutoff < bound {
            self.share *= 8.0;
            self.cutoff = f32::NEG_INFINITY;
        }
    }

    /// Puts those of a group's `rows` into the queue whose bounds are up to the cutoff and that are not in it yet; all others
    /// as one item with the smallest of their bounds.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn enqueue_below_cutoff(&mut self, queue: &mut PriorityQueue, group: u32, rows: usize) -> Result<()> {
        let exclusive_min = self.enqueued_bounds[group as usize];
        // Lanes of the last block that have no row are beyond every cutoff.
        self.bounds[rows..].fill(f32::INFINITY);
        if self.cutoff <= exclusive_min || self.cutoff == f32::NEG_INFINITY {
            self.cutoff = self.sample(rows)?;
        }
        self.cutoff = self.cutoff.max(exclusive_min);
        queue.reserve(rows + 1)?;
        let mut next_bound = f32::INFINITY;
        for (block, bounds) in self.bounds.as_chunks::<BLOCK_ROWS>().0.iter().enumerate() {
            let (mask, beyond) = partition_by_cutoff(bounds, exclusive_min, self.cutoff);
            next_bound = next_bound.min(beyond);
            let first = block * BLOCK_ROWS;
            for lane in lanes_of(mask & range_mask(0..BLOCK_ROWS.min(rows - first))) {
                let candidate = Candidate::CoarseRow { row: (first + lane) as u16, group };
                queue.push(QueueItem { bound: bounds[lane], candidate });
            }
        }
        self.enqueued_bounds[group as usize] = self.cutoff;
        if next_bound < f32::INFINITY {
            queue.push(QueueItem { bound: next_bound, candidate: Candidate::Unopened { group } });
        }
        Ok(())
    }

    /// The bound that about the wanted share of a group's rows does not exceed.
    fn sample(&self, rows: usize) -> Result<f32> {
        let step = (rows / 4096).max(1);
        let mut sample: Vec<f32> = memory::collect(self.bounds[..rows].iter().copied().step_by(step))?;
        let rank = (sample.len() as f64 * self.share) as usize;
        Ok(if rank < sample.len() {
            *sample.select_nth_unstable_by(rank, f32::total_cmp).1
        } else {
            f32::INFINITY
        })
    }
}
