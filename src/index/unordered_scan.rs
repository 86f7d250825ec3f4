//! All rows in the order in which they lie: for a query that has no distance from any of them.

use super::extent::Extent;
use super::format::{GroupShape, Tid};
use super::page_error::PageResult;
use super::pages::Pages;
use super::search::SearchStats;
use super::snapshot::IndexSnapshot;
use crate::memory;

/// A scan over all rows. When its pages change under it, it has to be started again, as a search has.
pub struct UnorderedScan {
    groups: std::vec::IntoIter<(Extent, GroupShape)>,
    /// Rows of the tail, or of the group that was read last, that are still to be returned.
    tids: Vec<Tid>,
    bytes: Vec<u8>,
    reorganizations: u32,
    stats: SearchStats,
}

impl UnorderedScan {
    /// A scan over the groups of `snapshot` and the rows of its tail.
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

    /// The metapage's counter when the scan was started.
    pub fn reorganizations(&self) -> u32 {
        self.reorganizations
    }

    /// What has been done so far.
    pub fn stats(&self) -> SearchStats {
        self.stats
    }
}
