//! A new row: appended to the tail as it is, under the lock of the tail's last page alone.

use super::generic_xlog::GenericXLog;
use super::index_model;
use super::relation::{tid, IndexRelation};
use super::reorganize::reorganize_if_full;
use crate::error::Result;
use crate::index::{tail_page, NullPage, PageError, PageKind, PageTag, TailPage, Tid, NO_BLOCK};
use crate::pg::{CoopVec, OrReport};
use crate::space::{EmbeddingRef, Layout};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// aminsert: puts one row into the index. Always returns false: the index says nothing about uniqueness.
#[pg_guard]
#[allow(clippy::too_many_arguments)] // as PostgreSQL calls it
pub unsafe extern "C-unwind" fn insert(
    index: pg_sys::Relation,
    values: *mut pg_sys::Datum,
    nulls: *mut bool,
    row: pg_sys::ItemPointer,
    heap: pg_sys::Relation,
    _unique: pg_sys::IndexUniqueCheck::Type,
    _unchanged: bool,
    _info: *mut pg_sys::IndexInfo,
) -> bool {
    // SAFETY: PostgreSQL passes an open index, the row's TID, and one value with its null flag.
    let (index, embedding, row) = unsafe {
        let (index, row) = (IndexRelation::new(index), tid(*row));
        if *nulls {
            append_null(&index, row).or_report();
            return false;
        }
        (index, CoopVec::from_raw(*values), row)
    };
    // SAFETY: PostgreSQL passes the index's table, open.
    unsafe { append(&index, heap, row, embedding.view()).or_report() };
    false
}

/// Appends a row to the tail, and makes a group of the tail if it is full.
///
/// # Safety
/// `heap` must be the index's table, open.
unsafe fn append(
    index: &IndexRelation,
    heap: pg_sys::Relation,
    row: Tid,
    embedding: EmbeddingRef<'_>,
) -> Result<()> {
    let layout = embedding.layout;
    loop {
        let meta = index.meta()?;
        match meta.layout {
            Some(ours) if ours == layout => {}
            Some(_) => {
                // SAFETY: the caller promises that `heap` is the index's table, open.
                unsafe { index_model::replace_dead(index, heap, layout)? };
                continue;
            }
            None => {
                index_model::adopt(index, layout)?;
                continue;
            }
        }
        if meta.tail_last != NO_BLOCK {
            match index.lock(meta.tail_last, meta.tail_tag()) {
                Ok(mut page) => {
                    let xlog = GenericXLog::start(index);
                    if tail_page::append(xlog.register(&mut page), layout, row, embedding.values)? {
                        xlog.finish();
                        return Ok(());
                    }
                }
                // The page is another's, though nothing moved since the metapage was read: the index is damaged.
                Err(error) if index.meta()?.reorganizations == meta.reorganizations => {
                    return Err(error.into_error())
                }
                Err(_) => continue,
            }
        }
        if add_tail_page(index, layout)? {
            reorganize_if_full(index)?;
        }
    }
}

/// Keeps the TID of a row without an embedding: it has no distance, but a query without LIMIT returns it.
fn append_null(index: &IndexRelation, row: Tid) -> Result<()> {
    loop {
        let meta = index.meta()?;
        if meta.nulls_open != NO_BLOCK {
            let mut page =
                index.lock(meta.nulls_open, PageTag::of(PageKind::Nulls)).map_err(PageError::into_error)?;
            let xlog = GenericXLog::start(index);
            if NullPage::append(xlog.register(&mut page), row) {
                xlog.finish();
                return Ok(());
            }
        }
        open_null_page(index, meta.nulls_open)?;
    }
}

/// Makes the page after `full_page` the one that takes rows without an embedding, and adds that page if need be, unless another session
/// has just done so. Locks the metapage, then `full_page`, then the new page.
fn open_null_page(index: &IndexRelation, full_page: u32) -> Result<()> {
    let tag = PageTag::of(PageKind::Nulls);
    let (mut meta_page, mut meta) = index.lock_meta()?;
    if meta.nulls_open != full_page {
        return Ok(());
    }
    let mut last = match full_page {
        NO_BLOCK => None,
        block => Some(index.lock(block, tag).map_err(PageError::into_error)?),
    };
    let mut next = last.as_ref().map_or(NO_BLOCK, |page| NullPage::next(page.payload()));
    let mut new = None;
    if next == NO_BLOCK {
        next = meta.end;
        meta.end = next.checked_add(1).ok_or_else(|| index.full())?;
        new = Some(index.new_page(next));
    }
    meta.nulls_open = next;
    if meta.nulls_first == NO_BLOCK {
        meta.nulls_first = next;
    }
    let xlog = GenericXLog::start(index);
    if let Some(page) = &mut new {
        xlog.register_new(page, tag);
        if let Some(last) = &mut last {
            NullPage::set_next(xlog.register(last), next);
        }
    }
    xlog.register_meta(&mut meta_page, &meta);
    xlog.finish();
    Ok(())
}

/// Appends a page to the tail, unless another session has just done so or the index has become another model's. Returns whether the tail is
/// long enough for a group. Locks the metapage, then the tail's last page, then the new page.
fn add_tail_page(index: &IndexRelation, layout: Layout) -> Result<bool> {
    let (mut meta_page, mut meta) = index.lock_meta()?;
    if meta.layout != Some(layout) {
        return Ok(false);
    }
    let tag = meta.tail_tag();
    let mut last = match meta.tail_last {
        NO_BLOCK => None,
        last => Some(index.lock(last, tag).map_err(PageError::into_error)?),
    };
    if let Some(last) = &last {
        if TailPage::new(last.payload(), layout).map_err(PageError::into_error)?.has_room() {
            return Ok(meta.tail_pages > meta.tail_limit());
        }
    }
    // Pages of former tails are used first.
    let (block, mut page) = match meta.free {
        NO_BLOCK => {
            let block = meta.end;
            meta.end = block.checked_add(1).ok_or_else(|| index.full())?;
            (block, index.new_page(block))
        }
        free => {
            let page = index.lock_free_tail(free).map_err(PageError::into_error)?;
            meta.free = tail_page::next(page.payload());
            (free, page)
        }
    };
    if meta.tail_first == NO_BLOCK {
        meta.tail_first = block;
    }
    meta.tail_last = block;
    meta.tail_pages += 1;
    let xlog = GenericXLog::start(index);
    xlog.register_new(&mut page, tag);
    if let Some(last) = &mut last {
        tail_page::set_next(xlog.register(last), block);
    }
    xlog.register_meta(&mut meta_page, &meta);
    xlog.finish();
    Ok(meta.tail_pages > meta.tail_limit())
}
