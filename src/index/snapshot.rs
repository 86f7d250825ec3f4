//! One consistent look at what the index holds.

use super::group::{GroupShape, MAX_GROUP_ROWS};
use super::layout::{
    DirectoryEntry, DirectoryPage, ExtentState, Meta, NullPage, TailPage, Tid, DIRECTORY_ENTRIES, NO_BLOCK,
};
use super::pages::{Extent, PageError, PageKind, PageResult, PageTag, Pages};
use crate::memory;
use crate::space::{EmbeddingRef, Layout};

/// The metapage and the groups as of one moment.
#[derive(Debug, Clone)]
pub struct IndexSnapshot {
    /// The metapage.
    pub meta: Meta,
    /// All groups.
    pub groups: Vec<(Extent, GroupShape)>,
}

/// Steps from page to page of a chain, each of which is another one unless the chain runs in a circle.
#[derive(Debug, Default)]
struct Walk {
    steps: u32,
    /// Pages of the index when they were counted last: while we walk, others add to the chain.
    blocks: u32,
}

impl Walk {
    /// One more page.
    fn step<P: Pages + ?Sized>(&mut self, pages: &P) -> &Self {
        self.steps = self.steps.saturating_add(1);
        if self.steps > self.blocks {
            self.blocks = pages.blocks();
        }
        self
    }

    /// Whether there have been more steps than there are pages.
    fn is_circle(&self) -> bool {
        self.steps > self.blocks
    }
}

impl Meta {
    /// Reads the metapage.
    ///
    /// # Errors
    /// Those of [`Pages::read`] and [`Meta::from_bytes`].
    pub fn read<P: Pages + ?Sized>(pages: &P) -> PageResult<Self> {
        let mut meta = Err(PageError::Stale(0));
        pages.read(0, PageTag::of(PageKind::Meta), &mut |bytes| meta = Self::from_bytes(bytes))?;
        meta
    }

    /// Where the quantizer is, if there is one.
    pub fn quantizer_extent(&self) -> Option<Extent> {
        let tag = PageTag { kind: PageKind::Quantizer, generation: self.quantizer_generation };
        (self.quantizer != NO_BLOCK).then_some(Extent { first: self.quantizer, tag })
    }

