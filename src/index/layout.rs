//! What the pages outside groups look like: the metapage, the directory and the tail. Integers are little-endian; the
//! numbers of the tail are as the processor has them, to be read in place, as everything in PostgreSQL's pages.

use super::kernels::halves;
use super::pages::{PageError, PageKind, PageResult, PageTag, PAYLOAD};
use super::quantizer::MAX_CELLS;
use crate::error::Result;
use crate::memory;
use crate::space::Layout;
use half::f16;

/// First bytes of the metapage: "coop".
pub const MAGIC: u32 = u32::from_le_bytes(*b"coop");
/// The format on disk; a later one gets the next number. The one before is the same without what an index has whose model has changed,
/// and written as long as it has not.
pub const VERSION: u32 = 3;
/// No page: block 0 is the metapage, so nothing points to it.
pub const NO_BLOCK: u32 = 0;
/// The most dimensions of an embedding in an index: a row of the tail must fit on a page.
pub const MAX_INDEX_DIMENSIONS: usize = (PAYLOAD - TAIL_HEADER - TAIL_ROW_HEADER) / 2;

/// Where a row lies in the table: block and offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tid {
    /// Block of the table.
    pub block: u32,
    /// Line pointer, from 1; 0 in the index says that the row is gone.
    pub offset: u16,
}

impl Tid {
    /// Stands where VACUUM took a row away.
    pub const DEAD: Self = Self { block: u32::MAX, offset: 0 };

    /// Bytes on disk.
    pub const SIZE: usize = 6;

    /// Whether the row is still there.
    pub fn is_live(self) -> bool {
        self.offset != 0
    }

    /// Reads it from its six bytes.
    pub fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let [a, b, c, d, e, f] = bytes;
        Self { block: u32::from_le_bytes([a, b, c, d]), offset: u16::from_le_bytes([e, f]) }
    }

    /// Its six bytes.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let ([a, b, c, d], [e, f]) = (self.block.to_le_bytes(), self.offset.to_le_bytes());
        [a, b, c, d, e, f]
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The metapage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// The model of the rows; none before the first one, and when the last one is gone.
    pub layout: Option<Layout>,
    /// Cells of each subspace that a quantizer will have or has.
    pub cells: u32,
    /// Rows that make the tail into a group (an option of the index).
    pub tail_rows: u32,
    /// Grows whenever rows move: a reader that finds another number than before has to look again.
    pub reorganizations: u32,
    /// What the next extent's pages will say.
    pub next_generation: u32,
    /// Blocks from here on belong to nobody.
    pub end: u32,
    /// First page of the directory.
    pub directory: u32,
    /// Where the quantizer is; [`NO_BLOCK`] before there is one.
    pub quantizer: u32,
    /// What the quantizer's pages say.
    pub quantizer_generation: u32,
    /// First page of the tail.
    pub tail_first: u32,
    /// The page of the tail that takes new rows.
    pub tail_last: u32,
    /// Pages of the tail.
    pub tail_pages: u32,
    /// What the tail's pages say. Another model's tail says something else, so that nobody who comes late takes one for the other.
    pub tail_generation: u32,
    /// First of a chain of pages for the tail to use again.
    pub free: u32,
    /// First of the pages with rows without an embedding.
    pub nulls_first: u32,
    /// The one of them to put the next such row on; those before it are full.
    pub nulls_open: u32,
    /// A transaction's number, all 64 bits of it. Rows that older snapshots may see on a standby have been dropped.
    pub horizon: u64,
}

impl Meta {
    /// Bytes on its page.
    pub const SIZE: usize = 84;

