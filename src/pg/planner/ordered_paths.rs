//! Paths in the order of a distance that PostgreSQL does not find by itself:
//!
//! - `ORDER BY emb <-> query, id`: the index returns rows by their distance, and an incremental sort puts those at one distance in order.
//!   Before version 17, PostgreSQL wanted all of ORDER BY from the index.
//! - over a partial index `WHERE emb IS NOT NULL` of a column that is NOT NULL: PostgreSQL takes only the conditions of a query to imply an
//!   index's predicate.

use super::distance_expression::{first_order, is_constant, usable_indexes, Distance};
use super::nodes::items;
use crate::pg::am::is_coop_index;
use crate::pg::compat;
use pgrx::is_a;
use pgrx::pg_sys::{self, IndexOptInfo, IndexPath, Node, NodeTag, PlannerInfo, RangeTblEntry, RelOptInfo};
use std::ptr::null_mut;

/// Adds the paths of one table, or partition.
///
/// # Safety
/// `table` must be a base relation of the query that `root` plans, with its other paths, and `entry` its range table entry.
pub unsafe fn add_paths(root: *mut PlannerInfo, table: *mut RelOptInfo, entry: *mut RangeTblEntry) {
    // SAFETY: as the caller promises.
    unsafe {
        imply_not_null_predicates(table, entry);
        let Some(key) = first_order(root) else { return };
        for index in usable_indexes(table) {
            if has_ordered_path(table, index) {
                continue;
            }
            let of_table = Distance::of_key(index, key).find(|(relations, distance)| {
                pg_sys::bms_equal(*relations, (*table).relids) && is_constant(root, distance.query)
            });
            if let Some((_, distance)) = of_table {
                let path = distance.ordered_path(root, index, key, (*table).lateral_relids);
                pg_sys::add_path(table, path.cast());
            }
        }
    }
}

/// Whether PostgreSQL has made a path in the order of a distance.
///
/// # Safety
/// As [`add_paths`].
unsafe fn has_ordered_path(table: *mut RelOptInfo, index: *mut IndexOptInfo) -> bool {
    // SAFETY: the caller promises a relation with its paths.
    unsafe {
        items::<pg_sys::Path>((*table).pathlist).any(|path| {
            is_a(path.cast(), NodeTag::T_IndexPath) && {
                let path = &*path.cast::<IndexPath>();
                path.indexinfo == index && !path.indexorderbys.is_null()
            }
        })
    }
}

/// Tells the planner that a partial index holds all rows that a query wants: what the predicate asks for besides columns that are not null,
/// and never are, the query's conditions say.
///
/// # Safety
/// As [`add_paths`].
unsafe fn imply_not_null_predicates(table: *mut RelOptInfo, entry: *mut RangeTblEntry) {
    // SAFETY: the caller promises a table, whose indexes have predicates that are expressions over its columns.
    unsafe {
        for index in items::<IndexOptInfo>((*table).indexlist) {
            if !is_coop_index(&*index) || (*index).indpred.is_null() || (*index).predOK {
                continue;
            }
            let tests = items::<Node>((*index).indpred).filter(|&test| !is_never_null(table, entry, test));
            let others = tests.fold(null_mut(), |list, test| pg_sys::lappend(list, test.cast()));
            (*index).predOK = pg_sys::predicate_implied_by(others, (*table).baserestrictinfo, false);
        }
    }
}

/// Whether a condition is `column IS NOT NULL`, of a column that is NOT NULL.
///
/// # Safety
/// As [`add_paths`]; `condition` must be an expression.
unsafe fn is_never_null(table: *mut RelOptInfo, entry: *mut RangeTblEntry, condition: *mut Node) -> bool {
    // SAFETY: the caller promises an expression, which is read as what its tag says.
    unsafe {
        if !is_a(condition, NodeTag::T_NullTest) {
            return false;
        }
        let test = &*condition.cast::<pg_sys::NullTest>();
        test.nulltesttype == pg_sys::NullTestType::IS_NOT_NULL
            && is_a(test.arg.cast(), NodeTag::T_Var)
            && compat::is_not_null(&*table, (*entry).relid, (*test.arg.cast::<pg_sys::Var>()).varattno)
    }
}
