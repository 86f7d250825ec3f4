//! A tree of splits, and the way of a row through it.

use super::reach::{project, Reach};
use super::rows::Rows;
use super::split::Split;
use super::{Guest, MAX_DEPTH};
use crate::error::Result;
use crate::memory;

/// A part is not split by fewer rows of a sample than this.
const MIN_SAMPLE: usize = 24;

/// A tree of splits. Its leaves are the parts that it makes.
pub struct SplitTree {
    /// The root is the last one.
    nodes: Vec<Node>,
    /// `[parts]`: how often the rows of each have been split.
    depths: Vec<u32>,
}

enum Node {
    Part(usize),
    Split { split: Split, depth: u32, left: usize, right: usize },
}

impl SplitTree {
    /// A tree of at most about `parts` parts, chosen by a sample of rows that have been split `depth` times; `None` if no split is worthwhile.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfMemory`].
    pub fn new(sample: &Rows, depth: u32, parts: usize, reach: &Reach) -> Result<Option<Self>> {
        let mut tree = Self { nodes: Vec::new(), depths: Vec::new() };
        tree.add(sample, memory::collect(0..sample.len() as u32)?, depth, parts, reach)?;
        Ok((tree.depths.len() > 1).then_some(tree))
    }

    /// Adds the node of some rows of the sample, after those below it; returns its number.
    fn add(
        &mut self,
        sample: &Rows,
        rows: Vec<u32>,
        depth: u32,
        parts: usize,
        reach: &Reach,
    ) -> Result<usize> {
        let can_split = parts > 1 && depth < MAX_DEPTH && rows.len() >= MIN_SAMPLE;
        let split = if can_split { Split::best(sample, &rows, reach)? } else { None };
        let node = match split {
            None => {
                memory::push(&mut self.depths, depth)?;
                Node::Part(self.depths.len() - 1)
            }
            Some(split) => {
                let (mut lefts, mut rights) = (Vec::new(), Vec::new());
                for row in rows {
                    let (left, right) = split.sides(project(sample, row as usize, &split.vector), reach);
                    left.then(|| memory::push(&mut lefts, row)).transpose()?;
                    right.then(|| memory::push(&mut rights, row)).transpose()?;
                }
                let left = self.add(sample, lefts, depth + 1, parts / 2, reach)?;
                let right = self.add(sample, rights, depth + 1, parts - parts / 2, reach)?;
                Node::Split { split, depth, left, right }
            }
        };
        memory::push(&mut self.nodes, node)?;
        Ok(self.nodes.len() - 1)
    }

    /// How often the rows of each part have been split.
    pub fn depths(&self) -> impl Iterator<Item = u32> + '_ {
        self.depths.iter().copied()
    }

    /// Calls `visit` with each part that a row belongs to, and with the splits that it is a guest of there.
    ///
    /// # Errors
    /// Those of `visit`.
    pub fn for_each_part(
        &self,
        rows: &Rows,
        row: usize,
        reach: &Reach,
        visit: &mut dyn FnMut(usize, Guest) -> Result<()>,
    ) -> Result<()> {
        self.descend(self.nodes.len() - 1, rows, row, rows.guest(row), reach, visit)
    }

    fn descend(
        &self,
        node: usize,
        rows: &Rows,
        row: usize,
        guest: Guest,
        reach: &Reach,
        visit: &mut dyn FnMut(usize, Guest) -> Result<()>,
    ) -> Result<()> {
        match &self.nodes[node] {
            Node::Part(part) => visit(*part, guest),
            Node::Split { split, depth, left, right } => {
                let (is_left, is_right) = split.sides(project(rows, row, &split.vector), reach);
                if is_left {
                    let guest = guest | Guest::from(is_right) << depth;
                    self.descend(*left, rows, row, guest, reach, visit)?;
                }
                if is_right {
                    self.descend(*right, rows, row, guest, reach, visit)?;
                }
                Ok(())
            }
        }
    }
}
