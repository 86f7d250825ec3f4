//! What the index needs of its storage: pages that say what they are.

use super::kernels::prefetch_all;
use crate::error::{Error, Kind as ErrorKind};
use crate::memory;
use std::ops::Range;

/// Bytes of a page that belong to us: what PostgreSQL's header and our eight bytes of special space leave.
pub const PAYLOAD: usize = 8192 - 24 - 8;

/// What a page holds; written into it, and checked whenever it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum PageKind {
    /// Block 0: [`super::Meta`].
    Meta = 1,
    /// Where the groups are: [`super::DirectoryPage`].
    Directory = 2,
    /// A piece of the quantizer.
    Quantizer = 3,
    /// A piece of a group.
    Group = 4,
    /// Rows that are in no group yet.
    Tail = 5,
    /// Rows without an embedding.
    Nulls = 6,
}

/// What a page must say it is. A generation is given to one extent only, ever, so that a reader who comes late notices
/// that the group it knew has made room for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageTag {
    /// What the page holds.
    pub kind: PageKind,
    /// Whose it is; 0 for pages outside extents.
    pub generation: u32,
}

impl PageTag {
    /// A page outside any extent.
    pub const fn of(kind: PageKind) -> Self {
        Self { kind, generation: 0 }
    }
}

/// Why a page could not be used.
#[derive(Debug)]
pub enum PageError {
    /// This block is not what was expected. Either the reader's idea of the index is out of date, or it is damaged:
    /// whoever knows whether the index was reorganized meanwhile can tell.
    Stale(u32),
    /// It is damaged, or cannot be read.
    Failed(Error),
}

impl From<Error> for PageError {
    fn from(e: Error) -> Self {
        Self::Failed(e)
    }
}

impl PageError {
    /// The error that it is if the index was not reorganized meanwhile.
    pub fn into_error(self) -> Error {
        match self {
            Self::Failed(e) => e,
            Self::Stale(block) => Error::new(ErrorKind::Corrupted, "the index is corrupt")
                .detail(format!("Block {block} is not the kind of page that the index has there."))
                .hint("Rebuild it with REINDEX."),
        }
    }

    /// Damage inside pages that are the right ones.
    pub fn corrupt(detail: impl Into<String>) -> Self {
        Self::Failed(
            Error::new(ErrorKind::Corrupted, "the index is corrupt")
                .detail(detail)
                .hint("Rebuild it with REINDEX."),
        )
    }
}

/// What reading pages comes to.
pub type PageResult<T> = std::result::Result<T, PageError>;

/// The pages of one index.
pub trait Pages {
    /// Shows `look` the [`PAYLOAD`] bytes of a page, once it is sure that the page is what `tag` says.
    ///
    /// # Errors
    /// [`PageError::Stale`] if the page is another's or not there, [`PageError::Failed`] if it cannot be read.
    fn read(&self, block: u32, tag: PageTag, look: &mut dyn FnMut(&[u8])) -> PageResult<()>;

    /// [`Pages::read`] of a page after which block `next` will be read; `look` may learn where its bytes will lie.
    ///
    /// # Errors
    /// As [`Pages::read`].
    fn read_before(
        &self,
        block: u32,
        tag: PageTag,
        next: u32,
        look: &mut dyn FnMut(&[u8], PrefetchTarget),
    ) -> PageResult<()> {
        let _ = next;
        self.read(block, tag, &mut |bytes| look(bytes, PrefetchTarget::NONE))
    }

    /// How many there are: whatever claims to be longer is damaged.
    fn blocks(&self) -> u32;
}

/// Where the bytes of the page that will be read next lie, to have them loaded meanwhile; they cannot be read through it.
#[derive(Debug, Clone, Copy)]
pub struct PrefetchTarget(*const u8);

impl PrefetchTarget {
    /// Nobody knows.
    pub const NONE: Self = Self(std::ptr::null());

    /// The [`PAYLOAD`] bytes from here on.
    pub fn new(payload: *const u8) -> Self {
        Self(payload)
    }

    /// Asks the processor to load a part of them.
    #[inline]
    pub fn prefetch(self, part: Range<usize>) {
        if !self.0.is_null() {
            prefetch_all(self.0.wrapping_add(part.start), part.len());
        }
    }
}

/// Sees pieces of a range of bytes: the offset of each, its bytes, and the page after its own.
pub type Stream<'a> = dyn FnMut(usize, &[u8], PrefetchTarget) -> PageResult<()> + 'a;

/// Sees pieces of many ranges: the number of the range, the piece's offset in it, and its bytes.
pub type Gather<'a> = dyn FnMut(usize, usize, &[u8]) -> PageResult<()> + 'a;

/// A run of pages that hold one stream of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The first page.
    pub first: u32,
    /// What each page says it is.
    pub tag: PageTag,
}

impl Extent {
    /// How many pages a stream of `bytes` takes.
    pub fn pages(bytes: usize) -> u32 {
        bytes.div_ceil(PAYLOAD) as u32
    }

    /// Shows `look` the bytes of `range`, page by page, with the offset of each piece from the range's start.
    ///
    /// # Errors
    /// Those of [`Pages::read`] and of `look`; the same holds for the functions below.
    pub fn scan<P: Pages + ?Sized>(
        &self,
        pages: &P,
        range: Range<usize>,
        look: &mut dyn FnMut(usize, &[u8]) -> PageResult<()>,
    ) -> PageResult<()> {
        self.stream(pages, range, &mut |at, bytes, _| look(at, bytes))
    }

