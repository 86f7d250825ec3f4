//! The directory of an index: which extents of pages hold groups, and which are free. Writing, replacing and freeing extents.
//!
//! An extent is written where nobody reads, page by page, and then linked by one WAL record: readers see the old one or the new one. Until
//! then its directory entry says [`ExtentState::Building`]; the next VACUUM frees what a crash or an error leaves in that state.
//!
//! Whoever changes the directory holds the [`ReorganizeLock`], so directory pages may be locked in any order. The metapage is locked before
//! them.

use super::generic_xlog::GenericXLog;
use super::page_buffer::LockedBuffer;
use super::relation::IndexRelation;
use super::reorganize_lock::ReorganizeLock;
use crate::error::Result;
use crate::index::{
    encode_group, DirectoryEntry, DirectoryPage, EncodedRows, Extent, ExtentState, Meta, PageError, PageKind,
    PageTag, DIRECTORY_ENTRIES, PAYLOAD,
};
use crate::memory;

/// The most rows of a group. More make a search no faster, and bounding a group takes memory in proportion.
pub const GROUP_ROWS: usize = 16_384;

/// Pages that one generic WAL record takes.
const RECORD_PAGES: usize = 4;

/// A directory entry and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct DirectorySlot {
    /// Block of the directory page.
    pub page: u32,
    /// Number of the entry on that page, from 0.
    pub number: usize,
    /// What was there when it was read.
    pub entry: DirectoryEntry,
}

impl DirectorySlot {
    /// Whether readers see a group there.
    pub fn is_group(&self) -> bool {
        self.entry.state == ExtentState::Group
    }

    fn has_state(&self, state: ExtentState) -> bool {
        self.entry.state == state
    }
}

/// All directory entries. They stay as they are for as long as the caller holds the [`ReorganizeLock`].
pub fn directory_slots(index: &IndexRelation, meta: &Meta) -> Result<Vec<DirectorySlot>> {
    let mut slots = Vec::new();
    meta.scan_directory(index, &mut |page, number, entry| {
        Ok(memory::push(&mut slots, DirectorySlot { page, number, entry })?)
    })
    .map_err(PageError::into_error)?;
    Ok(slots)
}

/// The directory entries of all groups.
pub fn group_slots(index: &IndexRelation, meta: &Meta) -> Result<Vec<DirectorySlot>> {
    let mut slots = directory_slots(index, meta)?;
    slots.retain(DirectorySlot::is_group);
    Ok(slots)
}

/// Writes a group that is not linked yet.
pub fn write_group(lock: &ReorganizeLock<'_>, rows: &EncodedRows, cells: usize) -> Result<DirectorySlot> {
    let (shape, bytes) = encode_group(rows, cells)?;
    let mut slot = write_extent(lock, PageKind::Group, &bytes)?;
    slot.entry.rows = shape.rows as u32;
    slot.entry.live = shape.rows as u32;
    Ok(slot)
}

/// Writes a stream of bytes into an extent of its own, in state [`ExtentState::Building`].
pub fn write_extent(lock: &ReorganizeLock<'_>, kind: PageKind, bytes: &[u8]) -> Result<DirectorySlot> {
    let index = lock.index();
    let slot = allocate(lock, Extent::pages(bytes.len()))?;
    let tag = PageTag { kind, generation: slot.entry.generation };
    for (i, bytes) in bytes.chunks(RECORD_PAGES * PAYLOAD).enumerate() {
        pgrx::check_for_interrupts!();
        let first = slot.entry.first + (RECORD_PAGES * i) as u32;
        let mut pages: Vec<LockedBuffer> =
            (first..first + Extent::pages(bytes.len())).map(|block| index.new_page(block)).collect();
        let xlog = GenericXLog::start(index);
        for (page, bytes) in pages.iter_mut().zip(bytes.chunks(PAYLOAD)) {
            xlog.register_new(page, tag)[..bytes.len()].copy_from_slice(bytes);
        }
        xlog.finish();
    }
    Ok(slot)
}

/// A directory entry that is not in use.
pub fn unused_slot(lock: &ReorganizeLock<'_>) -> Result<DirectorySlot> {
    let index = lock.index();
    loop {
        let slots = directory_slots(index, &index.meta()?)?;
        match slots.iter().find(|slot| slot.has_state(ExtentState::Unused)) {
            Some(slot) => return Ok(*slot),
            None => add_directory_page(index, &slots)?,
        }
    }
}

