//! What the extension does while PostgreSQL plans a query.
//!
//! | file | what is in it |
//! |---|---|
//! | `initplan` | evaluates a stable query function once per statement: the support function `coop_fold_support` |
//! | `shards` | a plan for `ORDER BY emb <-> query LIMIT k` over partitions on several servers: a planner hook |
//! | `limit_pushdown` | has `postgres_fdw` apply the limit on a partition's server |
//! | `skipped_partitions` | plans a search as if unreachable partitions were empty: `coop_search(skip_unreachable => true)` |
//! | `index_paths` | index paths that PostgreSQL does not find by itself: two planner hooks |
//! | `distance_limit` | those that end at r, for `emb <-> query < r` |
//! | `ordered_paths` | those for `ORDER BY emb <-> query, id`, and over partial indexes of NOT NULL columns |
//! | `one_row_join` | those for `FROM products, q ORDER BY emb <-> q.v`, where q has one row |
//! | `distance_expression` | distances in the expressions of a query, and which indexes serve them |
//! | `initplan_lookup` | what is known of the values that InitPlans will compute |
//! | `active_subspaces` | in how many subspaces a query has a weight, for the index's cost |
//! | `nodes` | iterators over PostgreSQL's lists |

pub mod active_subspaces;
mod distance_expression;
mod distance_limit;
pub mod index_paths;
pub mod initplan;
mod initplan_lookup;
mod limit_pushdown;
pub mod nodes;
mod one_row_join;
mod ordered_paths;
pub mod shards;
pub mod skipped_partitions;
