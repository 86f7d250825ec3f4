//! Compares an index with itself and with the rows of its table, for `coop_index_check()`.

use super::build_callback::{build_callback, RowSink};
use super::extents::{directory_slots, group_slots};
use super::relation::IndexRelation;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::index::{
    decode_group, EncodedRows, Encoder, Extent, ExtentState, GroupShape, Meta, PageError, Pages, Quantizer,
    RowReader, Tid, NO_BLOCK,
};
use crate::memory;
use crate::space::{EmbeddingRef, Layout};
use half::f16;
use pgrx::pg_sys;
use std::collections::HashMap;

fn corrupt(index: &IndexRelation, detail: impl Into<String>) -> Error {
    index.error(ErrorKind::Corrupted, "is corrupt").detail(detail).hint("Rebuild it with REINDEX.")
}

/// Where the index has a row's entry.
#[derive(Clone, Copy)]
enum EntryLocation {
    /// In a group: its number in [`Verification::groups`], and which of its rows.
    Group(u32, u32),
    /// In the tail.
    Tail,
    /// Among the rows without an embedding.
    Null,
}

/// The state of a comparison.
struct Verification<'a> {
    index: &'a IndexRelation,
    /// The metapage when the comparison began.
    meta: Meta,
    /// All groups.
    groups: Vec<(Extent, GroupShape)>,
    /// The entry of each row.
    entries: HashMap<Tid, EntryLocation>,
    /// The embeddings of the rows of the tail.
    tail: HashMap<Tid, Vec<f16>>,
    /// Encodes rows of the table as the index does; `None` if it has no quantizer.
    encoder: Option<Encoder>,
    /// Reads rows of groups.
    reader: RowReader,
    /// Rows of the table compared so far.
    rows: i64,
    /// The first difference that was found between table and index.
    difference: Option<Error>,
}

/// A snapshot that is registered until dropped.
struct RegisteredSnapshot(pg_sys::Snapshot);

impl RegisteredSnapshot {
    /// The newest there is. The transaction's own may be older, and see rows that the index need not have.
    fn latest() -> Self {
        // SAFETY: a SQL function runs in a transaction; the drop unregisters the snapshot.
        Self(unsafe { pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot()) })
    }
}

impl Drop for RegisteredSnapshot {
    fn drop(&mut self) {
        // After an error the end of the transaction unregisters it.
        if !std::thread::panicking() {
            // SAFETY: it was registered by this value, and is not used any more.
            unsafe { pg_sys::UnregisterSnapshot(self.0) }
        }
    }
}

/// Compares an index with its table, which the caller has locked against writers, and returns how many rows of the table it compared.
///
/// # Errors
/// [`ErrorKind::Corrupted`] for the first thing that is wrong; [`ErrorKind::Busy`] if the index was reorganized meanwhile, which happens on a
/// standby only, where replay does not wait.
pub fn verify(heap: pg_sys::Relation, index: &IndexRelation) -> Result<i64> {
    // Before the index is read: on a standby, the table may have newer rows than the index that was read.
    let snapshot = RegisteredSnapshot::latest();
    let meta = index.meta()?;
    let mut verification = Verification {
        index,
        meta,
        groups: Vec::new(),
        entries: HashMap::new(),
        tail: HashMap::new(),
        encoder: None,
        reader: RowReader::default(),
        rows: 0,
        difference: None,
    };
    let outcome = verification.run(heap, &snapshot);
    if index.meta()?.reorganizations != meta.reorganizations {
        let error = index.error(ErrorKind::Busy, "changed while it was checked");
        return Err(error.hint("Check it again."));
    }
    outcome.map(|()| verification.rows)
}

