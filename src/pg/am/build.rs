//! Building an index over a table that has rows.

use super::insert::write_meta;
use super::model::{check_model, check_size};
use super::regroup::GROUP_ROWS;
use super::reloptions;
use super::storage::{refuse, Index};
use super::visit::{visit, Visitor};
use crate::error::{Kind as ErrorKind, Result};
use crate::index::{
    encode_group, tail_page, DirectoryEntry, DirectoryPage, EncodedRows, Encoder, Extent, ExtentState, Meta,
    NullPage, PageKind, PageTag, Reservoir, Tid, DIRECTORY_ENTRIES, MAX_CELLS, NO_BLOCK, PAYLOAD,
};
use crate::memory;
use crate::pg::OrReport;
use crate::space::{EmbeddingRef, Layout};
use half::f16;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::c_char;

/// Phases in pg_stat_progress_create_index; the first is PostgreSQL's own.
const SAMPLING: i64 = 2;
const LOADING: i64 = 3;
const LOGGING: i64 = 4;

/// Their names.
#[pg_guard]
pub unsafe extern "C-unwind" fn phase_name(phase: i64) -> *mut c_char {
    match phase {
        1 => c"initializing",
        SAMPLING => c"learning the quantizer",
        LOADING => c"loading rows",
        LOGGING => c"writing WAL",
        _ => return std::ptr::null_mut(),
    }
    .as_ptr()
    .cast_mut()
}

fn report(parameter: u32, value: i64) {
    // SAFETY: only writes into this backend's entry in shared memory.
    unsafe { pg_sys::pgstat_progress_update_param(parameter as i32, value) }
}

/// The empty index that an UNLOGGED one becomes after a crash.
#[pg_guard]
pub unsafe extern "C-unwind" fn build_empty(relation: pg_sys::Relation) {
    // SAFETY: PostgreSQL passes an open index.
    let index = unsafe { Index::new(relation) };
    let fork = pg_sys::ForkNumber::INIT_FORKNUM;
    let meta = new_meta(&index);
    let mut bytes = [0; Meta::SIZE];
    write_meta(&mut bytes, &meta);
    index.new_page_in(fork, 0).fill_unlogged(PageTag::of(PageKind::Meta), &bytes);
    index.new_page_in(fork, meta.directory).fill_unlogged(PageTag::of(PageKind::Directory), &[]);
    // SAFETY: the relation is open. The INIT fork is logged even though the others are not.
    unsafe { pg_sys::log_newpage_range(relation, fork, 0, index.fork_blocks(fork), true) };
}

/// An index without rows: metapage and one page of directory.
fn new_meta(index: &Index) -> Meta {
    Meta {
        layout: None,
        cells: MAX_CELLS as u32,
        tail_rows: reloptions::tail_rows(index),
        reorganizations: 0,
        next_generation: 1,
        end: 2,
        directory: 1,
        quantizer: NO_BLOCK,
        quantizer_generation: 0,
        tail_first: NO_BLOCK,
        tail_last: NO_BLOCK,
        tail_pages: 0,
        tail_generation: 0,
        free: NO_BLOCK,
        nulls_first: NO_BLOCK,
        nulls_open: NO_BLOCK,
        horizon: 0,
    }
}

