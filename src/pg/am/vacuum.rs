//! VACUUM: dead rows leave, groups that lost many are packed again, pages are used again.

use super::insert::write_meta;
use super::model;
use super::regroup::{group_tail, lock_directory, replace, slots, write_group, Slot, GROUP_ROWS};
use super::storage::{item_pointer, Change, Index, MoveRight};
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

/// TIDs of a page of a group: they come first in its stream, and none lies on two pages.
const TIDS: usize = PAYLOAD / Tid::SIZE;
const _: () = assert!(PAYLOAD.is_multiple_of(Tid::SIZE));

/// Marks the rows that the table has lost.
#[pg_guard]
pub unsafe extern "C-unwind" fn bulk_delete(
    info: *mut pg_sys::IndexVacuumInfo,
    stats: *mut pg_sys::IndexBulkDeleteResult,
    callback: pg_sys::IndexBulkDeleteCallback,
    state: *mut c_void,
) -> *mut pg_sys::IndexBulkDeleteResult {
    // SAFETY: PostgreSQL passes an open index, a callback and its state, and what an earlier round returned.
    let (index, stats) = unsafe { (Index::new((*info).index), result(stats)) };
    let mut sweep = Sweep { index: &index, callback, state, removed: 0, left: 0 };
    let right = MoveRight::wait(&index);
    sweep.run().or_report();
    drop(right);
    stats.tuples_removed += sweep.removed as f64;
    stats.num_index_tuples = sweep.left as f64;
    stats.num_pages = index.blocks();
    stats
}

/// # Safety
/// `stats` must be null or a result that `bulk_delete` returned.
unsafe fn result<'a>(stats: *mut pg_sys::IndexBulkDeleteResult) -> &'a mut pg_sys::IndexBulkDeleteResult {
    // SAFETY: palloc0 returns room for it, or raises an error.
    unsafe {
        if stats.is_null() {
            &mut *pg_sys::palloc0(size_of::<pg_sys::IndexBulkDeleteResult>()).cast()
        } else {
            &mut *stats
        }
    }
}

/// Lets a slow VACUUM wait and an unwanted one end. No page is locked.
fn rest() {
    // SAFETY: a call from VACUUM.
    unsafe { compat::vacuum_delay_point() }
}

/// One round over all TIDs.
struct Sweep<'a> {
    index: &'a Index,
    callback: pg_sys::IndexBulkDeleteCallback,
    state: *mut c_void,
    removed: u64,
    left: u64,
}

impl Sweep<'_> {
    fn run(&mut self) -> Result<()> {
        let meta = self.index.meta()?;
        for slot in slots(self.index, &meta)? {
            if slot.entry.state == ExtentState::Group {
                self.group(&meta, slot)?;
            }
        }
        let mut block = meta.tail_first;
        while block != NO_BLOCK {
            block = self.tail(&meta, block)?;
        }
        self.nulls(&meta)
    }

    /// Rows without an embedding: what is left on a page moves together, and pages take rows again.
    fn nulls(&mut self, meta: &Meta) -> Result<()> {
        let mut blocks = Vec::new();
        meta.scan_nulls(self.index, &mut |block, _| Ok(memory::push(&mut blocks, block)?))
            .map_err(PageError::into_error)?;
        let mut room = false;
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
            room = true;
            let mut buffer =
                self.index.lock(block, PageTag::of(PageKind::Nulls)).map_err(PageError::into_error)?;
            // Rows may have been added since; none moved.
            let mut left = NullPage::tids(buffer.payload()).map_err(PageError::into_error)?;
            let mut number = 0..;
            left.retain(|_| number.next().is_some_and(|i| dead.binary_search(&i).is_err()));
            let change = Change::new(self.index);
            NullPage::set_tids(change.edit(&mut buffer), &left);
            change.commit();
        }
        if room {
            let (mut page, mut meta) = self.index.lock_meta()?;
            meta.nulls_open = meta.nulls_first;
            let change = Change::new(self.index);
            write_meta(change.edit(&mut page), &meta);
            change.commit();
        }
        Ok(())
    }

    /// The numbers of those that are dead, of some TIDs.
    fn dead(&mut self, tids: &[Tid]) -> Result<Vec<usize>> {
        rest();
        let mut dead = memory::with_capacity(tids.len())?;
        for (i, tid) in tids.iter().enumerate().filter(|(_, tid)| tid.is_live()) {
            let mut pointer = item_pointer(*tid);
            let gone = self.callback.is_some_and(|callback| {
                // SAFETY: the callback takes a TID and its own state; it may raise an error.
                unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| callback(&mut pointer, self.state)) }
            });
            if gone {
                dead.push(i);
            } else {
                self.left += 1;
            }
        }
        self.removed += dead.len() as u64;
        Ok(dead)
    }

    fn group(&mut self, meta: &Meta, slot: Slot) -> Result<()> {
        let (extent, shape) = meta.group(slot.entry, self.index.blocks()).map_err(PageError::into_error)?;
        let before = self.left;
        for (page, first) in (0..shape.rows).step_by(TIDS).enumerate() {
            let block = extent.first + page as u32;
            let count = TIDS.min(shape.rows - first);
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
            let change = Change::new(self.index);
            let bytes = change.edit(&mut buffer);
            for i in dead {
                bytes[i * Tid::SIZE..][..Tid::SIZE].copy_from_slice(&Tid::DEAD.to_bytes());
            }
            change.commit();
        }
        let live = (self.left - before) as u32;
        if live != slot.entry.live {
            let mut page = lock_directory(self.index, slot.page)?;
            let change = Change::new(self.index);
            DirectoryPage::set_entry(
                change.edit(&mut page),
                slot.number,
                DirectoryEntry { live, ..slot.entry },
            );
            change.commit();
        }
        Ok(())
    }

    /// Returns the next page.
    fn tail(&mut self, meta: &Meta, block: u32) -> Result<u32> {
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
            let change = Change::new(self.index);
            let bytes = change.edit(&mut buffer);
            for i in dead {
                tail_page::mark_dead(bytes, layout, i);
            }
            change.commit();
        }
        next.map_err(PageError::into_error)
    }
}

