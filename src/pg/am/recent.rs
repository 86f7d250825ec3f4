//! In which buffers this session last saw the pages of an index.
//!
//! PostgreSQL finds a page's buffer in a hash table of all buffers, which with hundreds of thousands of them lies outside the processor's
//! caches: for a search that reads many pages, a quarter of its time. So each session keeps the buffers' numbers, four bytes a page, with
//! its description of the index (`rd_amcache`, which is PostgreSQL's to forget). They are hints: a buffer that has another page by now is
//! no hit.

use crate::pg::compat;
use pgrx::pg_sys;
use std::sync::atomic::{AtomicU32, Ordering};

/// One look at a page in so many goes through the hash table all the same. PostgreSQL takes what has not been used for a while to be
/// dispensable, and does not count those that come by a hint.
const COUNTED: u32 = 8;

static TURN: AtomicU32 = AtomicU32::new(0);

/// The start of what is kept; `len` numbers of buffers follow, 0 where none is known.
#[repr(C)]
struct Seen {
    len: u32,
}

/// Which pages go through the hash table this time.
pub fn turn() -> u32 {
    TURN.fetch_add(1, Ordering::Relaxed)
}

/// Pins a page of the main fork.
///
/// # Safety
/// `relation` must be an open index with `rd_amcache` to itself.
pub unsafe fn read(relation: pg_sys::Relation, block: u32, turn: u32) -> pg_sys::Buffer {
    // SAFETY: the relation is open; ReadBuffer raises an error for blocks that do not exist. A slow VACUUM counts what it reads.
    unsafe {
        let counted = block.wrapping_add(turn).is_multiple_of(COUNTED) || pg_sys::VacuumCostActive;
        let hint = if counted { None } else { entry(relation, block).map(|entry| *entry).filter(|&b| b > 0) };
        if let Some(buffer) = hint.filter(|&buffer| compat::read_recent(relation, block, buffer)) {
            return buffer;
        }
        let buffer = pg_sys::ReadBuffer(relation, block);
        // Those of a temporary table, with numbers below 0, are a table of this session's own.
        if buffer > 0 {
            note(relation, block, buffer);
        }
        buffer
    }
}

/// Where the number of a page's buffer is kept; good until PostgreSQL is called.
///
/// # Safety
/// As [`read`].
unsafe fn entry(relation: pg_sys::Relation, block: u32) -> Option<*mut pg_sys::Buffer> {
    // SAFETY: what is there has been put there by `note`.
    unsafe {
        let seen = (*relation).rd_amcache.cast::<Seen>();
        let known = !seen.is_null() && block < (*seen).len;
        known.then(|| seen.add(1).cast::<pg_sys::Buffer>().add(block as usize))
    }
}

/// # Safety
/// As [`read`].
unsafe fn note(relation: pg_sys::Relation, block: u32, buffer: pg_sys::Buffer) {
    // SAFETY: the chunk is allocated with as much room as its length says, and lives in the memory of the description, where
    // PostgreSQL frees it.
    unsafe {
        if entry(relation, block).is_none() {
            let blocks = pg_sys::RelationGetNumberOfBlocksInFork(relation, pg_sys::ForkNumber::MAIN_FORKNUM)
                .max(block + 1);
            let len = blocks.saturating_add(blocks / 8);
            let size = size_of::<Seen>() + len as usize * size_of::<pg_sys::Buffer>();
            let flags = pg_sys::MCXT_ALLOC_HUGE | pg_sys::MCXT_ALLOC_ZERO | pg_sys::MCXT_ALLOC_NO_OOM;
            let new = pg_sys::MemoryContextAllocExtended((*relation).rd_indexcxt, size, flags as i32)
                .cast::<Seen>();
            if new.is_null() {
                return;
            }
            (*new).len = len;
            let old = (*relation).rd_amcache.cast::<Seen>();
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
