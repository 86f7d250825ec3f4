//! Rows that move: from the tail into a group, from several groups into one.
//!
//! A group is written where nobody looks, page by page, and then linked by one WAL record: readers see the old or the new.
//! Until then its pages have an entry in the directory that says so; what a crash or an error leaves in that state, the
//! next VACUUM frees.

use super::insert::{full, write_meta};
use super::storage::{Buffer, Change, Index, MoveRight};
use crate::error::Result;
use crate::index::{
    encode_group, tail_page, train_quantizer, DirectoryEntry, DirectoryPage, EncodedRows, Extent,
    ExtentState, Meta, PageError, PageKind, PageTag, Quantizer, TailPage, Tid, DIRECTORY_ENTRIES, NO_BLOCK,
    PAYLOAD,
};
use crate::memory;
use half::f16;

/// The most rows of a group. More make a search no faster, and bounding a group takes memory in proportion.
pub const GROUP_ROWS: usize = 16_384;

/// An entry of the directory and where it is.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    pub page: u32,
    pub number: usize,
    pub entry: DirectoryEntry,
}

/// All entries. They stay as they are as long as the caller has the right to move rows.
pub fn slots(index: &Index, meta: &Meta) -> Result<Vec<Slot>> {
    let mut slots = Vec::new();
    meta.scan_directory(index, &mut |page, number, entry| {
        Ok(memory::push(&mut slots, Slot { page, number, entry })?)
    })
    .map_err(PageError::into_error)?;
    Ok(slots)
}

/// Locks a page of the directory.
pub fn lock_directory(index: &Index, block: u32) -> Result<Buffer> {
    index.lock(block, PageTag::of(PageKind::Directory)).map_err(PageError::into_error)
}

/// Makes a group of the tail if it is long enough and nobody else is moving rows.
pub fn tail(index: &Index) -> Result<()> {
    let Some(right) = MoveRight::get(index) else { return Ok(()) };
    let meta = index.meta()?;
    if meta.tail_pages > meta.tail_limit() {
        group_tail(&right, &meta)?;
    }
    Ok(())
}

/// The rows of the tail's first pages, and where they end.
struct Head {
    /// The last of the pages; sealed.
    last: u32,
    pages: u32,
    tids: Vec<Tid>,
    /// `[tids, K·n]`.
    values: Vec<f16>,
}

/// Reads as many pages of the tail as make a group, after sealing the last of them: no more rows come in.
fn read_head(index: &Index, meta: &Meta) -> Result<Head> {
    let mut head = Head { last: NO_BLOCK, pages: 0, tids: Vec::new(), values: Vec::new() };
    let Some(layout) = meta.layout else { return Ok(head) };
    let mut block = meta.tail_first;
    while block != NO_BLOCK && head.tids.len() < GROUP_ROWS {
        let mut page = index.lock(block, meta.tail_tag()).map_err(PageError::into_error)?;
        if TailPage::new(page.payload(), layout).map_err(PageError::into_error)?.has_room() {
            let change = Change::new(index);
            tail_page::seal(change.edit(&mut page));
            change.commit();
        }
        let rows = TailPage::new(page.payload(), layout).map_err(PageError::into_error)?;
        for i in (0..rows.rows()).filter(|&i| rows.tid(i).is_live()) {
            memory::push(&mut head.tids, rows.tid(i))?;
            memory::extend(&mut head.values, rows.values(i).map_err(PageError::into_error)?)?;
        }
        head.last = block;
        head.pages += 1;
        block = rows.next();
    }
    Ok(head)
}

/// Makes a group of the first rows of the tail. `meta` is what the metapage said after the right was taken.
pub fn group_tail(right: &MoveRight<'_>, meta: &Meta) -> Result<()> {
    let index = right.index();
    let Some(layout) = meta.layout else { return Ok(()) };
    let head = read_head(index, meta)?;
    if head.last == NO_BLOCK {
        return Ok(());
    }
    let cells = meta.cells as usize;
    let (quantizer, learned) = match meta.quantizer_extent() {
        Some(extent) => (Quantizer::read(index, extent, layout, cells).map_err(PageError::into_error)?, None),
        None if head.tids.is_empty() => return drop_head(index, layout, &head, None),
        None => {
            let quantizer = train_quantizer(layout, &head.values, cells)?;
            let slot = write(right, PageKind::Quantizer, &quantizer.to_bytes()?)?;
            (quantizer, Some(slot))
        }
    };
    let mut batch = EncodedRows::new(layout);
    let encoder = quantizer.into_encoder()?;
    for (tid, values) in head.tids.iter().zip(head.values.chunks_exact(layout.dimensions())) {
        encoder.push(&mut batch, *tid, values)?;
    }
    if let Some(slot) = learned {
        adopt_quantizer(index, &slot)?;
    }
    if batch.rows() == 0 {
        return drop_head(index, layout, &head, None);
    }
    let slot = write_group(right, &batch, cells)?;
    drop_head(index, layout, &head, Some(slot))
}

