//! Chains of pages: directory, tail and null pages, each linked to the next, visited from first to last.

use super::directory_page::{DirectoryEntry, DirectoryPage};
use super::extent::Extent;
use super::format::{GroupShape, PageKind, PageTag, Tid, DIRECTORY_ENTRIES, MAX_GROUP_ROWS, NO_BLOCK};
use super::metapage::Meta;
use super::null_page::NullPage;
use super::page_error::{PageError, PageResult};
use super::pages::Pages;
use super::tail_page::TailPage;
use crate::space::Layout;

/// Detects chains that never end: a chain with more pages than the index contains a cycle.
#[derive(Debug, Default)]
struct CycleGuard {
    /// Pages visited so far; more than the index has means a cycle.
    visited: u32,
    /// Pages of the index when they were last counted: others may add to the chain while it is being read.
    blocks: u32,
}

impl CycleGuard {
    /// Counts one more page; true if that makes more pages than the index has.
    fn is_cycle<P: Pages + ?Sized>(&mut self, pages: &P) -> bool {
        self.visited = self.visited.saturating_add(1);
        if self.visited > self.blocks {
            self.blocks = pages.blocks();
        }
        self.visited > self.blocks
    }
}

impl Meta {
    /// The extent and shape of a group, checked against the size of an index of `blocks` pages.
    ///
    /// # Errors
    /// [`PageError::Failed`] if the group does not fit there.
    pub fn group(&self, entry: DirectoryEntry, blocks: u32) -> PageResult<(Extent, GroupShape)> {
        let tag = PageTag { kind: PageKind::Group, generation: entry.generation };
        let extent = Extent { first: entry.first, tag };
        let end = entry.first.checked_add(entry.pages);
        let rows = entry.rows as usize;
        match self.layout {
            Some(layout) if rows <= MAX_GROUP_ROWS && end.is_some_and(|end| end <= blocks) => {
                let shape = GroupShape { layout, cells: self.cells as usize, rows };
                if shape.pages() <= entry.pages {
                    return Ok((extent, shape));
                }
            }
            _ => {}
        }
        Err(PageError::corrupt(format!(
            "A group of {rows} rows claims {} pages from block {}.",
            entry.pages, entry.first
        )))
    }

    /// Calls `visit` with each entry of the directory, its page, and its number on that page.
    ///
    /// # Errors
    /// Those of [`Pages::read`], of `visit`, and [`PageError::Failed`] for damaged entries and cycles.
    pub fn scan_directory<P: Pages + ?Sized>(
        &self,
        pages: &P,
        visit: &mut dyn FnMut(u32, usize, DirectoryEntry) -> PageResult<()>,
    ) -> PageResult<()> {
        let mut block = self.directory;
        let mut guard = CycleGuard::default();
        while block != NO_BLOCK {
            if guard.is_cycle(pages) {
                return Err(PageError::corrupt("The pages of the directory form a cycle."));
            }
            let mut outcome = Ok(NO_BLOCK);
            pages.read(block, PageTag::of(PageKind::Directory), &mut |bytes| {
                let mut visit_entry = |i| match DirectoryPage::entry(bytes, i) {
                    Some(entry) => visit(block, i, entry),
                    None => Err(PageError::corrupt(format!(
                        "Block {block} of the directory has an invalid entry."
                    ))),
                };
                outcome = (0..DIRECTORY_ENTRIES)
                    .try_for_each(&mut visit_entry)
                    .map(|()| DirectoryPage::next(bytes));
            })?;
            block = outcome?;
        }
        Ok(())
    }

    /// Calls `visit` with each page of the tail and its block.
    ///
    /// # Errors
    /// Those of [`Pages::read`], of `visit`, and [`PageError::Failed`] for damaged pages and cycles.
    pub fn scan_tail<P: Pages + ?Sized>(
        &self,
        pages: &P,
        layout: Layout,
        visit: &mut dyn FnMut(u32, TailPage<'_>) -> PageResult<()>,
    ) -> PageResult<()> {
        let mut block = self.tail_first;
        let mut guard = CycleGuard::default();
        while block != NO_BLOCK {
            let mut outcome = Ok(NO_BLOCK);
            pages.read(block, self.tail_tag(), &mut |bytes| {
                outcome = TailPage::new(bytes, layout).and_then(|page| {
                    visit(block, page)?;
                    Ok(page.next())
                });
            })?;
            block = outcome?;
            if guard.is_cycle(pages) {
                // Pages that have left the tail since may lead anywhere.
                return Err(if Self::read(pages)?.reorganizations == self.reorganizations {
                    PageError::corrupt("The pages of the tail form a cycle.")
                } else {
                    PageError::Stale(block)
                });
            }
        }
        Ok(())
    }

    /// Calls `visit` with the rows of each null page and its block. The pages can be read one after the other at any time,
    /// because rows do not move between them.
    ///
    /// # Errors
    /// Those of [`Pages::read`], of `visit`, and [`PageError::Failed`] for damaged pages and cycles.
    pub fn scan_nulls<P: Pages + ?Sized>(
        &self,
        pages: &P,
        visit: &mut dyn FnMut(u32, Vec<Tid>) -> PageResult<()>,
    ) -> PageResult<()> {
        let mut block = self.nulls_first;
        let mut guard = CycleGuard::default();
        while block != NO_BLOCK {
            let mut page = Ok((Vec::new(), NO_BLOCK));
            pages.read(block, PageTag::of(PageKind::Nulls), &mut |bytes| {
                page = NullPage::tids(bytes).map(|tids| (tids, NullPage::next(bytes)));
            })?;
            let (tids, next) = page?;
            visit(block, tids)?;
            block = next;
            if guard.is_cycle(pages) {
                return Err(PageError::corrupt("The pages of rows without embedding form a cycle."));
            }
        }
        Ok(())
    }
}
