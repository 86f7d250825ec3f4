//! Makes `postgres_fdw` apply ORDER BY and LIMIT of a partition's rows on the partition's server.
//!
//! `postgres_fdw` itself pushes a limit down only if all of a query is one server's. Its paths can be told to: two flags in `fdw_private`, as
//! its own planning of such queries leaves them there. The plan that comes of it is checked before the path is offered: the remote statement
//! must end in the limit, and no condition may be left to test locally, which would be after the limit.

use super::nodes::items;
use crate::pg::compat;
use pgrx::is_a;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::pg_sys::{self, ForeignPath, Node, NodeTag, Path, PlannerInfo, RelOptInfo};
use std::ptr::null_mut;

/// Whether a relation is a foreign table of `postgres_fdw`.
///
/// # Safety
/// `table` must be a base relation of the query.
pub unsafe fn is_postgres_fdw(table: *const RelOptInfo) -> bool {
    // SAFETY: the caller promises a relation; one with an fdwroutine has a server, and that a wrapper with a handler.
    unsafe {
        if (*table).fdwroutine.is_null() {
            return false;
        }
        let server = pg_sys::GetForeignServer((*table).serverid);
        let wrapper = pg_sys::GetForeignDataWrapper((*server).fdwid);
        let handler = pg_sys::get_func_name((*wrapper).fdwhandler);
        !handler.is_null() && std::ffi::CStr::from_ptr(handler) == c"postgres_fdw_handler"
    }
}

/// Whether a limit can be part of a remote statement: a constant or a parameter, perhaps converted to another type.
///
/// # Safety
/// `limit` must be null or an expression.
pub unsafe fn can_push_down(limit: *mut Node) -> bool {
    // SAFETY: the caller promises an expression; each of its nodes is read as the struct that its tag says.
    unsafe {
        match limit.as_ref().map(|node| node.type_) {
            // LIMIT NULL is no limit.
            Some(NodeTag::T_Const) => !(*limit.cast::<pg_sys::Const>()).constisnull,
            Some(NodeTag::T_Param) => {
                (*limit.cast::<pg_sys::Param>()).paramkind == pg_sys::ParamKind::PARAM_EXTERN
            }
            Some(NodeTag::T_FuncExpr) => {
                let call = &*limit.cast::<pg_sys::FuncExpr>();
                // A function of PostgreSQL's own, which every server has.
                call.funcid.to_u32() < pg_sys::FirstGenbkiObjectId
                    && pg_sys::func_volatile(call.funcid) as u8 == pg_sys::PROVOLATILE_IMMUTABLE
                    && items(call.args).all(|arg| can_push_down(arg))
            }
            _ => false,
        }
    }
}

/// The path of a `postgres_fdw` partition that its server sorts, with the query's limit applied there, too. `None` if there is none, or the
/// server cannot apply the limit.
///
/// # Safety
/// `root` must be a query whose scans are planned, and `partition` a base relation of it for which [`is_postgres_fdw`] holds.
pub unsafe fn foreign_limit_path(root: *mut PlannerInfo, partition: *mut RelOptInfo) -> Option<*mut Path> {
    // SAFETY: relations and paths are the planner's, of this query; a path is copied before it is changed.
    unsafe {
        let keys = (*root).sort_pathkeys;
        items::<Path>((*partition).pathlist).find_map(|path| {
            // Local computations on a row are projections around the scan.
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
            // In the order of postgres_fdw's enum FdwPathPrivateIndex: has_final_sort, has_limit.
            (*limited).fdw_private = pg_sys::lappend(null_mut(), compat::boolean(false).cast());
            (*limited).fdw_private = pg_sys::lappend((*limited).fdw_private, compat::boolean(true).cast());
            let inner = &mut (*limited).path;
            (inner.pathtarget, inner.startup_cost, inner.total_cost) =
                ((*path).pathtarget, (*path).startup_cost, (*path).total_cost);
            let (rows, startup, total) = (&mut inner.rows, &mut inner.startup_cost, &mut inner.total_cost);
            // -1 where the limit is not known while planning.
            pg_sys::adjust_limit_rows_costs(rows, startup, total, 0, (*root).limit_tuples as i64);
            // The planner knows little of foreign tables: one without statistics seems to have a few rows, and with a condition fewer than are
            // wanted, so that to fetch them all would seem cheaper. However many there are, fewer do not take longer.
            let all_paths = items::<Path>((*partition).pathlist);
            let cheapest = all_paths.fold(f64::INFINITY, |least, path| least.min((*path).total_cost));
            *total = total.min(0.9 * cheapest);
            *startup = startup.min(*total);
            is_limited_remotely(root, partition, limited).then_some(limited.cast())
        })
    }
}

/// Whether the server of a foreign path applies the limit, and before it all conditions.
///
/// # Safety
/// As [`foreign_limit_path`], and `path` must be a path of the partition.
unsafe fn is_limited_remotely(
    root: *mut PlannerInfo,
    partition: *mut RelOptInfo,
    path: *const ForeignPath,
) -> bool {
    // SAFETY: the wrapper makes a plan from a path of its own, as it would for the planner. The guard turns its errors into panics, which run
    // the destructors here.
    unsafe {
        let table = (**(*root).simple_rte_array.add((*partition).relid as usize)).relid;
        let Some(get_foreign_plan) = (*(*partition).fdwroutine).GetForeignPlan else { return false };
        let mut path = *path;
        // Without path keys the remote statement has no ORDER BY, and the query, which may be long, is not written out again for it.
        path.path.pathkeys = null_mut();
        let conditions = (*partition).baserestrictinfo;
        let plan = pg_guard_ffi_boundary(|| {
            get_foreign_plan(root, partition, table, &mut path, null_mut(), conditions, null_mut())
        });
        (*plan).scan.plan.qual.is_null()
            && items::<Node>((*plan).fdw_private)
                .next()
                .and_then(|first| compat::string(first))
                .is_some_and(|statement| ends_in_limit(&statement.to_string_lossy()))
    }
}

/// Whether a statement ends in a limit that is a number or a parameter.
fn ends_in_limit(statement: &str) -> bool {
    statement.rsplit_once(" LIMIT ").is_some_and(|(_, limit)| {
        !limit.is_empty() && limit.bytes().all(|b| b.is_ascii_alphanumeric() || b"$:()._".contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_from_text_that_looks_like_one() {
        for limited in
            ["SELECT id FROM t LIMIT 10::bigint", "SELECT id FROM t WHERE (a = ' LIMIT 1') LIMIT $2::integer"]
        {
            assert!(ends_in_limit(limited), "{limited}");
        }
        for unlimited in [
            "SELECT id FROM t",
            "SELECT id FROM t WHERE ((a = ' LIMIT 1'))",
            "SELECT id FROM t LIMIT ",
            "SELECT a FROM x LIMIT 3 OFFSET 2",
        ] {
            assert!(!ends_in_limit(unlimited), "{unlimited}");
        }
    }
}
