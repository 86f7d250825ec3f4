//! CREATE INDEX and REINDEX: builds an index over all rows of a table. Pages are written without WAL, and the whole file is logged at the end.

use super::build_callback::{build_callback, RowSink};
use super::build_sample::{sample_table, TableSample};
use super::extents::GROUP_ROWS;
use super::index_model::{check_model, check_size};
use super::relation::IndexRelation;
use super::reloptions;
use super::temporary_file::TemporaryFile;
use crate::error::{Kind as ErrorKind, Result};
use crate::index::{
    encode_group, tail_page, wanted_clusters, ClusterSort, DirectoryEntry, DirectoryPage, EncodedRows,
    Encoder, Extent, ExtentState, Meta, NullPage, PageKind, PageTag, Reservoir, Tid, DIRECTORY_ENTRIES,
    MAX_CELLS, NO_BLOCK, PAYLOAD,
};
use crate::memory;
use crate::pg::OrReport;
use crate::space::{EmbeddingRef, Layout};
use half::f16;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::c_char;

/// Subphases of a build in pg_stat_progress_create_index; the first, 1, is PostgreSQL's own.
const SAMPLING: i64 = 2;
const LOADING: i64 = 3;
const GROUPING: i64 = 4;
const LOGGING: i64 = 5;

/// ambuildphasename: names for pg_stat_progress_create_index.
#[pg_guard]
pub unsafe extern "C-unwind" fn phase_name(phase: i64) -> *mut c_char {
    match phase {
        1 => c"initializing",
        SAMPLING => c"training the quantizer",
        LOADING => c"loading rows",
        GROUPING => c"writing groups of rows",
        LOGGING => c"writing WAL",
        _ => return std::ptr::null_mut(),
    }
    .as_ptr()
    .cast_mut()
}

fn report_phase(phase: i64) {
    // SAFETY: writes into this backend's own entry in shared memory.
    unsafe { pg_sys::pgstat_progress_update_param(pg_sys::PROGRESS_CREATEIDX_SUBPHASE as i32, phase) }
}

/// ambuildempty: the initialization fork of an UNLOGGED index, which becomes the index after a crash.
#[pg_guard]
pub unsafe extern "C-unwind" fn build_empty(relation: pg_sys::Relation) {
    // SAFETY: PostgreSQL passes an open index.
    let index = unsafe { IndexRelation::new(relation) };
    let fork = pg_sys::ForkNumber::INIT_FORKNUM;
    let meta = new_meta(&index);
    index.new_page_in(fork, 0).fill_unlogged(PageTag::of(PageKind::Meta), &meta.to_bytes());
    index.new_page_in(fork, meta.directory).fill_unlogged(PageTag::of(PageKind::Directory), &[]);
    // SAFETY: the relation is open. The initialization fork of an unlogged relation is logged, unlike its other forks.
    unsafe { pg_sys::log_newpage_range(relation, fork, 0, index.fork_blocks(fork), true) };
}