    /// Where a group is and what it looks like, checked against the size of an index of `blocks` pages.
    ///
    /// # Errors
    /// [`PageError::Failed`] if it cannot be.
    pub fn group(&self, entry: DirectoryEntry, blocks: u32) -> PageResult<(Extent, GroupShape)> {
        let extent = Extent {
            first: entry.first,
            tag: PageTag { kind: PageKind::Group, generation: entry.generation },
        };
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

    /// Shows `look` each entry of the directory, with its page and its number there.
    ///
    /// # Errors
    /// Those of [`Pages::read`], of `look`, and [`PageError::Failed`] for entries that make no sense.
    pub fn scan_directory<P: Pages + ?Sized>(
        &self,
        pages: &P,
        look: &mut dyn FnMut(u32, usize, DirectoryEntry) -> PageResult<()>,
    ) -> PageResult<()> {
        let mut block = self.directory;
        let mut walk = Walk::default();
        while block != NO_BLOCK {
            if walk.step(pages).is_circle() {
                return Err(PageError::corrupt("The directory runs in a circle."));
            }
            let mut outcome = Ok(NO_BLOCK);
            pages.read(block, PageTag::of(PageKind::Directory), &mut |bytes| {
                let mut show = |i| match DirectoryPage::entry(bytes, i) {
                    Some(entry) => look(block, i, entry),
                    None => {
                        Err(PageError::corrupt(format!("Block {block} of the directory holds nonsense.")))
                    }
                };
                outcome = (0..DIRECTORY_ENTRIES).try_for_each(&mut show).map(|()| DirectoryPage::next(bytes));
            })?;
            block = outcome?;
        }
        Ok(())
    }

    /// Shows `look` each page of the tail.
    ///
    /// # Errors
    /// Those of [`Pages::read`], of `look`, and [`PageError::Failed`] for pages that make no sense.
    pub fn scan_tail<P: Pages + ?Sized>(
        &self,
        pages: &P,
        layout: Layout,
        look: &mut dyn FnMut(u32, TailPage<'_>) -> PageResult<()>,
    ) -> PageResult<()> {
        let mut block = self.tail_first;
        let mut walk = Walk::default();
        while block != NO_BLOCK {
            let mut outcome = Ok(NO_BLOCK);
            pages.read(block, self.tail_tag(), &mut |bytes| {
                outcome = TailPage::new(bytes, layout).and_then(|page| {
                    look(block, page)?;
                    Ok(page.next())
                });
            })?;
            block = outcome?;
            if walk.step(pages).is_circle() {
                // Pages that have left the tail may lead anywhere.
                return Err(match Self::read(pages)?.reorganizations == self.reorganizations {
                    true => PageError::corrupt("The tail runs in a circle."),
                    false => PageError::Stale(block),
                });
            }
        }
        Ok(())
    }
}

impl Meta {
    /// Shows `look` each page of rows without an embedding. They may be read one after the other at any time: rows do not
    /// move between these pages.
    ///
    /// # Errors
    /// Those of [`Pages::read`], of `look`, and [`PageError::Failed`] for pages that make no sense.
    pub fn scan_nulls<P: Pages + ?Sized>(
        &self,
        pages: &P,
        look: &mut dyn FnMut(u32, Vec<Tid>) -> PageResult<()>,
    ) -> PageResult<()> {
        let mut block = self.nulls_first;
        let mut walk = Walk::default();
        while block != NO_BLOCK {
            let mut page = Ok((Vec::new(), NO_BLOCK));
            pages.read(block, PageTag::of(PageKind::Nulls), &mut |bytes| {
                page = NullPage::tids(bytes).map(|tids| (tids, NullPage::next(bytes)));
            })?;
            let (tids, next) = page?;
            look(block, tids)?;
            block = next;
            if walk.step(pages).is_circle() {
                return Err(PageError::corrupt("The rows without embedding run in a circle."));
            }
        }
        Ok(())
    }
}

impl IndexSnapshot {
    /// Reads metapage, directory and tail. `tail` is called with the rows of the tail; `restart` before they are shown
    /// from the beginning, which happens when rows moved in the meantime.
    ///
    /// # Errors
    /// Those of [`Pages::read`] and of `tail`; [`PageError::Failed`] for pages that make no sense.
    pub fn read<P: Pages + ?Sized, T>(
        pages: &P,
        state: &mut T,
        restart: &mut dyn FnMut(&mut T),
        tail: &mut dyn FnMut(&mut T, Tid, EmbeddingRef<'_>) -> PageResult<()>,
    ) -> PageResult<Self> {
        loop {
            restart(state);
            let meta = Meta::read(pages)?;
            let outcome = Self::try_read(pages, meta, state, tail);
            if Meta::read(pages)?.reorganizations == meta.reorganizations {
                // Nothing moved: what looked wrong is wrong.
                return outcome.map_err(|problem| PageError::Failed(problem.into_error()));
            }
        }
    }

    fn try_read<P: Pages + ?Sized, T>(
        pages: &P,
        meta: Meta,
        state: &mut T,
        tail: &mut dyn FnMut(&mut T, Tid, EmbeddingRef<'_>) -> PageResult<()>,
    ) -> PageResult<Self> {
        let mut entries = Vec::new();
        meta.scan_directory(pages, &mut |_, _, entry| {
            if entry.state == ExtentState::Group {
                memory::push(&mut entries, entry)?;
            }
            Ok(())
        })?;
        let blocks = pages.blocks();
        // Rows take pages: that there are so many pages keeps damage from asking for memory without end.
        if entries.iter().map(|e| u64::from(e.pages)).sum::<u64>() > blocks.into() {
            return Err(PageError::corrupt("The groups have more pages than the index."));
        }
        let mut groups = memory::with_capacity(entries.len())?;
        for entry in entries {
            groups.push(meta.group(entry, blocks)?);
        }
        if let Some(layout) = meta.layout {
            meta.scan_tail(pages, layout, &mut |_, page| {
                for i in 0..page.rows() {
                    let tid = page.tid(i);
                    if tid.is_live() {
                        tail(state, tid, EmbeddingRef { layout, values: page.values(i)? })?;
                    }
                }
                Ok(())
            })?;
        }
        Ok(Self { meta, groups })
    }
}
