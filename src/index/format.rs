//! The layout of an index page: constants, byte offsets and the small types that stand for bytes on disk.
//!
//! Integers are little-endian. Half- and single-precision numbers of the tail are in the processor's own order, so that
//! they can be read in place, as everything else on PostgreSQL's pages.
//!
//! # Every page
//!
//! ```text
//! byte    0  PostgreSQL's page header                                24
//! byte   24  payload, one of the layouts below                     8160 = PAYLOAD
//! byte 8184  special space: PageKind (2), 0xc00e (2), generation (4)  8 = PageTag
//! ```
//!
//! All offsets below count from the first byte of the payload. Block 0 is the metapage; every other page is reached from
//! it. A block number of 0 ([`NO_BLOCK`]) therefore means "none".
//!
//! # Metapage ([`super::Meta`])
//!
//! ```text
//!  0 magic "coop"     4 version            8 K (2)  n (2)      12 model fingerprint
//! 16 cells           20 tail rows         24 reorganizations   28 next generation
//! 32 end             36 directory         40 quantizer         44 quantizer generation
//! 48 tail first      52 tail last         56 tail pages        60 free tail pages
//! 64 nulls first     68 nulls open        72 tail generation   76 horizon (8)
//! ```
//!
//! # Directory page ([`super::DirectoryPage`]): which extents there are
//!
//! ```text
//! 0 next page   4 unused   8 entry 0   32 entry 1   ...            DIRECTORY_ENTRIES entries of 24 bytes
//!   entry: state (4)  first block (4)  pages (4)  generation (4)  rows (4)  live rows (4)
//! ```
//!
//! # Tail page ([`super::TailPage`]): new rows, as they are
//!
//! ```text
//! 0 rows (2)   2 sealed (2)   4 next page   8 unused (8)   16 row 0   ...
//!   row: TID (6)  unused (2)  K·n half-precision numbers, padded to a multiple of 8 bytes
//! ```
//!
//! # Null page ([`super::NullPage`]): rows without an embedding
//!
//! ```text
//! 0 rows (2)   2 unused (2)   4 next page   8 TID 0   14 TID 1   ...
//! ```
//!
//! # Quantizer ([`super::Quantizer`]): one stream of bytes over an extent of pages
//!
//! ```text
//! per subspace, in single precision:
//! centres [cells, n]   parents [cells / 16, n]   spreads [cells]   low [n]   step [n]   error unit [1]
//! ```
//!
//! # Group ([`GroupShape`]): one stream of bytes over an extent of pages
//!
//! | section | bytes | order |
//! |---|---|---|
//! | TIDs | 6 per row | rows |
//! | sample | 32·K per 32 rows: as the cells of rows, of [`GroupShape::sample_rows`] rows | every so many rows |
//! | cells of rows | 32·K per block of 32 rows: for each subspace, the cells of the 32 rows | rows |
//! | details | per row and subspace: position (2), fine error code (1), low nibbles (n/2) | rows |
//! | sketches | per row and subspace: cell (1), correction (1), two bits a dimension (n/4): [`super::sketch`] | rows |
//! | per subspace: smallest squared norm | 4: no row's squared length is below it | |
//! | cell starts | 2 per cell, and the end | cells |
//! | radii | 8 per cell block: smallest and largest distance from the cell's centre | positions |
//! | coarse error codes | 1 per row | positions |
//! | rows | 2 per row: the row at this position | positions |
//! | high nibbles | 16·n per block of 32 rows | positions |
//!
//! Cells are numbered so that cell c has the parent c / 16, a larger cell around it and its siblings. An index of format 2 or 3 has at most
//! 16 cells, no parents, spreads, samples and sketches, and cells of rows are nibbles: 16·K per block, packed as below with subspaces in place
//! of dimensions ([`CellFormat`]).
//!
//! Sections start at multiples of 16 bytes. A *position* is a row's place in one subspace's own order: by cell, then by
//! distance from the cell's centre. Positions are cut into *blocks* of [`BLOCK_ROWS`]; what one cell has in one block is a
//! *cell block* ([`super::cell_blocks`]). High nibbles lie dimension by dimension, 16 bytes each: byte i holds position i of
//! the block in its low half and position i + 16 in its high half, which is what one SIMD table look-up reads.

