//! The index: codes with true lower bounds, and a best-first search over them, for any mask and any weights.
//!
//! Rows lie in *groups* of some thousands. Each subspace of a group has planes of its own, sorted by cell and by the
//! distance from the cell's centre, so that a query reads only the subspaces it asks for, and of those only the blocks
//! that can hold an answer. A row's code is an 8-bit uniform quantization of its residual from the centre, kept as two
//! nibbles: the high ones are summed through tables in registers for 32 rows at once, the low ones sharpen the few rows
//! that come near the top. Each comes with the length of what the code leaves out, rounded up: by the triangle
//! inequality the distance to the code less that length never exceeds the row's distance. Bounds of subspaces add up
//! with the query's weights.
//!
//! New rows wait in a *tail*, as they are, until there are enough of them for a group.
//!
//! Where the time of a search goes at 5,000,000 rows of 13x50 (`make bench-large`; perf): a fourth to a third into PostgreSQL's look-up of
//! pages, as much into bounding codes, and all of it waits for memory.
//!
//! Nothing here knows PostgreSQL: pages are seen through [`Pages`].

mod batch;
mod cursor;
mod frontier;
mod group;
mod kernels;
mod layout;
mod listing;
mod pages;
mod prepared;
mod quantizer;
mod refine;
mod search;
mod snapshot;
mod training;

#[cfg(test)]
mod tests;

pub use batch::{CodeMetadata, EncodedRows};
pub use cursor::Cursor;
pub use group::{decode_group, encode_group, GroupShape, MAX_GROUP_ROWS};
pub use kernels::prefetch;
pub use layout::{
    row_size, tail_page, DirectoryEntry, DirectoryPage, ExtentState, Meta, NullPage, TailPage, Tid,
    DIRECTORY_ENTRIES, MAGIC, MAX_INDEX_DIMENSIONS, NO_BLOCK, VERSION,
};
pub use pages::{Extent, PageError, PageKind, PageResult, PageTag, Pages, PrefetchTarget, PAYLOAD};
pub use quantizer::{Encoder, Quantizer, MAX_CELLS};
pub use search::{Search, SearchMode, SearchStats};
pub use snapshot::IndexSnapshot;
pub use training::{train_quantizer, Reservoir};