/// Links a quantizer that has been written: from now on rows can be encoded.
fn adopt_quantizer(index: &Index, slot: &Slot) -> Result<()> {
    let (mut meta_page, mut meta) = index.lock_meta()?;
    let mut page = lock_directory(index, slot.page)?;
    meta.quantizer = slot.entry.first;
    meta.quantizer_generation = slot.entry.generation;
    let change = Change::new(index);
    // It stays for as long as the model: the metapage knows its pages.
    DirectoryPage::set_entry(change.edit(&mut page), slot.number, DirectoryEntry::UNUSED);
    write_meta(change.edit(&mut meta_page), &meta);
    change.commit();
    Ok(())
}

/// Cuts the first pages off the tail, keeps them for later, and links the group that has their rows, in one step.
fn drop_head(index: &Index, layout: crate::space::Layout, head: &Head, group: Option<Slot>) -> Result<()> {
    let (mut meta_page, mut meta) = index.lock_meta()?;
    let mut last = index.lock(head.last, meta.tail_tag()).map_err(PageError::into_error)?;
    let next = TailPage::new(last.payload(), layout).map_err(PageError::into_error)?.next();
    let (free, first) = (meta.free, meta.tail_first);
    meta.free = first;
    meta.tail_first = next;
    if next == NO_BLOCK {
        meta.tail_last = NO_BLOCK;
    }
    meta.tail_pages = meta.tail_pages.saturating_sub(head.pages);
    meta.reorganizations = meta.reorganizations.wrapping_add(1);
    let mut directory = group.map(|slot| lock_directory(index, slot.page)).transpose()?;
    let change = Change::new(index);
    tail_page::set_next(change.edit(&mut last), free);
    if let (Some(slot), Some(page)) = (group, &mut directory) {
        DirectoryPage::set_entry(
            change.edit(page),
            slot.number,
            DirectoryEntry { state: ExtentState::Group, ..slot.entry },
        );
    }
    write_meta(change.edit(&mut meta_page), &meta);
    change.commit();
    Ok(())
}

/// Writes a group that is not linked yet.
pub fn write_group(right: &MoveRight<'_>, batch: &EncodedRows, cells: usize) -> Result<Slot> {
    let (shape, bytes) = encode_group(batch, cells)?;
    let mut slot = write(right, PageKind::Group, &bytes)?;
    slot.entry.rows = shape.rows as u32;
    slot.entry.live = shape.rows as u32;
    Ok(slot)
}

/// Writes a stream of bytes into pages of its own.
fn write(right: &MoveRight<'_>, kind: PageKind, bytes: &[u8]) -> Result<Slot> {
    let index = right.index();
    let slot = reserve(right, Extent::pages(bytes.len()))?;
    let tag = PageTag { kind, generation: slot.entry.generation };
    // Four pages are what a record takes.
    for (i, bytes) in bytes.chunks(4 * PAYLOAD).enumerate() {
        pgrx::check_for_interrupts!();
        let first = slot.entry.first + 4 * i as u32;
        let mut pages: Vec<Buffer> =
            (first..first + Extent::pages(bytes.len())).map(|block| index.new_page(block)).collect();
        let change = Change::new(index);
        for (page, bytes) in pages.iter_mut().zip(bytes.chunks(PAYLOAD)) {
            change.fill(page, tag)[..bytes.len()].copy_from_slice(bytes);
        }
        change.commit();
    }
    Ok(slot)
}

/// An entry of the directory to use.
pub fn unused_slot(right: &MoveRight<'_>) -> Result<Slot> {
    let index = right.index();
    loop {
        let slots = slots(index, &index.meta()?)?;
        match slots.iter().find(|slot| slot.entry.state == ExtentState::Unused) {
            Some(slot) => return Ok(*slot),
            None => add_directory_page(index, &slots)?,
        }
    }
}

