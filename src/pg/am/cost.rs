//! Cost estimates, by which the planner chooses between the index and a sequential scan.

use super::relation::IndexRelation;
use crate::index::MIN_RANKED_SUBSPACES;
use crate::pg::planner::active_subspaces::active_subspaces;
use crate::pg::planner::nodes::items;
use crate::pg::{compat, guc};
use pgrx::is_a;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// The share of the index's pages that hold the high nibbles of codes. A scan over all subspaces reads them all; the low nibbles, the other
/// half, are read for few rows.
const HIGH_NIBBLE_SHARE: f64 = 0.5;
/// A scan over one subspace opens the cells that come near: it bounds this share of the rows, or less.
const BOUNDED_SHARE_OF_ONE: f64 = 0.2;
/// A scan at a recall looks at cells of all rows, and at more of few: on four subspaces or more it takes this share of an exact scan's time, on
/// one about a half. (`how_long_a_search_takes`, tests/README.md.)
const RECALL_SHARE: f64 = 0.3;
const RECALL_SHARE_OF_ONE: f64 = 0.5;
/// Bounding a row's distance in all subspaces takes about as long as this many calls of an operator (cpu_operator_cost).
const OPERATORS_PER_ROW: f64 = 2.0;
/// Returning a row takes as long as so many calls of an operator, and so many for each subspace of the query: its bound is refined on a page
/// of each, its TID read, and both queued. (`EXPLAIN (ANALYZE, TIMING off)` of a scan for a condition that no row meets, over 40,000 rows of
/// 4x16: 3 microseconds a row in one subspace, 7 in four; a sequential scan took 0.1.)
const OPERATORS_PER_RETURNED_ROW: f64 = 100.0;
const OPERATORS_PER_RETURNED_SUBSPACE: f64 = 150.0;
/// How likely a filter keeps fewer rows than LIMIT asks for although it is expected to keep just as many; then the scan returns every row. It
/// is less likely by the square root of how many times as many are expected.
const DRAIN_RISK: f64 = 0.1;
/// Subspaces of a query, where neither query nor index tells.
const USUAL_SUBSPACES: usize = 8;

/// amcostestimate.
#[pg_guard]
#[allow(clippy::too_many_arguments)] // as PostgreSQL calls it
pub unsafe extern "C-unwind" fn estimate(
    root: *mut pg_sys::PlannerInfo,
    path: *mut pg_sys::IndexPath,
    _loops: f64,
    startup: *mut pg_sys::Cost,
    total: *mut pg_sys::Cost,
    selectivity: *mut pg_sys::Selectivity,
    correlation: *mut f64,
    pages: *mut f64,
) {
    // SAFETY: PostgreSQL passes a path over an index of this access method, and room for five numbers.
    unsafe {
        *correlation = 0.0;
        *selectivity = within_limits(root, &*path);
        if (*path).indexorderbys.is_null() && (*path).indexclauses.is_null() {
            // The index can only return rows in the order of a distance, or up to one.
            (*startup, *total, *pages) = (f64::INFINITY, f64::INFINITY, 0.0);
            compat::disable_path(&mut *path);
            return;
        }
        let info = &*(*path).indexinfo;
        let (mut random, mut sequential) = (0.0, 0.0);
        pg_sys::get_tablespace_page_costs(info.reltablespace, &mut random, &mut sequential);
        let all = subspaces(info).unwrap_or(USUAL_SUBSPACES);
        let active = active_in(root, &*path).map_or(all, |active| active.min(all));
        let share = active as f64 / all as f64 * if active == 1 { BOUNDED_SHARE_OF_ONE } else { 1.0 };
        // Without ORDER BY a scan is exact.
        let is_exact = guc::recall() >= 1.0 || guc::candidates() > 0 || (*path).indexorderbys.is_null();
        let share = match active {
            _ if is_exact => share,
            1 => share * RECALL_SHARE_OF_ONE,
            _ if active >= MIN_RANKED_SUBSPACES => share * RECALL_SHARE,
            _ => share,
        };
        // What is bounded is bounded before the first row is returned.
        *pages = (f64::from(info.pages) * HIGH_NIBBLE_SHARE * share).ceil().max(1.0);
        *startup = *pages * sequential + info.tuples * share * OPERATORS_PER_ROW * pg_sys::cpu_operator_cost;
        // The executor adds its own cost for each row.
        let operators = OPERATORS_PER_RETURNED_ROW + OPERATORS_PER_RETURNED_SUBSPACE * active as f64;
        let per_row = pg_sys::cpu_index_tuple_cost + operators * pg_sys::cpu_operator_cost;
        let returned = info.tuples * *selectivity;
        *total = *startup + returned * per_row;
        // PostgreSQL takes a scan with LIMIT to end after its share of the rows that a filter is expected to keep. If it keeps too few, it
        // does not end before all rows have come, which takes many times as long as a sequential scan.
        let (kept, limit) = ((*path).path.rows, (*root).limit_tuples);
        if limit > 0.0 && kept < 0.99 * returned {
            *startup += DRAIN_RISK * (limit / kept.max(1.0)).sqrt().min(1.0) * (*total - *startup);
        }
    }
}

