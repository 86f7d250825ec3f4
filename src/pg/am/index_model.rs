//! Which model's embeddings an index holds: that of its live rows. When no row is left, the index is free for another model.
//!
//! An entry is gone when VACUUM has removed it, or when its row is dead to everybody: the INSERT was rolled back, or the row was deleted and
//! no snapshot can see it any more. A row of another model makes the index drop entries of dead rows at once, in steps each of which leaves
//! a sound index: first the groups, then, in one WAL record, tail, quantizer and model.

use super::extents::{group_slots, replace_groups, unused_slot};
use super::generic_xlog::GenericXLog;
use super::relation::{item_pointer, IndexRelation};
use super::reorganize_lock::ReorganizeLock;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::index::{
    tail_page, DirectoryEntry, DirectoryPage, Extent, ExtentState, Meta, PageError, Pages, Quantizer,
    TailPage, Tid, MAX_INDEX_DIMENSIONS, NO_BLOCK,
};
use crate::memory;
use crate::space::Layout;
use pgrx::pg_sys;

/// Refuses a row of another model than the index's.
///
/// # Errors
/// [`ErrorKind::Mismatch`], naming both.
pub fn check_model(index: &IndexRelation, ours: Layout, theirs: Layout) -> Result<()> {
    if ours == theirs {
        return Ok(());
    }
    Err(mismatch(index, ours, theirs, ""))
}

fn mismatch(index: &IndexRelation, ours: Layout, theirs: Layout, more: &str) -> Error {
    index.error(ErrorKind::Mismatch, "holds embeddings of another model")
        .detail(format!("The index: model {ours}. The new row: model {theirs}.{more}"))
        .hint("Embed all rows of a column with one model; coop_models() lists the models and their fingerprints. To change the model, embed a second column, index it, and swap the two; or drop the index, replace all rows, and create it again.")
}

/// Refuses a model whose embeddings are too large for an index.
///
/// # Errors
/// [`ErrorKind::LimitExceeded`].
pub fn check_size(index: &IndexRelation, layout: Layout) -> Result<()> {
    if layout.dimensions() <= MAX_INDEX_DIMENSIONS {
        return Ok(());
    }
    Err(index
        .error(ErrorKind::LimitExceeded, "cannot hold embeddings of so many dimensions")
        .detail(format!(
            "Model {layout} has {} dimensions; an index takes {MAX_INDEX_DIMENSIONS}.",
            layout.dimensions()
        ))
        .hint("Without the index, queries still work, by sequential scan."))
}

/// Makes an index without a model that of its first row.
pub fn adopt(index: &IndexRelation, layout: Layout) -> Result<()> {
    check_size(index, layout)?;
    let (mut page, mut meta) = index.lock_meta()?;
    if meta.layout.is_none() {
        meta.layout = Some(layout);
        let xlog = GenericXLog::start(index);
        xlog.register_meta(&mut page, &meta);
        xlog.finish();
    }
    Ok(())
}

/// What has become of a row of the table.
enum RowFate {
    /// No snapshot can see it, now or later.
    Dead,
    /// It is there, or a running transaction is adding it.
    Alive,
    /// It has been deleted, but somebody may still see it, or undo the deletion.
    Deleted,
}

/// The end of the tail: its last page, and how many rows that page has. An append changes one of them.
#[derive(PartialEq, Eq)]
struct TailEnd {
    block: u32,
    rows: usize,
}