/// Takes pages that belong to nobody: of the free extents the smallest that is large enough, or the end of the file.
fn reserve(right: &MoveRight<'_>, pages: u32) -> Result<Slot> {
    let index = right.index();
    let slots = slots(index, &index.meta()?)?;
    let free = slots
        .iter()
        .filter(|s| s.entry.state == ExtentState::Free && s.entry.pages >= pages)
        .min_by_key(|s| s.entry.pages);
    let unused = slots.iter().find(|s| s.entry.state == ExtentState::Unused);
    let target = match (free, unused) {
        (Some(free), _) if free.entry.pages == pages => free,
        (_, Some(unused)) => unused,
        (_, None) => {
            add_directory_page(index, &slots)?;
            return reserve(right, pages);
        }
    };
    let (mut meta_page, mut meta) = index.lock_meta()?;
    let generation = meta.next_generation;
    meta.next_generation = generation.wrapping_add(1).max(1);
    let first = match free {
        Some(free) => free.entry.first,
        None => {
            let first = meta.end;
            meta.end = first.checked_add(pages).filter(|&end| end < u32::MAX).ok_or_else(|| full(index))?;
            first
        }
    };
    let entry = DirectoryEntry { state: ExtentState::Building, first, pages, generation, rows: 0, live: 0 };
    let mut target_page = lock_directory(index, target.page)?;
    let rest = match free {
        Some(free) if free.entry.pages > pages => Some(free),
        _ => None,
    };
    let mut rest_page = match rest {
        Some(rest) if rest.page != target.page => Some(lock_directory(index, rest.page)?),
        _ => None,
    };
    let change = Change::new(index);
    let edited = change.edit(&mut target_page);
    DirectoryPage::set_entry(edited, target.number, entry);
    if let Some(rest) = rest {
        let shorter = DirectoryEntry { first: first + pages, pages: rest.entry.pages - pages, ..rest.entry };
        let page = rest_page.as_mut().map_or(edited, |page| change.edit(page));
        DirectoryPage::set_entry(page, rest.number, shorter);
    }
    write_meta(change.edit(&mut meta_page), &meta);
    change.commit();
    Ok(Slot { page: target.page, number: target.number, entry })
}

/// Another page of entries.
fn add_directory_page(index: &Index, slots: &[Slot]) -> Result<()> {
    let (mut meta_page, mut meta) = index.lock_meta()?;
    let last = slots.last().map_or(meta.directory, |slot| slot.page);
    debug_assert!(slots.len().is_multiple_of(DIRECTORY_ENTRIES));
    let mut last = lock_directory(index, last)?;
    let block = meta.end;
    meta.end = block.checked_add(1).ok_or_else(|| full(index))?;
    let mut page = index.new_page(block);
    let change = Change::new(index);
    change.fill(&mut page, PageTag::of(PageKind::Directory));
    DirectoryPage::set_next(change.edit(&mut last), block);
    write_meta(change.edit(&mut meta_page), &meta);
    change.commit();
    Ok(())
}

/// Frees the pages of entries on one page of the directory, and links the group that has their rows now, in one step.
pub fn replace(index: &Index, old: &[Slot], new: Option<Slot>) -> Result<()> {
    let Some(first) = old.first() else { return Ok(()) };
    let (mut meta_page, mut meta) = index.lock_meta()?;
    meta.reorganizations = meta.reorganizations.wrapping_add(1);
    let mut page = lock_directory(index, first.page)?;
    let mut other = match new {
        Some(new) if new.page != first.page => Some(lock_directory(index, new.page)?),
        _ => None,
    };
    let change = Change::new(index);
    let entries = change.edit(&mut page);
    for slot in old {
        let free = DirectoryEntry { state: ExtentState::Free, rows: 0, live: 0, ..slot.entry };
        DirectoryPage::set_entry(entries, slot.number, free);
    }
    if let Some(new) = new {
        let entries = other.as_mut().map_or(entries, |page| change.edit(page));
        DirectoryPage::set_entry(
            entries,
            new.number,
            DirectoryEntry { state: ExtentState::Group, ..new.entry },
        );
    }
    write_meta(change.edit(&mut meta_page), &meta);
    change.commit();
    Ok(())
}
