//! The algebra of the cooperative space: layout, embeddings, queries and their masked distance.
//!
//! K attributes own one subspace of n dimensions each; the superspace is their direct sum, N = K·n, and attribute k
//! owns dimensions `[k·n, (k+1)·n)`, so that every mask is a union of ranges. For retrieval each subspace is
//! L2-normalised on its own (Section 3 of arXiv 1904.01421).
//!
//! | file | |
//! |---|---|
//! | `layout` | K, n and the model's fingerprint |
//! | `embedding` | [`Embedding`], the value of a `coopvec` |
//! | `query` | [`Query`], the value of a `coopquery`, and its algebra: sums, scales, replaced attributes |
//! | `distance` | the distance between them, with SIMD kernels |
//! | `diversity` | [`diverse`]: variety among the nearest |
//! | `mean` | [`EmbeddingMean`], the state of `avg(coopvec)` |
//! | `text_format`, `binary_format` | how both are written and read |
//! | `json_format` | how both are written as JSON |
//! | `task_layout` | [`TaskLayout`]: which part of an embedding answers which question, for training and evaluation |

mod binary_format;
mod distance;
mod diversity;
mod embedding;
mod json_format;
mod layout;
mod mean;
mod query;
mod task_layout;
mod text_format;

pub use distance::{
    distance, embedding_distance, prefetch, prefetch_embedding, squared_l2_f16, squared_l2_f16_f32,
};
pub use diversity::diverse;
pub use embedding::{normalize_subspaces, Embedding, EmbeddingRef};
pub use json_format::{EmbeddingJson, QueryJson};
pub use layout::{Layout, MAX_DIMENSIONS};
pub use mean::EmbeddingMean;
pub use query::{Query, QueryRef};
pub use task_layout::{Part, TaskLayout};