/// The metapage of an index without rows: block 0 is the metapage, block 1 the only page of the directory.
fn new_meta(index: &IndexRelation) -> Meta {
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

/// ambuild: builds the index.
#[pg_guard]
pub unsafe extern "C-unwind" fn build(
    heap: pg_sys::Relation,
    relation: pg_sys::Relation,
    info: *mut pg_sys::IndexInfo,
) -> *mut pg_sys::IndexBuildResult {
    // SAFETY: PostgreSQL passes an open table, an open index and its IndexInfo. The callback gets an IndexBuild, which nobody else uses
    // during the scan.
    unsafe {
        let index = IndexRelation::new(relation);
        if index.fork_blocks(pg_sys::ForkNumber::MAIN_FORKNUM) != 0 {
            Err(index.error(ErrorKind::Internal, "already has pages")).or_report()
        }
        report_phase(SAMPLING);
        let sample = sample_table(heap, &index, info);
        report_phase(LOADING);
        let mut build = IndexBuild::new(&index, sample);
        let rows = pg_sys::table_index_build_scan(
            heap,
            relation,
            info,
            true,
            true,
            Some(build_callback::<IndexBuild<'_>>),
            (&raw mut build).cast(),
            std::ptr::null_mut(),
        );
        report_phase(GROUPING);
        build.finish().or_report();
        if build.skipped_deleted_rows {
            hide_from_older_snapshots(heap, relation, &mut *info);
        }
        report_phase(LOGGING);
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

/// Keeps transactions with an older snapshot from using the index: it lacks rows that they may see.
///
/// # Safety
/// The relations must be open, and `info` that of the index.
unsafe fn hide_from_older_snapshots(
    heap: pg_sys::Relation,
    index: pg_sys::Relation,
    info: &mut pg_sys::IndexInfo,
) {
    // For a new index, index_build() then sets pg_index.indcheckxmin. For an old one reindex_index() does not, so that is done below.
    info.ii_BrokenHotChain = true;
    // SAFETY: the caller promises open relations; the catalogue's row is changed as a copy, which is freed. The change is visible to the next
    // command, which begins before PostgreSQL reads the row again. Snapshots are compared with the transaction that wrote the row.
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
            Err(IndexRelation::new(index).error(ErrorKind::Internal, "is not in pg_index")).or_report()
        }
        (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_index>()).indcheckxmin = true;
        pg_sys::CatalogTupleUpdate(catalog, &mut (*tuple).t_self, tuple);
        pg_sys::heap_freetuple(tuple);
        pg_sys::table_close(catalog, lock);
        // Cached plans that use the index are made anew.
        pg_sys::CacheInvalidateRelcache(heap);
    }
}

/// Bytes of memory that writing a group takes: its rows three times, as encoded rows, as bytes, and to sort them.
fn group_memory(rows: usize, layout: Layout) -> usize {
    3 * rows * EncodedRows::row_memory(layout)
}

/// A build in progress. No other session sees the index yet, so its pages need no lock order.
struct IndexBuild<'a> {
    index: &'a IndexRelation,
    /// The metapage, written last.
    meta: Meta,
    /// What quantizer and clusters are trained from; `None` once they are trained, or if the sample met no row.
    sample: Option<TableSample>,
    /// Encodes rows, once there are enough for groups.
    encoder: Option<Encoder>,
    /// The first rows, as they are. If no more come, they are the tail.
    first_rows: Vec<(Tid, Vec<f16>)>,
    /// Puts rows that are near each other into the same groups; `None` if there are too few rows for that.
    sort: Option<ClusterSort<TemporaryFile>>,
    /// The rows of the next group, if they are not sorted.
    batch: Option<EncodedRows>,
    /// How many rows make a group.
    group_rows: usize,
    /// Bytes of memory that rows may take: `maintenance_work_mem`.
    memory: usize,
    /// Directory entries of the groups written so far.
    groups: Vec<DirectoryEntry>,
    /// Rows without an embedding.
    nulls: Vec<Tid>,
    /// How many rows have an embedding.
    rows: u64,
    /// Whether there were deleted rows of other models, which have no entries.
    skipped_deleted_rows: bool,
}

impl RowSink for IndexBuild<'_> {
    fn row(&mut self, tid: Tid, embedding: Option<EmbeddingRef<'_>>, alive: bool) -> Result<()> {
        let Some(embedding) = embedding else {
            return memory::push(&mut self.nulls, tid);
        };
        // Live rows decide the model.
        let model = self.meta.layout.or(self.sample.as_ref().map(|sample| sample.reservoir.layout()));
        if !alive && model != Some(embedding.layout) {
            self.skipped_deleted_rows = true;
            return Ok(());
        }
        match self.meta.layout {
            Some(ours) => check_model(self.index, ours, embedding.layout)?,
            None => self.begin(embedding.layout)?,
        }
        self.rows += 1;
        if self.encoder.is_none() {
            if self.first_rows.len() < 2 * self.meta.tail_rows as usize {
                return memory::push(&mut self.first_rows, (tid, memory::copied(embedding.values)?));
            }
            self.train(embedding.layout)?;
        }
        self.encode(tid, embedding.values)
    }
}

impl<'a> IndexBuild<'a> {
    fn new(index: &'a IndexRelation, sample: Option<TableSample>) -> Self {
        let meta = new_meta(index);
        Self {
            index,
            meta,
            sample,
            encoder: None,
            first_rows: Vec::new(),
            sort: None,
            batch: None,
            group_rows: GROUP_ROWS,
            memory: 0,
            groups: Vec::new(),
            nulls: Vec::new(),
            rows: 0,
            skipped_deleted_rows: false,
        }
    }