/// Packs and frees.
#[pg_guard]
pub unsafe extern "C-unwind" fn cleanup(
    info: *mut pg_sys::IndexVacuumInfo,
    stats: *mut pg_sys::IndexBulkDeleteResult,
) -> *mut pg_sys::IndexBulkDeleteResult {
    // SAFETY: PostgreSQL passes an open index and what `bulk_delete` returned, or null if nothing was dead.
    unsafe {
        if (*info).analyze_only {
            return stats;
        }
        let index = Index::new((*info).index);
        let counted = !stats.is_null();
        let stats = result(stats);
        let right = MoveRight::wait(&index);
        tidy(&right).or_report();
        drop(right);
        if !counted {
            stats.num_index_tuples = (*info).num_heap_tuples;
            stats.estimated_count = (*info).estimated_count;
        }
        stats.num_pages = index.blocks();
        stats
    }
}

fn tidy(right: &MoveRight<'_>) -> Result<()> {
    let index = right.index();
    let meta = index.meta()?;
    // What inserters could not do while VACUUM had the right.
    if meta.tail_pages > meta.tail_limit() {
        group_tail(right, &meta)?;
    }
    for slot in slots(index, &meta)? {
        match slot.entry {
            // Whoever was writing it has the right no more.
            DirectoryEntry { state: ExtentState::Building, .. }
            | DirectoryEntry { state: ExtentState::Group, live: 0, .. } => replace(index, &[slot], None)?,
            _ => {}
        }
    }
    while pack(right)? {}
    model::release_if_empty(right)?;
    while join(index)? {}
    Ok(())
}

/// Makes one group of several that are small or have lost many rows. False if there is nothing to gain.
fn pack(right: &MoveRight<'_>) -> Result<bool> {
    let index = right.index();
    rest();
    let meta = index.meta()?;
    let Some(layout) = meta.layout else { return Ok(false) };
    let all = slots(index, &meta)?;
    let sparse = |e: &DirectoryEntry| e.live < e.rows / 2;
    let small = |s: &&Slot| {
        s.entry.state == ExtentState::Group && (sparse(&s.entry) || (s.entry.live as usize) < GROUP_ROWS / 2)
    };
    let mut chosen: Vec<Slot> = Vec::new();
    let mut live = 0;
    for slot in all.iter().filter(small) {
        // One record replaces them: entries of one page.
        if chosen.first().is_none_or(|c| c.page == slot.page) && live + slot.entry.live as usize <= GROUP_ROWS
        {
            live += slot.entry.live as usize;
            memory::push(&mut chosen, *slot)?;
        }
    }
    let worth_it = chosen.len() > 1 || chosen.first().is_some_and(|s| sparse(&s.entry));
    if !worth_it {
        return Ok(false);
    }
    let mut batch = EncodedRows::new(layout);
    for slot in &chosen {
        let (extent, shape) = meta.group(slot.entry, index.blocks()).map_err(PageError::into_error)?;
        batch.extend_live(&decode_group(index, extent, &shape).map_err(PageError::into_error)?)?;
    }
    let packed = match batch.rows() {
        0 => None,
        _ => Some(write_group(right, &batch, meta.cells as usize)?),
    };
    replace(index, &chosen, packed)?;
    Ok(true)
}

/// Makes one free extent of two neighbours. False if there are none.
fn join(index: &Index) -> Result<bool> {
    let mut free = slots(index, &index.meta()?)?;
    free.retain(|s| s.entry.state == ExtentState::Free);
    free.sort_by_key(|s| s.entry.first);
    let neighbours = |w: &&[Slot]| w[0].entry.first + w[0].entry.pages == w[1].entry.first;
    let Some(&[a, b]) = free.windows(2).find(neighbours) else { return Ok(false) };
    let mut page = lock_directory(index, a.page)?;
    let mut other = if b.page == a.page { None } else { Some(lock_directory(index, b.page)?) };
    let change = Change::new(index);
    let entries = change.edit(&mut page);
    DirectoryPage::set_entry(
        entries,
        a.number,
        DirectoryEntry { pages: a.entry.pages + b.entry.pages, ..a.entry },
    );
    let entries = other.as_mut().map_or(entries, |page| change.edit(page));
    DirectoryPage::set_entry(entries, b.number, DirectoryEntry::UNUSED);
    change.commit();
    Ok(true)
}
