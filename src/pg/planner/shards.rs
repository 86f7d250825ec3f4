//! Searches a table on several servers: offers the planner a plan for `ORDER BY emb <-> query LIMIT k` over a partitioned table that has
//! foreign partitions. Each partition returns its own k nearest rows, servers at the same time, and the nearest of those are the answer.
//!
//! PostgreSQL's own plan merges sorted partitions. It is exact too, and each server of `postgres_fdw` sorts, but it asks one
//! server after the other, and none knows that a few rows are enough. The plan offered here:
//!
//! ```text
//! Limit
//!   -> Sort (emb <-> query)
//!        -> Append
//!             -> Async Foreign Scan on products_1      Remote SQL: SELECT ... ORDER BY (emb <-> ...) LIMIT 10
//!             -> Async Foreign Scan on products_2      Remote SQL: SELECT ... ORDER BY (emb <-> ...) LIMIT 10
//!             -> Limit -> Index Scan on products_3     a local partition
//! ```
//!
//! [`super::limit_pushdown`] makes the foreign scans. `sql/current/shards.sql` has what SQL can say: `coop_search()`, which can also skip
//! servers that are down.

use super::limit_pushdown::{can_push_down, foreign_limit_path, is_postgres_fdw};
use super::nodes::items;
use crate::pg::types::operators;
use pgrx::is_a;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::pg_sys::{self, List, NodeTag, Path, PlannerInfo, RelOptInfo};
use pgrx::prelude::*;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::OnceLock;

extension_sql_file!("../../../sql/current/shards.sql", name = "shards", requires = ["retrieval", "queries"]);

static PREVIOUS_HOOK: OnceLock<pg_sys::create_upper_paths_hook_type> = OnceLock::new();

/// Installs the planner hook, which calls the one that was there before.
pub fn on_load() {
    // SAFETY: runs in the server's only thread, when it loads the library.
    unsafe {
        PREVIOUS_HOOK.get_or_init(|| pg_sys::create_upper_paths_hook);
        pg_sys::create_upper_paths_hook = Some(add_sharded_path);
    }
}

/// create_upper_paths_hook: adds the path to those that return rows in order.
#[pg_guard]
unsafe extern "C-unwind" fn add_sharded_path(
    root: *mut PlannerInfo,
    stage: pg_sys::UpperRelationKind::Type,
    input: *mut RelOptInfo,
    output: *mut RelOptInfo,
    extra: *mut c_void,
) {
    // SAFETY: the planner passes its own state, which goes on to the previous hook as it came. The guard turns an error of that hook into a
    // panic.
    unsafe {
        if let Some(Some(previous)) = PREVIOUS_HOOK.get() {
            pg_guard_ffi_boundary(|| previous(root, stage, input, output, extra));
        }
        if stage == pg_sys::UpperRelationKind::UPPERREL_ORDERED {
            if let Some(path) = NearestSearch::new(root).and_then(|search| search.path(input, output)) {
                pg_sys::add_path(output, path);
            }
        }
    }
}

/// A query for the first rows of one table in the order of a distance.
struct NearestSearch(*mut PlannerInfo);

impl NearestSearch {
    /// The query that is being planned, if it is such a query.
    ///
    /// # Safety
    /// `root` must be a query whose scans and joins are planned.
    unsafe fn new(root: *mut PlannerInfo) -> Option<Self> {
        // SAFETY: the caller promises the planner's state, which points to its query.
        let query = unsafe { &*(*root).parse };
        let is_plain = query.commandType == pg_sys::CmdType::CMD_SELECT
            && query.rowMarks.is_null()
            && query.groupClause.is_null()
            && query.groupingSets.is_null()
            && query.havingQual.is_null()
            && query.distinctClause.is_null()
            && query.setOperations.is_null()
            && !(query.hasAggs || query.hasWindowFuncs || query.hasTargetSRFs);
        // SAFETY: LIMIT is null or an expression.
        let is_limited = query.limitOption == pg_sys::LimitOption::LIMIT_OPTION_COUNT
            && query.limitOffset.is_null()
            && unsafe { can_push_down(query.limitCount) };
        // SAFETY: the planner has set the path keys by which rows are to be sorted, or null.
        (is_plain && is_limited && unsafe { sorts_by_distance((*root).sort_pathkeys) }).then_some(Self(root))
    }