/// Allocates an extent: a part of the smallest free one that is large enough, or new pages at the end of the file.
fn allocate(lock: &ReorganizeLock<'_>, pages: u32) -> Result<DirectorySlot> {
    let index = lock.index();
    let slots = directory_slots(index, &index.meta()?)?;
    let free = slots
        .iter()
        .filter(|s| s.has_state(ExtentState::Free) && s.entry.pages >= pages)
        .min_by_key(|s| s.entry.pages);
    let unused = slots.iter().find(|s| s.has_state(ExtentState::Unused));
    let target = match (free, unused) {
        (Some(free), _) if free.entry.pages == pages => free,
        (_, Some(unused)) => unused,
        (_, None) => {
            add_directory_page(index, &slots)?;
            return allocate(lock, pages);
        }
    };
    let (mut meta_page, mut meta) = index.lock_meta()?;
    let generation = meta.next_generation;
    meta.next_generation = generation.wrapping_add(1).max(1);
    let first = match free {
        Some(free) => free.entry.first,
        None => {
            let first = meta.end;
            let end = first.checked_add(pages).filter(|&end| end < u32::MAX);
            meta.end = end.ok_or_else(|| index.full())?;
            first
        }
    };
    let entry = DirectoryEntry { state: ExtentState::Building, first, pages, generation, rows: 0, live: 0 };
    let mut target_page = index.lock_directory(target.page)?;
    // What is left of a free extent that is larger than needed.
    let rest = free.filter(|free| free.entry.pages > pages);
    let mut rest_page = match rest {
        Some(rest) if rest.page != target.page => Some(index.lock_directory(rest.page)?),
        _ => None,
    };
    let xlog = GenericXLog::start(index);
    let target_bytes = xlog.register(&mut target_page);
    DirectoryPage::set_entry(target_bytes, target.number, entry);
    if let Some(rest) = rest {
        let shorter = DirectoryEntry { first: first + pages, pages: rest.entry.pages - pages, ..rest.entry };
        let rest_bytes = rest_page.as_mut().map_or(target_bytes, |page| xlog.register(page));
        DirectoryPage::set_entry(rest_bytes, rest.number, shorter);
    }
    xlog.register_meta(&mut meta_page, &meta);
    xlog.finish();
    Ok(DirectorySlot { page: target.page, number: target.number, entry })
}

/// Appends a page to the directory.
fn add_directory_page(index: &IndexRelation, slots: &[DirectorySlot]) -> Result<()> {
    let (mut meta_page, mut meta) = index.lock_meta()?;
    let last = slots.last().map_or(meta.directory, |slot| slot.page);
    debug_assert!(slots.len().is_multiple_of(DIRECTORY_ENTRIES));
    let mut last = index.lock_directory(last)?;
    let block = meta.end;
    meta.end = block.checked_add(1).ok_or_else(|| index.full())?;
    let mut page = index.new_page(block);
    let xlog = GenericXLog::start(index);
    xlog.register_new(&mut page, PageTag::of(PageKind::Directory));
    DirectoryPage::set_next(xlog.register(&mut last), block);
    xlog.register_meta(&mut meta_page, &meta);
    xlog.finish();
    Ok(())
}

/// Frees the extents of `old`, whose entries must stand on one directory page, and links the group that has their rows now, in one step.
pub fn replace_groups(
    lock: &ReorganizeLock<'_>,
    old: &[DirectorySlot],
    new: Option<DirectorySlot>,
) -> Result<()> {
    let index = lock.index();
    let Some(first) = old.first() else { return Ok(()) };
    let (mut meta_page, mut meta) = index.lock_meta()?;
    meta.reorganizations = meta.reorganizations.wrapping_add(1);
    let mut old_page = index.lock_directory(first.page)?;
    let mut new_page = match new {
        Some(new) if new.page != first.page => Some(index.lock_directory(new.page)?),
        _ => None,
    };
    let xlog = GenericXLog::start(index);
    let old_bytes = xlog.register(&mut old_page);
    for slot in old {
        let free = DirectoryEntry { state: ExtentState::Free, rows: 0, live: 0, ..slot.entry };
        DirectoryPage::set_entry(old_bytes, slot.number, free);
    }
    if let Some(new) = new {
        let new_bytes = new_page.as_mut().map_or(old_bytes, |page| xlog.register(page));
        let group = DirectoryEntry { state: ExtentState::Group, ..new.entry };
        DirectoryPage::set_entry(new_bytes, new.number, group);
    }
    xlog.register_meta(&mut meta_page, &meta);
    xlog.finish();
    Ok(())
}

/// Merges two free extents that lie side by side. False if there are none.
pub fn merge_free_extents(lock: &ReorganizeLock<'_>) -> Result<bool> {
    let index = lock.index();
    let mut free = directory_slots(index, &index.meta()?)?;
    free.retain(|slot| slot.has_state(ExtentState::Free));
    free.sort_by_key(|slot| slot.entry.first);
    let adjacent = |pair: &&[DirectorySlot]| pair[0].entry.first + pair[0].entry.pages == pair[1].entry.first;
    let Some(&[a, b]) = free.windows(2).find(adjacent) else { return Ok(false) };
    let mut a_page = index.lock_directory(a.page)?;
    let mut b_page = if b.page == a.page { None } else { Some(index.lock_directory(b.page)?) };
    let xlog = GenericXLog::start(index);
    let a_bytes = xlog.register(&mut a_page);
    let merged = DirectoryEntry { pages: a.entry.pages + b.entry.pages, ..a.entry };
    DirectoryPage::set_entry(a_bytes, a.number, merged);
    let b_bytes = b_page.as_mut().map_or(a_bytes, |page| xlog.register(page));
    DirectoryPage::set_entry(b_bytes, b.number, DirectoryEntry::UNUSED);
    xlog.finish();
    Ok(true)
}
