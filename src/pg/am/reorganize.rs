//! Makes groups of the tail: the rows that inserts appended are encoded, and written into a group of their own.

use super::extents::{write_extent, write_group, DirectorySlot, GROUP_ROWS};
use super::generic_xlog::GenericXLog;
use super::relation::IndexRelation;
use super::reorganize_lock::ReorganizeLock;
use crate::error::Result;
use crate::index::{
    tail_page, train_quantizer, DirectoryEntry, DirectoryPage, EncodedRows, ExtentState, Meta, PageError,
    PageKind, Quantizer, TailPage, Tid, NO_BLOCK,
};
use crate::memory;
use crate::space::Layout;
use half::f16;

/// Makes a group of the tail if it is long enough and nobody else is reorganizing the index.
pub fn reorganize_if_full(index: &IndexRelation) -> Result<()> {
    let Some(lock) = ReorganizeLock::try_lock(index) else { return Ok(()) };
    // Read again: who had the lock before may have done it.
    let meta = index.meta()?;
    if meta.tail_pages > meta.tail_limit() {
        group_tail(&lock, &meta)?;
    }
    Ok(())
}

/// The first pages of the tail: as many as make a group.
struct TailHead {
    /// The last of these pages; it is sealed.
    last: u32,
    /// How many pages they are.
    pages: u32,
    /// The rows on them that VACUUM has not removed.
    tids: Vec<Tid>,
    /// Their embeddings: `[tids, K·n]`.
    values: Vec<f16>,
}

/// Reads as many pages of the tail as make a group. Each is sealed before it is read, so that no row comes after.
fn read_head(index: &IndexRelation, meta: &Meta) -> Result<TailHead> {
    let mut head = TailHead { last: NO_BLOCK, pages: 0, tids: Vec::new(), values: Vec::new() };
    let Some(layout) = meta.layout else { return Ok(head) };
    let mut block = meta.tail_first;
    while block != NO_BLOCK && head.tids.len() < GROUP_ROWS {
        let mut page = index.lock(block, meta.tail_tag()).map_err(PageError::into_error)?;
        if TailPage::new(page.payload(), layout).map_err(PageError::into_error)?.has_room() {
            let xlog = GenericXLog::start(index);
            tail_page::seal(xlog.register(&mut page));
            xlog.finish();
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

/// Makes a group of the first rows of the tail. `meta` must have been read after the lock was taken. The first group of a model also trains
/// the quantizer.
pub fn group_tail(lock: &ReorganizeLock<'_>, meta: &Meta) -> Result<()> {
    let index = lock.index();
    let Some(layout) = meta.layout else { return Ok(()) };
    let head = read_head(index, meta)?;
    if head.last == NO_BLOCK {
        return Ok(());
    }
    let cells = meta.cells as usize;
    let (quantizer, trained) = match meta.quantizer_extent() {
        Some(extent) => (Quantizer::read(index, extent, layout, cells).map_err(PageError::into_error)?, None),
        None if head.tids.is_empty() => return cut_head(lock, layout, &head, None),
        None => {
            let quantizer = train_quantizer(layout, &head.values, cells)?;
            let slot = write_extent(lock, PageKind::Quantizer, &quantizer.to_bytes()?)?;
            (quantizer, Some(slot))
        }
    };
    let mut rows = EncodedRows::new(layout);
    let encoder = quantizer.into_encoder()?;
    for (tid, values) in head.tids.iter().zip(head.values.chunks_exact(layout.dimensions())) {
        encoder.push(&mut rows, *tid, values)?;
    }
    if let Some(slot) = trained {
        link_quantizer(lock, &slot)?;
    }
    if rows.rows() == 0 {
        return cut_head(lock, layout, &head, None);
    }
    let slot = write_group(lock, &rows, cells)?;
    cut_head(lock, layout, &head, Some(slot))
}

/// Links a quantizer that has been written: from now on rows can be encoded. Locks the metapage, then the directory page.
fn link_quantizer(lock: &ReorganizeLock<'_>, slot: &DirectorySlot) -> Result<()> {
    let index = lock.index();
    let (mut meta_page, mut meta) = index.lock_meta()?;
    let mut directory_page = index.lock_directory(slot.page)?;
    meta.quantizer = slot.entry.first;
    meta.quantizer_generation = slot.entry.generation;
    let xlog = GenericXLog::start(index);
    // The metapage says where it is, and it stays for as long as the model: it needs no entry.
    DirectoryPage::set_entry(xlog.register(&mut directory_page), slot.number, DirectoryEntry::UNUSED);
    xlog.register_meta(&mut meta_page, &meta);
    xlog.finish();
    Ok(())
}

/// Cuts the first pages off the tail, adds them to its free pages, and links the group that has their rows, in one step. Locks the metapage,
/// then the last of these pages, then the directory page.
fn cut_head(
    lock: &ReorganizeLock<'_>,
    layout: Layout,
    head: &TailHead,
    group: Option<DirectorySlot>,
) -> Result<()> {
    let index = lock.index();
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
    let mut directory_page = group.map(|slot| index.lock_directory(slot.page)).transpose()?;
    let xlog = GenericXLog::start(index);
    tail_page::set_next(xlog.register(&mut last), free);
    if let (Some(slot), Some(page)) = (group, &mut directory_page) {
        let entry = DirectoryEntry { state: ExtentState::Group, ..slot.entry };
        DirectoryPage::set_entry(xlog.register(page), slot.number, entry);
    }
    xlog.register_meta(&mut meta_page, &meta);
    xlog.finish();
    Ok(())
}
