//! Cost estimates, by which the planner chooses between the index and a sequential scan.

use crate::pg::{compat, CoopQuery};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// The share of the index's pages that hold the high nibbles of codes. A scan over all subspaces reads them all; the low nibbles, the other
/// half, are read for few rows.
const HIGH_NIBBLE_SHARE: f64 = 0.5;
/// Bounding a row's distance in all subspaces takes about as long as this many calls of an operator (cpu_operator_cost).
const OPERATORS_PER_ROW: f64 = 2.0;

/// amcostestimate.
#[pg_guard]
#[allow(clippy::too_many_arguments)] // as PostgreSQL calls it
pub unsafe extern "C-unwind" fn estimate(
    _root: *mut pg_sys::PlannerInfo,
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
        *selectivity = 1.0;
        if (*path).indexorderbys.is_null() {
            // The index can only return rows in the order of a distance.
            (*startup, *total, *pages) = (f64::INFINITY, f64::INFINITY, 0.0);
            compat::disable_path(&mut *path);
            return;
        }
        let info = &*(*path).indexinfo;
        let (mut random, mut sequential) = (0.0, 0.0);
        pg_sys::get_tablespace_page_costs(info.reltablespace, &mut random, &mut sequential);
        let share = subspace_share((*path).indexorderbys, *info.opcintype);
        // Every row's distance is bounded before the first row is returned.
        *pages = (f64::from(info.pages) * HIGH_NIBBLE_SHARE * share).ceil().max(1.0);
        *startup = *pages * sequential + info.tuples * share * OPERATORS_PER_ROW * pg_sys::cpu_operator_cost;
        // The executor adds its own cost for each row.
        *total = *startup + info.tuples * pg_sys::cpu_index_tuple_cost;
    }
}

/// The share of the subspaces in which the query has a weight; 1 where the query is not known while planning.
///
/// # Safety
/// `orderbys` must be the ORDER BY operators of an index path, `coopvec` the type of its column.
unsafe fn subspace_share(orderbys: *mut pg_sys::List, coopvec: pg_sys::Oid) -> f64 {
    // SAFETY: the caller promises ORDER BY expressions of an index path. Each is an operator on the indexed column, which the planner puts
    // first, and one argument; a node is read as what its tag says.
    unsafe {
        let operator = pg_sys::list_nth(orderbys, 0).cast::<pg_sys::OpExpr>();
        if (*operator).xpr.type_ != pg_sys::NodeTag::T_OpExpr {
            return 1.0;
        }
        let argument = pg_sys::list_nth((*operator).args, 1).cast::<pg_sys::Const>();
        // The operator class has two operators: an argument that is not a coopvec is a coopquery.
        let is_query = |c: &pg_sys::Const| !c.constisnull && c.consttype != coopvec;
        if (*argument).xpr.type_ != pg_sys::NodeTag::T_Const || !is_query(&*argument) {
            return 1.0;
        }
        let query = CoopQuery::from_raw((*argument).constvalue);
        let view = query.view();
        view.active().count() as f64 / view.layout.subspaces() as f64
    }
}
