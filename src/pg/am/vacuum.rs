//! VACUUM: removes entries of dead rows, merges groups that lost many, and frees pages.
//!
//! Both phases hold the [`ReorganizeLock`], so no row moves meanwhile. Pages are locked one at a time while entries are removed, so readers
//! and inserts go on.

use super::extents::{
    directory_slots, group_slots, merge_free_extents, replace_groups, write_group, DirectorySlot, GROUP_ROWS,
};
use super::generic_xlog::GenericXLog;
use super::index_model;
use super::relation::{item_pointer, IndexRelation};
use super::reorganize::group_tail;
use super::reorganize_lock::ReorganizeLock;
use crate::error::Result;
use crate::index::{
    decode_group, tail_page, DirectoryEntry, DirectoryPage, EncodedRows, ExtentState, Meta, NullPage,
    PageError, PageKind, PageTag, Pages, Tid, NO_BLOCK, PAYLOAD,
};
use crate::memory;
use crate::pg::{compat, OrReport};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::c_void;

/// TIDs that a page of a group holds. They come first in a group's extent, and none lies on two pages.
const PAGE_TIDS: usize = PAYLOAD / Tid::SIZE;
const _: () = assert!(PAYLOAD.is_multiple_of(Tid::SIZE));

/// ambulkdelete: removes the entries of rows that VACUUM is about to remove from the table.
#[pg_guard]
pub unsafe extern "C-unwind" fn bulk_delete(
    info: *mut pg_sys::IndexVacuumInfo,
    stats: *mut pg_sys::IndexBulkDeleteResult,
    callback: pg_sys::IndexBulkDeleteCallback,
    state: *mut c_void,
) -> *mut pg_sys::IndexBulkDeleteResult {
    // SAFETY: PostgreSQL passes an open index, a callback and its state, and what an earlier call returned, or null.
    let (index, stats) = unsafe { (IndexRelation::new((*info).index), stats_or_new(stats)) };
    let mut deletion = BulkDeletion { index: &index, callback, state, removed: 0, remaining: 0 };
    let lock = ReorganizeLock::wait(&index);
    deletion.run().or_report();
    drop(lock);
    stats.tuples_removed += deletion.removed as f64;
    stats.num_index_tuples = deletion.remaining as f64;
    stats.num_pages = index.blocks();
    stats
}

/// The statistics that VACUUM passes from call to call, or new ones, all zero.
///
/// # Safety
/// `stats` must be null or what `bulk_delete` returned, which nobody else uses.
unsafe fn stats_or_new<'a>(
    stats: *mut pg_sys::IndexBulkDeleteResult,
) -> &'a mut pg_sys::IndexBulkDeleteResult {
    // SAFETY: palloc0 returns zeroed memory of the right size, or raises an error; zeros are a valid value.
    unsafe {
        if stats.is_null() {
            &mut *pg_sys::palloc0(size_of::<pg_sys::IndexBulkDeleteResult>()).cast()
        } else {
            &mut *stats
        }
    }
}

/// Sleeps if VACUUM is throttled, and ends it if it was cancelled. No buffer may be locked.
fn delay_point() {
    // SAFETY: called from VACUUM only, between pages.
    unsafe { compat::vacuum_delay_point() }
}

/// One pass over all entries of the index.
struct BulkDeletion<'a> {
    index: &'a IndexRelation,
    /// Tells whether the row of a TID is dead.
    callback: pg_sys::IndexBulkDeleteCallback,
    /// The callback's own state.
    state: *mut c_void,
    /// Entries removed.
    removed: u64,
    /// Entries that remain.
    remaining: u64,
}

