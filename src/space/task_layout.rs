//! Which part of an embedding answers which question.

use std::ops::Range;

/// How an embedding is divided: S subspaces of d dimensions, each L2-normalised for retrieval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskLayout {
    /// S.
    pub subspaces: usize,
    /// d.
    pub dim: usize,
    /// Where instances are compared.
    pub instance: Part,
    /// Where each attribute's values are.
    pub attributes: Vec<Part>,
    /// Where categories are.
    pub category: Part,
}

/// A part of an embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All subspaces.
    Superspace,
    /// One.
    Subspace(usize),
}

impl TaskLayout {
    /// The paper's: a subspace per attribute, instances and categories in all of them.
    pub fn cooperative(attributes: usize, dim: usize) -> Self {
        Self {
            subspaces: attributes,
            dim,
            instance: Part::Superspace,
            attributes: (0..attributes).map(Part::Subspace).collect(),
            category: Part::Superspace,
        }
    }

    /// The dimensions of a part.
    pub fn range(&self, part: Part) -> Range<usize> {
        match part {
            Part::Superspace => 0..self.subspaces * self.dim,
            Part::Subspace(k) => k * self.dim..(k + 1) * self.dim,
        }
    }
}
