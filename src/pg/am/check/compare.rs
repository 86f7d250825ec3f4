//! What an index says, compared with itself and with the rows of its table.

use crate::error::{Error, Kind as ErrorKind, Result};
use crate::index::{
    decode_group, EncodedRows, Encoder, Extent, ExtentState, GroupShape, Meta, PageError, Pages, Quantizer,
    Tid, NO_BLOCK,
};
use crate::memory;
use crate::pg::am::regroup::slots;
use crate::pg::am::storage::{refuse, Index};
use crate::pg::am::visit::{visit, Visitor};
use crate::space::{EmbeddingRef, Layout};
use half::f16;
use pgrx::pg_sys;
use std::collections::HashMap;

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
    groups: Vec<(Extent, GroupShape)>,
    places: HashMap<Tid, Place>,
    tail: HashMap<Tid, Vec<f16>>,
    encoder: Option<Encoder>,
    /// Groups that were looked at last.
    decoded: Vec<(u32, EncodedRows)>,
    rows: i64,
    /// What was found to be wrong first.
    damage: Option<Error>,
}

/// What the newest snapshot sees, until dropped.
struct Newest(pg_sys::Snapshot);

impl Newest {
    /// One that an older transaction holds may see rows that the index need not have.
    fn register() -> Self {
        // SAFETY: there is a transaction; the snapshot is registered until dropped.
        Self(unsafe { pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot()) })
    }
}

impl Drop for Newest {
    fn drop(&mut self) {
        // After an error the end of the transaction lets go of it.
        if !std::thread::panicking() {
            // SAFETY: registered, and not used any more.
            unsafe { pg_sys::UnregisterSnapshot(self.0) }
        }
    }
}

/// How many rows of the table were compared; both are locked.
///
/// # Errors
/// [`ErrorKind::Corrupted`] for the first that is wrong, [`ErrorKind::Busy`] if rows moved meanwhile, which happens on a standby.
pub fn check(heap: pg_sys::Relation, index: &Index) -> Result<i64> {
    // Before the index is read: rows that come later, on a standby, are not looked for.
    let snapshot = Newest::register();
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
        damage: None,
    };
    let outcome = check.compare(heap, &snapshot);
    if index.meta()?.reorganizations != meta.reorganizations {
        return Err(refuse(index, ErrorKind::Busy, "changed while it was checked").hint("Check it again."));
    }
    outcome.map(|()| check.rows)
}

