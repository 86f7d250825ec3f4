//! Best-first search: the candidate with the smallest bound is looked at next, until it is a row.

use super::priority_queue::Candidate;
use super::refine::{CoarseRow, RowRef};
use super::state::SearchState;
use crate::index::format::Tid;
use crate::index::page_error::PageResult;
use crate::index::pages::Pages;

/// Which rows of the groups a search bounds by their high nibbles, and when. All bounds it puts into the queue are lower
/// bounds, and not below that of the unopened rows which the row was among.
pub trait Strategy {
    /// Reads what has to be read of all groups before the first row can be returned.
    ///
    /// # Errors
    /// Those of [`Pages::read`], and [`PageError::Failed`](crate::index::PageError::Failed) for damaged pages.
    fn start<P: Pages + ?Sized>(&mut self, state: &mut SearchState, pages: &P) -> PageResult<()>;

    /// Unopened rows of a group may come next: puts those into the queue that do, and the others as unopened rows again.
    /// Strategies that leave no unopened rows in the queue need not define it.
    ///
    /// # Errors
    /// As [`Strategy::start`].
    fn open<P: Pages + ?Sized>(
        &mut self,
        _state: &mut SearchState,
        _pages: &P,
        _group: u32,
        _bound: f32,
    ) -> PageResult<()> {
        Ok(())
    }

    /// The queue is empty: puts more rows into it, or returns false if there are none.
    ///
    /// # Errors
    /// As [`Strategy::start`].
    fn refill<P: Pages + ?Sized>(&mut self, _state: &mut SearchState, _pages: &P) -> PageResult<bool> {
        Ok(false)
    }
}

/// A search in progress with strategy S.
pub struct BestFirst<S> {
    pub state: SearchState,
    pub strategy: S,
}

impl<S: Strategy> BestFirst<S> {
    /// Starts a search.
    ///
    /// # Errors
    /// Those of [`Strategy::start`].
    pub fn start<P: Pages + ?Sized>(mut state: SearchState, mut strategy: S, pages: &P) -> PageResult<Self> {
        strategy.start(&mut state, pages)?;
        Ok(Self { state, strategy })
    }

    /// The next row, and a distance that is not above its own; `None` if all that are left are beyond the limit.
    ///
    /// # Errors
    /// Those of [`Pages::read`], and [`PageError::Failed`](crate::index::PageError::Failed) for damaged pages.
    pub fn next<P: Pages + ?Sized>(&mut self, pages: &P) -> PageResult<Option<(Tid, f64)>> {
        let Self { state, strategy } = self;
        loop {
            let Some(item) = state.queue.pop()? else {
                if strategy.refill(state, pages)? {
                    continue;
                }
                return Ok(None);
            };
            let bound = item.bound;
            if state.is_beyond_limit(bound) {
                return Ok(None);
            }
            match item.candidate {
                Candidate::Unopened { group } => strategy.open(state, pages, group, bound)?,
                Candidate::CoarseRow { row, group } => {
                    state.refine_next(pages, CoarseRow { group, row: RowRef::Number(row), bound })?;
                }
                Candidate::CoarsePosition { position, group } => {
                    state.refine_next(pages, CoarseRow { group, row: RowRef::Position(position), bound })?;
                }
                Candidate::FineRow { row, group } => {
                    if let Some(row) = state.return_row(pages, group, row, bound)? {
                        return Ok(Some(row));
                    }
                }
                Candidate::TailRow { index } => return Ok(Some(state.return_tail_row(index, bound))),
            }
        }
    }
}
