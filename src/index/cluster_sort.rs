//! Sorts the rows of a build by their clusters, partly outside of memory: a distribution sort.

use super::clusters::{cut_groups, Clusters};
use super::encoded_rows::EncodedRows;
use super::format::Tid;
use super::quantizer::Encoder;
use crate::error::Result;
use crate::memory;
use crate::space::Layout;
use half::f16;

/// Where rows wait that have no room in memory: bytes are appended, and read back once.
pub trait Spill {
    /// Where some bytes have been written.
    type At;

    /// Appends bytes.
    ///
    /// # Errors
    /// Those of the storage.
    fn write(&mut self, bytes: &[u8]) -> Result<Self::At>;

    /// Reads bytes back, as many as `out` has room for.
    ///
    /// # Errors
    /// Those of the storage.
    fn read(&mut self, at: &Self::At, out: &mut [u8]) -> Result<()>;
}

/// Rows on their way into groups of rows that are near each other.
pub struct ClusterSort<S: Spill> {
    clusters: Clusters,
    /// `[clusters]`.
    parts: Vec<ClusterRows<S::At>>,
    spill: S,
    /// Bytes that rows may take in memory, and how many they take.
    limit: usize,
    used: usize,
    /// Bytes of spilled rows; kept for their memory.
    buffer: Vec<u8>,
}

/// The rows of a cluster, in the order in which they came.
struct ClusterRows<At> {
    /// Those that have been spilled: how many at a time, and where.
    spilled: Vec<(usize, At)>,
    /// Those that came last.
    rows: EncodedRows,
    /// How many they are together.
    count: usize,
}

impl<S: Spill> ClusterSort<S> {
    /// Sorts rows of this space in about `limit` bytes of memory.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn new(clusters: Clusters, layout: Layout, limit: usize, spill: S) -> Result<Self> {
        let part = |_| ClusterRows { spilled: Vec::new(), rows: EncodedRows::new(layout), count: 0 };
        let parts = memory::collect((0..clusters.count()).map(part))?;
        Ok(Self { clusters, parts, spill, limit, used: 0, buffer: Vec::new() })
    }

    /// Adds a row of `[K·n]` numbers.
    ///
    /// # Errors
    /// Those of [`Spill::write`]; [`crate::error::Kind::OutOfMemory`].
    pub fn push(&mut self, encoder: &Encoder, tid: Tid, values: &[f16]) -> Result<()> {
        let part = &mut self.parts[self.clusters.nearest(values)];
        encoder.push(&mut part.rows, tid, values)?;
        part.count += 1;
        self.used += EncodedRows::row_memory(part.rows.layout);
        if self.used > self.limit {
            self.spill_largest(self.limit / 2)?;
        }
        Ok(())
    }

    /// Spills the clusters that have most rows in memory, until rows take no more than `limit` bytes there.
    fn spill_largest(&mut self, limit: usize) -> Result<()> {
        let mut order: Vec<usize> = memory::collect(0..self.parts.len())?;
        order.sort_unstable_by_key(|&i| std::cmp::Reverse(self.parts[i].rows.rows()));
        for i in order {
            if self.used <= limit {
                break;
            }
            let part = &mut self.parts[i];
            let rows = part.rows.rows();
            self.buffer.clear();
            part.rows.append_bytes(&mut self.buffer)?;
            memory::push(&mut part.spilled, (rows, self.spill.write(&self.buffer)?))?;
            self.used -= rows * EncodedRows::row_memory(part.rows.layout);
            // The memory is for any cluster's rows.
            part.rows = EncodedRows::new(part.rows.layout);
        }
        Ok(())
    }

    /// Calls `group` with the rows of one group after the other, each of at most `most` rows. All rows together keep about `limit` bytes of
    /// memory meanwhile.
    ///
    /// # Errors
    /// Those of [`Spill::read`] and of `group`; [`crate::error::Kind::OutOfMemory`].
    pub fn into_groups(
        mut self,
        most: usize,
        limit: usize,
        mut group: impl FnMut(&EncodedRows) -> Result<()>,
    ) -> Result<()> {
        self.spill_largest(limit)?;
        let Some(layout) = self.parts.first().map(|part| part.rows.layout) else { return Ok(()) };
        let sizes = cut_groups(self.parts.iter().map(|part| part.count), most)?;
        let mut sizes = sizes.into_iter().peekable();
        let (mut batch, mut from_spill) = (EncodedRows::new(layout), EncodedRows::new(layout));
        let mut add = |rows: &EncodedRows| -> Result<()> {
            let mut at = 0;
            while let Some(size) = sizes.peek().filter(|_| at < rows.rows()) {
                let end = rows.rows().min(at + size - batch.rows());
                batch.extend(rows, at..end)?;
                at = end;
                if batch.rows() == *size {
                    group(&batch)?;
                    batch.clear();
                    sizes.next();
                }
            }
            Ok(())
        };
        for part in self.parts {
            for (rows, at) in &part.spilled {
                self.buffer.clear();
                let bytes = rows * EncodedRows::row_bytes(layout);
                memory::reserve(&mut self.buffer, bytes)?;
                self.buffer.resize(bytes, 0);
                self.spill.read(at, &mut self.buffer)?;
                from_spill.clear();
                from_spill.extend_from_bytes(&self.buffer)?;
                add(&from_spill)?;
            }
            add(&part.rows)?;
        }
        Ok(())
    }
}
