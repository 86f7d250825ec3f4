//! A search that outlives reorganizations of the index.

use super::layout::{Meta, Tid};
use super::listing::Listing;
use super::pages::{PageError, PageResult, Pages};
use super::search::{Search, SearchMode, SearchStats};
use super::snapshot::IndexSnapshot;
use crate::memory;
use crate::space::{distance, Query, QueryRef};
use std::collections::HashSet;

/// Returns every row that was in the index when the cursor was opened exactly once, whatever moves in the meantime.
pub struct Cursor {
    /// None is as far from every row as from any other.
    query: Option<Query>,
    mode: SearchMode,
    running: Option<Running>,
    /// What has been returned, in case the search has to be started again.
    returned: Vec<Tid>,
    /// The same as a set, once it was.
    known: Option<HashSet<Tid>>,
    /// The last bound. A row that comes later is not nearer: it was in the old search too, and still to come.
    last: f64,
    stats: SearchStats,
}

/// What goes on until rows move.
enum Running {
    Search(Box<Search>),
    /// There are no distances: without a query, and between it and another model's rows.
    Listing(Listing),
}

impl Cursor {
    /// Asks `query`; nothing is read before the first row.
    pub fn new(query: Query, mode: SearchMode) -> Self {
        Self { query: Some(query), mode, ..Self::unordered() }
    }

    /// All rows, in any order.
    pub fn unordered() -> Self {
        Self {
            query: None,
            mode: SearchMode::Exact,
            running: None,
            returned: Vec::new(),
            known: None,
            last: 0.0,
            stats: SearchStats::default(),
        }
    }

    /// The next row and a lower bound of its distance, not below the one before; without a bound, if the index has rows of another
    /// model than the query's, or there is no query.
    ///
    /// # Errors
    /// [`PageError::Failed`] if the index is damaged or cannot be read, or memory is refused.
    pub fn next<P: Pages + ?Sized>(&mut self, pages: &P) -> PageResult<Option<(Tid, Option<f64>)>> {
        loop {
            let changes = match &self.running {
                Some(running) => running.reorganizations(),
                None => Meta::read(pages)?.reorganizations,
            };
            match self.step(pages) {
                Ok(None) => return Ok(None),
                Ok(Some((tid, bound))) => {
                    if let Some(known) = &mut self.known {
                        let bytes = known.len().saturating_mul(2 * size_of::<Tid>());
                        known.try_reserve(1).map_err(|_| memory::out_of_memory(bytes))?;
                        if !known.insert(tid) {
                            continue;
                        }
                    }
                    memory::push(&mut self.returned, tid)?;
                    return Ok(Some((tid, bound.map(|bound| self.after_last(bound)))));
                }
                Err(PageError::Stale(block)) => {
                    if Meta::read(pages)?.reorganizations == changes {
                        return Err(PageError::Failed(PageError::Stale(block).into_error()));
                    }
                    self.running = None;
                    if self.known.is_none() {
                        let mut known = HashSet::new();
                        let bytes = self.returned.len().saturating_mul(2 * size_of::<Tid>());
                        known.try_reserve(self.returned.len()).map_err(|_| memory::out_of_memory(bytes))?;
                        known.extend(self.returned.iter().copied());
                        self.known = Some(known);
                    }
                }
                Err(problem) => return Err(problem),
            }
        }
    }

    /// A bound that is not below the last one. Only an approximate search may fall back, and then says so.
    fn after_last(&mut self, bound: f64) -> f64 {
        self.last = if self.mode == SearchMode::Exact { self.last.max(bound) } else { bound };
        self.last
    }

    fn step<P: Pages + ?Sized>(&mut self, pages: &P) -> PageResult<Option<(Tid, Option<f64>)>> {
        let running = match &mut self.running {
            Some(running) => running,
            none => none.insert(Running::start(pages, self.query.as_ref().map(Query::as_ref), self.mode)?),
        };
        match running {
            Running::Search(search) => {
                let row = search.next(pages);
                self.stats = search.stats();
                Ok(row?.map(|(tid, bound)| (tid, Some(bound))))
            }
            Running::Listing(listing) => {
                let row = listing.next(pages);
                self.stats = listing.stats();
                Ok(row?.map(|tid| (tid, None)))
            }
        }
    }

    /// What the search has done since it was last started.
    pub fn stats(&self) -> SearchStats {
        self.stats
    }

    /// The metapage's counter when the search was last started.
    pub fn reorganizations(&self) -> Option<u32> {
        self.running.as_ref().map(Running::reorganizations)
    }
}

impl Running {
    /// Looks at the index as it is now.
    fn start<P: Pages + ?Sized>(
        pages: &P,
        query: Option<QueryRef<'_>>,
        mode: SearchMode,
    ) -> PageResult<Self> {
        let mut tail: Vec<(Tid, f64)> = Vec::new();
        let snapshot =
            IndexSnapshot::read(pages, &mut tail, &mut Vec::clear, &mut |tail, tid, embedding| {
                let distance = match query {
                    Some(query) if query.layout == embedding.layout => distance(embedding, query)?,
                    _ => 0.0,
                };
                if distance.is_nan() {
                    return Err(PageError::corrupt("A row of the tail holds a number that is none."));
                }
                Ok(memory::push(tail, (tid, distance))?)
            })?;
        match query {
            Some(query) if snapshot.meta.layout.is_none_or(|ours| ours == query.layout) => {
                Ok(Self::Search(Box::new(Search::start(pages, snapshot, tail, query, mode)?)))
            }
            _ => {
                let tids = memory::collect(tail.iter().map(|(tid, _)| *tid))?;
                Ok(Self::Listing(Listing::new(snapshot, tids)))
            }
        }
    }

    fn reorganizations(&self) -> u32 {
        match self {
            Self::Search(search) => search.reorganizations(),
            Self::Listing(listing) => listing.reorganizations(),
        }
    }
}
