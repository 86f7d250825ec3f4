//! The approximate search: ranks rows by the parents of their cells alone, and bounds only a given number of them at a time. Those that have not
//! been bounded yet are missing from the order, so a row may come after one that is farther.

use super::best_first::Strategy;
use super::block_scan::scan_blocks;
use super::cutoff::{Cutoff, MIN_FIRST_ROWS};
use super::priority_queue::{Candidate, PriorityQueue};
use super::refine::CoarseRow;
use super::state::SearchState;
use crate::error::Result;
use crate::index::format::BLOCK_ROWS;
use crate::index::kernels::accumulate;
use crate::index::page_error::PageResult;
use crate::index::pages::Pages;
use crate::memory;

/// The strategy of approximate searches.
pub struct Approximate {
    /// How many rows to bound before the first is returned, and again whenever all of those have been.
    candidates: usize,
    /// Rows that have not been bounded, by the rank of their cells. What is a bound elsewhere is a rank here.
    ranking: PriorityQueue,
    cutoff: Cutoff,
    /// `[K, 16]`: what each parent adds to the rank of its rows.
    table: Vec<u8>,
}

impl Approximate {
    /// A search over the groups of `state`, whose rows have `subspaces` subspaces.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn new(state: &SearchState, subspaces: usize, candidates: usize) -> Result<Self> {
        let candidates = candidates.max(1);
        let first_rows = MIN_FIRST_ROWS.max(2 * candidates);
        Ok(Self {
            candidates,
            ranking: PriorityQueue::new(),
            cutoff: Cutoff::new(state.groups.len(), state.grouped_rows(), first_rows)?,
            table: state.query.parent_ranking_table(subspaces)?,
        })
    }

    /// Ranks every row of a group, and puts those into the ranking that the cutoff lets pass and that are not there yet.
    fn rank_group<P: Pages + ?Sized>(
        &mut self,
        state: &SearchState,
        pages: &P,
        group: u32,
    ) -> PageResult<()> {
        let number = group;
        let group = &state.groups[number as usize];
        let ranks = self.cutoff.zero_bounds(group.shape.rows)?;
        let (range, size) = (group.shape.parents_of_rows(), self.table.len());
        scan_blocks(pages, group.extent, range, size, &mut |block, cells| {
            let mut sums = [0; BLOCK_ROWS];
            accumulate(cells, &self.table, &mut sums);
            for (rank, sum) in ranks[block * BLOCK_ROWS..].iter_mut().zip(sums) {
                *rank = sum as f32;
            }
            Ok(())
        })?;
        Ok(self.cutoff.enqueue_below_cutoff(&mut self.ranking, number, group.shape.rows)?)
    }
}

impl Strategy for Approximate {
    fn start<P: Pages + ?Sized>(&mut self, state: &mut SearchState, pages: &P) -> PageResult<()> {
        (0..state.groups.len() as u32).try_for_each(|group| self.rank_group(state, pages, group))?;
        self.refill(state, pages).map(|_| ())
    }

    /// Bounds the next rows of the ranking.
    fn refill<P: Pages + ?Sized>(&mut self, state: &mut SearchState, pages: &P) -> PageResult<bool> {
        let mut rows = Vec::new();
        while rows.len() < self.candidates {
            let Some(item) = self.ranking.pop()? else { break };
            if let Some(row) = item.coarse_row() {
                // A rank is not a bound.
                memory::push(&mut rows, CoarseRow { bound: 0.0, ..row })?;
            } else if let Candidate::Unopened { group } = item.candidate {
                self.cutoff.raise(item.bound);
                self.rank_group(state, pages, group)?;
            }
        }
        state.refine(pages, &mut rows, |_| {})?;
        state.stats.bounded += rows.len() as u64;
        Ok(!rows.is_empty())
    }
}
