//! An extent: consecutive pages that hold one stream of bytes, read by ranges.

use super::format::{PageTag, PAYLOAD};
use super::page_error::{PageError, PageResult};
use super::pages::{Pages, PrefetchTarget};
use crate::memory;
use std::ops::Range;

/// Consecutive pages that hold one stream of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The first block; the others follow it.
    pub first: u32,
    /// The tag of each page.
    pub tag: PageTag,
}

/// Gets the parts of a range of bytes: the offset of each from the range's start, its bytes, and where the next page lies.
pub type StreamVisitor<'a> = dyn FnMut(usize, &[u8], PrefetchTarget) -> PageResult<()> + 'a;

/// Gets the parts of many ranges: the number of the range, the part's offset from its range's start, and its bytes.
pub type GatherVisitor<'a> = dyn FnMut(usize, usize, &[u8]) -> PageResult<()> + 'a;

impl Extent {
    /// The number of pages that a stream of `bytes` takes.
    pub fn pages(bytes: usize) -> u32 {
        bytes.div_ceil(PAYLOAD) as u32
    }

    /// Calls `visit` with the bytes of `range`, page by page, and with where the next page lies.
    ///
    /// # Errors
    /// Those of [`Pages::read`] and of `visit`.
    pub fn stream<P: Pages + ?Sized>(
        &self,
        pages: &P,
        range: Range<usize>,
        visit: &mut StreamVisitor<'_>,
    ) -> PageResult<()> {
        let mut at = range.start;
        let mut outcome = Ok(());
        while at < range.end {
            let (page, from) = (at / PAYLOAD, at % PAYLOAD);
            let to = PAYLOAD.min(from + range.end - at);
            let Some(block) = self.first.checked_add(page as u32) else {
                return Err(PageError::Stale(self.first));
            };
            let offset = at - range.start;
            at += to - from;
            match block.checked_add(1).filter(|_| at < range.end) {
                Some(next) => pages.read_before(block, self.tag, next, &mut |bytes, next_page| {
                    outcome = visit(offset, &bytes[from..to], next_page);
                })?,
                None => pages.read(block, self.tag, &mut |bytes| {
                    outcome = visit(offset, &bytes[from..to], PrefetchTarget::NONE);
                })?,
            }
            std::mem::replace(&mut outcome, Ok(()))?;
        }
        Ok(())
    }

    /// Copies the bytes of `range` into `out`, whose old contents are dropped.
    ///
    /// # Errors
    /// Those of [`Pages::read`]; [`Kind::OutOfMemory`](crate::error::Kind::OutOfMemory).
    pub fn copy<P: Pages + ?Sized>(
        &self,
        pages: &P,
        range: Range<usize>,
        out: &mut Vec<u8>,
    ) -> PageResult<()> {
        out.clear();
        memory::reserve(out, range.len())?;
        self.stream(pages, range, &mut |_, bytes, next_page| {
            // The first lines; the processor's own prefetcher recognises the rest as a pattern.
            next_page.prefetch(0..1024);
            out.extend_from_slice(bytes);
            Ok(())
        })
    }

    /// Calls `visit` with the parts of many ranges, which must be sorted by their starts and by their ends. Each page is
    /// read once for all ranges that have a part on it.
    ///
    /// # Errors
    /// Those of [`Pages::read`] and of `visit`.
    pub fn gather<P: Pages + ?Sized>(
        &self,
        pages: &P,
        ranges: &[Range<usize>],
        visit: &mut GatherVisitor<'_>,
    ) -> PageResult<()> {
        let mut outcome = Ok(());
        // Ranges before `first` are done; so are the parts of the others that lie before `page`.
        let (mut first, mut page) = (0, ranges.first().map_or(0, |range| range.start / PAYLOAD));
        while first < ranges.len() {
            let here = page * PAYLOAD..(page + 1) * PAYLOAD;
            let end = first + ranges[first..].partition_point(|range| range.start < here.end);
            // Ranges that continue on the next page are the last ones.
            let whole = first + ranges[first..end].partition_point(|range| range.end <= here.end);
            let next =
                if whole < end { page + 1 } else { ranges.get(end).map_or(page, |r| r.start / PAYLOAD) };
            let part = |page: usize, range: &Range<usize>| {
                let base = page * PAYLOAD;
                range.start.max(base) - base..range.end.min(base + PAYLOAD) - base
            };
            let mut visit_page = |bytes: &[u8], next_page: PrefetchTarget| {
                let mut last = 0;
                for range in ranges[whole..].iter().take_while(|range| range.start < (next + 1) * PAYLOAD) {
                    if range.end > last {
                        last = range.end;
                        next_page.prefetch(part(next, range));
                    }
                }
                for (i, range) in ranges[first..end].iter().enumerate() {
                    let offset = range.start.max(here.start) - range.start;
                    outcome = visit(first + i, offset, &bytes[part(page, range)]);
                    if outcome.is_err() {
                        return;
                    }
                }
            };
            let block = |page: usize| self.first.checked_add(page as u32).ok_or(PageError::Stale(self.first));
            if next > page {
                pages.read_before(block(page)?, self.tag, block(next)?, &mut visit_page)?;
            } else {
                pages.read(block(page)?, self.tag, &mut |bytes| visit_page(bytes, PrefetchTarget::NONE))?;
            }
            std::mem::replace(&mut outcome, Ok(()))?;
            (first, page) = (whole, next);
        }
        Ok(())
    }

    /// [`Extent::gather`], but `visit` gets each range whole, with its number: a range that crosses pages is put together in
    /// `assembled`. Equal ranges may follow one another.
    ///
    /// # Errors
    /// Those of [`Pages::read`] and of `visit`; [`Kind::OutOfMemory`](crate::error::Kind::OutOfMemory).
    pub fn gather_whole<P: Pages + ?Sized>(
        &self,
        pages: &P,
        ranges: &[Range<usize>],
        assembled: &mut Vec<u8>,
        visit: &mut dyn FnMut(usize, &[u8]) -> PageResult<()>,
    ) -> PageResult<()> {
        let mut assembled_start = usize::MAX;
        self.gather(pages, ranges, &mut |i, offset, bytes| {
            let range = &ranges[i];
            if bytes.len() == range.len() {
                return visit(i, bytes);
            }
            if range.start != assembled_start {
                assembled.clear();
                assembled_start = range.start;
                memory::reserve(assembled, range.len())?;
            }
            // An equal range before this one may have brought this part already.
            if assembled.len() == offset {
                assembled.extend_from_slice(bytes);
            }
            if offset + bytes.len() == range.len() {
                visit(i, assembled)?;
            }
            Ok(())
        })
    }

    /// The N bytes at offset `at`.
    ///
    /// # Errors
    /// Those of [`Pages::read`].
    pub fn array<const N: usize, P: Pages + ?Sized>(&self, pages: &P, at: usize) -> PageResult<[u8; N]> {
        let mut out = [0; N];
        self.stream(pages, at..at + N, &mut |from, bytes, _| {
            out[from..from + bytes.len()].copy_from_slice(bytes);
            Ok(())
        })?;
        Ok(out)
    }
}