use crate::space::Layout;
use std::ops::Range;

/// The first bytes of the metapage: "coop".
pub const MAGIC: u32 = u32::from_le_bytes(*b"coop");

/// The newest format. An index keeps the format that it was built with until REINDEX.
pub const VERSION: u32 = 4;
/// The oldest format that can be read and written. Its indexes have at most [`CHILDREN`] cells, which have no parents. In format 3 the model
/// may have changed since (tail generation and horizon are set).
pub const OLDEST_VERSION: u32 = 2;

/// Bytes of a page that are ours: what PostgreSQL's page header and our 8 bytes of special space leave.
pub const PAYLOAD: usize = 8192 - 24 - 8;

/// "No page": block 0 is the metapage, so no link points to it.
pub const NO_BLOCK: u32 = 0;

/// The most cells of a subspace.
pub const MAX_CELLS: usize = 256;

/// Cells that have the same parent. An index of more cells than this has parents; one of format 2 or 3 has not.
pub const CHILDREN: usize = 16;

/// The most rows of a group's sample.
const MAX_SAMPLE_ROWS: usize = 512;

/// The most rows of a group: a position takes two bytes.
pub const MAX_GROUP_ROWS: usize = 65_535;

/// Rows of a block: the lanes of one SIMD table look-up.
pub const BLOCK_ROWS: usize = 32;

/// Bytes of a directory page before its entries.
pub(super) const DIRECTORY_HEADER: usize = 8;
/// Bytes of a directory entry.
pub(super) const DIRECTORY_ENTRY: usize = 24;
/// Entries of a directory page.
pub const DIRECTORY_ENTRIES: usize = (PAYLOAD - DIRECTORY_HEADER) / DIRECTORY_ENTRY;

/// Bytes of a null page before its TIDs.
pub(super) const NULL_PAGE_HEADER: usize = 8;

/// Bytes of a tail page before its rows.
pub(super) const TAIL_PAGE_HEADER: usize = 16;
/// Bytes of a tail row before its numbers.
pub(super) const TAIL_ROW_HEADER: usize = 8;

/// The most dimensions of an embedding in an index: a tail row must fit on a page.
pub const MAX_INDEX_DIMENSIONS: usize = (PAYLOAD - TAIL_PAGE_HEADER - TAIL_ROW_HEADER) / 2;

/// What a page holds. Stored in the special space of each page, and checked whenever the page is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum PageKind {
    /// The metapage, block 0: [`super::Meta`].
    Meta = 1,
    /// Which extents there are: [`super::DirectoryPage`].
    Directory = 2,
    /// Part of the quantizer's stream: [`super::Quantizer`].
    Quantizer = 3,
    /// Part of a group's stream: [`GroupShape`].
    Group = 4,
    /// Rows that are in no group yet: [`super::TailPage`].
    Tail = 5,
    /// Rows without an embedding: [`super::NullPage`].
    Nulls = 6,
}

/// What a page says it is. No generation is ever given to two extents, so that a reader who comes late notices that the
/// pages of the group it knew belong to another one now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageTag {
    /// What the page holds, which decides its layout.
    pub kind: PageKind,
    /// Which extent the page belongs to; 0 for pages outside of extents.
    pub generation: u32,
}

impl PageTag {
    /// The tag of a page outside of any extent.
    pub const fn of(kind: PageKind) -> Self {
        Self { kind, generation: 0 }
    }
}

/// Where a row lies in the table: block and line pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tid {
    /// Block number in the table's main fork.
    pub block: u32,
    /// Line pointer, from 1; 0 in the index means that VACUUM has removed the row.
    pub offset: u16,
}

impl Tid {
    /// Replaces the TID of a row that VACUUM has removed.
    pub const DEAD: Self = Self { block: u32::MAX, offset: 0 };

    /// Bytes of a TID on disk.
    pub const SIZE: usize = 6;

    /// False once VACUUM has removed the row.
    pub fn is_live(self) -> bool {
        self.offset != 0
    }

