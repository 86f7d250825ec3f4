//! What the extension does while PostgreSQL plans a query.
//!
//! | file | what is in it |
//! |---|---|
//! | `initplan` | evaluates a stable query function once per statement: the support function `coop_fold_support` |
//! | `shards` | a plan for `ORDER BY emb <-> query LIMIT k` over partitions on several servers: a planner hook |
//! | `limit_pushdown` | has `postgres_fdw` apply the limit on a partition's server |
//! | `skipped_partitions` | plans a search as if unreachable partitions were empty: `coop_search(skip_unreachable => true)` |
//! | `distance_limit` | index paths that end at r for `emb <-> query < r`: a planner hook |
//! | `initplan_lookup` | what is known of the values that InitPlans will compute |
//! | `active_subspaces` | in how many subspaces a query has a weight, for the index's cost |
//! | `nodes` | iterators over PostgreSQL's lists |

pub mod active_subspaces;
pub mod distance_limit;
pub mod initplan;
mod initplan_lookup;
mod limit_pushdown;
pub mod nodes;
pub mod shards;
pub mod skipped_partitions;