impl Verification<'_> {
    fn run(&mut self, heap: pg_sys::Relation, snapshot: &RegisteredSnapshot) -> Result<()> {
        self.check_pages()?;
        self.read_entries(heap)?;
        self.compare_table(heap, snapshot);
        self.difference.take().map_or(Ok(()), Err)
    }

    /// Checks that no page belongs to two things.
    fn check_pages(&self) -> Result<()> {
        let meta = &self.meta;
        let mut owned: Vec<(u32, u32, &str)> = Vec::new();
        memory::push(&mut owned, (0, 1, "metapage"))?;
        for slot in directory_slots(self.index, meta)? {
            if slot.number == 0 {
                memory::push(&mut owned, (slot.page, 1, "directory"))?;
            }
            let what = match slot.entry.state {
                ExtentState::Group => "group",
                ExtentState::Free | ExtentState::Building => "free pages",
                ExtentState::Unused => continue,
            };
            memory::push(&mut owned, (slot.entry.first, slot.entry.pages, what))?;
        }
        if let (Some(layout), Some(extent)) = (meta.layout, meta.quantizer_extent()) {
            let pages = Extent::pages(Quantizer::size(layout, meta.cells as usize));
            memory::push(&mut owned, (extent.first, pages, "quantizer"))?;
        }
        if let Some(layout) = meta.layout {
            let mut pages = 0;
            meta.scan_tail(self.index, layout, &mut |block, _| {
                pages += 1;
                Ok(memory::push(&mut owned, (block, 1, "tail"))?)
            })
            .map_err(PageError::into_error)?;
            if pages != meta.tail_pages {
                return Err(corrupt(
                    self.index,
                    format!("The tail has {pages} pages, not {}.", meta.tail_pages),
                ));
            }
        }
        // No list is longer than the file: one that is runs in a circle.
        let (mut block, mut steps_left) = (meta.free, self.index.blocks());
        while block != NO_BLOCK {
            if steps_left == 0 {
                return Err(corrupt(self.index, "The free pages of the tail run in a circle."));
            }
            steps_left -= 1;
            memory::push(&mut owned, (block, 1, "free page of the tail"))?;
            block = self.index.next_free_tail(block).map_err(PageError::into_error)?;
        }
        meta.scan_nulls(self.index, &mut |block, _| {
            Ok(memory::push(&mut owned, (block, 1, "rows without embedding"))?)
        })
        .map_err(PageError::into_error)?;
        owned.sort_unstable();
        for pair in owned.windows(2) {
            let ((first, pages, what), (next, _, other)) = (pair[0], pair[1]);
            if first.checked_add(pages).is_none_or(|end| end > next) {
                return Err(corrupt(self.index, format!("Block {next} is both {what} and {other}.")));
            }
        }
        match owned.last() {
            Some(&(first, pages, what)) if first.checked_add(pages).is_none_or(|end| end > meta.end) => {
                Err(corrupt(self.index, format!("Block {first} ({what}) lies beyond the end.")))
            }
            _ => Ok(()),
        }
    }

    /// Reads all entries, and checks that each leads to a block of the table, and no two to one row.
    fn read_entries(&mut self, heap: pg_sys::Relation) -> Result<()> {
        // SAFETY: the table is open.
        let heap_blocks =
            unsafe { pg_sys::RelationGetNumberOfBlocksInFork(heap, pg_sys::ForkNumber::MAIN_FORKNUM) };
        let mut found: Vec<(Tid, EntryLocation)> = Vec::new();
        self.meta
            .scan_nulls(self.index, &mut |_, tids| {
                memory::reserve(&mut found, tids.len())?;
                found.extend(tids.iter().map(|tid| (*tid, EntryLocation::Null)));
                Ok(())
            })
            .map_err(PageError::into_error)?;
        if let Some(layout) = self.meta.layout {
            self.read_groups_and_tail(layout, &mut found)?;
        }
        let bytes = found.len().saturating_mul(2 * size_of::<(Tid, EntryLocation)>());
        self.entries.try_reserve(found.len()).map_err(|_| memory::out_of_memory(bytes))?;
        for (tid, location) in found {
            let at = format!("({},{})", tid.block, tid.offset);
            if tid.block >= heap_blocks {
                return Err(corrupt(
                    self.index,
                    format!("An entry leads to row {at}, which the table does not have."),
                ));
            }
            if self.entries.insert(tid, location).is_some() {
                return Err(corrupt(self.index, format!("Row {at} has two entries.")));
            }
        }
        Ok(())
    }

    /// Reads the entries and the quantizer of an index that has a model.
    fn read_groups_and_tail(&mut self, layout: Layout, found: &mut Vec<(Tid, EntryLocation)>) -> Result<()> {
        for slot in group_slots(self.index, &self.meta)? {
            let (extent, shape) =
                self.meta.group(slot.entry, self.index.blocks()).map_err(PageError::into_error)?;
            let batch = decode_group(self.index, extent, &shape).map_err(PageError::into_error)?;
            let number = self.groups.len() as u32;
            let live = (0..).zip(&batch.tids).filter(|(_, tid)| tid.is_live());
            memory::reserve(found, batch.rows())?;
            found.extend(live.map(|(row, tid)| (*tid, EntryLocation::Group(number, row))));
            memory::push(&mut self.groups, (extent, shape))?;
        }
        let tail = &mut self.tail;
        self.meta
            .scan_tail(self.index, layout, &mut |_, page| {
                for i in (0..page.rows()).filter(|&i| page.tid(i).is_live()) {
                    memory::push(found, (page.tid(i), EntryLocation::Tail))?;
                    let bytes = tail.len().saturating_mul(2 * size_of::<(Tid, Vec<f16>)>());
                    tail.try_reserve(1).map_err(|_| memory::out_of_memory(bytes))?;
                    tail.insert(page.tid(i), memory::copied(page.values(i)?)?);
                }
                Ok(())
            })
            .map_err(PageError::into_error)?;
        if let Some(extent) = self.meta.quantizer_extent() {
            let quantizer = Quantizer::read(self.index, extent, layout, self.meta.cells as usize);
            self.encoder = Some(quantizer.map_err(PageError::into_error)?.into_encoder()?);
        } else if !self.groups.is_empty() {
            return Err(corrupt(self.index, "There are groups but no quantizer."));
        }
        Ok(())
    }

    /// Checks that every row of the table has an entry with the row's value.
    fn compare_table(&mut self, heap: pg_sys::Relation, snapshot: &RegisteredSnapshot) {
        // SAFETY: table and index are open, and the snapshot is registered while it is used. The callback gets this Verification, which nobody
        // else uses during the scan.
        unsafe {
            let info = pg_sys::BuildIndexInfo(self.index.relation());
            // As in a concurrent build: scan with the snapshot, and expect nothing of rows that it does not see.
            (*info).ii_Concurrent = true;
            let scan = pg_sys::table_beginscan_strat(heap, snapshot.0, 0, std::ptr::null_mut(), true, true);
            pg_sys::table_index_build_scan(
                heap,
                self.index.relation(),
                info,
                true,
                false,
                Some(build_callback::<Self>),
                std::ptr::from_mut(self).cast(),
                scan,
            );
        }
    }

    /// Whether a row of a group has the code of these numbers.
    fn is_code_of(&mut self, group: u32, row: usize, values: &[f16]) -> Result<bool> {
        let (extent, shape) = self.groups[group as usize];
        let stored = self.reader.read(self.index, extent, &shape, row).map_err(PageError::into_error)?;
        let Some(encoder) = &self.encoder else { return Ok(false) };
        let mut fresh = EncodedRows::new(shape.layout);
        encoder.push(&mut fresh, stored.tids[0], values)?;
        Ok(stored.codes == fresh.codes
            && stored.metadata.iter().zip(&fresh.metadata).all(|(s, f)| {
                (s.cell, s.coarse_error, s.fine_error) == (f.cell, f.coarse_error, f.fine_error)
                    && s.sketch_correction == f.sketch_correction
                    && s.min_radius <= f.min_radius
                    && s.max_radius >= f.max_radius
                    && s.min_squared_norm <= f.min_squared_norm
            }))
    }

    /// Checks that a row of the table has an entry with the row's value.
    fn compare_row(&mut self, tid: Tid, embedding: Option<EmbeddingRef<'_>>) -> Result<()> {
        let at = format!("({},{})", tid.block, tid.offset);
        let same_model = |e: &EmbeddingRef<'_>| self.meta.layout == Some(e.layout);
        let is_right = match (self.entries.get(&tid), embedding.filter(same_model), embedding) {
            (None, ..) => return Err(corrupt(self.index, format!("Row {at} of the table has no entry."))),
            (Some(EntryLocation::Null), _, None) => true,
            (Some(EntryLocation::Tail), Some(embedding), _) => self.tail.get(&tid).is_some_and(|stored| {
                let bits = |values: &f16| values.to_bits();
                stored.iter().map(bits).eq(embedding.values.iter().map(bits))
            }),
            (Some(&EntryLocation::Group(group, row)), Some(embedding), _) => {
                self.is_code_of(group, row as usize, embedding.values)?
            }
            _ => false,
        };
        if !is_right {
            return Err(corrupt(self.index, format!("The entry of row {at} does not match the row.")));
        }
        Ok(())
    }
}

impl RowSink for Verification<'_> {
    fn row(&mut self, tid: Tid, embedding: Option<EmbeddingRef<'_>>, _alive: bool) -> Result<()> {
        self.rows += 1;
        // Reported later, when it is known that the index was not reorganized meanwhile.
        if self.difference.is_none() {
            self.difference = self.compare_row(tid, embedding).err();
        }
        Ok(())
    }
}
