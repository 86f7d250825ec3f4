//! All pairs of embeddings within a distance of each other, in bounded memory: a similarity join.
//!
//! Rows are split in two by a hyperplane, and each half again, for as long as that saves comparisons. A pair within the distance may lie on
//! both sides: so the rows on the right that are no further from the hyperplane than the distance are put into the left half too, as its
//! *guests*. A pair on both sides is found on the left, one of two rows on the right is found there, and two guests are never compared
//! with each other. So each pair is found exactly once. What is left in the end is compared row by row, in the order of a projection.
//!
//! Rows that do not fit in memory lie in files: a part of them is split many ways at a time, by a tree of hyperplanes that a sample chooses.
//!
//! No bound is ever too high: `|w·a − w·b| <= ‖a − b‖` for a vector w of length 1, and rounding is added to the distance
//! ([`reach::Reach`]). Whether a pair counts is decided by [`embedding_distance`], as `<->` computes it.
//!
//! | file | |
//! |---|---|
//! | `rows` | rows in memory, and as bytes |
//! | `part` | some of the rows, in memory or in a file |
//! | `reach` | the distance with what rounding may add to it; projections |
//! | `split` | the hyperplane that saves most comparisons of a sample |
//! | `split_tree` | a tree of them, and its way for a row |
//! | `sketch` | a few projections of each row, which tell most pairs apart |
//! | `compare` | rows that fit in memory: split further, then compared |
//!
//! [`embedding_distance`]: crate::space::embedding_distance

mod compare;
mod part;
mod reach;
mod rows;
mod sketch;
mod split;
mod split_tree;

#[cfg(test)]
mod tests;

use crate::error::Result;
use crate::index::Spill;
use crate::space::EmbeddingRef;
use compare::Comparison;
use part::Part;
use reach::Reach;
use split_tree::SplitTree;

/// Makes files for rows that have no room in memory.
pub trait Files {
    /// A file.
    type File: Spill;

    /// A new file. Nothing is written to it before the next one is made.
    fn create(&self) -> Self::File;
}

/// Which splits a row is a guest of: one bit for each on its way.
type Guest = u64;

/// Splits on the way of a row, at most.
const MAX_DEPTH: u32 = 62;
/// Two blocks of a part that no hyperplane splits are guests of these two: rows of one are compared with those of the other only.
const BLOCKS: [Guest; 2] = [1 << 62, 1 << 63];
/// Parts that rows in files are split into at a time, at most.
const MAX_FAN_OUT: usize = 32;
/// Less memory than this would make more files than it saves.
const MIN_MEMORY: usize = 1 << 20;

/// Finds all pairs of rows within a distance.
pub struct PairJoin<F: Files> {
    threshold: f64,
    /// Bytes of memory for rows.
    memory: usize,
    files: F,
    /// All rows; `None` before the first.
    part: Option<Part<F::File>>,
}

/// What is called with the ids of a pair, the smaller first, and their distance.
pub type Found<'a> = dyn FnMut(&[u8], &[u8], f64) -> Result<()> + 'a;

impl<F: Files> PairJoin<F> {
    /// Pairs no further apart than `threshold`, found in about `memory` bytes.
    pub fn new(threshold: f64, memory: usize, files: F) -> Self {
        Self { threshold, memory: memory.max(MIN_MEMORY), files, part: None }
    }

    /// Adds a row. Ids are compared byte by byte; rows of one id are no pair.
    ///
    /// # Errors
    /// [`crate::error::Kind::Mismatch`] for an embedding of another model than the first; those of [`Spill::write`];
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn push(&mut self, id: &[u8], embedding: EmbeddingRef<'_>) -> Result<()> {
        let part = self.part.get_or_insert_with(|| Part::new(embedding.layout, 0));
        part.layout().check_same(&embedding.layout)?;
        part.push(id, embedding.values, 0)?;
        if part.memory() > self.memory {
            part.spill(|| self.files.create())?;
        }
        Ok(())
    }

    /// Calls `found` with each pair, in no particular order, and `wait` again and again, so that the work can be interrupted.
    ///
    /// # Errors
    /// Those of [`Spill`] and of `found`; [`crate::error::Kind::OutOfMemory`].
    pub fn finish(self, wait: &mut dyn FnMut(), found: &mut Found<'_>) -> Result<()> {
        let Self { threshold, memory, files, part } = self;
        let Some(part) = part else { return Ok(()) };
        let reach = Reach::new(threshold, part.layout(), part.greatest_squared_norm());
        Search { comparison: Comparison { threshold, reach, wait, found }, memory, files }.part(part)
    }
}

/// The search for pairs, once all rows are there.
struct Search<'a, F: Files> {
    comparison: Comparison<'a>,
    memory: usize,
    files: F,
}

impl<F: Files> Search<'_, F> {
    /// Finds the pairs of a part. Each file is gone as soon as its rows have been read.
    fn part(&mut self, mut part: Part<F::File>) -> Result<()> {
        let (depth, count) = (part.depth(), part.len());
        if part.bytes() <= self.memory {
            return self.comparison.all(&part.load(0..usize::MAX)?, depth);
        }
        // All of it is written before any of it is read.
        part.spill(|| self.files.create())?;
        let fan_out = (self.memory / 4 / part.chunk_bytes()).clamp(2, MAX_FAN_OUT);
        let sample = part.sample(self.memory / 4)?;
        let Some(tree) = SplitTree::new(&sample, depth, fan_out, &self.comparison.reach)? else {
            return self.blocks(part);
        };
        drop(sample);
        for mut part in self.split(part, &tree)? {
            if part.len() > count / 20 * 19 {
                part.end_splits();
            }
            self.part(part)?;
        }
        Ok(())
    }

    /// The parts that a tree splits another one into.
    fn split(&mut self, mut part: Part<F::File>, tree: &SplitTree) -> Result<Vec<Part<F::File>>> {
        let mut parts = crate::memory::collect(tree.depths().map(|depth| Part::new(part.layout(), depth)))?;
        for chunk in 0..part.chunks() {
            (self.comparison.wait)();
            let rows = part.load(chunk..chunk + 1)?;
            for row in 0..rows.len() {
                tree.for_each_part(&rows, row, &self.comparison.reach, &mut |number, guest| {
                    let part = &mut parts[number];
                    part.push(rows.id(row), rows.values(row), guest)?;
                    if part.has_chunk() {
                        part.spill(|| self.files.create())?;
                    }
                    Ok(())
                })?;
            }
        }
        Ok(parts)
    }

    /// Finds the pairs of a part that is larger than memory, and that no hyperplane splits: block by block.
    fn blocks(&mut self, mut part: Part<F::File>) -> Result<()> {
        let step = (self.memory / 3 / part.chunk_bytes()).max(1);
        for first in (0..part.chunks()).step_by(step) {
            let mut block = part.load(first..first + step)?;
            self.comparison.all(&block, MAX_DEPTH)?;
            let rows = block.len();
            block.add_guest(0, BLOCKS[0]);
            for other in (first + step..part.chunks()).step_by(step) {
                block.truncate(rows);
                block.append(&part.load(other..other + step)?)?;
                block.add_guest(rows, BLOCKS[1]);
                self.comparison.all(&block, MAX_DEPTH)?;
            }
        }
        Ok(())
    }
}
