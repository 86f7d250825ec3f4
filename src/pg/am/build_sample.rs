//! The sample of a table's rows from which a build trains the quantizer.

use super::build_callback::{build_callback, RowSink};
use super::index_model::{check_model, check_size};
use super::relation::IndexRelation;
use crate::error::Result;
use crate::index::{Reservoir, Tid};
use crate::space::EmbeddingRef;
use pgrx::pg_sys;

/// Rows to read: as many as a quantizer is trained from at most, and some to choose from.
const SAMPLE_ROWS: usize = 20_000;

/// The state of the scan that samples.
struct SampleSink<'a> {
    index: &'a IndexRelation,
    /// What the quantizer is trained from; `None` before the first row.
    reservoir: Option<Reservoir>,
    /// Rows read so far.
    rows: usize,
}

/// Reads the rows of random blocks, all over the table. `None` if they have no embedding.
///
/// # Safety
/// `heap` must be the index's table, open, and `info` what PostgreSQL passes to ambuild.
pub unsafe fn sample_table(
    heap: pg_sys::Relation,
    index: &IndexRelation,
    info: *mut pg_sys::IndexInfo,
) -> Option<Reservoir> {
    let mut sample = SampleSink { index, reservoir: None, rows: 0 };
    // SAFETY: the caller promises an open table and its IndexInfo; the callback gets a SampleSink, which nobody else uses during the scan.
    unsafe {
        let blocks = pg_sys::RelationGetNumberOfBlocksInFork(heap, pg_sys::ForkNumber::MAIN_FORKNUM);
        // Rows that any snapshot may see will do for training. A concurrent build scans with a snapshot, which does not allow that.
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
                Some(build_callback::<SampleSink<'_>>),
                (&raw mut sample).cast(),
                std::ptr::null_mut(),
            );
        }
    }
    sample.reservoir
}

impl RowSink for SampleSink<'_> {
    fn row(&mut self, _tid: Tid, embedding: Option<EmbeddingRef<'_>>, alive: bool) -> Result<()> {
        // Deleted rows may be of another model.
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