impl BulkDeletion<'_> {
    fn run(&mut self) -> Result<()> {
        let meta = self.index.meta()?;
        for slot in group_slots(self.index, &meta)? {
            self.group(&meta, slot)?;
        }
        let mut block = meta.tail_first;
        while block != NO_BLOCK {
            block = self.tail_page(&meta, block)?;
        }
        self.nulls(&meta)
    }

    /// Rows without an embedding. Those that remain on a page move together, and the first page becomes the one that takes new rows.
    fn nulls(&mut self, meta: &Meta) -> Result<()> {
        let mut blocks = Vec::new();
        meta.scan_nulls(self.index, &mut |block, _| Ok(memory::push(&mut blocks, block)?))
            .map_err(PageError::into_error)?;
        let mut has_room = false;
        for block in blocks {
            let mut tids = Ok(Vec::new());
            self.index
                .read(block, PageTag::of(PageKind::Nulls), &mut |bytes| tids = NullPage::tids(bytes))
                .map_err(PageError::into_error)?;
            let tids = tids.map_err(PageError::into_error)?;
            let dead = self.dead(&tids)?;
            if dead.is_empty() {
                continue;
            }
            has_room = true;
            let mut buffer =
                self.index.lock(block, PageTag::of(PageKind::Nulls)).map_err(PageError::into_error)?;
            // Rows may have been appended since; none moved.
            let mut remaining = NullPage::tids(buffer.payload()).map_err(PageError::into_error)?;
            let mut number = 0..;
            remaining.retain(|_| number.next().is_some_and(|i| dead.binary_search(&i).is_err()));
            let xlog = GenericXLog::start(self.index);
            NullPage::set_tids(xlog.register(&mut buffer), &remaining);
            xlog.finish();
        }
        if has_room {
            let (mut page, mut meta) = self.index.lock_meta()?;
            meta.nulls_open = meta.nulls_first;
            let xlog = GenericXLog::start(self.index);
            xlog.register_meta(&mut page, &meta);
            xlog.finish();
        }
        Ok(())
    }

    /// Which of these TIDs are dead, as indices into `tids`, ascending.
    fn dead(&mut self, tids: &[Tid]) -> Result<Vec<usize>> {
        delay_point();
        let mut dead = memory::with_capacity(tids.len())?;
        for (i, tid) in tids.iter().enumerate().filter(|(_, tid)| tid.is_live()) {
            let mut pointer = item_pointer(*tid);
            let is_dead = self.callback.is_some_and(|callback| {
                // SAFETY: PostgreSQL's callback takes a TID and the state passed with it. The guard turns an error of its into a panic.
                unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| callback(&mut pointer, self.state)) }
            });
            if is_dead {
                dead.push(i);
            } else {
                self.remaining += 1;
            }
        }
        self.removed += dead.len() as u64;
        Ok(dead)
    }

    /// Marks the dead rows of a group, and notes in the directory how many are live.
    fn group(&mut self, meta: &Meta, slot: DirectorySlot) -> Result<()> {
        let (extent, shape) = meta.group(slot.entry, self.index.blocks()).map_err(PageError::into_error)?;
        let remaining_before = self.remaining;
        for (page, first) in (0..shape.rows).step_by(PAGE_TIDS).enumerate() {
            let block = extent.first + page as u32;
            let count = PAGE_TIDS.min(shape.rows - first);
            let mut tids = memory::with_capacity(count)?;
            self.index
                .read(block, extent.tag, &mut |bytes| {
                    tids.extend(bytes.as_chunks().0.iter().take(count).map(|b| Tid::from_bytes(*b)));
                })
                .map_err(PageError::into_error)?;
            let dead = self.dead(&tids)?;
            if dead.is_empty() {
                continue;
            }
            let mut buffer = self.index.lock(block, extent.tag).map_err(PageError::into_error)?;
            let xlog = GenericXLog::start(self.index);
            let bytes = xlog.register(&mut buffer);
            for i in dead {
                bytes[i * Tid::SIZE..][..Tid::SIZE].copy_from_slice(&Tid::DEAD.to_bytes());
            }
            xlog.finish();
        }
        let live = (self.remaining - remaining_before) as u32;
        if live != slot.entry.live {
            let mut page = self.index.lock_directory(slot.page)?;
            let xlog = GenericXLog::start(self.index);
            DirectoryPage::set_entry(
                xlog.register(&mut page),
                slot.number,
                DirectoryEntry { live, ..slot.entry },
            );
            xlog.finish();
        }
        Ok(())
    }

    /// Marks the dead rows of a page of the tail, and returns the next page.
    fn tail_page(&mut self, meta: &Meta, block: u32) -> Result<u32> {
        let Some(layout) = meta.layout else { return Ok(NO_BLOCK) };
        let tag = meta.tail_tag();
        let mut tids = Ok(Vec::new());
        let mut next = Ok(NO_BLOCK);
        self.index
            .read(block, tag, &mut |bytes| {
                next = crate::index::TailPage::new(bytes, layout).map(|page| {
                    tids = memory::collect((0..page.rows()).map(|i| page.tid(i)));
                    page.next()
                });
            })
            .map_err(PageError::into_error)?;
        let dead = self.dead(&tids?)?;
        if !dead.is_empty() {
            let mut buffer = self.index.lock(block, tag).map_err(PageError::into_error)?;
            let xlog = GenericXLog::start(self.index);
            let bytes = xlog.register(&mut buffer);
            for i in dead {
                tail_page::mark_dead(bytes, layout, i);
            }
            xlog.finish();
        }
        next.map_err(PageError::into_error)
    }
}

