//! The algebra of the cooperative space: layout, embeddings, queries and their masked distance.
//!
//! K attributes own one subspace of n dimensions each; the cratespace is their direct sum, N = K·n, and attribute k
//! owns dimensions `[k·n, (k+1)·n)`, so that every mask is a union of ranges. For retrieval each subspace is
//! L2-normalised on its own (Section 3 of arXiv 1904.01421).

mod binary;
mod distance;
mod embedding;
mod layout;
mod mean;
mod query;
mod task_layout;
mod text;

pub use distance::{
    distance, embedding_distance, prefetch, prefetch_embedding, squared_l2_f16, squared_l2_f16_f32,
};
pub use embedding::{normalize_subspaces, Embedding, EmbeddingRef};
pub use layout::{Layout, MAX_DIMENSIONS};
pub use mean::EmbeddingMean;
pub use query::{Query, QueryRef};
pub use task_layout::{Part, TaskLayout};