    /// Decodes block (4 bytes) and line pointer (2).
    pub fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let [a, b, c, d, e, f] = bytes;
        Self { block: u32::from_le_bytes([a, b, c, d]), offset: u16::from_le_bytes([e, f]) }
    }

    /// Encodes block (4 bytes) and line pointer (2).
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let ([a, b, c, d], [e, f]) = (self.block.to_le_bytes(), self.offset.to_le_bytes());
        [a, b, c, d, e, f]
    }
}

/// The 16-bit integer at byte `at`.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// The 32-bit integer at byte `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The single-precision number at byte `at`.
pub(super) fn f32_at(bytes: &[u8], at: usize) -> f32 {
    f32::from_bits(u32_at(bytes, at))
}

/// What determines where everything of a group lies in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupShape {
    /// The space of the rows.
    pub layout: Layout,
    /// Cells of each subspace.
    pub cells: usize,
    /// Rows of the group, including removed ones.
    pub rows: usize,
}

/// Byte ranges of the sections of one subspace in a group's stream (see the table above).
#[derive(Debug, Clone)]
pub struct SubspaceSections {
    /// Smallest squared norm of the rows.
    pub min_squared_norm: Range<usize>,
    /// First position of each cell, and the end.
    pub cell_starts: Range<usize>,
    /// Smallest and largest radius of each cell block.
    pub radii: Range<usize>,
    /// Code of the error that the high nibbles leave, per position.
    pub coarse_errors: Range<usize>,
    /// Row number of each position.
    pub rows: Range<usize>,
    /// High nibbles of the codes, block by block.
    pub high_nibbles: Range<usize>,
}

/// What an index stores of its cells, by how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellFormat {
    /// At most [`CHILDREN`] cells, four bits for each row: formats 2 and 3, and indexes that were made to have so few.
    Nibbles,
    /// Cells with parents and spreads, a byte for each row, samples and sketches: format 4.
    Bytes,
}

impl CellFormat {
    /// The format of an index with so many cells in a subspace.
    pub fn of(cells: usize) -> Self {
        match cells {
            ..=CHILDREN => Self::Nibbles,
            _ => Self::Bytes,
        }
    }

    /// Bytes of a block's cells in one subspace.
    pub fn block_size(self) -> usize {
        match self {
            Self::Nibbles => BLOCK_ROWS / 2,
            Self::Bytes => BLOCK_ROWS,
        }
    }

    /// The cell of a lane in a block's cells in one subspace.
    pub fn cell(self, block: &[u8], lane: usize) -> u8 {
        match self {
            Self::Nibbles => nibble(block, lane),
            Self::Bytes => block[lane],
        }
    }

    /// Sets the cell of a lane, which must be 0 before.
    pub fn set_cell(self, block: &mut [u8], lane: usize, cell: u8) {
        match self {
            Self::Nibbles => set_nibble(block, lane, cell),
            Self::Bytes => block[lane] = cell,
        }
    }
}

/// The number of parents of `cells` cells; 0 if they have none.
pub fn parents(cells: usize) -> usize {
    match CellFormat::of(cells) {
        CellFormat::Nibbles => 0,
        CellFormat::Bytes => cells / CHILDREN,
    }
}

/// The nibble of a lane in the 16 bytes that a block has for one dimension.
pub(super) fn nibble(bytes: &[u8], lane: usize) -> u8 {
    bytes[lane % 16] >> (4 * (lane / 16)) & 15
}

/// Sets the nibble of a lane, which must be 0 before.
pub(super) fn set_nibble(bytes: &mut [u8], lane: usize, value: u8) {
    bytes[lane % 16] |= value << (4 * (lane / 16));
}

/// Bytes of a row's detail in one subspace before its low nibbles: position (2) and fine error code (1).
pub(super) const DETAIL_HEADER: usize = 3;
/// Bytes of a row's sketch in one subspace before its levels: cell (1) and correction (1).
pub(super) const SKETCH_HEADER: usize = 2;

impl GroupShape {
    /// Blocks of [`BLOCK_ROWS`], the last of which may be filled in part.
    fn blocks(&self) -> usize {
        self.rows.div_ceil(BLOCK_ROWS)
    }