/// Drops the entries of dead rows if the index has no others, so that it can take rows of model `layout`. Nothing is done where it has that
/// model, or none, by now.
///
/// # Errors
/// [`ErrorKind::Mismatch`] for the first row that is not dead.
///
/// # Safety
/// `heap` must be the index's table, open.
pub unsafe fn replace_dead(index: &IndexRelation, heap: pg_sys::Relation, layout: Layout) -> Result<()> {
    check_size(index, layout)?;
    let check_all_dead = |meta: &Meta, ours| {
        visit_rows(index, meta, &mut |tid| {
            // SAFETY: the caller promises that `heap` is open.
            match unsafe { row_fate(heap, tid) } {
                RowFate::Dead => Ok(()),
                RowFate::Alive => Err(mismatch(index, ours, layout, "")),
                RowFate::Deleted => Err(deleted(index, ours, layout, tid)),
            }
        })
    };
    let lock = match ReorganizeLock::try_lock(index) {
        Some(lock) => lock,
        None => {
            // To wait for the lock would cancel an autovacuum that has it: not for a row that is refused anyway. Without the lock, rows move,
            // so only a row that is found alive tells anything.
            let meta = index.meta()?;
            if let Some(ours) = meta.layout.filter(|ours| *ours != layout) {
                check_all_dead(&meta, ours).map(|_| ()).or_else(|error| match error.kind {
                    ErrorKind::Mismatch => Err(error),
                    _ => Ok(()),
                })?;
            }
            ReorganizeLock::wait(index)
        }
    };
    loop {
        let meta = index.meta()?;
        let Some(ours) = meta.layout.filter(|ours| *ours != layout) else { return Ok(()) };
        let end = check_all_dead(&meta, ours)?;
        raise_horizon(index)?;
        for slot in group_slots(index, &meta)? {
            replace_groups(&lock, &[slot], None)?;
        }
        if forget_model(&lock, &end)? {
            return Ok(());
        }
    }
}

fn deleted(index: &IndexRelation, ours: Layout, theirs: Layout, tid: Tid) -> Error {
    let row = format!(" Row ({},{}) of the index's model is deleted, but a transaction that has not ended may still see it, or undo that.", tid.block, tid.offset);
    mismatch(index, ours, theirs, &row)
        .hint("End older transactions, which pg_stat_activity lists, or this one if it deleted the rows; VACUUM the table, and try again.")
}

/// Frees an index for any model if VACUUM has removed the last row that had an embedding.
pub fn release_if_empty(lock: &ReorganizeLock<'_>) -> Result<()> {
    let index = lock.index();
    let meta = index.meta()?;
    if meta.layout.is_none() || !group_slots(index, &meta)?.is_empty() {
        return Ok(());
    }
    let mut has_rows = false;
    let end = visit_rows(index, &meta, &mut |_| {
        has_rows = true;
        Ok(())
    })?;
    if !has_rows {
        // If a row has come meanwhile, this does nothing, and the index keeps that row's model.
        forget_model(lock, &end)?;
    }
    Ok(())
}

/// Shows `visit` all rows that VACUUM has left, and returns where the tail ended. Rows of the tail come first, the newest before the others:
/// they are the likeliest to be alive. Rows that are appended meanwhile may be missed; then the tail ends elsewhere afterwards.
fn visit_rows(
    index: &IndexRelation,
    meta: &Meta,
    visit: &mut dyn FnMut(Tid) -> Result<()>,
) -> Result<TailEnd> {
    let mut end = TailEnd { block: NO_BLOCK, rows: 0 };
    let Some(layout) = meta.layout else { return Ok(end) };
    let mut tids: Vec<Tid> = Vec::new();
    meta.scan_tail(index, layout, &mut |block, page| {
        end = TailEnd { block, rows: page.rows() };
        for tid in (0..page.rows()).map(|i| page.tid(i)).filter(|tid| tid.is_live()) {
            memory::push(&mut tids, tid)?;
        }
        Ok(())
    })
    .map_err(PageError::into_error)?;
    tids.into_iter().rev().try_for_each(&mut *visit)?;
    let mut bytes = Vec::new();
    for slot in group_slots(index, meta)? {
        let (extent, shape) = meta.group(slot.entry, index.blocks()).map_err(PageError::into_error)?;
        extent.copy(index, 0..shape.tid(shape.rows), &mut bytes).map_err(PageError::into_error)?;
        let tids = bytes.as_chunks().0.iter().map(|bytes| Tid::from_bytes(*bytes));
        tids.filter(|tid| tid.is_live()).try_for_each(&mut *visit)?;
    }
    Ok(end)
}

