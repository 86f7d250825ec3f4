//! A search that outlives reorganizations of the index.

use super::layout::{Meta, Tid};
use super::pages::{Pages, Problem, Read};
use super::search::{Mode, Search, Stats};
use crate::space::Query;
use std::collections::HashSet;

/// Returns every row that was in the index when the cursor was opened exactly once, whatever moves in the meantime.
pub struct Cursor {
    query: Query,
    mode: Mode,
    search: Option<Search>,
    /// What has been returned, in case the search has to be started again.
    returned: Vec<Tid>,
    /// The same as a set, once it was.
    known: Option<HashSet<Tid>>,
    /// The last bound. A row that comes later is not nearer: it was in the old search too, and still to come.
    last: f64,
    stats: Stats,
}

impl Cursor {
    /// Asks `query`; nothing is read before the first row.
    pub fn new(query: Query, mode: Mode) -> Self {
        Self {
            query,
            mode,
            search: None,
            returned: Vec::new(),
            known: None,
            last: 0.0,
            stats: Stats::default(),
        }
    }

    /// The next row and a lower bound of its distance, not below the one before.
    ///
    /// # Errors
    /// [`Problem::Failed`] if the index is damaged, cannot be read, or holds another model's rows.
    pub fn next<P: Pages + ?Sized>(&mut self, pages: &P) -> Read<Option<(Tid, f64)>> {
        loop {
            let changes = match &self.search {
                Some(search) => search.changes(),
                None => Meta::read(pages)?.changes,
            };
            match self.step(pages) {
                Ok(None) => return Ok(None),
                Ok(Some((tid, bound))) => {
                    if self.known.as_mut().is_some_and(|known| !known.insert(tid)) {
                        continue;
                    }
                    self.returned.push(tid);
                    // Only an approximate search may fall back, and then says so.
                    if self.mode == Mode::Exact {
                        self.last = self.last.max(bound);
                    } else {
                        self.last = bound;
                    }
                    return Ok(Some((tid, self.last)));
                }
                Err(Problem::Stale(block)) => {
                    if Meta::read(pages)?.changes == changes {
                        return Err(Problem::Failed(Problem::Stale(block).into_error()));
                    }
                    self.search = None;
                    self.known.get_or_insert_with(|| self.returned.iter().copied().collect());
                }
                Err(problem) => return Err(problem),
            }
        }
    }

    fn step<P: Pages + ?Sized>(&mut self, pages: &P) -> Read<Option<(Tid, f64)>> {
        let search = match &mut self.search {
            Some(search) => search,
            none => none.insert(Search::start(pages, self.query.as_ref(), self.mode)?),
        };
        let row = search.next(pages);
        self.stats = search.stats();
        row
    }

    /// What the search has done since it was last started.
    pub fn stats(&self) -> Stats {
        self.stats
    }
}