    /// The path: Append of each partition's first rows, then Sort. `None` if no partition is foreign, or if not all servers can apply the
    /// limit.
    ///
    /// # Safety
    /// `table` must be what the query's FROM has become, and `ordered` the relation of its rows in order.
    unsafe fn path(&self, table: *mut RelOptInfo, ordered: *mut RelOptInfo) -> Option<*mut Path> {
        // SAFETY: relations and paths are the planner's, of this query.
        unsafe {
            // The first rows of a join are not made of its tables' first rows.
            if (*table).reloptkind != pg_sys::RelOptKind::RELOPT_BASEREL {
                return None;
            }
            let mut partitions = Vec::new();
            collect_partitions(table, &mut partitions);
            if !partitions.iter().any(|&(_, is_foreign)| is_foreign) {
                return None;
            }
            let mut paths: *mut List = null_mut();
            // Local partitions are read one after the other, foreign ones at the same time.
            let (mut local_cost, mut foreign_cost) = (0.0, 0f64);
            for (partition, is_foreign) in partitions {
                let path = if is_foreign {
                    let path = foreign_limit_path(self.0, partition)?;
                    foreign_cost = foreign_cost.max((*path).total_cost);
                    path
                } else {
                    let path = self.local_limit_path(partition)?;
                    local_cost += (*path).total_cost;
                    path
                };
                paths = pg_sys::lappend(paths, path.cast());
            }
            let root = self.0;
            let append = pg_sys::create_append_path(
                root,
                table,
                paths,
                null_mut(),
                null_mut(),
                null_mut(),
                0,
                false,
                -1.0,
            );
            (*append).path.total_cost = local_cost + foreign_cost;
            let keys = (*root).sort_pathkeys;
            let path = pg_sys::create_sort_path(root, ordered, append.cast(), keys, (*root).limit_tuples)
                .cast::<Path>();
            let target = (*root).upper_targets[pg_sys::UpperRelationKind::UPPERREL_ORDERED as usize];
            if (*path).pathtarget == target {
                return Some(path);
            }
            Some(pg_sys::apply_projection_to_path(root, ordered, path, target))
        }
    }

    /// The cheapest path to the first rows of a local partition.
    ///
    /// # Safety
    /// `partition` must be a base relation of the query.
    unsafe fn local_limit_path(&self, partition: *mut RelOptInfo) -> Option<*mut Path> {
        // SAFETY: relations and paths are the planner's, of this query.
        unsafe {
            let root = self.0;
            let keys = (*root).sort_pathkeys;
            items::<Path>((*partition).pathlist)
                .filter(|&path| (*path).param_info.is_null())
                .map(|path| {
                    let sorted = if pg_sys::pathkeys_contained_in(keys, (*path).pathkeys) {
                        path
                    } else {
                        pg_sys::create_sort_path(root, partition, path, keys, (*root).limit_tuples).cast()
                    };
                    let (limit, option) =
                        ((*(*root).parse).limitCount, pg_sys::LimitOption::LIMIT_OPTION_COUNT);
                    // -1 where the limit is not known while planning.
                    let rows = (*root).limit_tuples as i64;
                    pg_sys::create_limit_path(root, partition, sorted, null_mut(), limit, option, 0, rows)
                        .cast::<Path>()
                })
                .reduce(|a, b| match pg_sys::compare_path_costs(a, b, pg_sys::CostSelector::TOTAL_COST) {
                    ..=0 => a,
                    _ => b,
                })
        }
    }
}

/// Whether rows are to be sorted by one of our distances first.
///
/// # Safety
/// `keys` must be a list of path keys.
unsafe fn sorts_by_distance(keys: *const List) -> bool {
    // SAFETY: the caller promises path keys. Each has an equivalence class, whose members are expressions.
    unsafe {
        items::<pg_sys::PathKey>(keys).next().is_some_and(|key| {
            items::<pg_sys::EquivalenceMember>((*(*key).pk_eclass).ec_members).any(|member| {
                let expression = (*member).em_expr.cast::<pg_sys::OpExpr>();
                is_a(expression.cast(), NodeTag::T_OpExpr) && operators::is_distance((*expression).opfuncid)
            })
        })
    }
}

/// Collects the leaf partitions that remain after partition pruning, or the table itself if it is not partitioned; and whether each is a
/// foreign table of `postgres_fdw`.
///
/// # Safety
/// `table` must be a base relation of the query.
unsafe fn collect_partitions(table: *mut RelOptInfo, found: &mut Vec<(*mut RelOptInfo, bool)>) {
    // SAFETY: a partitioned relation has `nparts` partitions, null where pruning has excluded one.
    unsafe {
        let partitions = (*table).nparts.max(0) as usize;
        if partitions == 0 {
            found.push((table, is_postgres_fdw(table)));
        }
        for i in 0..partitions {
            let partition = *(*table).part_rels.add(i);
            if !partition.is_null() && !pg_sys::is_dummy_rel(partition) {
                collect_partitions(partition, found);
            }
        }
    }
}
