//! What every search has: the query, the groups, the queue of candidates, and the way from a coarse bound to a row.

use super::prepared_query::PreparedQuery;
use super::priority_queue::{Candidate, PriorityQueue, QueueItem};
use super::refine::{CoarseRow, Refined, Refiner, RowRef, MAX_REFINED_ROWS};
use super::search_group::SearchGroup;
use crate::index::format::Tid;
use crate::index::page_error::PageResult;
use crate::index::pages::Pages;
use crate::index::snapshot::IndexSnapshot;
use crate::memory;

/// What a search has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SearchStats {
    /// Rows in groups and tail.
    pub rows: u64,
    /// Rows whose distance was bounded by their codes, and not only by their cell or cell block.
    pub bounded: u64,
    /// Rows whose bound was refined with all bits of their codes.
    pub refined: u64,
    /// Rows returned to the caller.
    pub returned: u64,
    /// Rows that a search at a recall ranked by their cells.
    pub ranked: u64,
    /// Rows whose distance such a search estimated by their sketches.
    pub sketched: u64,
}

/// What every search has, whatever its strategy.
pub struct SearchState {
    pub query: PreparedQuery,
    pub groups: Vec<SearchGroup>,
    /// Rows of the tail and their distances.
    tail: Vec<(Tid, f64)>,
    /// The distance at which the search ends.
    limit: f64,
    pub queue: PriorityQueue,
    pub stats: SearchStats,
    /// The metapage's counter when the search was started.
    pub reorganizations: u32,
    refiner: Refiner,
    /// Rows to be refined together; kept for its memory.
    next_rows: Vec<CoarseRow>,
}

