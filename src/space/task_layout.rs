//! Task layouts: which part of an embedding a training method compares instances, attribute values and categories in.

use std::ops::Range;

/// S subspaces of d dimensions, each L2-normalised for retrieval, and the part that each task uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskLayout {
    /// S, the number of subspaces.
    pub subspaces: usize,
    /// d, the dimensions of each subspace.
    pub dim: usize,
    /// The part in which instances are compared.
    pub instance: Part,
    /// `[attributes]`: the part in which the values of each attribute are compared.
    pub attributes: Vec<Part>,
    /// The part in which categories are compared.
    pub category: Part,
}

/// A part of an embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All subspaces.
    Superspace,
    /// The subspace of this number.
    Subspace(usize),
}

impl TaskLayout {
    /// The paper's layout: a subspace for each attribute, and the superspace for instances and categories.
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
