//! Whose embeddings an index holds: those of the model of its live rows. When none is left, it is free for another one.
//!
//! An entry is gone when VACUUM took it, or when its row is dead to everybody: the INSERT was rolled back, or the row was deleted and no
//! snapshot can see it any more. Before a row of another model comes in, entries whose rows are dead may be dropped at once, in steps each
//! of which leaves a sound index: first the groups, then, in one WAL record, tail, quantizer and model.

use super::insert::write_meta;
use super::regroup::{lock_directory, replace, slots, unused_slot};
use super::storage::{item_pointer, refuse, Change, Index, MoveRight};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::index::{
    tail_page, DirectoryEntry, DirectoryPage, Extent, ExtentState, Meta, PageError, Pages, Quantizer,
    TailPage, Tid, MAX_INDEX_DIMENSIONS, NO_BLOCK,
};
use crate::memory;
use crate::space::Layout;
use pgrx::pg_sys;

/// A column holds embeddings of one model.
pub fn check_model(index: &Index, ours: Layout, theirs: Layout) -> Result<()> {
    if ours == theirs {
        return Ok(());
    }
    Err(mismatch(index, ours, theirs, ""))
}

fn mismatch(index: &Index, ours: Layout, theirs: Layout, more: &str) -> Error {
    refuse(index, ErrorKind::Mismatch, "holds embeddings of another model")
        .detail(format!("The index: model {ours}. The new row: model {theirs}.{more}"))
        .hint("Embed all rows of a column with one model; coop_models() lists the models and their fingerprints. To change the model, drop the index, replace all rows, and create it again.")
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
pub fn adopt(index: &Index, layout: Layout) -> Result<()> {
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

/// What has become of a row.
enum Fate {
    /// Nobody can see it.
    Dead,
    /// It is there, or may come to be.
    Alive,
    /// It is deleted, and somebody may see it, or undo that.
    Deleted,
}

/// Where the tail ended when all its rows were gone.
struct End {
    block: u32,
    rows: usize,
}

/// Drops the rows of the other model that the index holds, so that it can take `layout`'s.
///
/// # Errors
/// [`ErrorKind::Mismatch`] for the first that is not dead.
///
/// # Safety
/// `heap` must be the index's table, open.
pub unsafe fn replace_dead(index: &Index, heap: pg_sys::Relation, layout: Layout) -> Result<()> {
    check_size(index, layout)?;
    let check_dead = |meta: &Meta, ours| {
        find_end(index, meta, &mut |tid| {
            // SAFETY: as promised.
            match unsafe { fate(heap, tid) } {
                Fate::Dead => Ok(()),
                Fate::Alive => Err(mismatch(index, ours, layout, "")),
                Fate::Deleted => Err(deleted(index, ours, layout, tid)),
            }
        })
    };
    let right = match MoveRight::get(index) {
        Some(right) => right,
        None => {
            // A wait for nothing would be long, and stop an autovacuum. Without the right, only a row that is there means anything.
            let meta = index.meta()?;
            if let Some(ours) = meta.layout.filter(|ours| *ours != layout) {
                check_dead(&meta, ours).map(|_| ()).or_else(|error| match error.kind {
                    ErrorKind::Mismatch => Err(error),
                    _ => Ok(()),
                })?;
            }
            MoveRight::wait(index)
        }
    };
    loop {
        let meta = index.meta()?;
        let Some(ours) = meta.layout.filter(|ours| *ours != layout) else { return Ok(()) };
        let end = check_dead(&meta, ours)?;
        keep_horizon(index)?;
        for slot in slots(index, &meta)?.into_iter().filter(|slot| slot.entry.state == ExtentState::Group) {
            replace(index, &[slot], None)?;
        }
        if forget(&right, &end)? {
            return Ok(());
        }
    }
}

fn deleted(index: &Index, ours: Layout, theirs: Layout, tid: Tid) -> Error {
    let row = format!(" Row ({},{}) of the index's model is deleted, but a transaction that has not ended may still see it, or undo that.", tid.block, tid.offset);
    mismatch(index, ours, theirs, &row)
        .hint("End older transactions, which pg_stat_activity lists, or this one if it deleted the rows; VACUUM the table, and try again.")
}

/// Frees the model of an index from which VACUUM has taken the last row that had one.
pub fn release_if_empty(right: &MoveRight<'_>) -> Result<()> {
    let index = right.index();
    let meta = index.meta()?;
    if meta.layout.is_none() || slots(index, &meta)?.iter().any(|slot| slot.entry.state == ExtentState::Group)
    {
        return Ok(());
    }
    let mut left = false;
    let end = find_end(index, &meta, &mut |_| {
        left = true;
        Ok(())
    })?;
    if !left {
        // Should a row have come meanwhile, the model is that row's.
        forget(right, &end)?;
    }
    Ok(())
}

/// Shows `look` all rows that VACUUM has left, those of the tail first: new ones are there. Rows that come meanwhile, it need not see, but
/// then the tail ends elsewhere.
fn find_end(index: &Index, meta: &Meta, look: &mut dyn FnMut(Tid) -> Result<()>) -> Result<End> {
    let mut end = End { block: NO_BLOCK, rows: 0 };
    let Some(layout) = meta.layout else { return Ok(end) };
    let mut tids: Vec<Tid> = Vec::new();
    meta.scan_tail(index, layout, &mut |block, page| {
        end = End { block, rows: page.rows() };
        for tid in (0..page.rows()).map(|i| page.tid(i)).filter(|tid| tid.is_live()) {
            memory::push(&mut tids, tid)?;
        }
        Ok(())
    })
    .map_err(PageError::into_error)?;
    tids.into_iter().rev().try_for_each(&mut *look)?;
    let mut bytes = Vec::new();
    for slot in slots(index, meta)?.into_iter().filter(|slot| slot.entry.state == ExtentState::Group) {
        let (extent, shape) = meta.group(slot.entry, index.blocks()).map_err(PageError::into_error)?;
        extent.copy(index, 0..shape.tid(shape.rows), &mut bytes).map_err(PageError::into_error)?;
        let tids = bytes.as_chunks().0.iter().map(|bytes| Tid::from_bytes(*bytes));
        tids.filter(|tid| tid.is_live()).try_for_each(&mut *look)?;
    }
    Ok(end)
}

/// # Safety
/// `heap` must be open.
unsafe fn fate(heap: pg_sys::Relation, tid: Tid) -> Fate {
    pgrx::check_for_interrupts!();
    // It sees what is there and what running transactions add, and notes in the row what has become of the transactions that wrote it.
    let mut snapshot = pg_sys::SnapshotData {
        snapshot_type: pg_sys::SnapshotType::SNAPSHOT_DIRTY,
        ..pg_sys::SnapshotData::default()
    };
    let mut pointer = item_pointer(tid);
    let mut dead = false;
    // SAFETY: as promised; the others are ours.
    let found =
        unsafe { pg_sys::table_index_fetch_tuple_check(heap, &mut pointer, &mut snapshot, &mut dead) };
    match (found, dead) {
        (true, _) => Fate::Alive,
        (false, true) => Fate::Dead,
        (false, false) => Fate::Deleted,
    }
}

/// A standby may have snapshots that see rows that are dead here, and is not told by WAL of the table that they go. This transaction's
/// snapshot, and any later one, does not see what those who deleted them have done.
fn keep_horizon(index: &Index) -> Result<()> {
    // SAFETY: a variable of this process.
    let horizon = full_transaction_id(unsafe { pg_sys::TransactionXmin });
    let (mut page, mut meta) = index.lock_meta()?;
    meta.horizon = meta.horizon.max(horizon);
    let change = Change::new(index);
    write_meta(change.edit(&mut page), &meta);
    change.commit();
    Ok(())
}

/// All 64 bits of the number of a transaction that somebody may still ask about.
fn full_transaction_id(xid: pg_sys::TransactionId) -> u64 {
    // SAFETY: reads shared memory.
    let next = unsafe { pg_sys::ReadNextFullTransactionId() }.value;
    next.wrapping_sub(u64::from((next as u32).wrapping_sub(xid.into_inner())))
}

/// On a standby: rows that this snapshot may see have been dropped.
///
/// # Errors
/// [`ErrorKind::Conflict`], as where VACUUM's changes meet an older snapshot.
pub fn check_horizon(index: &Index, snapshot: &pg_sys::SnapshotData) -> Result<()> {
    if !snapshot.takenDuringRecovery || index.meta()?.horizon <= full_transaction_id(snapshot.xmin) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Conflict, "canceling statement due to conflict with recovery")
        .detail(format!(
            "Index \"{}\" has changed its model, and the query's snapshot may see rows of the old one.",
            index.name()
        ))
        .hint("Begin a new transaction and try again."))
}

