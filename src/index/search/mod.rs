//! The search: rows in the order of lower bounds of their distances, without knowing how many will be asked for.
//!
//! | file | |
//! |---|---|
//! | `dispatch` | [`Search`]: chooses one of the three strategies |
//! | `best_first` | the loop that all strategies share, and the trait [`best_first::Strategy`] |
//! | `one_subspace` | for queries on one subspace, exact or at a recall: opens cell blocks as they come near |
//! | `several_subspaces` | exact, for queries on more: opens groups as they come near, and leaves rows that are beyond a cutoff |
//! | `approximate` | ranks rows by their cells, and bounds only the first: a number of candidates, or enough for a recall |
//! | `state` | what all strategies work on: query, groups, queue, counters |
//! | `priority_queue` | candidates by their bounds |
//! | `refine` | bounds by all bits of the codes, many rows at a time |
//! | `nearest` | the bounds of the nearest rows so far |
//! | `cell_ranking` | ranks rows by their cells alone |
//! | `places` | when a ranking has been followed far enough for a recall |
//! | `sketch_table` | about how far rows are, by their sketches |
//! | `waiting_rows` | rows that have an estimate and no bound yet |
//! | `prepared_query`, `lookup_table` | the query as tables that meet a row's codes |
//! | `selectivity` | how many rows are within a distance, for the planner |
//! | `search_group`, `block_scan`, `cell_block_codes`, `lanes` | a group's sections, its blocks, what one cell has in a block, the lanes of a block |

mod approximate;
mod best_first;
mod block_scan;
mod cell_block_codes;
mod cell_ranking;
mod dispatch;
mod lanes;
mod lookup_table;
mod nearest;
mod one_subspace;
mod places;
mod prepared_query;
mod priority_queue;
mod refine;
mod search_group;
mod selectivity;
mod several_subspaces;
mod sketch_table;
mod state;
mod waiting_rows;

pub use dispatch::{Search, SearchMode, MIN_RANKED_SUBSPACES};
pub use selectivity::{DistanceSample, ExpectedQuery};
pub use state::SearchStats;
