//! What the planner has to know: when the index wins.

use crate::pg::{compat, CoopQuery};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Of the pages of an index, about half are high nibbles, which a scan over all subspaces reads.
const HIGH_NIBBLES: f64 = 0.5;
/// Bounding a row in all subspaces takes about as long as this many of the planner's operators.
const OPERATORS: f64 = 2.0;

/// Costs of an index path.
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
    // SAFETY: PostgreSQL passes a path of an index of ours, and room for five numbers.
    unsafe {
        *correlation = 0.0;
        *selectivity = 1.0;
        if (*path).indexorderbys.is_null() {
            // There is nothing else to be had from it.
            (*startup, *total, *pages) = (f64::INFINITY, f64::INFINITY, 0.0);
            compat::never(&mut *path);
            return;
        }
        let info = &*(*path).indexinfo;
        let (mut random, mut sequential) = (0.0, 0.0);
        pg_sys::get_tablespace_page_costs(info.reltablespace, &mut random, &mut sequential);
        let share = share((*path).indexorderbys, *info.opcintype);
        // All of it is bounded before the first row comes.
        *pages = (f64::from(info.pages) * HIGH_NIBBLES * share).ceil().max(1.0);
        *startup = *pages * sequential + info.tuples * share * OPERATORS * pg_sys::cpu_operator_cost;
        // The executor's own work for a row comes on top.
        *total = *startup + info.tuples * pg_sys::cpu_index_tuple_cost;
    }
}

/// The share of the subspaces that the query asks for: 1 if that is not known before it runs.
///
/// # Safety
/// `orderbys` must be the ORDER BY operators of an index path, `embedding` the type of its column.
unsafe fn share(orderbys: *mut pg_sys::List, embedding: pg_sys::Oid) -> f64 {
    // SAFETY: as promised: operators with two arguments, the indexed column first.
    unsafe {
        let operator = pg_sys::list_nth(orderbys, 0).cast::<pg_sys::OpExpr>();
        if (*operator).xpr.type_ != pg_sys::NodeTag::T_OpExpr {
            return 1.0;
        }
        let argument = pg_sys::list_nth((*operator).args, 1).cast::<pg_sys::Const>();
        // An argument that is no embedding is a query: there are no other operators.
        let is_query = |c: &pg_sys::Const| !c.constisnull && c.consttype != embedding;
        if (*argument).xpr.type_ != pg_sys::NodeTag::T_Const || !is_query(&*argument) {
            return 1.0;
        }
        let query = CoopQuery::from_raw((*argument).constvalue);
        let view = query.view();
        view.active().count() as f64 / view.layout.subspaces() as f64
    }
}
