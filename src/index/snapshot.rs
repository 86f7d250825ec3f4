//! What the index holds at one moment: the metapage, the groups, and the rows of the tail.

use super::directory_page::ExtentState;
use super::extent::Extent;
use super::format::{GroupShape, Tid};
use super::metapage::Meta;
use super::page_error::{PageError, PageResult};
use super::pages::Pages;
use crate::memory;
use crate::space::EmbeddingRef;

/// The metapage and the groups at one moment.
#[derive(Debug, Clone)]
pub struct IndexSnapshot {
    /// The metapage when reading began.
    pub meta: Meta,
    /// Extent and shape of each group, in the order of the directory.
    pub groups: Vec<(Extent, GroupShape)>,
}

impl IndexSnapshot {
    /// Reads metapage, directory and tail. Calls `tail` with each row of the tail; calls `restart` before the first, and again
    /// before starting over because rows have moved in the meantime. Both get `state`.
    ///
    /// # Errors
    /// Those of [`Pages::read`] and of `tail`; [`PageError::Failed`] for damaged pages.
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
                // Nothing has moved: an unexpected page is damage.
                return outcome.map_err(|error| PageError::Failed(error.into_error()));
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
        // Rows take pages: this keeps a damaged directory from asking for memory without end.
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
