//! A cursor: a search that is started again when rows move under it, without returning a row twice.

use super::format::Tid;
use super::metapage::Meta;
use super::page_error::{PageError, PageResult};
use super::pages::Pages;
use super::search::{Search, SearchMode, SearchStats};
use super::snapshot::IndexSnapshot;
use super::unordered_scan::UnorderedScan;
use crate::memory;
use crate::space::{distance, Query, QueryRef};
use std::collections::HashSet;

/// Returns every row that was in the index when the cursor was opened exactly once, whatever moves in the meantime.
pub struct Cursor {
    /// `None`: all rows, in any order.
    query: Option<Query>,
    mode: SearchMode,
    /// No row beyond this distance is wanted.
    limit: f64,
    scan: Option<Scan>,
    /// The rows that have been returned, in case the scan has to be started again.
    returned: Vec<Tid>,
    /// The same as a set, once the scan has been started again.
    returned_set: Option<HashSet<Tid>>,
    /// The last bound of an exact search. No row that comes later is nearer, even in a new scan: the old one would have returned it before.
    last_bound: f64,
    stats: SearchStats,
}

/// A scan that ends when rows move.
enum Scan {
    Ordered(Box<Search>),
    /// Without distances: there is no query, or the rows are another model's.
    Unordered(UnorderedScan),
}

impl Cursor {
    /// A cursor in the order of the distance from `query`. Nothing is read before the first row is asked for.
    pub fn new(query: Query, mode: SearchMode) -> Self {
        Self { query: Some(query), mode, ..Self::unordered() }
    }

    /// The cursor, ending at the first bound above the distance `limit`: in an exact search, at or before the first row beyond it.
    /// Without a query it has no distances, and no end but the last row.
    pub fn up_to(self, limit: f64) -> Self {
        Self { limit, ..self }
    }

    /// A cursor over all rows, in any order.
    pub fn unordered() -> Self {
        Self {
            query: None,
            mode: SearchMode::Exact,
            limit: f64::INFINITY,
            scan: None,
            returned: Vec::new(),
            returned_set: None,
            last_bound: 0.0,
            stats: SearchStats::default(),
        }
    }

    /// The next row and a lower bound of its distance, in an exact search not below the one before. There is no bound without
    /// a query, or if the index has rows of another model than the query's.
    ///
    /// # Errors
    /// [`PageError::Failed`] if the index is damaged or cannot be read, or memory is refused.
    pub fn next<P: Pages + ?Sized>(&mut self, pages: &P) -> PageResult<Option<(Tid, Option<f64>)>> {
        loop {
            let reorganizations = match &self.scan {
                Some(scan) => scan.reorganizations(),
                None => Meta::read(pages)?.reorganizations,
            };
            match self.scan_next(pages) {
                Ok(_) if self.scan.as_ref().is_some_and(Scan::has_given_up) => {
                    (self.mode, self.last_bound) = (SearchMode::Exact, 0.0);
                    self.restart()?;
                }
                Ok(None) => return Ok(None),
                Ok(Some((tid, bound))) => {
                    if let Some(returned) = &mut self.returned_set {
                        let bytes = returned.len().saturating_mul(2 * size_of::<Tid>());
                        returned.try_reserve(1).map_err(|_| memory::out_of_memory(bytes))?;
                        if !returned.insert(tid) {
                            continue;
                        }
                    }
                    memory::push(&mut self.returned, tid)?;
                    return Ok(Some((tid, bound.map(|bound| self.not_below_last(bound)))));
                }
                Err(PageError::Stale(block)) => {
                    if Meta::read(pages)?.reorganizations == reorganizations {
                        return Err(PageError::Failed(PageError::Stale(block).into_error()));
                    }
                    self.restart()?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Has the next call start a new scan, which skips the rows that have been returned.
    fn restart(&mut self) -> PageResult<()> {
        self.scan = None;
        if self.returned_set.is_none() {
            let mut set = HashSet::new();
            let bytes = self.returned.len().saturating_mul(2 * size_of::<Tid>());
            set.try_reserve(self.returned.len()).map_err(|_| memory::out_of_memory(bytes))?;
            set.extend(self.returned.iter().copied());
            self.returned_set = Some(set);
        }
        Ok(())
    }

    /// The larger of this bound and the last one. Bounds of an approximate search may decrease, and are left as they are.
    fn not_below_last(&mut self, bound: f64) -> f64 {
        self.last_bound = if self.mode == SearchMode::Exact { self.last_bound.max(bound) } else { bound };
        self.last_bound
    }

    fn scan_next<P: Pages + ?Sized>(&mut self, pages: &P) -> PageResult<Option<(Tid, Option<f64>)>> {
        let scan = match &mut self.scan {
            Some(scan) => scan,
            none => none.insert(Scan::start(
                pages,
                self.query.as_ref().map(Query::as_ref),
                self.mode,
                self.limit,
            )?),
        };
        match scan {
            Scan::Ordered(search) => {
                let row = search.next(pages);
                self.stats = search.stats();
                Ok(row?.map(|(tid, bound)| (tid, Some(bound))))
            }
            Scan::Unordered(scan) => {
                let row = scan.next(pages);
                self.stats = scan.stats();
                Ok(row?.map(|tid| (tid, None)))
            }
        }
    }

    /// Whether the scan is exact, as one at a recall is where that is faster or ranks tell too little.
    pub fn is_exact(&self) -> bool {
        match &self.scan {
            Some(Scan::Ordered(search)) => search.is_exact(),
            Some(Scan::Unordered(_)) | None => self.mode == SearchMode::Exact,
        }
    }

    /// What the scan has done since it was last started.
    pub fn stats(&self) -> SearchStats {
        self.stats
    }

    /// The metapage's counter when the scan was last started; `None` before the first row.
    pub fn reorganizations(&self) -> Option<u32> {
        self.scan.as_ref().map(Scan::reorganizations)
    }
}

impl Scan {
    /// Starts a scan of the index as it is now.
    fn start<P: Pages + ?Sized>(
        pages: &P,
        query: Option<QueryRef<'_>>,
        mode: SearchMode,
        limit: f64,
    ) -> PageResult<Self> {
        let mut tail: Vec<(Tid, f64)> = Vec::new();
        let snapshot =
            IndexSnapshot::read(pages, &mut tail, &mut Vec::clear, &mut |tail, tid, embedding| {
                let distance = match query {
                    Some(query) if query.layout == embedding.layout => distance(embedding, query)?,
                    _ => 0.0,
                };
                if distance.is_nan() {
                    return Err(PageError::corrupt("A row of the tail contains NaN."));
                }
                Ok(memory::push(tail, (tid, distance))?)
            })?;
        match query {
            Some(query) if snapshot.meta.layout.is_none_or(|ours| ours == query.layout) => {
                Ok(Self::Ordered(Box::new(Search::start(pages, &snapshot, tail, query, mode, limit)?)))
            }
            _ => {
                let tids = memory::collect(tail.iter().map(|(tid, _)| *tid))?;
                Ok(Self::Unordered(UnorderedScan::new(snapshot, tids)))
            }
        }
    }

    fn has_given_up(&self) -> bool {
        match self {
            Self::Ordered(search) => search.has_given_up(),
            Self::Unordered(_) => false,
        }
    }

    fn reorganizations(&self) -> u32 {
        match self {
            Self::Ordered(search) => search.reorganizations(),
            Self::Unordered(scan) => scan.reorganizations(),
        }
    }
}
