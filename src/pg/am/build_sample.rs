//! The sample of a table's rows from which a build trains quantizer and clusters.

use super::build_callback::{build_callback, RowSink};
use super::index_model::{check_model, check_size};
use super::relation::IndexRelation;
use crate::error::Result;
use crate::index::{Reservoir, Tid};
use crate::space::EmbeddingRef;
use pgrx::pg_sys;

/// Rows to read: as many as they are trained from at most, and some to choose from.
const SAMPLE_ROWS: usize = 20_000;
/// Blocks to read at most, if most have no rows for the index.
const SAMPLE_BLOCKS: usize = SAMPLE_ROWS;

/// A sample of a table's rows.
pub struct TableSample {
    /// What quantizer and clusters are trained from.
    pub reservoir: Reservoir,
    /// About how many rows with an embedding the whole table has.
    pub table_rows: usize,
}

/// The state of the scan that samples.
struct SampleSink<'a> {
    index: &'a IndexRelation,
    /// What the quantizer is trained from; `None` before the first row.
    reservoir: Option<Reservoir>,
    /// Rows read so far.
    rows: usize,
}

/// All blocks from 0, each once, in an order of which every beginning lies all over the table: steps of about the golden ratio.
fn scattered_blocks(blocks: u32) -> impl Iterator<Item = u32> {
    let count = u64::from(blocks);
    let coprime = |step: &u64| {
        let (mut a, mut b) = (count, *step);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a == 1
    };
    let golden = (count as f64 * 0.618_033_988_75) as u64;
    let step = (golden.max(1)..=count).find(coprime).unwrap_or(1);
    (0..count).map(move |i| (i * step % count) as u32)
}

/// Reads the rows of blocks all over the table. `None` if they have no embedding.
///
/// # Safety
/// `heap` must be the index's table, open, and `info` what PostgreSQL passes to ambuild.
pub unsafe fn sample_table(
    heap: pg_sys::Relation,
    index: &IndexRelation,
    info: *mut pg_sys::IndexInfo,
) -> Option<TableSample> {
    let mut sample = SampleSink { index, reservoir: None, rows: 0 };
    let mut read: u32 = 0;
    // SAFETY: the caller promises an open table and its IndexInfo; the callback gets a SampleSink, which nobody else uses during the scan.
    let blocks = unsafe {
        let blocks = pg_sys::RelationGetNumberOfBlocksInFork(heap, pg_sys::ForkNumber::MAIN_FORKNUM);
        // Rows that any snapshot may see will do for training. A concurrent build scans with a snapshot, which does not allow that.
        let any_visible = !(*info).ii_Concurrent;
        for block in scattered_blocks(blocks).take(SAMPLE_BLOCKS) {
            if sample.rows >= SAMPLE_ROWS {
                break;
            }
            read += 1;
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
        blocks
    };
    let table_rows = (sample.rows as f64 * f64::from(blocks) / f64::from(read)) as usize;
    sample.reservoir.map(|reservoir| TableSample { reservoir, table_rows })
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

#[cfg(test)]
mod tests {
    use super::scattered_blocks;

    #[test]
    fn blocks_come_once_and_every_beginning_is_all_over_the_table() {
        for blocks in [0, 1, 2, 3, 4, 6, 17, 1000, 1001, 65_536] {
            let mut order: Vec<u32> = scattered_blocks(blocks).collect();
            for taken in [blocks / 50, blocks / 7] {
                let mut tenths = [0u32; 10];
                for &block in &order[..taken as usize] {
                    tenths[(10 * u64::from(block) / u64::from(blocks)) as usize] += 1;
                }
                let even = tenths.iter().all(|n| n.abs_diff(taken / 10) < 5);
                assert!(taken < 100 || even, "{taken} of {blocks}: {tenths:?}");
            }
            order.sort_unstable();
            assert!(order.into_iter().eq(0..blocks));
        }
        let first: Vec<u32> =
            scattered_blocks(u32::MAX).take(3).map(|block| block / (u32::MAX / 100)).collect();
        assert_eq!(first, [0, 61, 23]);
    }
}
