//! Changes of pages through generic WAL, so that crash recovery, replicas and backups work on a stock server.

use super::page_buffer::{initialize_page, payload_mut, LockedBuffer};
use super::relation::IndexRelation;
use crate::index::{Meta, PageTag};
use pgrx::pg_sys;

/// One generic WAL record: pages that change together or, after a crash too, not at all. Dropped without [`GenericXLog::finish`], it
/// changes nothing.
pub struct GenericXLog {
    state: *mut pg_sys::GenericXLogState,
}

impl GenericXLog {
    /// Begins a record.
    pub fn start(index: &IndexRelation) -> Self {
        // SAFETY: the relation is open.
        Self { state: unsafe { pg_sys::GenericXLogStart(index.relation()) } }
    }

    /// Adds a page, and returns a copy of its payload to edit; [`GenericXLog::finish`] writes the copy into the page. A record takes four
    /// pages (MAX_GENERIC_XLOG_PAGES).
    pub fn register<'a>(&'a self, buffer: &'a mut LockedBuffer) -> &'a mut [u8] {
        // SAFETY: the buffer is locked exclusively and outlives the result. PostgreSQL returns one copy of the page for each buffer, which
        // lives as long as the record, and the exclusive borrow of the buffer keeps it from being registered twice meanwhile.
        unsafe { payload_mut(pg_sys::GenericXLogRegisterBuffer(self.state, buffer.number(), 0).cast()) }
    }

    /// [`GenericXLog::register`] for a page that starts anew, whatever was there: the payload is all zeros, and WAL has it whole.
    pub fn register_new<'a>(&'a self, buffer: &'a mut LockedBuffer, tag: PageTag) -> &'a mut [u8] {
        let image = pg_sys::GENERIC_XLOG_FULL_IMAGE as i32;
        // SAFETY: the buffer is locked exclusively and outlives the result; the copy of BLCKSZ bytes that PostgreSQL returns is used by
        // nobody else while the buffer is borrowed.
        unsafe {
            let page = pg_sys::GenericXLogRegisterBuffer(self.state, buffer.number(), image).cast();
            initialize_page(page, tag);
            payload_mut(page)
        }
    }

    /// Adds the metapage, and writes `meta` into it.
    pub fn register_meta(&self, buffer: &mut LockedBuffer, meta: &Meta) {
        self.register(buffer)[..Meta::SIZE].copy_from_slice(&meta.to_bytes());
    }

    /// Logs and applies the changes. The pages must still be locked.
    pub fn finish(self) {
        // SAFETY: the record was started and has not ended; every caller declares its buffers before the record, so they are still locked.
        unsafe { pg_sys::GenericXLogFinish(self.state) };
        std::mem::forget(self);
    }
}

impl Drop for GenericXLog {
    fn drop(&mut self) {
        // While an error unwinds, the abort of the transaction frees the record's memory.
        if !std::thread::panicking() {
            // SAFETY: the record was started and has not ended.
            unsafe { pg_sys::GenericXLogAbort(self.state) }
        }
    }
}
