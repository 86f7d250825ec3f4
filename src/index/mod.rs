//! The index: codes with true lower bounds, and a best-first search over them, for any mask and any weights.
//!
//! Rows lie in *groups* of some thousands; a build puts rows that are near each other in the superspace into the same ones. Each
//! subspace of a group has sections of its own, sorted by cell and by the distance from the cell's centre, so that a query reads
//! only the subspaces it asks for, and of those only the blocks that can hold an answer. A row's code is an 8-bit uniform
//! quantization of its residual from the centre, kept as two nibbles: the high ones are summed through tables in registers for
//! 32 rows at once, the low ones refine the few rows that come near the top. Each code comes with the length of the error it
//! leaves, rounded up: by the triangle inequality the distance to the code less that length is a lower bound of the row's
//! distance. Bounds of subspaces add up with the query's weights.
//!
//! A search may also stop at a *recall*: it follows a ranking of rows by their cells alone until the nearest have probably been found, and
//! bounds only those that a *sketch* of two bits a dimension says are near. Each row's cells lie together for that, and so do its sketches; each
//! group has a sample of cells, by which groups are ranked.
//!
//! New rows wait in a *tail*, as they are, until there are enough of them for a group.
//!
//! With 5,000,000 rows of 13x50 (`make bench-large`, under perf) a search spends a fourth to a third of its time in
//! PostgreSQL's look-up of pages and as much in bounding codes, and all of it waits for memory.
//!
//! Nothing here knows PostgreSQL: pages are seen through the trait [`Pages`].
//!
//! | file | |
//! |---|---|
//! | `format` | the layout of every page: constants and byte offsets |
//! | `metapage`, `directory_page`, `tail_page`, `null_page` | one kind of page each: read and written |
//! | `group`, `cell_blocks` | a group: rows encoded for searching |
//! | `quantizer`, `quantizer_training` | from embeddings to codes |
//! | `sketch` | two bits for each dimension of a row |
//! | `k_means` | centres of rows that are near each other |
//! | `clusters`, `cluster_sort` | rows that are near each other in the superspace, for the same groups |
//! | `encoded_rows` | rows between the quantizer and a group |
//! | `pages`, `extent`, `page_error` | what the storage provides, and streams over consecutive pages |
//! | `page_chains`, `snapshot` | directory, tail and null pages visited in order; the whole index at one moment |
//! | `search/` | the search |
//! | `unordered_scan` | all rows, for queries that have no distance from them |
//! | `cursor` | a search or unordered scan that survives a reorganization of the index |
//! | `kernels` | the inner loops, with SIMD |
//! | `rounding` | rounding in a known direction |

mod cell_blocks;
mod cluster_sort;
mod clusters;
mod cursor;
mod directory_page;
mod encoded_rows;
mod extent;
mod format;
mod group;
mod k_means;
mod kernels;
mod metapage;
mod null_page;
mod page_chains;
mod page_error;
mod pages;
mod quantizer;
mod quantizer_training;
mod rounding;
mod search;
mod sketch;
mod snapshot;
pub mod tail_page;
mod unordered_scan;

#[cfg(test)]
pub(crate) mod tests;

pub use cluster_sort::{ClusterSort, Spill};
pub use clusters::{wanted_clusters, Clusters};
pub use cursor::Cursor;
pub use directory_page::{DirectoryEntry, DirectoryPage, ExtentState};
pub use encoded_rows::{CodeMetadata, EncodedRows};
pub use extent::Extent;
pub use format::{
    GroupShape, PageKind, PageTag, Tid, CHILDREN, DIRECTORY_ENTRIES, MAGIC, MAX_CELLS, MAX_GROUP_ROWS,
    MAX_INDEX_DIMENSIONS, NO_BLOCK, OLDEST_VERSION, PAYLOAD, VERSION,
};
pub use group::{decode_group, encode_group, RowReader};
pub use kernels::prefetch;
pub use metapage::Meta;
pub use null_page::NullPage;
pub use page_error::{PageError, PageResult};
pub use pages::{Pages, PrefetchTarget};
pub use quantizer::{Encoder, Quantizer};
pub use quantizer_training::{train_quantizer, Reservoir};
pub use search::{DistanceSample, ExpectedQuery, SearchMode, SearchStats, MIN_RANKED_SUBSPACES};
pub use snapshot::IndexSnapshot;
pub use tail_page::TailPage;
