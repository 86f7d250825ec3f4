//! The queries that an evaluation asks: those that a model stores, under the names of its vocabulary.

use crate::space::{Part, Query};

/// The stored queries of a model.
#[derive(Debug, Clone)]
pub struct StoredQueries {
    /// The part of the embedding in which instances are compared.
    pub instance: Part,
    /// Per attribute of the model, the queries of its values.
    pub attributes: Vec<NamedQueries>,
    /// The queries of the categories.
    pub categories: NamedQueries,
}

/// The queries of one attribute, or of the categories.
#[derive(Debug, Clone)]
pub struct NamedQueries {
    /// The attribute's name, or "category".
    pub name: String,
    /// Per value or category, its name and its query; `None` if no training image shows it.
    pub queries: Vec<(String, Option<Query>)>,
}
