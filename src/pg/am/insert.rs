//! A new row: appended to the tail as it is.

use super::storage::{refuse, tid, Change, Index};
use super::{model, regroup};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::index::{tail_page, Meta, NullPage, PageError, PageKind, PageTag, TailPage, Tid, NO_BLOCK};
use crate::pg::{CoopVec, OrReport};
use crate::space::{EmbeddingRef, Layout};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Puts one row into the index. Never says that it is unique: it does not know.
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
    // SAFETY: PostgreSQL passes one value and one flag, an open index and the row's TID.
    let (index, embedding, row) = unsafe {
        let (index, row) = (Index::new(index), tid(*row));
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
unsafe fn append(index: &Index, heap: pg_sys::Relation, row: Tid, embedding: EmbeddingRef<'_>) -> Result<()> {
    let layout = embedding.layout;
    loop {
        let meta = index.meta()?;
        match meta.layout {
            Some(ours) if ours == layout => {}
            Some(_) => {
                // SAFETY: as promised.
                unsafe { model::replace_dead(index, heap, layout)? };
                continue;
            }
            None => {
                model::adopt(index, layout)?;
                continue;
            }
        }
        if meta.tail_last != NO_BLOCK {
            match index.lock(meta.tail_last, meta.tail_tag()) {
                Ok(mut page) => {
                    let change = Change::new(index);
                    if tail_page::append(change.edit(&mut page), layout, row, embedding.values)? {
                        change.commit();
                        return Ok(());
                    }
                }
                Err(problem) if index.meta()?.reorganizations == meta.reorganizations => {
                    return Err(problem.into_error())
                }
                Err(_) => continue,
            }
        }
        if add_page(index, layout)? {
            regroup::tail(index)?;
        }
    }
}

/// Remembers a row without an embedding: it has no distance, but a query without LIMIT returns it.
fn append_null(index: &Index, row: Tid) -> Result<()> {
    loop {
        let meta = index.meta()?;
        if meta.nulls_open != NO_BLOCK {
            let mut page =
                index.lock(meta.nulls_open, PageTag::of(PageKind::Nulls)).map_err(PageError::into_error)?;
            let change = Change::new(index);
            if NullPage::append(change.edit(&mut page), row) {
                change.commit();
                return Ok(());
            }
        }
        open_null_page(index, meta.nulls_open)?;
    }
}

/// Goes on to the page after `full`, or makes it, unless somebody else just did.
fn open_null_page(index: &Index, full_page: u32) -> Result<()> {
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
        meta.end = next.checked_add(1).ok_or_else(|| full(index))?;
        new = Some(index.new_page(next));
    }
    meta.nulls_open = next;
    if meta.nulls_first == NO_BLOCK {
        meta.nulls_first = next;
    }
    let change = Change::new(index);
    if let Some(page) = &mut new {
        change.fill(page, tag);
        if let Some(last) = &mut last {
            NullPage::set_next(change.edit(last), next);
        }
    }
    write_meta(change.edit(&mut meta_page), &meta);
    change.commit();
    Ok(())
}

/// Writes the metapage.
pub fn write_meta(page: &mut [u8], meta: &Meta) {
    page[..Meta::SIZE].copy_from_slice(&meta.to_bytes());
}

/// Gives the tail another page, unless somebody else just did, or the index has become another model's. Returns whether the tail is long
/// enough for a group.
fn add_page(index: &Index, layout: Layout) -> Result<bool> {
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
    // Pages of former tails come first.
    let (block, mut page) = match meta.free {
        NO_BLOCK => {
            let block = meta.end;
            meta.end = block.checked_add(1).ok_or_else(|| full(index))?;
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
    let change = Change::new(index);
    change.fill(&mut page, tag);
    if let Some(last) = &mut last {
        tail_page::set_next(change.edit(last), block);
    }
    write_meta(change.edit(&mut meta_page), &meta);
    change.commit();
    Ok(meta.tail_pages > meta.tail_limit())
}

/// 32 TB.
pub fn full(index: &Index) -> Error {
    refuse(index, ErrorKind::LimitExceeded, "cannot grow any more")
}