/// The share of the rows that meet the index conditions.
///
/// # Safety
/// `path` must be an index path of the query that `root` plans.
unsafe fn within_limits(root: *mut pg_sys::PlannerInfo, path: &pg_sys::IndexPath) -> f64 {
    // SAFETY: the caller promises an index path, whose conditions are IndexClauses of the query.
    unsafe {
        let share = |clause: *mut pg_sys::IndexClause| {
            let (condition, inner) = ((*clause).rinfo.cast(), pg_sys::JoinType::JOIN_INNER);
            pg_sys::clause_selectivity(root, condition, 0, inner, std::ptr::null_mut())
        };
        items::<pg_sys::IndexClause>(path.indexclauses).map(share).product()
    }
}

/// In how many subspaces the query of a path has a weight; `None` if they may be all.
///
/// # Safety
/// `path` must be a path over an index on a column of type `coopvec` in the plan that `root` makes, with an order or a condition.
unsafe fn active_in(root: *mut pg_sys::PlannerInfo, path: &pg_sys::IndexPath) -> Option<usize> {
    // SAFETY: the caller promises an index path. Its orders and conditions are operators on the indexed column, which the planner puts
    // first, and one argument: in ORDER BY, a coopvec or else a coopquery, and in a condition a ball, whose first column is a coopquery.
    unsafe {
        let argument = match items::<pg_sys::OpExpr>(path.indexorderbys).next() {
            Some(order) => second_argument(order.cast())?,
            None => {
                let clause = items::<pg_sys::IndexClause>(path.indexclauses).next()?;
                let condition = items::<pg_sys::RestrictInfo>((*clause).indexquals).next()?;
                let ball = second_argument((*condition).clause.cast())?;
                if !is_a(ball, pg_sys::NodeTag::T_RowExpr) {
                    return None;
                }
                items((*ball.cast::<pg_sys::RowExpr>()).args).next()?
            }
        };
        let is_query = pg_sys::exprType(argument) != *(*path.indexinfo).opcintype;
        is_query.then(|| active_subspaces(root, argument)).flatten()
    }
}

/// The second argument of an operator; `None` for any other node.
///
/// # Safety
/// `node` must be an expression.
unsafe fn second_argument(node: *mut pg_sys::Node) -> Option<*mut pg_sys::Node> {
    // SAFETY: the caller promises an expression, which is read as what its tag says.
    unsafe {
        is_a(node, pg_sys::NodeTag::T_OpExpr)
            .then(|| items::<pg_sys::Node>((*node.cast::<pg_sys::OpExpr>()).args).nth(1))
            .flatten()
    }
}

/// The subspaces of the index's rows; `None` if it has none, is only imagined, or damaged: then a scan says so, if there is one.
fn subspaces(info: &pg_sys::IndexOptInfo) -> Option<usize> {
    if info.hypothetical {
        return None;
    }
    // SAFETY: the planner has locked the index of a path.
    let meta = unsafe {
        let relation = pg_sys::index_open(info.indexoid, pg_sys::NoLock as i32);
        let meta = IndexRelation::new(relation).meta();
        pg_sys::index_close(relation, pg_sys::NoLock as i32);
        meta
    };
    meta.ok()?.layout.map(|layout| layout.subspaces())
}
