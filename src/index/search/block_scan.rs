//! Reads the blocks of a section one after the other, while the next page is loaded.

use crate::index::extent::Extent;
use crate::index::page_error::PageResult;
use crate::index::pages::Pages;
use crate::memory;
use std::ops::Range;

/// Calls `visit` with the number and the bytes of each block of `size` bytes in `range`: in place, or as a copy if the block
/// crosses pages.
///
/// # Errors
/// Those of [`Pages::read`] and of `visit`; [`crate::error::Kind::OutOfMemory`].
pub fn scan_blocks<P: Pages + ?Sized>(
    pages: &P,
    extent: Extent,
    range: Range<usize>,
    size: usize,
    visit: &mut dyn FnMut(usize, &[u8]) -> PageResult<()>,
) -> PageResult<()> {
    let mut assembled: Vec<u8> = memory::with_capacity(size)?;
    let mut block = 0;
    extent.stream(pages, range, &mut |_, mut bytes, next_page| {
        // Prefetches as many bytes of the next page as are used of this one, at the same place: the processor cannot foresee
        // the jump from page to page.
        let mut at = 0;
        let mut prefetch_next = |bytes: usize| {
            next_page.prefetch(at..at + bytes);
            at += bytes;
        };
        if !assembled.is_empty() {
            let (missing, rest) = bytes.split_at(bytes.len().min(size - assembled.len()));
            assembled.extend_from_slice(missing);
            prefetch_next(missing.len());
            bytes = rest;
            if assembled.len() == size {
                visit(block, &assembled)?;
                block += 1;
                assembled.clear();
            }
        }
        let whole = bytes.chunks_exact(size);
        assembled.extend_from_slice(whole.remainder());
        prefetch_next(whole.remainder().len());
        for codes in whole {
            prefetch_next(size);
            visit(block, codes)?;
            block += 1;
        }
        Ok(())
    })
}