/// Builds the index.
#[pg_guard]
pub unsafe extern "C-unwind" fn build(
    heap: pg_sys::Relation,
    relation: pg_sys::Relation,
    info: *mut pg_sys::IndexInfo,
) -> *mut pg_sys::IndexBuildResult {
    // SAFETY: PostgreSQL passes an open table, an open index without pages, and what it knows of it.
    unsafe {
        let index = Index::new(relation);
        if index.fork_blocks(pg_sys::ForkNumber::MAIN_FORKNUM) != 0 {
            Err(refuse(&index, ErrorKind::Internal, "already has pages")).or_report()
        }
        report(pg_sys::PROGRESS_CREATEIDX_SUBPHASE, SAMPLING);
        let sample = sample(heap, &index, info);
        report(pg_sys::PROGRESS_CREATEIDX_SUBPHASE, LOADING);
        let mut build = Build::new(&index, sample);
        let rows = pg_sys::table_index_build_scan(
            heap,
            relation,
            info,
            true,
            true,
            Some(visit::<Build<'_>>),
            (&raw mut build).cast(),
            std::ptr::null_mut(),
        );
        build.finish().or_report();
        if build.skipped {
            hide_from_older_snapshots(heap, relation, &mut *info);
        }
        report(pg_sys::PROGRESS_CREATEIDX_SUBPHASE, LOGGING);
        if index.needs_wal() {
            let fork = pg_sys::ForkNumber::MAIN_FORKNUM;
            pg_sys::log_newpage_range(relation, fork, 0, index.fork_blocks(fork), true);
        }
        let mut result = PgBox::<pg_sys::IndexBuildResult>::alloc0();
        result.heap_tuples = rows;
        result.index_tuples = (build.rows as usize + build.nulls.len()) as f64;
        result.into_pg()
    }
}

/// Rows that older snapshots may see have no entry: such snapshots must not use the index.
///
/// # Safety
/// As for [`build`].
unsafe fn hide_from_older_snapshots(
    heap: pg_sys::Relation,
    index: pg_sys::Relation,
    info: &mut pg_sys::IndexInfo,
) {
    // A new index's row of pg_index is then changed by whoever called us (index_build), and an old one's left as it is (reindex_index).
    info.ii_BrokenHotChain = true;
    // SAFETY: the relations are open; the tuple is a copy of ours. What is changed here becomes visible to the next command, which begins
    // before PostgreSQL itself looks at the row again. The transaction that wrote the row is the one that older snapshots are told by.
    unsafe {
        if !pg_sys::ReindexIsProcessingIndex((*index).rd_id) {
            return;
        }
        let lock = pg_sys::RowExclusiveLock as i32;
        let catalog = pg_sys::table_open(pg_sys::IndexRelationId, lock);
        let none = pg_sys::Datum::from(0);
        let cache = pg_sys::SysCacheIdentifier::INDEXRELID as i32;
        let tuple = pg_sys::SearchSysCacheCopy(cache, pg_sys::Datum::from((*index).rd_id), none, none, none);
        if tuple.is_null() {
            Err(refuse(&Index::new(index), ErrorKind::Internal, "is not in pg_index")).or_report()
        }
        (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_index>()).indcheckxmin = true;
        pg_sys::CatalogTupleUpdate(catalog, &mut (*tuple).t_self, tuple);
        pg_sys::heap_freetuple(tuple);
        pg_sys::table_close(catalog, lock);
        // Plans that use it are made anew.
        pg_sys::CacheInvalidateRelcache(heap);
    }
}

/// Rows to learn from: those of random blocks, all over the table.
struct Sample<'a> {
    index: &'a Index,
    reservoir: Option<Reservoir>,
    rows: usize,
}

/// As many rows as a quantizer takes at most, and some to choose from.
const SAMPLE_ROWS: usize = 10_000;

/// # Safety
/// As for [`build`].
unsafe fn sample(heap: pg_sys::Relation, index: &Index, info: *mut pg_sys::IndexInfo) -> Option<Reservoir> {
    let mut sample = Sample { index, reservoir: None, rows: 0 };
    // SAFETY: the table is open; the callback gets the state it expects.
    unsafe {
        let blocks = pg_sys::RelationGetNumberOfBlocksInFork(heap, pg_sys::ForkNumber::MAIN_FORKNUM);
        // Rows that somebody may see are good enough to learn from. Concurrent builds have a snapshot, which knows no such thing.
        let any_visible = !(*info).ii_Concurrent;
        let mut sampler = pg_sys::BlockSamplerData::default();
        pg_sys::BlockSampler_Init(&mut sampler, blocks, SAMPLE_ROWS as i32, 42);
        while pg_sys::BlockSampler_HasMore(&mut sampler) && sample.rows < SAMPLE_ROWS {
            let block = pg_sys::BlockSampler_Next(&mut sampler);
            pg_sys::table_index_build_range_scan(
                heap,
                index.relation(),
                info,
                false,
                any_visible,
                false,
                block,
                1,
                Some(visit::<Sample<'_>>),
                (&raw mut sample).cast(),
                std::ptr::null_mut(),
            );
        }
    }
    sample.reservoir
}

impl Visitor for Sample<'_> {
    fn row(&mut self, _tid: Tid, embedding: Option<EmbeddingRef<'_>>, alive: bool) -> Result<()> {
        // Those that are deleted may be another model's.
        let Some(embedding) = embedding.filter(|_| alive) else { return Ok(()) };
        let reservoir = match &mut self.reservoir {
            Some(reservoir) => reservoir,
            none => {
                check_size(self.index, embedding.layout)?;
                none.insert(Reservoir::new(embedding.layout))
            }
        };
        check_model(self.index, reservoir.layout(), embedding.layout)?;
        reservoir.push(embedding.values)?;
        self.rows += 1;
        Ok(())
    }
}