    /// Reads the metapage.
    ///
    /// # Errors
    /// [`PageError::Failed`] if it is not one, or of a version that this library does not know.
    pub fn from_bytes(bytes: &[u8]) -> PageResult<Self> {
        let field = |i: usize| u32_at(bytes, 4 * i);
        if field(0) != MAGIC {
            return Err(PageError::corrupt(format!(
                "The metapage starts with {:#010x}, not {MAGIC:#010x}.",
                field(0)
            )));
        }
        if !(VERSION - 1..=VERSION).contains(&field(1)) {
            return Err(PageError::Failed(
                crate::error::Error::new(
                    crate::error::Kind::Unsupported,
                    format!("index format version {} is not supported", field(1)),
                )
                .detail(format!("This version of coopembed reads formats {} and {VERSION}.", VERSION - 1))
                .hint("Update the extension's library, or rebuild the index with REINDEX."),
            ));
        }
        let (k, n) = (u16_at(bytes, 8), u16_at(bytes, 10));
        let layout = if k == 0 {
            None
        } else {
            match Layout::new(k.into(), n.into(), field(3)) {
                Ok(layout) if layout.dimensions() <= MAX_INDEX_DIMENSIONS => Some(layout),
                _ => {
                    return Err(PageError::corrupt(format!(
                        "The metapage names a model of {k}x{n} dimensions."
                    )))
                }
            }
        };
        let cells = field(4);
        if cells == 0 || cells as usize > MAX_CELLS {
            return Err(PageError::corrupt(format!("The metapage names {cells} cells.")));
        }
        Ok(Self {
            layout,
            cells,
            tail_rows: field(5),
            reorganizations: field(6),
            next_generation: field(7),
            end: field(8),
            directory: field(9),
            quantizer: field(10),
            quantizer_generation: field(11),
            tail_first: field(12),
            tail_last: field(13),
            tail_pages: field(14),
            free: field(15),
            nulls_first: field(16),
            nulls_open: field(17),
            tail_generation: field(18),
            horizon: u64::from(field(19)) | u64::from(field(20)) << 32,
        })
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let (k, n, fingerprint) = match self.layout {
            Some(l) => (l.subspaces() as u32, l.subspace_dim() as u32, l.fingerprint()),
            None => (0, 0, 0),
        };
        let changed_model = self.tail_generation != 0 || self.horizon != 0;
        let fields = [
            MAGIC,
            if changed_model { VERSION } else { VERSION - 1 },
            k | n << 16,
            fingerprint,
            self.cells,
            self.tail_rows,
            self.reorganizations,
            self.next_generation,
            self.end,
            self.directory,
            self.quantizer,
            self.quantizer_generation,
            self.tail_first,
            self.tail_last,
            self.tail_pages,
            self.free,
            self.nulls_first,
            self.nulls_open,
            self.tail_generation,
            self.horizon as u32,
            (self.horizon >> 32) as u32,
        ];
        let mut out = [0; Self::SIZE];
        for (bytes, field) in out.chunks_exact_mut(4).zip(fields) {
            bytes.copy_from_slice(&field.to_le_bytes());
        }
        out
    }

    /// What a page of the tail must say.
    pub fn tail_tag(&self) -> PageTag {
        PageTag { kind: PageKind::Tail, generation: self.tail_generation }
    }

    /// How many pages the tail may have before it is made into a group.
    pub fn tail_limit(&self) -> u32 {
        let per_page = self.layout.map_or(1, rows_per_tail_page);
        // The first group teaches the quantizer: a larger sample is worth a longer tail.
        let rows = if self.quantizer == NO_BLOCK { 2 * self.tail_rows } else { self.tail_rows };
        rows.div_ceil(per_page as u32)
    }
}

/// What an entry of the directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtentState {
    /// Nothing.
    Unused,
    /// A group that readers see.
    Group,
    /// Pages to use again.
    Free,
    /// Pages that somebody is writing, or was when the server stopped.
    Building,
}

/// One extent of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// What it is.
    pub state: ExtentState,
    /// First block.
    pub first: u32,
    /// How many blocks.
    pub pages: u32,
    /// What they say.
    pub generation: u32,
    /// Rows of the group.
    pub rows: u32,
    /// How many of them VACUUM left.
    pub live: u32,
}

const ENTRY: usize = 24;
const DIRECTORY_HEADER: usize = 8;
/// Entries of a directory page.
pub const DIRECTORY_ENTRIES: usize = (PAYLOAD - DIRECTORY_HEADER) / ENTRY;