impl Check<'_> {
    fn compare(&mut self, heap: pg_sys::Relation, snapshot: &Newest) -> Result<()> {
        self.structure()?;
        self.entries(heap)?;
        self.table(heap, snapshot);
        self.damage.take().map_or(Ok(()), Err)
    }

    /// Every page belongs to one thing only.
    fn structure(&self) -> Result<()> {
        let meta = &self.meta;
        let mut owned: Vec<(u32, u32, &str)> = Vec::new();
        memory::push(&mut owned, (0, 1, "metapage"))?;
        for slot in slots(self.index, meta)? {
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
                return Err(damaged(
                    self.index,
                    format!("The tail has {pages} pages, not {}.", meta.tail_pages),
                ));
            }
        }
        let (mut block, mut most) = (meta.free, self.index.blocks());
        while block != NO_BLOCK {
            if most == 0 {
                return Err(damaged(self.index, "The free pages of the tail run in a circle."));
            }
            most -= 1;
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
                return Err(damaged(self.index, format!("Block {next} is both {what} and {other}.")));
            }
        }
        match owned.last() {
            Some(&(first, pages, what)) if first.checked_add(pages).is_none_or(|end| end > meta.end) => {
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
            .scan_nulls(self.index, &mut |_, tids| {
                memory::reserve(&mut found, tids.len())?;
                found.extend(tids.iter().map(|tid| (*tid, Place::Null)));
                Ok(())
            })
            .map_err(PageError::into_error)?;
        if let Some(layout) = self.meta.layout {
            self.groups_and_tail(layout, &mut found)?;
        }
        let bytes = found.len().saturating_mul(2 * size_of::<(Tid, Place)>());
        self.places.try_reserve(found.len()).map_err(|_| memory::out_of_memory(bytes))?;
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
        for slot in slots(self.index, &self.meta)?.iter().filter(|s| s.entry.state == ExtentState::Group) {
            let (extent, shape) =
                self.meta.group(slot.entry, self.index.blocks()).map_err(PageError::into_error)?;
            let batch = decode_group(self.index, extent, &shape).map_err(PageError::into_error)?;
            let number = self.groups.len() as u32;
            let live = (0..).zip(&batch.tids).filter(|(_, tid)| tid.is_live());
            memory::reserve(found, batch.rows())?;
            found.extend(live.map(|(row, tid)| (*tid, Place::Group(number, row))));
            memory::push(&mut self.groups, (extent, shape))?;
        }
        let tail = &mut self.tail;
        self.meta
            .scan_tail(self.index, layout, &mut |_, page| {
                for i in (0..page.rows()).filter(|&i| page.tid(i).is_live()) {
                    memory::push(found, (page.tid(i), Place::Tail))?;
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
            return Err(damaged(self.index, "There are groups but no quantizer."));
        }
        Ok(())
    }

    /// Every row of the table has an entry that says what the row says.
    fn table(&mut self, heap: pg_sys::Relation, snapshot: &Newest) {
        // SAFETY: table and index are open; the snapshot is registered while it is used.
        unsafe {
            let info = pg_sys::BuildIndexInfo(self.index.relation());
            // Takes what the snapshot sees, and is content with that.
            (*info).ii_Concurrent = true;
            let scan = pg_sys::table_beginscan_strat(heap, snapshot.0, 0, std::ptr::null_mut(), true, true);
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
        }
    }

    /// Whether a row of a group is what encoding these numbers gives.
    fn encodes(&mut self, group: u32, row: usize, values: &[f16]) -> Result<bool> {
        let (extent, shape) = self.groups[group as usize];
        if !self.decoded.iter().any(|(number, _)| *number == group) {
            // Rows of a group lie close together in the table, mostly.
            self.decoded.truncate(3);
            let batch = decode_group(self.index, extent, &shape).map_err(PageError::into_error)?;
            self.decoded.insert(0, (group, batch));
        }
        let stored = self.decoded.iter().find(|(number, _)| *number == group);
        let (Some((_, stored)), Some(encoder)) = (stored, &self.encoder) else { return Ok(false) };
        let mut fresh = EncodedRows::new(shape.layout);
        encoder.push(&mut fresh, stored.tids[row], values)?;
        let (n, k) = (shape.layout.dimensions(), shape.layout.subspaces());
        let metadata = stored.metadata[row * k..(row + 1) * k].iter().zip(&fresh.metadata);
        Ok(stored.codes[row * n..(row + 1) * n] == fresh.codes
            && metadata.into_iter().all(|(s, f)| {
                (s.cell, s.coarse_error, s.fine_error) == (f.cell, f.coarse_error, f.fine_error)
                    && s.min_radius <= f.min_radius
                    && s.max_radius >= f.max_radius
                    && s.min_squared_norm <= f.min_squared_norm
            }))
    }
}

impl Check<'_> {
    /// Whether a row of the table has an entry that says what the row says.
    fn row_of_table(&mut self, tid: Tid, embedding: Option<EmbeddingRef<'_>>) -> Result<()> {
        let at = format!("({},{})", tid.block, tid.offset);
        let same_model = |e: &EmbeddingRef<'_>| self.meta.layout == Some(e.layout);
        let right = match (self.places.get(&tid), embedding.filter(same_model), embedding) {
            (None, ..) => return Err(damaged(self.index, format!("Row {at} of the table has no entry."))),
            (Some(Place::Null), _, None) => true,
            (Some(Place::Tail), Some(embedding), _) => self.tail.get(&tid).is_some_and(|stored| {
                let bits = |values: &f16| values.to_bits();
                stored.iter().map(bits).eq(embedding.values.iter().map(bits))
            }),
            (Some(&Place::Group(group, row)), Some(embedding), _) => {
                self.encodes(group, row as usize, embedding.values)?
            }
            _ => false,
        };
        if !right {
            return Err(damaged(self.index, format!("The entry of row {at} is not what the row says.")));
        }
        Ok(())
    }
}

impl Visitor for Check<'_> {
    fn row(&mut self, tid: Tid, embedding: Option<EmbeddingRef<'_>>, _alive: bool) -> Result<()> {
        self.rows += 1;
        // Reported when it is known that nothing moved meanwhile.
        if self.damage.is_none() {
            self.damage = self.row_of_table(tid, embedding).err();
        }
        Ok(())
    }
}
