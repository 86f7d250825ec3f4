//! How many rows meet `emb <-> query < r`, for the planner.

use super::cost;
use super::relation::IndexRelation;
use crate::index::{share_within, ExpectedQuery};
use crate::memory;
use crate::pg::planner::active_subspaces::active_subspaces;
use crate::pg::{CoopQuery, CoopVec};
use crate::space::Query;
use pgrx::is_a;
use pgrx::pg_sys::{self, Const, IndexOptInfo, Node, NodeTag, PlannerInfo};

/// Whether an index is of this access method.
pub fn is_coop_index(index: &IndexOptInfo) -> bool {
    index.amcostestimate.is_some_and(|estimate| estimate as usize == cost::estimate as *const () as usize)
}

/// The share of an index's rows within the distance `radius` of `query`, as a sample of its rows lets expect. A query that is not known while
/// planning is taken to be like a row of the index; nothing is evaluated. `None` if the radius is not known either, or the index has no sample.
///
/// # Safety
/// `index` must be a coop index of a relation of the query that `root` plans, `query` an expression of type coopvec or coopquery, and
/// `radius` one of type float8.
pub unsafe fn limit_selectivity(
    root: *mut PlannerInfo,
    index: &IndexOptInfo,
    query: *mut Node,
    radius: *mut Node,
) -> Option<f64> {
    // SAFETY: the caller promises these expressions; a constant of a type holds a datum of it.
    unsafe {
        if index.hypothetical || !is_a(radius, NodeTag::T_Const) {
            return None;
        }
        let radius = &*radius.cast::<Const>();
        if radius.constisnull {
            return Some(0.0);
        }
        let limit = f64::from_bits(radius.constvalue.value() as u64);
        if limit.is_nan() {
            return Some(1.0);
        }
        let known;
        let expected = if is_a(query, NodeTag::T_Const) {
            let constant = &*query.cast::<Const>();
            if constant.constisnull {
                return Some(0.0);
            }
            known = constant_query(constant, constant.consttype == *index.opcintype)?;
            ExpectedQuery::Known(known.as_ref())
        } else if pg_sys::exprType(query) == *index.opcintype {
            ExpectedQuery::Unknown(None)
        } else {
            ExpectedQuery::Unknown(active_subspaces(root, query))
        };
        let relation = pg_sys::index_open(index.indexoid, pg_sys::NoLock as i32);
        let share = share_within(&IndexRelation::new(relation), expected, limit);
        pg_sys::index_close(relation, pg_sys::NoLock as i32);
        // Damage is the scan's to report.
        share.ok().flatten()
    }
}

/// The query that a constant stands for; `None` if there is no memory for it.
///
/// # Safety
/// The constant must be a coopvec, or else a coopquery, and not null.
unsafe fn constant_query(constant: &Const, is_embedding: bool) -> Option<Query> {
    // SAFETY: as the caller promises.
    unsafe {
        if !is_embedding {
            return Some(CoopQuery::from_raw(constant.constvalue).view().to_query());
        }
        let embedding = CoopVec::from_raw(constant.constvalue);
        let embedding = embedding.view();
        let target = memory::collect(embedding.values.iter().map(|v| v.to_f32())).ok()?;
        Query::superspace(embedding.layout, target).ok()
    }
}