/// # Safety
/// `heap` must be open.
unsafe fn row_fate(heap: pg_sys::Relation, tid: Tid) -> RowFate {
    pgrx::check_for_interrupts!();
    // A dirty snapshot sees rows of committed transactions and those that running ones add. The fetch also sets the row's hint bits.
    let mut snapshot = pg_sys::SnapshotData {
        snapshot_type: pg_sys::SnapshotType::SNAPSHOT_DIRTY,
        ..pg_sys::SnapshotData::default()
    };
    let mut pointer = item_pointer(tid);
    let mut dead = false;
    // SAFETY: the caller promises an open table; TID, snapshot and flag are local variables that outlive the call.
    let found =
        unsafe { pg_sys::table_index_fetch_tuple_check(heap, &mut pointer, &mut snapshot, &mut dead) };
    match (found, dead) {
        (true, _) => RowFate::Alive,
        (false, true) => RowFate::Dead,
        (false, false) => RowFate::Deleted,
    }
}

/// Notes in the metapage that snapshots older than this transaction's may miss rows in the index. Rows that are dead on the primary may be
/// visible to a snapshot of a standby, and WAL of the table says nothing of the index's dropping them. The oldest snapshot of this
/// transaction, and any later one, does not see what the deleting transactions deleted. See [`check_horizon`].
fn raise_horizon(index: &IndexRelation) -> Result<()> {
    // SAFETY: reads a variable of this process, set for as long as the transaction has a snapshot.
    let horizon = full_transaction_id(unsafe { pg_sys::TransactionXmin });
    let (mut page, mut meta) = index.lock_meta()?;
    meta.horizon = meta.horizon.max(horizon);
    let xlog = GenericXLog::start(index);
    xlog.register_meta(&mut page, &meta);
    xlog.finish();
    Ok(())
}

/// All 64 bits of a transaction's number, which must be less than 2^31 transactions old.
fn full_transaction_id(xid: pg_sys::TransactionId) -> u64 {
    // SAFETY: reads shared memory under a lock of PostgreSQL's.
    let next = unsafe { pg_sys::ReadNextFullTransactionId() }.value;
    next.wrapping_sub(u64::from((next as u32).wrapping_sub(xid.into_inner())))
}

/// Refuses, on a standby, a snapshot that may see rows which the index has dropped.
///
/// # Errors
/// [`ErrorKind::Conflict`], as where replay of VACUUM conflicts with an older snapshot.
pub fn check_horizon(index: &IndexRelation, snapshot: &pg_sys::SnapshotData) -> Result<()> {
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

/// Cuts off the tail, frees the quantizer and forgets the model, in one step. False if rows were appended since the tail ended at `end`.
/// There must be no groups. Locks the metapage, then the tail's last page, then a directory page.
fn forget_model(lock: &ReorganizeLock<'_>, end: &TailEnd) -> Result<bool> {
    let index = lock.index();
    // The entry for the quantizer's pages, which may need a new directory page, before anything is locked.
    let slot = match index.meta()?.quantizer {
        NO_BLOCK => None,
        _ => Some(unused_slot(lock)?),
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
    if (TailEnd { block: meta.tail_last, rows }) != *end {
        return Ok(false);
    }
    let mut directory_page = slot.map(|slot| index.lock_directory(slot.page)).transpose()?;
    let xlog = GenericXLog::start(index);
    if let (Some(slot), Some(page)) = (slot, &mut directory_page) {
        let pages = Extent::pages(Quantizer::size(layout, meta.cells as usize));
        let free = DirectoryEntry {
            state: ExtentState::Free,
            first: meta.quantizer,
            pages,
            ..DirectoryEntry::UNUSED
        };
        DirectoryPage::set_entry(xlog.register(page), slot.number, free);
    }
    if let Some(page) = &mut last {
        // A session that still takes it for the tail's last page finds no room.
        let bytes = xlog.register(page);
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
    xlog.register_meta(&mut meta_page, &meta);
    xlog.finish();
    Ok(true)
}