    /// Takes the model of the first row.
    fn begin(&mut self, layout: Layout) -> Result<()> {
        check_size(self.index, layout)?;
        if let Some(sample) = &self.sample {
            check_model(self.index, sample.reservoir.layout(), layout)?;
        }
        self.meta.layout = Some(layout);
        // SAFETY: reads a setting of this backend.
        self.memory = unsafe { pg_sys::maintenance_work_mem }.unsigned_abs() as usize * 1024;
        self.group_rows = (self.memory / group_memory(1, layout)).clamp(256, GROUP_ROWS);
        Ok(())
    }

    /// Trains quantizer and clusters, and encodes the first rows: there are enough rows for groups.
    fn train(&mut self, layout: Layout) -> Result<()> {
        // The sample met no row if all of them were inserted later.
        let TableSample { reservoir, table_rows } = match self.sample.take() {
            Some(sample) => sample,
            None => {
                let mut reservoir = Reservoir::new(layout);
                self.first_rows.iter().try_for_each(|(_, values)| reservoir.push(values))?;
                TableSample { reservoir, table_rows: self.first_rows.len() }
            }
        };
        if let Some(clusters) = reservoir.clusters(wanted_clusters(table_rows, self.group_rows))? {
            self.sort = Some(ClusterSort::new(clusters, layout, self.memory, TemporaryFile::new())?);
        }
        let quantizer = reservoir.train(self.meta.cells as usize)?;
        let entry = self.write_extent(PageKind::Quantizer, &quantizer.to_bytes()?)?;
        self.meta.quantizer = entry.first;
        self.meta.quantizer_generation = entry.generation;
        self.encoder = Some(quantizer.into_encoder()?);
        for (tid, values) in std::mem::take(&mut self.first_rows) {
            self.encode(tid, &values)?;
        }
        Ok(())
    }

    fn encode(&mut self, tid: Tid, values: &[f16]) -> Result<()> {
        let (Some(encoder), Some(layout)) = (&self.encoder, self.meta.layout) else { return Ok(()) };
        if let Some(sort) = &mut self.sort {
            return sort.push(encoder, tid, values);
        }
        let batch = self.batch.get_or_insert_with(|| EncodedRows::new(layout));
        encoder.push(batch, tid, values)?;
        if batch.rows() >= self.group_rows {
            self.write_batch()?;
        }
        Ok(())
    }

    /// Writes the rows that are not sorted as a group.
    fn write_batch(&mut self) -> Result<()> {
        let Some(mut batch) = self.batch.take().filter(|b| b.rows() > 0) else { return Ok(()) };
        self.write_group(&batch)?;
        batch.clear();
        self.batch = Some(batch);
        Ok(())
    }

    fn write_group(&mut self, rows: &EncodedRows) -> Result<()> {
        let (shape, bytes) = encode_group(rows, self.meta.cells as usize)?;
        let entry = self.write_extent(PageKind::Group, &bytes)?;
        let rows = shape.rows as u32;
        memory::push(
            &mut self.groups,
            DirectoryEntry { state: ExtentState::Group, rows, live: rows, ..entry },
        )
    }

    /// Writes bytes into new pages at the end of the file.
    fn write_extent(&mut self, kind: PageKind, bytes: &[u8]) -> Result<DirectoryEntry> {
        let (first, generation, pages) =
            (self.meta.end, self.meta.next_generation, Extent::pages(bytes.len()));
        self.meta.end = first.checked_add(pages).ok_or_else(|| self.index.full())?;
        self.meta.next_generation += 1;
        for (block, bytes) in (first..).zip(bytes.chunks(PAYLOAD)) {
            pgrx::check_for_interrupts!();
            self.index.new_page(block).fill_unlogged(PageTag { kind, generation }, bytes);
        }
        Ok(DirectoryEntry { state: ExtentState::Building, first, pages, generation, rows: 0, live: 0 })
    }

    /// Writes the rest: sorted rows, the last group or the tail, rows without an embedding, directory, metapage.
    fn finish(&mut self) -> Result<()> {
        if let (Some(sort), Some(layout)) = (self.sort.take(), self.meta.layout) {
            let left = self.memory.saturating_sub(group_memory(self.group_rows, layout));
            sort.into_groups(self.group_rows, left, |rows| self.write_group(rows))?;
        }
        self.write_batch()?;
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
        self.index.new_page(0).fill_unlogged(PageTag::of(PageKind::Meta), &self.meta.to_bytes());
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
        let rows = std::mem::take(&mut self.first_rows);
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