    /// [`Extent::scan`] for long ranges: `look` also gets the page after this one, to have it loaded meanwhile.
    ///
    /// # Errors
    /// Those of [`Pages::read`] and of `look`.
    pub fn stream<P: Pages + ?Sized>(
        &self,
        pages: &P,
        range: Range<usize>,
        look: &mut Stream<'_>,
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
                Some(next) => pages.read_before(block, self.tag, next, &mut |bytes, ahead| {
                    outcome = look(offset, &bytes[from..to], ahead);
                })?,
                None => pages.read(block, self.tag, &mut |bytes| {
                    outcome = look(offset, &bytes[from..to], PrefetchTarget::NONE);
                })?,
            }
            std::mem::replace(&mut outcome, Ok(()))?;
        }
        Ok(())
    }

    /// Copies the bytes of `range` into `out`, whose old content goes.
    ///
    /// # Errors
    /// Those of [`Pages::read`]; [`ErrorKind::OutOfMemory`].
    pub fn copy<P: Pages + ?Sized>(
        &self,
        pages: &P,
        range: Range<usize>,
        out: &mut Vec<u8>,
    ) -> PageResult<()> {
        out.clear();
        memory::reserve(out, range.len())?;
        self.stream(pages, range, &mut |_, bytes, ahead| {
            // Its first lines; the rest is a pattern that the processor knows.
            ahead.prefetch(0..1024);
            out.extend_from_slice(bytes);
            Ok(())
        })
    }

    /// Shows `look` the bytes of many ranges, which are in the order of their starts and of their ends: each piece with its range's
    /// number and its offset in it. A page is read once for all ranges that it has a part in.
    ///
    /// # Errors
    /// Those of [`Pages::read`] and of `look`.
    pub fn gather<P: Pages + ?Sized>(
        &self,
        pages: &P,
        ranges: &[Range<usize>],
        look: &mut Gather<'_>,
    ) -> PageResult<()> {
        let mut outcome = Ok(());
        // Ranges before `first` are done; so are the parts of the others that lie before `page`.
        let (mut first, mut page) = (0, ranges.first().map_or(0, |range| range.start / PAYLOAD));
        while first < ranges.len() {
            let here = page * PAYLOAD..(page + 1) * PAYLOAD;
            let end = first + ranges[first..].partition_point(|range| range.start < here.end);
            // Those that go on are the last ones.
            let whole = first + ranges[first..end].partition_point(|range| range.end <= here.end);
            let next =
                if whole < end { page + 1 } else { ranges.get(end).map_or(page, |r| r.start / PAYLOAD) };
            let part = |page: usize, range: &Range<usize>| {
                let base = page * PAYLOAD;
                range.start.max(base) - base..range.end.min(base + PAYLOAD) - base
            };
            let mut show = |bytes: &[u8], ahead: PrefetchTarget| {
                let mut last = 0;
                for range in ranges[whole..].iter().take_while(|range| range.start < (next + 1) * PAYLOAD) {
                    if range.end > last {
                        last = range.end;
                        ahead.prefetch(part(next, range));
                    }
                }
                for (i, range) in ranges[first..end].iter().enumerate() {
                    let offset = range.start.max(here.start) - range.start;
                    outcome = look(first + i, offset, &bytes[part(page, range)]);
                    if outcome.is_err() {
                        return;
                    }
                }
            };
            let block = |page: usize| self.first.checked_add(page as u32).ok_or(PageError::Stale(self.first));
            if next > page {
                pages.read_before(block(page)?, self.tag, block(next)?, &mut show)?;
            } else {
                pages.read(block(page)?, self.tag, &mut |bytes| show(bytes, PrefetchTarget::NONE))?;
            }
            std::mem::replace(&mut outcome, Ok(()))?;
            (first, page) = (whole, next);
        }
        Ok(())
    }

    /// [`Extent::gather`], but `look` sees each range whole: what lies on several pages is put together in `torn`. Equal ranges may follow
    /// one another.
    ///
    /// # Errors
    /// Those of [`Pages::read`] and of `look`; [`ErrorKind::OutOfMemory`].
    pub fn gather_whole<P: Pages + ?Sized>(
        &self,
        pages: &P,
        ranges: &[Range<usize>],
        torn: &mut Vec<u8>,
        look: &mut dyn FnMut(usize, &[u8]) -> PageResult<()>,
    ) -> PageResult<()> {
        let mut torn_at = usize::MAX;
        self.gather(pages, ranges, &mut |i, from, bytes| {
            let range = &ranges[i];
            if bytes.len() == range.len() {
                return look(i, bytes);
            }
            if range.start != torn_at {
                torn.clear();
                torn_at = range.start;
                memory::reserve(torn, range.len())?;
            }
            if torn.len() == from {
                torn.extend_from_slice(bytes);
            }
            if from + bytes.len() == range.len() {
                look(i, torn)?;
            }
            Ok(())
        })
    }

    /// The N bytes at `at`.
    ///
    /// # Errors
    /// Those of [`Pages::read`].
    pub fn array<const N: usize, P: Pages + ?Sized>(&self, pages: &P, at: usize) -> PageResult<[u8; N]> {
        let mut out = [0; N];
        self.scan(pages, at..at + N, &mut |from, bytes| {
            out[from..from + bytes.len()].copy_from_slice(bytes);
            Ok(())
        })?;
        Ok(out)
    }
}
