//! A new row: appended to the tail as it is.

use super::regroup;
use super::storage::{refuse, tid, Change, Index};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::index::{
    tail_page, Kind, Meta, NullPage, Problem, Tag, TailPage, Tid, MAX_INDEX_DIMENSIONS, NO_BLOCK,
};
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
    _heap: pg_sys::Relation,
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
    append(&index, row, embedding.view()).or_report();
    false
}

/// Appends a row to the tail, and makes a group of the tail if it is full.
fn append(index: &Index, row: Tid, embedding: EmbeddingRef<'_>) -> Result<()> {
    let layout = embedding.layout;
    loop {
        let meta = index.meta()?;
        match meta.layout {
            Some(ours) => check_model(index, ours, layout)?,
            None => {
                adopt_model(index, layout)?;
                continue;
            }
        }
        if meta.tail_last != NO_BLOCK {
            match index.lock(meta.tail_last, Tag::of(Kind::Tail)) {
                Ok(mut page) => {
                    let change = Change::new(index);
                    if tail_page::append(change.edit(&mut page), layout, row, embedding.values)? {
                        change.commit();
                        return Ok(());
                    }
                }
                Err(problem) if index.meta()?.changes == meta.changes => return Err(problem.into_error()),
                Err(_) => continue,
            }
        }
        let pages = add_page(index, layout)?;
        if pages > meta.tail_limit() {
            regroup::tail(index)?;
        }
    }
}

/// Remembers a row without an embedding: it has no distance, but a query without LIMIT returns it.
fn append_null(index: &Index, row: Tid) -> Result<()> {
    loop {
        let meta = index.meta()?;
        if meta.nulls_open != NO_BLOCK {
            let mut page = index.lock(meta.nulls_open, Tag::of(Kind::Nulls)).map_err(Problem::into_error)?;
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
    let tag = Tag::of(Kind::Nulls);
    let (mut meta_page, mut meta) = index.lock_meta()?;
    if meta.nulls_open != full_page {
        return Ok(());
    }
    let mut last = match full_page {
        NO_BLOCK => None,
        block => Some(index.lock(block, tag).map_err(Problem::into_error)?),
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

/// A column holds embeddings of one model.
pub fn check_model(index: &Index, ours: Layout, theirs: Layout) -> Result<()> {
    if ours == theirs {
        return Ok(());
    }
    Err(refuse(index, ErrorKind::Mismatch, "holds embeddings of another model")
        .detail(format!("The index: model {ours}. The new row: model {theirs}."))
        .hint("Embed all rows of a column with one model; coop_models() lists the models and their fingerprints. After replacing all rows, REINDEX."))
}

/// The index can hold embeddings of this model.
pub fn check_size(index: &Index, layout: Layout) -> Result<()> {
    if layout.dimensions() <= MAX_INDEX_DIMENSIONS {
        return Ok(());
    }
    Err(refuse(index, ErrorKind::LimitExceeded, "cannot hold embeddings of so many dimensions")
        .detail(format!(
            "Model {layout} has {} dimensions; an index takes {MAX_INDEX_DIMENSIONS}.",
            layout.dimensions()
        ))
        .hint("Without the index, queries still work, by sequential scan."))
}

/// The first row decides the model.
fn adopt_model(index: &Index, layout: Layout) -> Result<()> {
    check_size(index, layout)?;
    let (mut page, mut meta) = index.lock_meta()?;
    if meta.layout.is_none() {
        meta.layout = Some(layout);
        let change = Change::new(index);
        write_meta(change.edit(&mut page), &meta);
        change.commit();
    }
    Ok(())
}

/// Writes the metapage.
pub fn write_meta(page: &mut [u8], meta: &Meta) {
    page[..Meta::SIZE].copy_from_slice(&meta.to_bytes());
}

/// Gives the tail another page, unless somebody else just did. Returns how many it has.
fn add_page(index: &Index, layout: Layout) -> Result<u32> {
    let (mut meta_page, mut meta) = index.lock_meta()?;
    let tag = Tag::of(Kind::Tail);
    let mut last = match meta.tail_last {
        NO_BLOCK => None,
        last => Some(index.lock(last, tag).map_err(Problem::into_error)?),
    };
    if let Some(last) = &last {
        if TailPage::new(last.payload(), layout).map_err(Problem::into_error)?.has_room() {
            return Ok(meta.tail_pages);
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
            let page = index.lock(free, tag).map_err(Problem::into_error)?;
            meta.free = TailPage::new(page.payload(), layout).map_err(Problem::into_error)?.next();
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
    Ok(meta.tail_pages)
}

/// 32 TB.
pub fn full(index: &Index) -> Error {
    refuse(index, ErrorKind::LimitExceeded, "cannot grow any more")
}