impl DirectoryEntry {
    /// Nothing.
    pub const UNUSED: Self =
        Self { state: ExtentState::Unused, first: 0, pages: 0, generation: 0, rows: 0, live: 0 };

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let state = match u32_at(bytes, 0) {
            0 => ExtentState::Unused,
            1 => ExtentState::Group,
            2 => ExtentState::Free,
            3 => ExtentState::Building,
            _ => return None,
        };
        Some(Self {
            state,
            first: u32_at(bytes, 4),
            pages: u32_at(bytes, 8),
            generation: u32_at(bytes, 12),
            rows: u32_at(bytes, 16),
            live: u32_at(bytes, 20),
        })
    }

    fn to_bytes(self) -> [u8; ENTRY] {
        let fields = [self.state as u32, self.first, self.pages, self.generation, self.rows, self.live];
        let mut out = [0; ENTRY];
        for (bytes, field) in out.chunks_exact_mut(4).zip(fields) {
            bytes.copy_from_slice(&field.to_le_bytes());
        }
        out
    }
}

/// A page of the directory: entries, and the next page.
pub struct DirectoryPage;

impl DirectoryPage {
    /// The next page of the directory, [`NO_BLOCK`] at its end.
    pub fn next(bytes: &[u8]) -> u32 {
        u32_at(bytes, 0)
    }

    /// Links the next page.
    pub fn set_next(bytes: &mut [u8], next: u32) {
        bytes[..4].copy_from_slice(&next.to_le_bytes());
    }

    /// DirectoryEntry `i` of this page; `None` if it makes no sense.
    pub fn entry(bytes: &[u8], i: usize) -> Option<DirectoryEntry> {
        DirectoryEntry::from_bytes(&bytes[DIRECTORY_HEADER + i * ENTRY..][..ENTRY])
    }

    /// Writes entry `i` of this page.
    pub fn set_entry(bytes: &mut [u8], i: usize, entry: DirectoryEntry) {
        bytes[DIRECTORY_HEADER + i * ENTRY..][..ENTRY].copy_from_slice(&entry.to_bytes());
    }
}

const NULLS_HEADER: usize = 8;

/// A page of rows without an embedding: how many, the next page, TIDs. Whatever the query, they come last.
pub struct NullPage;

impl NullPage {
    /// Rows that fit.
    pub const ROWS: usize = (PAYLOAD - NULLS_HEADER) / Tid::SIZE;

    /// The rows of a page.
    ///
    /// # Errors
    /// [`PageError::Failed`] if it claims more rows than it can hold.
    pub fn tids(bytes: &[u8]) -> PageResult<Vec<Tid>> {
        let rows = usize::from(u16_at(bytes, 0));
        if rows > Self::ROWS {
            return Err(PageError::corrupt(format!("A page of rows without embedding claims {rows} rows.")));
        }
        let tids = bytes[NULLS_HEADER..].as_chunks().0.iter().take(rows);
        Ok(memory::collect(tids.map(|b| Tid::from_bytes(*b)))?)
    }

    /// Makes `tids` the rows of a page; at most [`NullPage::ROWS`].
    pub fn set_tids(bytes: &mut [u8], tids: &[Tid]) {
        bytes[..2].copy_from_slice(&(tids.len() as u16).to_le_bytes());
        for (to, tid) in bytes[NULLS_HEADER..].chunks_exact_mut(Tid::SIZE).zip(tids) {
            to.copy_from_slice(&tid.to_bytes());
        }
    }

    /// Adds a row; false if the page is full.
    pub fn append(bytes: &mut [u8], tid: Tid) -> bool {
        let rows = usize::from(u16_at(bytes, 0));
        if rows >= Self::ROWS {
            return false;
        }
        bytes[NULLS_HEADER + rows * Tid::SIZE..][..Tid::SIZE].copy_from_slice(&tid.to_bytes());
        bytes[..2].copy_from_slice(&(rows as u16 + 1).to_le_bytes());
        true
    }

    /// The next page.
    pub fn next(bytes: &[u8]) -> u32 {
        u32_at(bytes, 4)
    }

    /// Links the next page.
    pub fn set_next(bytes: &mut [u8], next: u32) {
        bytes[4..8].copy_from_slice(&next.to_le_bytes());
    }
}

const TAIL_HEADER: usize = 16;
const TAIL_ROW_HEADER: usize = 8;

/// Bytes of one row of the tail: TID, padding, K·n half-precision numbers.
pub fn row_size(layout: Layout) -> usize {
    (TAIL_ROW_HEADER + 2 * layout.dimensions()).next_multiple_of(8)
}

