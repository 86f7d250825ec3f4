//! Shared buffers that hold pages of an index: pinned, locked, and the bytes within.
//!
//! A page is PostgreSQL's header (24 bytes), then [`PAYLOAD`] bytes that [`crate::index`] defines, then a special space of 8 bytes: the
//! kind of page (2 bytes), [`PAGE_ID`] (2), and the generation of its extent (4), all little-endian.

use crate::index::{prefetch, PageKind, PageTag, PAYLOAD};
use pgrx::pg_sys;

/// Stands in the special space of every page of ours, for tools that look at pages.
const PAGE_ID: u16 = 0xc00e;
/// Bytes of PostgreSQL's page header.
const HEADER: usize = 24;
/// Bytes of the special space.
const SPECIAL: usize = 8;
const _: () = assert!(HEADER + PAYLOAD + SPECIAL == pg_sys::BLCKSZ as usize && PAYLOAD.is_multiple_of(16));

/// A pinned page: it stays in its buffer until this is dropped, but others may change it.
pub struct PinnedBuffer {
    buffer: pg_sys::Buffer,
}

impl PinnedBuffer {
    /// # Safety
    /// The caller must hold a pin of `buffer`, which the result takes over.
    pub unsafe fn from_pin(buffer: pg_sys::Buffer) -> Self {
        Self { buffer }
    }

    fn page(&self) -> *mut u8 {
        // SAFETY: the buffer is pinned, so the page stays at this address.
        unsafe { pg_sys::BufferGetPage(self.buffer).cast() }
    }

    /// Where the payload lies, to have it prefetched. It must not be read: the page is not locked.
    pub fn payload_address(&self) -> *const u8 {
        self.page().wrapping_add(HEADER)
    }

    /// Has the processor load the header and the special space, which every reader checks first.
    pub fn prefetch_header(&self) {
        prefetch(self.page());
        prefetch(self.page().wrapping_add(HEADER + PAYLOAD));
    }

    /// The same, and the first lines of the payload: all that is read first once the page is locked.
    pub fn prefetch_start(&self) {
        for at in [0, 64, 128, 192, HEADER + PAYLOAD] {
            prefetch(self.page().wrapping_add(at));
        }
    }

    /// Waits for the page's lock: `BUFFER_LOCK_SHARE` to read, `BUFFER_LOCK_EXCLUSIVE` to change it.
    pub fn lock(self, mode: u32) -> LockedBuffer {
        // SAFETY: the buffer is pinned, and its pin belongs to the result from here on.
        unsafe { pg_sys::LockBuffer(self.buffer, mode as i32) };
        let locked = LockedBuffer(self.buffer);
        std::mem::forget(self);
        locked
    }
}

impl Drop for PinnedBuffer {
    fn drop(&mut self) {
        // Not while an error unwinds: see the drop of `LockedBuffer`.
        if !std::thread::panicking() {
            // SAFETY: this value owns a pin.
            unsafe { pg_sys::ReleaseBuffer(self.buffer) }
        }
    }
}

/// A pinned and locked page; unlocked and unpinned on drop.
pub struct LockedBuffer(pg_sys::Buffer);

impl LockedBuffer {
    /// # Safety
    /// The caller must hold a pin and the lock of `buffer`, which the result takes over.
    pub unsafe fn from_lock(buffer: pg_sys::Buffer) -> Self {
        Self(buffer)
    }

    /// The buffer's number, for PostgreSQL.
    pub fn number(&self) -> pg_sys::Buffer {
        self.0
    }

    fn page(&self) -> *mut u8 {
        // SAFETY: the buffer is pinned, so the page stays at this address.
        unsafe { pg_sys::BufferGetPage(self.0).cast() }
    }

    /// What the page's special space says that it holds; `None` if it is not a page of this access method.
    pub fn tag(&self) -> Option<PageTag> {
        // SAFETY: a page is BLCKSZ bytes, and the lock keeps others from changing them.
        let page = unsafe { std::slice::from_raw_parts(self.page(), pg_sys::BLCKSZ as usize) };
        let [kind, kind_high, id, id_high, generation @ ..] = *page.last_chunk::<SPECIAL>()?;
        // pd_special of the page header.
        let special = u16::from_ne_bytes([page[16], page[17]]);
        if u16::from_le_bytes([id, id_high]) != PAGE_ID || usize::from(special) != HEADER + PAYLOAD {
            return None;
        }
        let kind = match u16::from_le_bytes([kind, kind_high]) {
            1 => PageKind::Meta,
            2 => PageKind::Directory,
            3 => PageKind::Quantizer,
            4 => PageKind::Group,
            5 => PageKind::Tail,
            6 => PageKind::Nulls,
            _ => return None,
        };
        Some(PageTag { kind, generation: u32::from_le_bytes(generation) })
    }

    /// The [`PAYLOAD`] bytes between header and special space.
    pub fn payload(&self) -> &[u8] {
        // SAFETY: the payload lies within the page, and the lock keeps others from changing it.
        unsafe { std::slice::from_raw_parts(self.page().add(HEADER), PAYLOAD) }
    }

    /// Fills a new page without WAL: for builds, which log the whole file at their end.
    pub fn fill_unlogged(&self, tag: PageTag, bytes: &[u8]) {
        // SAFETY: the page is locked exclusively, as every new page is, so nobody else reads or writes its bytes.
        unsafe {
            initialize_page(self.page(), tag);
            payload_mut(self.page())[..bytes.len()].copy_from_slice(bytes);
            pg_sys::MarkBufferDirty(self.0);
        }
    }
}

impl Drop for LockedBuffer {
    fn drop(&mut self) {
        // While an error unwinds, the abort of the transaction releases locks and pins. To do so here as well would count PostgreSQL's
        // InterruptHoldoffCount, which the error has reset, below zero.
        if !std::thread::panicking() {
            // SAFETY: this value owns a pin and the lock.
            unsafe { pg_sys::UnlockReleaseBuffer(self.0) }
        }
    }
}

/// Makes an empty page of zeros that says what it holds.
///
/// # Safety
/// `page` must point to BLCKSZ bytes that only the caller reads or writes.
pub unsafe fn initialize_page(page: *mut u8, tag: PageTag) {
    // SAFETY: the caller promises BLCKSZ bytes of its own; header and special space lie within them.
    unsafe {
        pg_sys::PageInit(page.cast(), pg_sys::BLCKSZ as usize, SPECIAL);
        // Says that all of the payload is in use. WAL leaves the bytes between pd_lower and pd_upper out of a page image.
        let header = page.cast::<pg_sys::PageHeaderData>();
        (*header).pd_lower = (HEADER + PAYLOAD) as u16;
        let special = std::slice::from_raw_parts_mut(page.add(HEADER + PAYLOAD), SPECIAL);
        special[..2].copy_from_slice(&(tag.kind as u16).to_le_bytes());
        special[2..4].copy_from_slice(&PAGE_ID.to_le_bytes());
        special[4..].copy_from_slice(&tag.generation.to_le_bytes());
    }
}

/// The payload of a page, to be written.
///
/// # Safety
/// `page` must point to BLCKSZ bytes that only the caller reads or writes for as long as the result lives.
pub unsafe fn payload_mut<'a>(page: *mut u8) -> &'a mut [u8] {
    // SAFETY: the caller promises BLCKSZ bytes of its own; the payload lies within them.
    unsafe { std::slice::from_raw_parts_mut(page.add(HEADER), PAYLOAD) }
}