    /// Bytes that one block takes in the section of high nibbles.
    pub fn block_size(&self) -> usize {
        16 * self.layout.subspace_dim()
    }

    /// Bytes of a row's detail in one subspace.
    fn detail_size(&self) -> usize {
        DETAIL_HEADER + self.layout.subspace_dim().div_ceil(2)
    }

    /// What the group stores of its rows' cells.
    pub fn cell_format(&self) -> CellFormat {
        CellFormat::of(self.cells)
    }

    /// Offset of the TID of a row.
    pub fn tid(&self, row: usize) -> usize {
        row * Tid::SIZE
    }

    /// Rows whose cells the sample repeats, in whole blocks; 0 if there is no sample.
    pub fn sample_rows(&self) -> usize {
        match self.cell_format() {
            CellFormat::Bytes if self.rows > 0 => {
                (self.rows / BLOCK_ROWS).clamp(1, MAX_SAMPLE_ROWS / BLOCK_ROWS) * BLOCK_ROWS
            }
            CellFormat::Nibbles | CellFormat::Bytes => 0,
        }
    }

    /// The row that is at place `i` of the sample.
    pub fn sampled_row(&self, i: usize) -> usize {
        i * self.rows / self.sample_rows()
    }

    /// The section that repeats the cells of some rows.
    pub fn sample(&self) -> Range<usize> {
        let at = (self.rows * Tid::SIZE).next_multiple_of(16);
        at..at + self.sample_rows() * self.layout.subspaces()
    }

    /// Bytes that one block takes in the section of the cells of rows.
    pub fn cells_of_block(&self) -> usize {
        self.cell_format().block_size() * self.layout.subspaces()
    }

    /// The section that names each row's cell in every subspace.
    pub fn cells_of_rows(&self) -> Range<usize> {
        let at = self.sample().end;
        at..at + self.blocks() * self.cells_of_block()
    }

    /// The detail of a row in subspace `k`.
    pub fn detail(&self, row: usize, k: usize) -> Range<usize> {
        let at = self.cells_of_rows().end + (row * self.layout.subspaces() + k) * self.detail_size();
        at..at + self.detail_size()
    }

    /// Bytes of a row's sketch in one subspace; 0 if there are no sketches.
    pub fn sketch_size(&self) -> usize {
        match self.cell_format() {
            CellFormat::Nibbles => 0,
            CellFormat::Bytes => SKETCH_HEADER + self.layout.subspace_dim().div_ceil(4),
        }
    }

    /// The sketch of a row in subspace `k`.
    pub fn sketch(&self, row: usize, k: usize) -> Range<usize> {
        let base = self.detail(self.rows, 0).start.next_multiple_of(16);
        let at = base + (row * self.layout.subspaces() + k) * self.sketch_size();
        at..at + self.sketch_size()
    }

    /// The sections of subspace `k`.
    pub fn sections(&self, k: usize) -> SubspaceSections {
        let base = self.sketch(self.rows, 0).start.next_multiple_of(16);
        let sizes = self.section_sizes();
        let mut at = base + k * sizes.map(|size| size.next_multiple_of(16)).iter().sum::<usize>();
        let [min_squared_norm, cell_starts, radii, coarse_errors, rows, high_nibbles] = sizes.map(|size| {
            let range = at..at + size;
            at = range.end.next_multiple_of(16);
            range
        });
        SubspaceSections { min_squared_norm, cell_starts, radii, coarse_errors, rows, high_nibbles }
    }

    /// Bytes of each section of a subspace, in the order of [`SubspaceSections`].
    fn section_sizes(&self) -> [usize; 6] {
        [
            4,
            2 * (self.cells + 1),
            8 * (self.blocks() + self.cells),
            self.rows,
            2 * self.rows,
            self.blocks() * self.block_size(),
        ]
    }

    /// Bytes of the whole stream.
    pub fn size(&self) -> usize {
        self.sections(self.layout.subspaces()).min_squared_norm.start
    }

    /// Pages of the whole stream.
    pub fn pages(&self) -> u32 {
        self.size().div_ceil(PAYLOAD) as u32
    }
}