fn rows_per_tail_page(layout: Layout) -> usize {
    (PAYLOAD - TAIL_HEADER) / row_size(layout)
}

/// A page of the tail, read in place.
#[derive(Clone, Copy)]
pub struct TailPage<'a> {
    bytes: &'a [u8],
    layout: Layout,
}

impl<'a> TailPage<'a> {
    /// Reads a page.
    ///
    /// # Errors
    /// [`PageError::Failed`] if it claims more rows than it can hold.
    pub fn new(bytes: &'a [u8], layout: Layout) -> PageResult<Self> {
        let rows = usize::from(u16_at(bytes, 0));
        if rows > rows_per_tail_page(layout) {
            return Err(PageError::corrupt(format!("A page of the tail claims {rows} rows.")));
        }
        Ok(Self { bytes, layout })
    }

    /// Rows on it, dead ones too.
    pub fn rows(self) -> usize {
        u16_at(self.bytes, 0).into()
    }

    /// Whether it takes no more rows because they are being moved.
    pub fn sealed(self) -> bool {
        u16_at(self.bytes, 2) != 0
    }

    /// Whether another row fits.
    pub fn has_room(self) -> bool {
        !self.sealed() && self.rows() < rows_per_tail_page(self.layout)
    }

    /// The next page of the tail.
    pub fn next(self) -> u32 {
        tail_page::next(self.bytes)
    }

    /// TID of row `i`.
    pub fn tid(self, i: usize) -> Tid {
        let at = tail_page::row_offset(self.layout, i);
        let mut tid = [0; Tid::SIZE];
        tid.copy_from_slice(&self.bytes[at..at + Tid::SIZE]);
        Tid::from_bytes(tid)
    }

    /// The `[K·n]` numbers of row `i`, as they lie on the page: of a damaged page, any at all.
    ///
    /// # Errors
    /// [`PageError::Failed`] if the page lies where no page can.
    pub fn values(self, i: usize) -> PageResult<&'a [f16]> {
        let at = tail_page::row_offset(self.layout, i) + TAIL_ROW_HEADER;
        halves(&self.bytes[at..at + 2 * self.layout.dimensions()])
            .ok_or_else(|| PageError::corrupt("A page of the tail lies on an odd address."))
    }
}

/// Writing pages of the tail.
pub mod tail_page {
    use super::*;

    /// Where row `i` starts.
    pub fn row_offset(layout: Layout, i: usize) -> usize {
        TAIL_HEADER + i * row_size(layout)
    }

    /// Adds a row; false if the page is full or sealed.
    ///
    /// # Errors
    /// [`crate::error::Kind::Corrupted`] if the page is damaged.
    pub fn append(bytes: &mut [u8], layout: Layout, tid: Tid, values: &[f16]) -> Result<bool> {
        let page = TailPage::new(bytes, layout).map_err(PageError::into_error)?;
        if !page.has_room() {
            return Ok(false);
        }
        let rows = page.rows();
        let at = row_offset(layout, rows);
        bytes[at..at + Tid::SIZE].copy_from_slice(&tid.to_bytes());
        for (to, v) in bytes[at + TAIL_ROW_HEADER..].chunks_exact_mut(2).zip(values) {
            to.copy_from_slice(&v.to_ne_bytes());
        }
        bytes[..2].copy_from_slice(&(rows as u16 + 1).to_le_bytes());
        Ok(true)
    }

    /// Says that row `i` is gone.
    pub fn mark_dead(bytes: &mut [u8], layout: Layout, i: usize) {
        let at = row_offset(layout, i);
        bytes[at..at + Tid::SIZE].copy_from_slice(&Tid::DEAD.to_bytes());
    }

    /// The next page of the tail, or of the free chain, whose pages may hold another model's rows.
    pub fn next(bytes: &[u8]) -> u32 {
        u32_at(bytes, 4)
    }

    /// Lets no more rows in.
    pub fn seal(bytes: &mut [u8]) {
        bytes[2..4].copy_from_slice(&1u16.to_le_bytes());
    }

    /// Links the next page.
    pub fn set_next(bytes: &mut [u8], next: u32) {
        bytes[4..8].copy_from_slice(&next.to_le_bytes());
    }
}