/// A build in progress. Nobody else sees the index.
struct Build<'a> {
    index: &'a Index,
    meta: Meta,
    sample: Option<Reservoir>,
    encoder: Option<Encoder>,
    /// The first rows, as they are: if no more come, they are the tail.
    first: Vec<(Tid, Vec<f16>)>,
    batch: Option<EncodedRows>,
    group_rows: usize,
    groups: Vec<DirectoryEntry>,
    nulls: Vec<Tid>,
    rows: u64,
    /// There were deleted rows of other models, which have no entries.
    skipped: bool,
}

impl Visitor for Build<'_> {
    fn row(&mut self, tid: Tid, embedding: Option<EmbeddingRef<'_>>, alive: bool) -> Result<()> {
        let Some(embedding) = embedding else {
            return memory::push(&mut self.nulls, tid);
        };
        // Rows that are there decide the model.
        let model = self.meta.layout.or(self.sample.as_ref().map(Reservoir::layout));
        if !alive && model != Some(embedding.layout) {
            self.skipped = true;
            return Ok(());
        }
        match self.meta.layout {
            Some(ours) => check_model(self.index, ours, embedding.layout)?,
            None => self.begin(embedding.layout)?,
        }
        self.rows += 1;
        if self.encoder.is_none() {
            if self.first.len() < 2 * self.meta.tail_rows as usize {
                return memory::push(&mut self.first, (tid, memory::copied(embedding.values)?));
            }
            self.learn(embedding.layout)?;
        }
        self.encode(tid, embedding.values)
    }
}

impl<'a> Build<'a> {
    fn new(index: &'a Index, sample: Option<Reservoir>) -> Self {
        let meta = new_meta(index);
        Self {
            index,
            meta,
            sample,
            encoder: None,
            first: Vec::new(),
            batch: None,
            group_rows: GROUP_ROWS,
            groups: Vec::new(),
            nulls: Vec::new(),
            rows: 0,
            skipped: false,
        }
    }

    fn begin(&mut self, layout: Layout) -> Result<()> {
        check_size(self.index, layout)?;
        if let Some(sample) = &self.sample {
            check_model(self.index, sample.layout(), layout)?;
        }
        self.meta.layout = Some(layout);
        // Encoded rows, the bytes of the group, and sorting.
        // SAFETY: a setting of this backend.
        let memory = unsafe { pg_sys::maintenance_work_mem }.unsigned_abs() as usize * 1024;
        self.group_rows = (memory / (3 * EncodedRows::row_memory(layout))).clamp(256, GROUP_ROWS);
        Ok(())
    }

    /// Enough rows for groups.
    fn learn(&mut self, layout: Layout) -> Result<()> {
        // The sample may have met no row, if all of them came later.
        let reservoir = match self.sample.take() {
            Some(reservoir) => reservoir,
            None => {
                let mut reservoir = Reservoir::new(layout);
                self.first.iter().try_for_each(|(_, values)| reservoir.push(values))?;
                reservoir
            }
        };
        let quantizer = reservoir.train(self.meta.cells as usize)?;
        let entry = self.write(PageKind::Quantizer, &quantizer.to_bytes()?)?;
        self.meta.quantizer = entry.first;
        self.meta.quantizer_generation = entry.generation;
        self.encoder = Some(quantizer.into_encoder()?);
        for (tid, values) in std::mem::take(&mut self.first) {
            self.encode(tid, &values)?;
        }
        Ok(())
    }

    fn encode(&mut self, tid: Tid, values: &[f16]) -> Result<()> {
        let (Some(encoder), Some(layout)) = (&self.encoder, self.meta.layout) else { return Ok(()) };
        let batch = self.batch.get_or_insert_with(|| EncodedRows::new(layout));
        encoder.push(batch, tid, values)?;
        if batch.rows() >= self.group_rows {
            self.write_group()?;
        }
        Ok(())
    }

