//! Some of the rows: in memory, or in a file of their own.

use super::rows::Rows;
use super::Guest;
use crate::error::Result;
use crate::index::Spill;
use crate::memory;
use crate::space::Layout;
use half::f16;
use std::ops::Range;

/// Rows of a chunk, which is what is written to a file and read back at a time.
const CHUNK_ROWS: usize = 32;
/// Of each sampled chunk so many rows are taken: neighbours in a table are often like each other.
const SAMPLED_OF_CHUNK: usize = 8;
/// Rows of a sample, at most.
const MAX_SAMPLE: usize = 2048;

/// Some of the rows.
pub struct Part<S: Spill> {
    /// Those in memory; in a part that has a file, the last ones that came.
    rows: Rows,
    file: Option<S>,
    chunks: Vec<Chunk<S::At>>,
    /// Rows in the file, and their bytes.
    spilled: usize,
    spilled_bytes: usize,
    greatest_squared_norm: f32,
    /// How often the rows have been split.
    depth: u32,
    buffer: Vec<u8>,
}

/// Rows in a file.
struct Chunk<At> {
    bytes: usize,
    at: At,
}

impl<S: Spill> Part<S> {
    /// A part without rows, of rows that have been split so often.
    pub fn new(layout: Layout, depth: u32) -> Self {
        Self {
            rows: Rows::new(layout),
            file: None,
            chunks: Vec::new(),
            spilled: 0,
            spilled_bytes: 0,
            greatest_squared_norm: 0.0,
            depth,
            buffer: Vec::new(),
        }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn push(&mut self, id: &[u8], values: &[f16], guest: Guest) -> Result<()> {
        self.rows.push(id, values, guest)?;
        let squared_norm = self.rows.squared_norm(self.rows.len() - 1);
        self.greatest_squared_norm = self.greatest_squared_norm.max(squared_norm);
        Ok(())
    }

    /// Writes the rows in memory to the part's file; `create` makes one if it has none.
    ///
    /// # Errors
    /// Those of [`Spill::write`]; [`crate::error::Kind::OutOfMemory`].
    pub fn spill(&mut self, create: impl FnOnce() -> S) -> Result<()> {
        let file = self.file.get_or_insert_with(create);
        for first in (0..self.rows.len()).step_by(CHUNK_ROWS) {
            self.buffer.clear();
            self.rows.append_bytes(first..self.rows.len().min(first + CHUNK_ROWS), &mut self.buffer)?;
            let at = file.write(&self.buffer)?;
            memory::push(&mut self.chunks, Chunk { bytes: self.buffer.len(), at })?;
            self.spilled_bytes += self.buffer.len();
        }
        self.spilled += self.rows.len();
        self.rows = Rows::new(self.rows.layout());
        Ok(())
    }

    /// Whether the rows in memory fill a chunk.
    pub fn has_chunk(&self) -> bool {
        self.rows.len() >= CHUNK_ROWS
    }

    /// The space of the rows.
    pub fn layout(&self) -> Layout {
        self.rows.layout()
    }

    /// How often the rows have been split.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Has the rows split no more: it did not make them fewer.
    pub fn end_splits(&mut self) {
        self.depth = super::MAX_DEPTH;
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.spilled + self.rows.len()
    }

    /// Bytes that the rows take in memory which are there.
    pub fn memory(&self) -> usize {
        self.rows.memory()
    }

    /// Bytes that all rows would take in memory, about.
    pub fn bytes(&self) -> usize {
        self.rows.memory() + self.spilled_bytes + self.spilled_bytes / 8
    }

    /// Bytes of a chunk, about.
    pub fn chunk_bytes(&self) -> usize {
        (self.bytes() / self.len().max(1) * CHUNK_ROWS).max(1)
    }

    /// The greatest squared length of an embedding.
    pub fn greatest_squared_norm(&self) -> f32 {
        self.greatest_squared_norm
    }

    /// The number of chunks: those of the file, and the rows in memory as one more.
    pub fn chunks(&self) -> usize {
        self.chunks.len() + usize::from(self.rows.len() > 0)
    }

    /// The rows of some chunks, or of as many of them as there are.
    ///
    /// # Errors
    /// Those of [`Spill::read`]; [`crate::error::Kind::OutOfMemory`].
    pub fn load(&mut self, chunks: Range<usize>) -> Result<Rows> {
        let mut rows = Rows::new(self.layout());
        let Self { chunks: in_file, file, buffer, .. } = self;
        let end = chunks.end.min(in_file.len());
        for chunk in in_file.get(chunks.start.min(end)..end).unwrap_or_default() {
            if let Some(file) = file {
                buffer.clear();
                memory::reserve(buffer, chunk.bytes)?;
                buffer.resize(chunk.bytes, 0);
                file.read(&chunk.at, buffer)?;
                rows.extend_from_bytes(buffer)?;
            }
        }
        if chunks.contains(&in_file.len()) {
            rows.append(&self.rows)?;
        }
        Ok(rows)
    }

    /// Some rows from all over the part, in about `memory` bytes.
    ///
    /// # Errors
    /// As [`Part::load`].
    pub fn sample(&mut self, memory: usize) -> Result<Rows> {
        let row_bytes = (self.bytes() / self.len().max(1)).max(1);
        let wanted = (memory / row_bytes).clamp(SAMPLED_OF_CHUNK, MAX_SAMPLE);
        let chunks = wanted.div_ceil(SAMPLED_OF_CHUNK).min(self.chunks());
        let mut sample = Rows::new(self.layout());
        for i in 0..chunks {
            let chunk = i * self.chunks() / chunks;
            let rows = self.load(chunk..chunk + 1)?;
            let step = (rows.len() / SAMPLED_OF_CHUNK).max(1);
            for row in (0..rows.len()).step_by(step).take(SAMPLED_OF_CHUNK) {
                sample.push(rows.id(row), rows.values(row), rows.guest(row))?;
            }
        }
        Ok(sample)
    }
}
