//! In which buffers this session last saw the pages of an index.
//!
//! PostgreSQL finds a page's buffer in a hash table of all buffers. With hundreds of thousands of them that table lies outside the
//! processor's caches, and a search that reads many pages spends a quarter of its time there. So each session keeps the buffers' numbers,
//! four bytes a page, in `rd_amcache`, with its description of the index (PostgreSQL frees both together). They are hints: PostgreSQL's
//! ReadRecentBuffer checks that a buffer still holds the page.

use crate::pg::compat;
use pgrx::pg_sys;
use std::sync::atomic::{AtomicU32, Ordering};

/// Every eighth access uses the buffer table. Pins by hint do not raise `usage_count`, so pages in constant use would be evicted.
const BUFFER_TABLE_EVERY: u32 = 8;

static READS: AtomicU32 = AtomicU32::new(0);

/// What `rd_amcache` points to: this, and `len` buffer numbers after it, by block; 0 where none is known.
#[repr(C)]
struct BufferNumbers {
    len: u32,
}

/// A number to pass to [`read`], another for each scan, so that each block uses the buffer table in one scan of eight.
pub fn next_read_number() -> u32 {
    READS.fetch_add(1, Ordering::Relaxed)
}

/// Pins a page of the main fork.
///
/// # Safety
/// `relation` must be an open index of which nothing else uses `rd_amcache`.
pub unsafe fn read(relation: pg_sys::Relation, block: u32, read_number: u32) -> pg_sys::Buffer {
    // SAFETY: the relation is open; ReadBuffer raises an error for a block that does not exist.
    unsafe {
        // ReadBuffer charges a throttled VACUUM for what it reads; ReadRecentBuffer does not.
        let use_table =
            block.wrapping_add(read_number).is_multiple_of(BUFFER_TABLE_EVERY) || pg_sys::VacuumCostActive;
        let hint =
            if use_table { None } else { entry(relation, block).map(|entry| *entry).filter(|&b| b > 0) };
        if let Some(buffer) = hint.filter(|&buffer| compat::read_recent(relation, block, buffer)) {
            return buffer;
        }
        let buffer = pg_sys::ReadBuffer(relation, block);
        // Buffers of temporary tables have negative numbers, and a small table of the session's own.
        if buffer > 0 {
            remember(relation, block, buffer);
        }
        buffer
    }
}

/// Where the number of a page's buffer is kept, until PostgreSQL is called again: it may free the memory.
///
/// # Safety
/// As [`read`].
unsafe fn entry(relation: pg_sys::Relation, block: u32) -> Option<*mut pg_sys::Buffer> {
    // SAFETY: `rd_amcache` is null or was set by `remember`, which allocates room for `len` numbers.
    unsafe {
        let numbers = (*relation).rd_amcache.cast::<BufferNumbers>();
        let known = !numbers.is_null() && block < (*numbers).len;
        known.then(|| numbers.add(1).cast::<pg_sys::Buffer>().add(block as usize))
    }
}

/// Keeps the number of a page's buffer, or forgets about it where there is no memory.
///
/// # Safety
/// As [`read`].
unsafe fn remember(relation: pg_sys::Relation, block: u32, buffer: pg_sys::Buffer) {
    // SAFETY: the chunk has room for as many numbers as its `len` says, an old one is no longer than the new one, and both lie in the
    // memory context of the relation's description, which PostgreSQL frees as a whole.
    unsafe {
        if entry(relation, block).is_none() {
            let blocks = pg_sys::RelationGetNumberOfBlocksInFork(relation, pg_sys::ForkNumber::MAIN_FORKNUM)
                .max(block + 1);
            let len = blocks.saturating_add(blocks / 8);
            let size = size_of::<BufferNumbers>() + len as usize * size_of::<pg_sys::Buffer>();
            let flags = pg_sys::MCXT_ALLOC_HUGE | pg_sys::MCXT_ALLOC_ZERO | pg_sys::MCXT_ALLOC_NO_OOM;
            let new = pg_sys::MemoryContextAllocExtended((*relation).rd_indexcxt, size, flags as i32)
                .cast::<BufferNumbers>();
            if new.is_null() {
                return;
            }
            (*new).len = len;
            let old = (*relation).rd_amcache.cast::<BufferNumbers>();
            if !old.is_null() {
                let numbers = new.add(1).cast::<pg_sys::Buffer>();
                numbers.copy_from_nonoverlapping(old.add(1).cast(), (*old).len as usize);
                pg_sys::pfree(old.cast());
            }
            (*relation).rd_amcache = new.cast();
        }
        if let Some(entry) = entry(relation, block) {
            *entry = buffer;
        }
    }
}