    fn write_group(&mut self) -> Result<()> {
        let Some(mut batch) = self.batch.take().filter(|b| b.rows() > 0) else { return Ok(()) };
        let (shape, bytes) = encode_group(&batch, self.meta.cells as usize)?;
        let entry = self.write(PageKind::Group, &bytes)?;
        let rows = shape.rows as u32;
        memory::push(
            &mut self.groups,
            DirectoryEntry { state: ExtentState::Group, rows, live: rows, ..entry },
        )?;
        batch.clear();
        self.batch = Some(batch);
        Ok(())
    }

    /// Writes pages after all others.
    fn write(&mut self, kind: PageKind, bytes: &[u8]) -> Result<DirectoryEntry> {
        let (first, generation, pages) =
            (self.meta.end, self.meta.next_generation, Extent::pages(bytes.len()));
        self.meta.end = first.checked_add(pages).ok_or_else(|| super::insert::full(self.index))?;
        self.meta.next_generation += 1;
        for (block, bytes) in (first..).zip(bytes.chunks(PAYLOAD)) {
            pgrx::check_for_interrupts!();
            self.index.new_page(block).fill_unlogged(PageTag { kind, generation }, bytes);
        }
        Ok(DirectoryEntry { state: ExtentState::Building, first, pages, generation, rows: 0, live: 0 })
    }

    /// Writes what is left: the last group or the tail, directory, metapage.
    fn finish(&mut self) -> Result<()> {
        self.write_group()?;
        self.write_tail()?;
        self.write_nulls()?;
        let mut block = self.meta.directory;
        let mut chunks = self.groups.chunks(DIRECTORY_ENTRIES).peekable();
        let mut bytes = memory::filled(0, PAYLOAD)?;
        loop {
            bytes.fill(0);
            for (i, entry) in chunks.next().unwrap_or_default().iter().enumerate() {
                DirectoryPage::set_entry(&mut bytes, i, *entry);
            }
            let next = chunks.peek().map(|_| self.meta.end);
            DirectoryPage::set_next(&mut bytes, next.unwrap_or(NO_BLOCK));
            self.index.new_page(block).fill_unlogged(PageTag::of(PageKind::Directory), &bytes);
            let Some(next) = next else { break };
            self.meta.end = next + 1;
            block = next;
        }
        let mut bytes = [0; Meta::SIZE];
        write_meta(&mut bytes, &self.meta);
        self.index.new_page(0).fill_unlogged(PageTag::of(PageKind::Meta), &bytes);
        Ok(())
    }

    fn write_nulls(&mut self) -> Result<()> {
        let mut bytes = memory::filled(0, PAYLOAD)?;
        let mut chunks = self.nulls.chunks(NullPage::ROWS).peekable();
        while let Some(tids) = chunks.next() {
            let block = self.meta.end;
            self.meta.end += 1;
            if self.meta.nulls_first == NO_BLOCK {
                self.meta.nulls_first = block;
            }
            self.meta.nulls_open = block;
            NullPage::set_tids(&mut bytes, tids);
            NullPage::set_next(&mut bytes, chunks.peek().map_or(NO_BLOCK, |_| block + 1));
            self.index.new_page(block).fill_unlogged(PageTag::of(PageKind::Nulls), &bytes);
        }
        Ok(())
    }

    fn write_tail(&mut self) -> Result<()> {
        let Some(layout) = self.meta.layout else { return Ok(()) };
        let mut bytes = memory::filled(0, PAYLOAD)?;
        let rows = std::mem::take(&mut self.first);
        let mut rows = rows.iter().peekable();
        while rows.peek().is_some() {
            bytes.fill(0);
            while let Some((tid, values)) = rows.peek() {
                if !tail_page::append(&mut bytes, layout, *tid, values)? {
                    break;
                }
                rows.next();
            }
            let block = self.meta.end;
            self.meta.end += 1;
            if self.meta.tail_first == NO_BLOCK {
                self.meta.tail_first = block;
            }
            self.meta.tail_last = block;
            self.meta.tail_pages += 1;
            tail_page::set_next(&mut bytes, if rows.peek().is_some() { self.meta.end } else { NO_BLOCK });
            self.index.new_page(block).fill_unlogged(PageTag::of(PageKind::Tail), &bytes);
        }
        Ok(())
    }
}
