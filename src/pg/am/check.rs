//! `coop_index_check(regclass)`: an index against itself and its table, in the manner of amcheck.

use super::insert::check_model;
use super::regroup::slots;
use super::storage::{refuse, Index};
use super::visit::{visit, Visitor};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::index::{decode, Batch, Encoder, Extent, Meta, Pages, Problem, Quantizer, Shape, State, Tid};
use crate::pg::{compat, OrReport};
use crate::space::{EmbeddingRef, Layout};
use half::f16;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::collections::HashMap;

/// Raises an error if the index is damaged or lacks a row of its table; returns how many rows of the table it compared.
/// Writers wait meanwhile; on a standby, replay does not, and a check that it disturbs has to be repeated.
#[pg_extern(volatile, strict, parallel_unsafe, sql = false)]
fn coop_index_check(index: pg_sys::Oid) -> i64 {
    // SAFETY: names of relations are looked up and locked by PostgreSQL, table before index; both stay open to the end.
    unsafe {
        let recovery = pg_sys::RecoveryInProgress();
        let lock = if recovery { pg_sys::AccessShareLock } else { pg_sys::ShareLock } as i32;
        let table = pg_sys::IndexGetRelation(index, true);
        if table == pg_sys::InvalidOid {
            Err(not_ours(index)).or_report()
        }
        // Before anybody has to wait for the lock.
        if !compat::owns_relation(index, pg_sys::GetUserId()) {
            let kind = pg_sys::ObjectType::OBJECT_INDEX;
            pg_sys::aclcheck_error(pg_sys::AclResult::ACLCHECK_NOT_OWNER, kind, pg_sys::get_rel_name(index));
        }
        let heap = pg_sys::table_open(table, lock);
        let relation = pg_sys::index_open(index, lock);
        if (*(*relation).rd_rel).relam != pg_sys::get_index_am_oid(c"coop".as_ptr(), false) {
            Err(not_ours(index)).or_report()
        }
        let ours = Index::new(relation);
        let rows = check(heap, &ours).or_report();
        pg_sys::index_close(relation, lock);
        pg_sys::table_close(heap, lock);
        rows
    }
}

fn not_ours(relation: pg_sys::Oid) -> Error {
    // SAFETY: returns a C string in this memory context, or null.
    let name = unsafe { pg_sys::get_rel_name(relation) };
    let name = if name.is_null() {
        relation.to_u32().to_string()
    } else {
        // SAFETY: as above.
        unsafe { std::ffi::CStr::from_ptr(name) }.to_string_lossy().into_owned()
    };
    Error::new(ErrorKind::InvalidParameter, format!("\"{name}\" is not an index of access method coop"))
}

fn damaged(index: &Index, detail: impl Into<String>) -> Error {
    refuse(index, ErrorKind::Corrupted, "is corrupt").detail(detail).hint("Rebuild it with REINDEX.")
}

/// Where a row is.
#[derive(Clone, Copy)]
enum Place {
    /// In a group, by its number, and which of its rows.
    Group(u32, u32),
    /// In the tail.
    Tail,
    /// Among the rows without an embedding.
    Null,
}

struct Check<'a> {
    index: &'a Index,
    meta: Meta,
    groups: Vec<(Extent, Shape)>,
    places: HashMap<Tid, Place>,
    tail: HashMap<Tid, Vec<f16>>,
    encoder: Option<Encoder>,
    /// Groups that were looked at last.
    decoded: Vec<(u32, Batch)>,
    rows: i64,
}

fn check(heap: pg_sys::Relation, index: &Index) -> Result<i64> {
    let meta = index.meta()?;
    let mut check = Check {
        index,
        meta,
        groups: Vec::new(),
        places: HashMap::new(),
        tail: HashMap::new(),
        encoder: None,
        decoded: Vec::new(),
        rows: 0,
    };
    check.structure()?;
    check.entries(heap)?;
    check.table(heap);
    if index.meta()?.changes != meta.changes {
        return Err(refuse(index, ErrorKind::Busy, "changed while it was checked").hint("Check it again."));
    }
    Ok(check.rows)
}

