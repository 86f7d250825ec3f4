//! A null page: TIDs of rows without an embedding. Whatever the query, a scan returns them last.

use super::format::{u16_at, u32_at, Tid, NULL_PAGE_HEADER, PAYLOAD};
use super::page_error::{PageError, PageResult};
use crate::memory;

/// Reads and edits the payload of a null page.
pub struct NullPage;

impl NullPage {
    /// Rows that fit on a page.
    pub const ROWS: usize = (PAYLOAD - NULL_PAGE_HEADER) / Tid::SIZE;

    /// The rows of a page.
    ///
    /// # Errors
    /// [`PageError::Failed`] if it claims more rows than it can hold.
    pub fn tids(bytes: &[u8]) -> PageResult<Vec<Tid>> {
        let rows = usize::from(u16_at(bytes, 0));
        if rows > Self::ROWS {
            return Err(PageError::corrupt(format!("A page of rows without embedding claims {rows} rows.")));
        }
        let tids = bytes[NULL_PAGE_HEADER..].as_chunks().0.iter().take(rows);
        Ok(memory::collect(tids.map(|b| Tid::from_bytes(*b)))?)
    }

    /// Makes `tids`, at most [`NullPage::ROWS`], the rows of a page.
    pub fn set_tids(bytes: &mut [u8], tids: &[Tid]) {
        bytes[..2].copy_from_slice(&(tids.len() as u16).to_le_bytes());
        for (to, tid) in bytes[NULL_PAGE_HEADER..].chunks_exact_mut(Tid::SIZE).zip(tids) {
            to.copy_from_slice(&tid.to_bytes());
        }
    }

    /// Adds a row; false if the page is full.
    pub fn append(bytes: &mut [u8], tid: Tid) -> bool {
        let rows = usize::from(u16_at(bytes, 0));
        if rows >= Self::ROWS {
            return false;
        }
        bytes[NULL_PAGE_HEADER + rows * Tid::SIZE..][..Tid::SIZE].copy_from_slice(&tid.to_bytes());
        bytes[..2].copy_from_slice(&(rows as u16 + 1).to_le_bytes());
        true
    }

    /// The next null page; [`NO_BLOCK`](super::NO_BLOCK) on the last one.
    pub fn next(bytes: &[u8]) -> u32 {
        u32_at(bytes, 4)
    }

    /// Links the next null page.
    pub fn set_next(bytes: &mut [u8], next: u32) {
        bytes[4..8].copy_from_slice(&next.to_le_bytes());
    }
}
