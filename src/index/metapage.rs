//! The metapage, block 0: which model the index holds, and where everything else starts.

use super::extent::Extent;
use super::format::{
    parents, u16_at, u32_at, PageKind, PageTag, CHILDREN, MAGIC, MAX_CELLS, MAX_INDEX_DIMENSIONS, NO_BLOCK,
    OLDEST_VERSION, VERSION,
};
use super::page_error::{PageError, PageResult};
use super::pages::Pages;
use super::tail_page;
use crate::error::{Error, Kind};
use crate::space::Layout;

/// The contents of the metapage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// The model of the rows; `None` before the first row, and again once the last one is gone.
    pub layout: Option<Layout>,
    /// Cells per subspace of the quantizer that the index has or will have.
    pub cells: u32,
    /// Rows that the tail gathers before they become a group (the storage parameter `tail_rows`).
    pub tail_rows: u32,
    /// Counts the times that rows have moved: a reader that finds it changed has to start again.
    pub reorganizations: u32,
    /// The generation that the next extent gets.
    pub next_generation: u32,
    /// The first block that belongs to nothing; so do all blocks after it.
    pub end: u32,
    /// The first directory page.
    pub directory: u32,
    /// The first block of the quantizer; [`NO_BLOCK`] until the first group has been made.
    pub quantizer: u32,
    /// The generation of the quantizer's pages.
    pub quantizer_generation: u32,
    /// The first tail page; [`NO_BLOCK`] if there is none.
    pub tail_first: u32,
    /// The tail page that takes new rows.
    pub tail_last: u32,
    /// The number of tail pages.
    pub tail_pages: u32,
    /// The generation of the tail's pages. It changes with the model, so that a late reader or writer does not take one
    /// model's tail for another's.
    pub tail_generation: u32,
    /// The first of a chain of former tail pages, to be used again.
    pub free: u32,
    /// The first null page; [`NO_BLOCK`] until there is one.
    pub nulls_first: u32,
    /// The null page that takes the next row without an embedding; those before it are full.
    pub nulls_open: u32,
    /// A 64-bit transaction ID: dead rows that a standby's snapshots older than this may still see have been dropped.
    pub horizon: u64,
}

impl Meta {
    /// Bytes that it takes of the payload.
    pub const SIZE: usize = 84;

    /// Whether groups have samples and cells have spreads, by which a search can stop at a recall: not so in an index of an old format.
    pub fn has_samples(&self) -> bool {
        parents(self.cells as usize) > 0
    }

    /// Reads the metapage.
    ///
    /// # Errors
    /// Those of [`Pages::read`] and [`Meta::from_bytes`].
    pub fn read<P: Pages + ?Sized>(pages: &P) -> PageResult<Self> {
        let mut meta = Err(PageError::Stale(0));
        pages.read(0, PageTag::of(PageKind::Meta), &mut |bytes| meta = Self::from_bytes(bytes))?;
        meta
    }

    /// Decodes the metapage's payload.
    ///
    /// # Errors
    /// [`PageError::Failed`] if it is not a metapage, or has a version that this library does not know.
    pub fn from_bytes(bytes: &[u8]) -> PageResult<Self> {
        let field = |i: usize| u32_at(bytes, 4 * i);
        if field(0) != MAGIC {
            return Err(PageError::corrupt(format!(
                "The metapage starts with {:#010x}, not {MAGIC:#010x}.",
                field(0)
            )));
        }
        let version = field(1);
        if !(OLDEST_VERSION..=VERSION).contains(&version) {
            return Err(PageError::Failed(
                Error::new(Kind::Unsupported, format!("index format version {version} is not supported"))
                    .detail(format!("This version of coopembed reads formats {OLDEST_VERSION} to {VERSION}."))
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
        let most = if version == VERSION { MAX_CELLS } else { CHILDREN } as u32;
        if cells == 0
            || cells > most
            || cells as usize > CHILDREN && !(cells as usize).is_multiple_of(CHILDREN)
        {
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

    /// Encodes the metapage's payload, in the oldest format that can say it (see [`VERSION`]).
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let (k, n, fingerprint) = match self.layout {
            Some(l) => (l.subspaces() as u32, l.subspace_dim() as u32, l.fingerprint()),
            None => (0, 0, 0),
        };
        let version = match self.cells as usize {
            ..=CHILDREN if self.tail_generation == 0 && self.horizon == 0 => OLDEST_VERSION,
            ..=CHILDREN => OLDEST_VERSION + 1,
            _ => VERSION,
        };
        let fields = [
            MAGIC,
            version,
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

    /// The tag of the tail's pages.
    pub fn tail_tag(&self) -> PageTag {
        PageTag { kind: PageKind::Tail, generation: self.tail_generation }
    }

    /// The most pages of the tail before it is made into a group.
    pub fn tail_limit(&self) -> u32 {
        let per_page = self.layout.map_or(1, tail_page::rows_per_page);
        // The quantizer is trained on the rows of the first group: a larger sample is worth a longer tail.
        let rows = if self.quantizer == NO_BLOCK { 2 * self.tail_rows } else { self.tail_rows };
        rows.div_ceil(per_page as u32)
    }

    /// The extent of the quantizer, if there is one.
    pub fn quantizer_extent(&self) -> Option<Extent> {
        let tag = PageTag { kind: PageKind::Quantizer, generation: self.quantizer_generation };
        (self.quantizer != NO_BLOCK).then_some(Extent { first: self.quantizer, tag })
    }
}