/// Cuts off the tail, frees the quantizer, and forgets the model, in one step. False if rows have come since the tail ended at `end`.
/// There must be no groups.
fn forget(right: &MoveRight<'_>, end: &End) -> Result<bool> {
    let index = right.index();
    // There is an entry for the quantizer's pages before anything is locked.
    let slot = match index.meta()?.quantizer {
        NO_BLOCK => None,
        _ => Some(unused_slot(right)?),
    };
    let (mut meta_page, mut meta) = index.lock_meta()?;
    let Some(layout) = meta.layout else { return Ok(true) };
    let mut last = match meta.tail_last {
        NO_BLOCK => None,
        block => Some(index.lock(block, meta.tail_tag()).map_err(PageError::into_error)?),
    };
    let rows = match &last {
        Some(page) => TailPage::new(page.payload(), layout).map_err(PageError::into_error)?.rows(),
        None => 0,
    };
    if (meta.tail_last, rows) != (end.block, end.rows) {
        return Ok(false);
    }
    let mut directory = slot.map(|slot| lock_directory(index, slot.page)).transpose()?;
    let change = Change::new(index);
    if let (Some(slot), Some(page)) = (slot, &mut directory) {
        let pages = Extent::pages(Quantizer::size(layout, meta.cells as usize));
        let free = DirectoryEntry {
            state: ExtentState::Free,
            first: meta.quantizer,
            pages,
            ..DirectoryEntry::UNUSED
        };
        DirectoryPage::set_entry(change.edit(page), slot.number, free);
    }
    if let Some(page) = &mut last {
        // Whoever still takes it for the tail's last page finds no room.
        let bytes = change.edit(page);
        tail_page::seal(bytes);
        tail_page::set_next(bytes, meta.free);
        meta.free = meta.tail_first;
    }
    (meta.tail_first, meta.tail_last, meta.tail_pages) = (NO_BLOCK, NO_BLOCK, 0);
    (meta.quantizer, meta.quantizer_generation) = (NO_BLOCK, 0);
    meta.tail_generation = meta.next_generation;
    meta.next_generation = meta.next_generation.wrapping_add(1).max(1);
    meta.reorganizations = meta.reorganizations.wrapping_add(1);
    meta.layout = None;
    write_meta(change.edit(&mut meta_page), &meta);
    change.commit();
    Ok(true)
}