/// amvacuumcleanup: merges groups, and frees pages.
#[pg_guard]
pub unsafe extern "C-unwind" fn cleanup(
    info: *mut pg_sys::IndexVacuumInfo,
    stats: *mut pg_sys::IndexBulkDeleteResult,
) -> *mut pg_sys::IndexBulkDeleteResult {
    // SAFETY: PostgreSQL passes an open index, and what `bulk_delete` returned or null if nothing was dead.
    unsafe {
        if (*info).analyze_only {
            return stats;
        }
        let index = IndexRelation::new((*info).index);
        let is_counted = !stats.is_null();
        let stats = stats_or_new(stats);
        let lock = ReorganizeLock::wait(&index);
        clean_up(&lock).or_report();
        drop(lock);
        if !is_counted {
            stats.num_index_tuples = (*info).num_heap_tuples;
            stats.estimated_count = (*info).estimated_count;
        }
        stats.num_pages = index.blocks();
        stats
    }
}

/// Groups the tail, frees what nobody uses, and merges what is small.
fn clean_up(lock: &ReorganizeLock<'_>) -> Result<()> {
    let index = lock.index();
    let meta = index.meta()?;
    // Inserts leave a long tail while VACUUM has the lock.
    if meta.tail_pages > meta.tail_limit() {
        group_tail(lock, &meta)?;
    }
    for slot in directory_slots(index, &meta)? {
        match slot.entry {
            // Nobody is writing it any more: that takes the lock.
            DirectoryEntry { state: ExtentState::Building, .. }
            | DirectoryEntry { state: ExtentState::Group, live: 0, .. } => {
                replace_groups(lock, &[slot], None)?;
            }
            _ => {}
        }
    }
    while merge_groups(lock)? {}
    index_model::release_if_empty(lock)?;
    while merge_free_extents(lock)? {}
    Ok(())
}

/// Makes one group of several that are small or have lost more than half of their rows. False if there is nothing to gain.
fn merge_groups(lock: &ReorganizeLock<'_>) -> Result<bool> {
    let index = lock.index();
    delay_point();
    let meta = index.meta()?;
    let Some(layout) = meta.layout else { return Ok(false) };
    let sparse = |e: &DirectoryEntry| e.live < e.rows / 2;
    let small = |s: &DirectorySlot| sparse(&s.entry) || (s.entry.live as usize) < GROUP_ROWS / 2;
    let mut chosen: Vec<DirectorySlot> = Vec::new();
    let mut live = 0;
    for slot in group_slots(index, &meta)?.into_iter().filter(small) {
        // One WAL record replaces them, so their entries must stand on one directory page.
        if chosen.first().is_none_or(|c| c.page == slot.page) && live + slot.entry.live as usize <= GROUP_ROWS
        {
            live += slot.entry.live as usize;
            memory::push(&mut chosen, slot)?;
        }
    }
    let worth_it = chosen.len() > 1 || chosen.first().is_some_and(|s| sparse(&s.entry));
    if !worth_it {
        return Ok(false);
    }
    let mut rows = EncodedRows::new(layout);
    for slot in &chosen {
        let (extent, shape) = meta.group(slot.entry, index.blocks()).map_err(PageError::into_error)?;
        let group = decode_group(index, extent, &shape).map_err(PageError::into_error)?;
        rows.extend_live(&group)?;
    }
    let merged = match rows.rows() {
        0 => None,
        _ => Some(write_group(lock, &rows, meta.cells as usize)?),
    };
    replace_groups(lock, &chosen, merged)?;
    Ok(true)
}
