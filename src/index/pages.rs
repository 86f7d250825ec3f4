//! What the index needs of its storage: pages that say what they are.

use super::format::PageTag;
use super::kernels::prefetch_range;
use super::page_error::PageResult;
use std::ops::Range;

/// The pages of one index. PostgreSQL's buffers implement it in the server, vectors in tests.
pub trait Pages {
    /// Calls `visit` with the payload of a page, [`PAYLOAD`](super::PAYLOAD) bytes, once it is certain that the page has
    /// this tag.
    ///
    /// # Errors
    /// [`PageError::Stale`](super::PageError::Stale) if the page has another tag or does not exist,
    /// [`PageError::Failed`](super::PageError::Failed) if it cannot be read.
    fn read(&self, block: u32, tag: PageTag, visit: &mut dyn FnMut(&[u8])) -> PageResult<()>;

    /// [`Pages::read`] of a page after which block `next` will be read. Storage that can tell where the payload of `next`
    /// is going to lie passes that to `visit`, to be loaded into the processor's cache in the meantime.
    ///
    /// # Errors
    /// As [`Pages::read`].
    fn read_before(
        &self,
        block: u32,
        tag: PageTag,
        next: u32,
        visit: &mut dyn FnMut(&[u8], PrefetchTarget),
    ) -> PageResult<()> {
        let _ = next;
        self.read(block, tag, &mut |bytes| visit(bytes, PrefetchTarget::NONE))
    }

    /// The number of pages. Chains and groups that claim more pages than this are damaged.
    fn blocks(&self) -> u32;
}

/// Where the payload of the page that will be read next lies. It can be prefetched, but not read.
#[derive(Debug, Clone, Copy)]
pub struct PrefetchTarget(*const u8);

impl PrefetchTarget {
    /// The address of the next page is unknown.
    pub const NONE: Self = Self(std::ptr::null());

    /// The payload begins at this address.
    pub fn new(payload: *const u8) -> Self {
        Self(payload)
    }

    /// Asks the processor to load a part of the payload.
    #[inline]
    pub fn prefetch(self, part: Range<usize>) {
        if !self.0.is_null() {
            prefetch_range(self.0.wrapping_add(part.start), part.len());
        }
    }
}
