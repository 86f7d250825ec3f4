//! All rows, in the order in which they lie: for a query that has no distance from any of them.

use super::layout::Tid;
use super::pages::{Extent, PageResult, Pages};
use super::search::SearchStats;
use super::snapshot::IndexSnapshot;
use super::GroupShape;
use crate::memory;

/// A walk over all rows. As with a search, its pages may change under it.
pub struct Listing {
    groups: std::vec::IntoIter<(Extent, GroupShape)>,
    /// Rows of the tail, or of the last group, that are still to come.
    tids: Vec<Tid>,
    bytes: Vec<u8>,
    reorganizations: u32,
    stats: SearchStats,
}

impl Listing {
    /// Of the groups of `snapshot` and the rows of its tail.
    pub fn new(snapshot: IndexSnapshot, tail: Vec<Tid>) -> Self {
        let rows =
            snapshot.groups.iter().map(|(_, shape)| shape.rows as u64).sum::<u64>() + tail.len() as u64;
        Self {
            groups: snapshot.groups.into_iter(),
            tids: tail,
            bytes: Vec::new(),
            reorganizations: snapshot.meta.reorganizations,
            stats: SearchStats { rows, ..SearchStats::default() },
        }
    }

    /// The next row.
    ///
    /// # Errors
    /// Those of [`Pages::read`]; [`crate::error::Kind::OutOfMemory`].
    pub fn next<P: Pages + ?Sized>(&mut self, pages: &P) -> PageResult<Option<Tid>> {
        loop {
            while let Some(tid) = self.tids.pop() {
                if tid.is_live() {
                    self.stats.returned += 1;
                    return Ok(Some(tid));
                }
            }
            let Some((extent, shape)) = self.groups.next() else { return Ok(None) };
            extent.copy(pages, 0..shape.tid(shape.rows), &mut self.bytes)?;
            self.tids = memory::collect(self.bytes.as_chunks().0.iter().map(|b| Tid::from_bytes(*b)))?;
        }
    }

    /// The metapage's counter when the walk began.
    pub fn reorganizations(&self) -> u32 {
        self.reorganizations
    }

    /// What has been done so far.
    pub fn stats(&self) -> SearchStats {
        self.stats
    }
}
