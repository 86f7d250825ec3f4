//! A tail page: new rows as they are, until there are enough of them for a group.

use super::format::{u16_at, u32_at, Tid, PAYLOAD, TAIL_PAGE_HEADER, TAIL_ROW_HEADER};
use super::kernels::as_f16;
use super::page_error::{PageError, PageResult};
use crate::error::Result;
use crate::space::Layout;
use half::f16;

/// A tail page, read in place.
#[derive(Clone, Copy)]
pub struct TailPage<'a> {
    bytes: &'a [u8],
    layout: Layout,
}

impl<'a> TailPage<'a> {
    /// Checks the row count of a page's payload.
    ///
    /// # Errors
    /// [`PageError::Failed`] if the page claims more rows than it can hold.
    pub fn new(bytes: &'a [u8], layout: Layout) -> PageResult<Self> {
        let rows = usize::from(u16_at(bytes, 0));
        if rows > rows_per_page(layout) {
            return Err(PageError::corrupt(format!("A page of the tail claims {rows} rows.")));
        }
        Ok(Self { bytes, layout })
    }

    /// Rows on the page, including removed ones.
    pub fn rows(self) -> usize {
        u16_at(self.bytes, 0).into()
    }

    /// True once the page takes no more rows, because its rows are being moved into a group.
    pub fn sealed(self) -> bool {
        u16_at(self.bytes, 2) != 0
    }

    /// True if another row fits.
    pub fn has_room(self) -> bool {
        !self.sealed() && self.rows() < rows_per_page(self.layout)
    }

    /// The next tail page; [`NO_BLOCK`](super::NO_BLOCK) on the last one.
    pub fn next(self) -> u32 {
        next(self.bytes)
    }

    /// TID of row `i`, which is dead if VACUUM has removed the row.
    pub fn tid(self, i: usize) -> Tid {
        let at = row_offset(self.layout, i);
        let mut tid = [0; Tid::SIZE];
        tid.copy_from_slice(&self.bytes[at..at + Tid::SIZE]);
        Tid::from_bytes(tid)
    }

    /// The `[K·n]` numbers of row `i`, unchecked: on a damaged page they may be NaN or infinite.
    ///
    /// # Errors
    /// [`PageError::Failed`] if the payload is not aligned to two bytes.
    pub fn values(self, i: usize) -> PageResult<&'a [f16]> {
        let at = row_offset(self.layout, i) + TAIL_ROW_HEADER;
        as_f16(&self.bytes[at..at + 2 * self.layout.dimensions()])
            .ok_or_else(|| PageError::corrupt("A page of the tail lies on an odd address."))
    }
}

/// Bytes of one row: TID, padding, `K·n` half-precision numbers.
fn row_size(layout: Layout) -> usize {
    (TAIL_ROW_HEADER + 2 * layout.dimensions()).next_multiple_of(8)
}

/// Rows that fit on a page.
pub(super) fn rows_per_page(layout: Layout) -> usize {
    (PAYLOAD - TAIL_PAGE_HEADER) / row_size(layout)
}

/// Offset of row `i` in the payload.
fn row_offset(layout: Layout, i: usize) -> usize {
    TAIL_PAGE_HEADER + i * row_size(layout)
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

/// Marks row `i` as removed.
pub fn mark_dead(bytes: &mut [u8], layout: Layout, i: usize) {
    let at = row_offset(layout, i);
    bytes[at..at + Tid::SIZE].copy_from_slice(&Tid::DEAD.to_bytes());
}

/// The next page of the tail or of the chain of free tail pages, which may still hold rows of another model: therefore
/// no [`TailPage`] is needed to read it.
pub fn next(bytes: &[u8]) -> u32 {
    u32_at(bytes, 4)
}

/// Makes the page take no more rows.
pub fn seal(bytes: &mut [u8]) {
    bytes[2..4].copy_from_slice(&1u16.to_le_bytes());
}

/// Links the next page of the tail or of the chain of free tail pages.
pub fn set_next(bytes: &mut [u8], next: u32) {
    bytes[4..8].copy_from_slice(&next.to_le_bytes());
}