impl Check<'_> {
    /// Every page belongs to one thing only.
    fn structure(&self) -> Result<()> {
        let meta = &self.meta;
        let mut owned: Vec<(u32, u32, &str)> = vec![(0, 1, "metapage")];
        for slot in slots(self.index, meta)? {
            if slot.number == 0 {
                owned.push((slot.page, 1, "directory"));
            }
            match slot.entry.state {
                State::Group => owned.push((slot.entry.first, slot.entry.pages, "group")),
                State::Free | State::Building => {
                    owned.push((slot.entry.first, slot.entry.pages, "free pages"))
                }
                State::Unused => {}
            }
        }
        if let (Some(layout), Some(extent)) = (meta.layout, meta.quantizer_extent()) {
            let pages = Extent::pages(Quantizer::size(layout, meta.cells as usize));
            owned.push((extent.first, pages, "quantizer"));
        }
        if let Some(layout) = meta.layout {
            let mut pages = 0;
            for (first, what) in [(meta.tail_first, "tail"), (meta.free, "free page of the tail")] {
                let chain = Meta { tail_first: first, ..*meta };
                chain
                    .scan_tail(self.index, layout, &mut |block, _| {
                        owned.push((block, 1, what));
                        pages += u32::from(what == "tail");
                        Ok(())
                    })
                    .map_err(Problem::into_error)?;
            }
            if pages != meta.tail_pages {
                return Err(damaged(
                    self.index,
                    format!("The tail has {pages} pages, not {}.", meta.tail_pages),
                ));
            }
        }
        meta.scan_nulls(self.index, &mut |block, _| owned.push((block, 1, "rows without embedding")))
            .map_err(Problem::into_error)?;
        owned.sort_unstable();
        for pair in owned.windows(2) {
            let ((first, pages, what), (next, _, other)) = (pair[0], pair[1]);
            if first.checked_add(pages).is_none_or(|end| end > next) {
                return Err(damaged(self.index, format!("Block {next} is both {what} and {other}.")));
            }
        }
        match owned.last() {
            Some(&(first, pages, what)) if first + pages > meta.end => {
                Err(damaged(self.index, format!("Block {first} ({what}) lies beyond the end.")))
            }
            _ => Ok(()),
        }
    }

    /// Every group can be read, and no row of the table has two entries.
    fn entries(&mut self, heap: pg_sys::Relation) -> Result<()> {
        // SAFETY: the table is open.
        let heap_blocks =
            unsafe { pg_sys::RelationGetNumberOfBlocksInFork(heap, pg_sys::ForkNumber::MAIN_FORKNUM) };
        let mut found: Vec<(Tid, Place)> = Vec::new();
        self.meta
            .scan_nulls(self.index, &mut |_, tids| found.extend(tids.iter().map(|tid| (*tid, Place::Null))))
            .map_err(Problem::into_error)?;
        if let Some(layout) = self.meta.layout {
            self.groups_and_tail(layout, &mut found)?;
        }
        for (tid, place) in found {
            let at = format!("({},{})", tid.block, tid.offset);
            if tid.block >= heap_blocks {
                return Err(damaged(
                    self.index,
                    format!("An entry leads to row {at}, which the table does not have."),
                ));
            }
            if self.places.insert(tid, place).is_some() {
                return Err(damaged(self.index, format!("Row {at} has two entries.")));
            }
        }
        Ok(())
    }

    fn groups_and_tail(&mut self, layout: Layout, found: &mut Vec<(Tid, Place)>) -> Result<()> {
        for slot in slots(self.index, &self.meta)?.iter().filter(|s| s.entry.state == State::Group) {
            let (extent, shape) =
                self.meta.group(slot.entry, self.index.blocks()).map_err(Problem::into_error)?;
            let batch = decode(self.index, extent, &shape).map_err(Problem::into_error)?;
            let number = self.groups.len() as u32;
            let live = (0..).zip(&batch.tids).filter(|(_, tid)| tid.is_live());
            found.extend(live.map(|(row, tid)| (*tid, Place::Group(number, row))));
            self.groups.push((extent, shape));
        }
        let tail = &mut self.tail;
        self.meta
            .scan_tail(self.index, layout, &mut |_, page| {
                for i in (0..page.rows()).filter(|&i| page.tid(i).is_live()) {
                    found.push((page.tid(i), Place::Tail));
                    tail.insert(page.tid(i), page.values(i)?.to_vec());
                }
                Ok(())
            })
            .map_err(Problem::into_error)?;
        if let Some(extent) = self.meta.quantizer_extent() {
            let quantizer = Quantizer::read(self.index, extent, layout, self.meta.cells as usize);
            self.encoder = Some(quantizer.map_err(Problem::into_error)?.encoder());
        } else if !self.groups.is_empty() {
            return Err(damaged(self.index, "There are groups but no quantizer."));
        }
        Ok(())
    }

    /// Every row of the table has an entry that says what the row says.
    fn table(&mut self, heap: pg_sys::Relation) {
        // SAFETY: table and index are open; the snapshot is registered while it is used.
        unsafe {
            let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetTransactionSnapshot());
            let info = pg_sys::BuildIndexInfo(self.index.relation());
            // Takes what the snapshot sees, and is content with that.
            (*info).ii_Concurrent = true;
            let scan = pg_sys::table_beginscan_strat(heap, snapshot, 0, std::ptr::null_mut(), true, true);
            pg_sys::table_index_build_scan(
                heap,
                self.index.relation(),
                info,
                true,
                false,
                Some(visit::<Self>),
                std::ptr::from_mut(self).cast(),
                scan,
            );
            pg_sys::UnregisterSnapshot(snapshot);
        }
    }

    /// Whether a row of a group is what encoding these numbers gives.
    fn encodes(&mut self, group: u32, row: usize, values: &[f16]) -> Result<bool> {
        let (extent, shape) = self.groups[group as usize];
        if !self.decoded.iter().any(|(number, _)| *number == group) {
            // Rows of a group lie close together in the table, mostly.
            self.decoded.truncate(3);
            let batch = decode(self.index, extent, &shape).map_err(Problem::into_error)?;
            self.decoded.insert(0, (group, batch));
        }
        let stored = self.decoded.iter().find(|(number, _)| *number == group);
        let (Some((_, stored)), Some(encoder)) = (stored, &self.encoder) else { return Ok(false) };
        let mut fresh = Batch::new(shape.layout);
        encoder.push(&mut fresh, stored.tids[row], values);
        let (n, k) = (shape.layout.dimensions(), shape.layout.subspaces());
        let marks = stored.marks[row * k..(row + 1) * k].iter().zip(&fresh.marks);
        Ok(stored.codes[row * n..(row + 1) * n] == fresh.codes
            && marks.into_iter().all(|(s, f)| {
                (s.cell, s.error4, s.error8) == (f.cell, f.error4, f.error8)
                    && s.inner <= f.inner
                    && s.outer >= f.outer
                    && s.norm <= f.norm
            }))
    }
}

impl Visitor for Check<'_> {
    fn row(&mut self, tid: Tid, embedding: Option<EmbeddingRef<'_>>) -> Result<()> {
        self.rows += 1;
        if let Some(embedding) = embedding {
            let ours = self.meta.layout.unwrap_or(embedding.layout);
            check_model(self.index, ours, embedding.layout)?;
        }
        let values = embedding.map(|e| e.values);
        let at = format!("({},{})", tid.block, tid.offset);
        let bits = |values: &[f16]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let right = match (self.places.get(&tid), values) {
            (None, _) => return Err(damaged(self.index, format!("Row {at} of the table has no entry."))),
            (Some(Place::Null), None) => true,
            (Some(Place::Tail), Some(values)) => {
                self.tail.get(&tid).is_some_and(|stored| bits(stored) == bits(values))
            }
            (Some(&Place::Group(group, row)), Some(values)) => self.encodes(group, row as usize, values)?,
            _ => false,
        };
        if !right {
            return Err(damaged(self.index, format!("The entry of row {at} is not what the row says.")));
        }
        Ok(())
    }
}
