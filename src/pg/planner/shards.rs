//! `ORDER BY emb <-> query LIMIT k` of a partitioned table some of whose partitions lie on other servers: each partition is asked
//! for its own k nearest rows, servers at the same time, and the nearest of those are the answer.
//!
//! PostgreSQL's own plan merges sorted partitions. That is exact, too, and each server of `postgres_fdw` sorts, but it asks one
//! server after the other, and none knows that a few rows are enough. Here the planner is offered another plan:
//!
//! ```text
//! Limit
//!   -> Sort (emb <-> query)
//!        -> Append
//!             -> Async Foreign Scan on products_1      Remote SQL: SELECT ... ORDER BY (emb <-> ...) LIMIT 10
//!             -> Async Foreign Scan on products_2      Remote SQL: SELECT ... ORDER BY (emb <-> ...) LIMIT 10
//!             -> Limit -> Index Scan on products_3     a partition that lies here
//! ```
//!
//! `sql/current/shards.sql` has what SQL can say: `coop_search()`, which can go on without servers that are down (`search.rs`).
//!
//! `postgres_fdw` itself sends a limit only if all of a query is one server's. Its paths can be told to (the same two flags that its own
//! planning of such queries leaves in `fdw_private`); what comes of it is looked at before the plan is offered: the remote statement
//! has to end in the limit, and no condition may be left to test here, where it would be tested too late.

use super::nodes::items;
use crate::pg::compat;
use crate::pg::types::operators;
use pgrx::is_a;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::pg_sys::{self, ForeignPath, List, Node, NodeTag, Path, PlannerInfo, RelOptInfo};
use pgrx::prelude::*;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::OnceLock;

extension_sql_file!("../../../sql/current/shards.sql", name = "shards", requires = ["retrieval", "queries"]);

static PREVIOUS: OnceLock<pg_sys::create_upper_paths_hook_type> = OnceLock::new();

/// Puts our hook before those of others.
pub fn on_load() {
    // SAFETY: runs in the server's only thread, when it loads the library.
    unsafe {
        PREVIOUS.get_or_init(|| pg_sys::create_upper_paths_hook);
        pg_sys::create_upper_paths_hook = Some(offer);
    }
}

/// Offers the plan of above where it answers the query.
#[pg_guard]
unsafe extern "C-unwind" fn offer(
    root: *mut PlannerInfo,
    stage: pg_sys::UpperRelationKind::Type,
    input: *mut RelOptInfo,
    output: *mut RelOptInfo,
    extra: *mut c_void,
) {
    // SAFETY: the planner passes its own state, here as to the hook before, whose errors become panics at the boundary.
    unsafe {
        if let Some(Some(previous)) = PREVIOUS.get() {
            pg_guard_ffi_boundary(|| previous(root, stage, input, output, extra));
        }
        if stage == pg_sys::UpperRelationKind::UPPERREL_ORDERED {
            if let Some(path) = Search::of(root).and_then(|search| search.path(input, output)) {
                pg_sys::add_path(output, path);
            }
        }
    }
}

/// A query for the first rows of one table in the order of a distance.
struct Search(*mut PlannerInfo);

impl Search {
    /// The query that is planned, if it is one.
    ///
    /// # Safety
    /// `root` must be a query whose scans and joins are planned.
    unsafe fn of(root: *mut PlannerInfo) -> Option<Self> {
        // SAFETY: as promised.
        let query = unsafe { &*(*root).parse };
        let plain = query.commandType == pg_sys::CmdType::CMD_SELECT
            && query.rowMarks.is_null()
            && query.groupClause.is_null()
            && query.groupingSets.is_null()
            && query.havingQual.is_null()
            && query.distinctClause.is_null()
            && query.setOperations.is_null()
            && !(query.hasAggs || query.hasWindowFuncs || query.hasTargetSRFs);
        // SAFETY: expressions of the query.
        let limited = query.limitOption == pg_sys::LimitOption::LIMIT_OPTION_COUNT
            && query.limitOffset.is_null()
            && unsafe { is_sent(query.limitCount) };
        // SAFETY: as promised.
        (plain && limited && unsafe { by_distance((*root).sort_pathkeys) }).then_some(Self(root))
    }