impl SearchState {
    /// A search over the groups of `snapshot` and the rows of its tail, which are in the queue already.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn new(
        query: PreparedQuery,
        snapshot: &IndexSnapshot,
        tail: Vec<(Tid, f64)>,
        limit: f64,
    ) -> crate::error::Result<Self> {
        let mut queue = PriorityQueue::new();
        queue.reserve(tail.len())?;
        for (index, (_, distance)) in (0..).zip(&tail) {
            let bound = query.normalized_bound(*distance);
            queue.push(QueueItem { bound, candidate: Candidate::TailRow { index } });
        }
        let mut groups = memory::with_capacity(snapshot.groups.len())?;
        for (extent, shape) in &snapshot.groups {
            groups.push(SearchGroup::new(*extent, *shape, &query)?);
        }
        let grouped: usize = groups.iter().map(|group| group.shape.rows).sum();
        let stats = SearchStats {
            rows: grouped as u64 + tail.len() as u64,
            bounded: tail.len() as u64,
            ..SearchStats::default()
        };
        Ok(Self {
            query,
            groups,
            tail,
            limit,
            queue,
            stats,
            reorganizations: snapshot.meta.reorganizations,
            refiner: Refiner::default(),
            next_rows: Vec::new(),
        })
    }

    /// Whether rows with this bound or a greater one are beyond the search's limit.
    pub fn is_beyond_limit(&self, bound: f32) -> bool {
        self.query.distance(bound) > self.limit
    }

    /// Rows of all groups, including removed ones.
    pub fn grouped_rows(&self) -> usize {
        self.groups.iter().map(|group| group.shape.rows).sum()
    }

    /// The row of a group, and a distance that is not above its own; `None` if VACUUM has removed the row.
    ///
    /// # Errors
    /// Those of [`Pages::read`].
    pub fn return_row<P: Pages + ?Sized>(
        &mut self,
        pages: &P,
        group: u32,
        row: u16,
        bound: f32,
    ) -> PageResult<Option<(Tid, f64)>> {
        let group = &self.groups[group as usize];
        let tid = Tid::from_bytes(group.extent.array(pages, group.shape.tid(row.into()))?);
        if !tid.is_live() {
            return Ok(None);
        }
        self.stats.returned += 1;
        Ok(Some((tid, self.query.distance(bound))))
    }

    /// A row of the tail, and a distance that is not above its own.
    pub fn return_tail_row(&mut self, index: u32, bound: f32) -> (Tid, f64) {
        self.stats.returned += 1;
        (self.tail[index as usize].0, self.query.distance(bound))
    }

    /// Refines `row`, which was popped, and some of the coarse rows that come after it: a quarter as many as have been
    /// refined so far. Together they cost less, and most will be needed for one of the next answers.
    ///
    /// # Errors
    /// Those of [`Pages::read`] and of [`Refiner::refine`].
    pub fn refine_next<P: Pages + ?Sized>(&mut self, pages: &P, row: CoarseRow) -> PageResult<()> {
        let limit = (self.stats.refined as usize / 4).clamp(1, MAX_REFINED_ROWS);
        let (mut rows, mut others) = (std::mem::take(&mut self.next_rows), Vec::new());
        rows.clear();
        memory::push(&mut rows, row)?;
        while rows.len() < limit && others.len() < limit {
            let Some(item) = self.queue.pop()? else { break };
            match item.coarse_row() {
                Some(row) => memory::push(&mut rows, row)?,
                None => {
                    memory::push(&mut others, item)?;
                    // Unopened rows may come before the coarse rows after them.
                    if let Candidate::Unopened { .. } = item.candidate {
                        break;
                    }
                }
            }
        }
        self.queue.reserve(others.len())?;
        others.into_iter().for_each(|item| self.queue.push(item));
        self.refine(pages, &mut rows, f32::INFINITY, |_| {})?;
        self.next_rows = rows;
        Ok(())
    }

    /// Refines rows, all known by number or all by position, puts them into the queue, and calls `done` with each. A row whose bound
    /// exceeds `limit` after some of the subspaces is left at that for now.
    ///
    /// # Errors
    /// Those of [`Pages::read`] and of [`Refiner::refine`].
    pub fn refine<P: Pages + ?Sized>(
        &mut self,
        pages: &P,
        rows: &mut [CoarseRow],
        limit: f32,
        mut done: impl FnMut(CoarseRow),
    ) -> PageResult<()> {
        // In the order in which they lie.
        rows.sort_unstable_by_key(|row| (row.group, row.row));
        let queue = &mut self.queue;
        for rows in rows.chunk_by(|a, b| a.group == b.group).flat_map(|rows| rows.chunks(MAX_REFINED_ROWS)) {
            let number = rows[0].group;
            let group = &mut self.groups[number as usize];
            queue.reserve(rows.len())?;
            self.refiner.refine(pages, &mut self.query, group, rows, limit, |row, bound, refined| {
                let candidate = match refined {
                    Refined::Wholly => Candidate::FineRow { row, group: number },
                    Refined::InPart => Candidate::CoarseRow { row, group: number },
                };
                queue.push(QueueItem { bound, candidate });
                done(CoarseRow { group: number, row: RowRef::Number(row), bound });
            })?;
            self.stats.refined += rows.len() as u64;
        }
        Ok(())
    }
}

impl From<CoarseRow> for QueueItem {
    fn from(coarse: CoarseRow) -> Self {
        let group = coarse.group;
        let candidate = match coarse.row {
            RowRef::Number(row) => Candidate::CoarseRow { row, group },
            RowRef::Position(position) => Candidate::CoarsePosition { position, group },
        };
        Self { bound: coarse.bound, candidate }
    }
}

impl QueueItem {
    /// The row, if it has been bounded by its high nibbles only.
    #[inline]
    pub fn coarse_row(self) -> Option<CoarseRow> {
        let (group, row) = match self.candidate {
            Candidate::CoarseRow { row, group } => (group, RowRef::Number(row)),
            Candidate::CoarsePosition { position, group } => (group, RowRef::Position(position)),
            Candidate::Unopened { .. } | Candidate::FineRow { .. } | Candidate::TailRow { .. } => {
                return None
            }
        };
        Some(CoarseRow { group, row, bound: self.bound })
    }
}