    /// The plan for it, up to its order. `None` if nothing is elsewhere, or if not all servers can limit their part.
    unsafe fn path(&self, table: *mut RelOptInfo, ordered: *mut RelOptInfo) -> Option<*mut Path> {
        // SAFETY: relations and paths of this query.
        unsafe {
            // A join's rows are not its tables' nearest.
            if (*table).reloptkind != pg_sys::RelOptKind::RELOPT_BASEREL {
                return None;
            }
            let mut partitions = Vec::new();
            leaves(table, &mut partitions);
            if !partitions.iter().any(|&(_, is_foreign)| is_foreign) {
                return None;
            }
            let mut paths: *mut List = null_mut();
            // Those that are here are read one after the other; those elsewhere all the while.
            let (mut here, mut elsewhere) = (0.0, 0f64);
            for (part, is_foreign) in partitions {
                let path = if is_foreign {
                    let path = self.foreign(part)?;
                    elsewhere = elsewhere.max((*path).total_cost);
                    path
                } else {
                    let path = self.local(part)?;
                    here += (*path).total_cost;
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
            (*append).path.total_cost = here + elsewhere;
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

    /// A partition that lies here: its cheapest path to its own first rows.
    unsafe fn local(&self, part: *mut RelOptInfo) -> Option<*mut Path> {
        // SAFETY: paths of this query.
        unsafe {
            let root = self.0;
            let keys = (*root).sort_pathkeys;
            items::<Path>((*part).pathlist)
                .filter(|&path| (*path).param_info.is_null())
                .map(|path| {
                    let sorted = if pg_sys::pathkeys_contained_in(keys, (*path).pathkeys) {
                        path
                    } else {
                        pg_sys::create_sort_path(root, part, path, keys, (*root).limit_tuples).cast()
                    };
                    let (limit, option) =
                        ((*(*root).parse).limitCount, pg_sys::LimitOption::LIMIT_OPTION_COUNT);
                    pg_sys::create_limit_path(root, part, sorted, null_mut(), limit, option, 0, self.rows())
                        .cast::<Path>()
                })
                .reduce(|a, b| match pg_sys::compare_path_costs(a, b, pg_sys::CostSelector::TOTAL_COST) {
                    ..=0 => a,
                    _ => b,
                })
        }
    }

    /// A partition of `postgres_fdw`: the path that its server sorts, limited there, too.
    unsafe fn foreign(&self, part: *mut RelOptInfo) -> Option<*mut Path> {
        // SAFETY: paths of this query; one is copied before it is changed.
        unsafe {
            let keys = (*self.0).sort_pathkeys;
            items::<Path>((*part).pathlist).find_map(|path| {
                // What is computed of a row here stands in paths around it.
                let mut scan = path;
                while is_a(scan.cast(), NodeTag::T_ProjectionPath) {
                    scan = (*scan.cast::<pg_sys::ProjectionPath>()).subpath;
                }
                if !is_a(scan.cast(), NodeTag::T_ForeignPath)
                    || !(*scan).param_info.is_null()
                    || !pg_sys::pathkeys_contained_in(keys, (*scan).pathkeys)
                {
                    return None;
                }
                let limited = pg_sys::palloc(size_of::<ForeignPath>()).cast::<ForeignPath>();
                limited.copy_from_nonoverlapping(scan.cast(), 1);
                if !(*limited).fdw_private.is_null() || !(*limited).fdw_outerpath.is_null() {
                    return None;
                }
                // In the order of postgres_fdw's enum FdwPathPrivateIndex: that it sorts all of a query, and that it limits it.
                (*limited).fdw_private = pg_sys::lappend(null_mut(), compat::boolean(false).cast());
                (*limited).fdw_private =
                    pg_sys::lappend((*limited).fdw_private, compat::boolean(true).cast());
                let inner = &mut (*limited).path;
                (inner.pathtarget, inner.startup_cost, inner.total_cost) =
                    ((*path).pathtarget, (*path).startup_cost, (*path).total_cost);
                let (rows, startup, total) =
                    (&mut inner.rows, &mut inner.startup_cost, &mut inner.total_cost);
                pg_sys::adjust_limit_rows_costs(rows, startup, total, 0, self.rows());
                // Of foreign tables the planner knows little: one without statistics has a few rows, and with a condition fewer than
                // are wanted, so that it would rather fetch them all. However many there are, fewer do not take longer.
                let any = items::<Path>((*part).pathlist);
                let cheapest = any.fold(f64::INFINITY, |least, path| least.min((*path).total_cost));
                *total = total.min(0.9 * cheapest);
                *startup = startup.min(*total);
                self.is_limited(part, limited).then_some(limited.cast())
            })
        }
    }

    /// Whether the server of a foreign path does all that is to be done before the limit, and the limit.
    unsafe fn is_limited(&self, part: *mut RelOptInfo, path: *const ForeignPath) -> bool {
        // SAFETY: the wrapper of the partition plans a path of its own, as it would for the planner; without the order, so that the
        // query is not written out twice.
        unsafe {
            let root = self.0;
            let table = (**(*root).simple_rte_array.add((*part).relid as usize)).relid;
            let Some(plan) = (*(*part).fdwroutine).GetForeignPlan else { return false };
            let mut path = *path;
            path.path.pathkeys = null_mut();
            let conditions = (*part).baserestrictinfo;
            // The wrapper's errors become panics here, and do not jump over this function.
            let plan = pg_guard_ffi_boundary(|| {
                plan(root, part, table, &mut path, null_mut(), conditions, null_mut())
            });
            (*plan).scan.plan.qual.is_null()
                && items::<Node>((*plan).fdw_private)
                    .next()
                    .and_then(|first| compat::string(first))
                    .is_some_and(|statement| ends_in_limit(&statement.to_string_lossy()))
        }
    }

    /// How many rows are wanted; -1 if that is not known yet.
    unsafe fn rows(&self) -> i64 {
        // SAFETY: as promised of the query.
        unsafe { (*self.0).limit_tuples as i64 }
    }
}

/// Whether a server can be told such a limit: a number, or one that the statement is given, converted perhaps.
///
/// # Safety
/// `limit` must be null or an expression.
unsafe fn is_sent(limit: *mut Node) -> bool {
    // SAFETY: as promised; each node is read as the struct that its tag says.
    unsafe {
        match limit.as_ref().map(|node| node.type_) {
            // LIMIT NULL is none.
            Some(NodeTag::T_Const) => !(*limit.cast::<pg_sys::Const>()).constisnull,
            Some(NodeTag::T_Param) => {
                (*limit.cast::<pg_sys::Param>()).paramkind == pg_sys::ParamKind::PARAM_EXTERN
            }
            Some(NodeTag::T_FuncExpr) => {
                let call = &*limit.cast::<pg_sys::FuncExpr>();
                // PostgreSQL's own, which every server has.
                call.funcid.to_u32() < pg_sys::FirstGenbkiObjectId
                    && pg_sys::func_volatile(call.funcid) as u8 == pg_sys::PROVOLATILE_IMMUTABLE
                    && items(call.args).all(|arg| is_sent(arg))
            }
            _ => false,
        }
    }
}

/// Whether rows are to be sorted by one of our distances first.
///
/// # Safety
/// `keys` must be a list of path keys.
unsafe fn by_distance(keys: *const List) -> bool {
    // SAFETY: as promised.
    unsafe {
        items::<pg_sys::PathKey>(keys).next().is_some_and(|key| {
            items::<pg_sys::EquivalenceMember>((*(*key).pk_eclass).ec_members).any(|member| {
                let expression = (*member).em_expr.cast::<pg_sys::OpExpr>();
                is_a(expression.cast(), NodeTag::T_OpExpr) && operators::is_distance((*expression).opfuncid)
            })
        })
    }
}

/// The partitions that are to be read, and theirs in their place, or the table itself; and whether each [`is_foreign`].
///
/// # Safety
/// `table` must be a base relation of the query.
unsafe fn leaves(table: *mut RelOptInfo, found: &mut Vec<(*mut RelOptInfo, bool)>) {
    // SAFETY: a partitioned relation has `nparts` of them, null where the planner has excluded one.
    unsafe {
        let partitions = (*table).nparts.max(0) as usize;
        if partitions == 0 {
            found.push((table, is_foreign(table)));
        }
        for i in 0..partitions {
            let part = *(*table).part_rels.add(i);
            if !part.is_null() && !pg_sys::is_dummy_rel(part) {
                leaves(part, found);
            }
        }
    }
}

/// Whether a partition is a foreign table of `postgres_fdw`.
///
/// # Safety
/// `part` must be a base relation of the query.
unsafe fn is_foreign(part: *const RelOptInfo) -> bool {
    // SAFETY: as promised; a relation that has a wrapper has a server.
    unsafe {
        if (*part).fdwroutine.is_null() {
            return false;
        }
        let server = pg_sys::GetForeignServer((*part).serverid);
        let wrapper = pg_sys::GetForeignDataWrapper((*server).fdwid);
        let handler = pg_sys::get_func_name((*wrapper).fdwhandler);
        !handler.is_null() && std::ffi::CStr::from_ptr(handler) == c"postgres_fdw_handler"
    }
}

/// Whether a statement ends in a limit, which is a number or a parameter.
fn ends_in_limit(statement: &str) -> bool {
    statement.rsplit_once(" LIMIT ").is_some_and(|(_, limit)| {
        !limit.is_empty() && limit.bytes().all(|b| b.is_ascii_alphanumeric() || b"$:()._".contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use super::ends_in_limit;

    #[test]
    fn a_limit_is_told_from_text_that_looks_like_one() {
        for limited in
            ["SELECT id FROM t LIMIT 10::bigint", "SELECT id FROM t WHERE (a = ' LIMIT 1') LIMIT $2::integer"]
        {
            assert!(ends_in_limit(limited), "{limited}");
        }
        for all in [
            "SELECT id FROM t",
            "SELECT id FROM t WHERE ((a = ' LIMIT 1'))",
            "SELECT id FROM t LIMIT ",
            "SELECT a FROM x LIMIT 3 OFFSET 2",
        ] {
            assert!(!ends_in_limit(all), "{all}");
        }
    }
}
