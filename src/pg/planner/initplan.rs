//! Evaluates a stable query function once per statement, as an InitPlan.
//!
//! In `ORDER BY emb <-> 2 * coop_attr_query('neckline', 'v-neck')` the right side is the same for every row, but
//! `coop_attr_query` is STABLE (it reads the catalogue), so PostgreSQL neither computes it while planning nor keeps its value:
//! a sequential scan would look up the attribute for each row. `coop_fold_support`, the planner support function of
//! the functions that make queries, rewrites such a call `f(...)` into the scalar subquery `(SELECT f(...))`. PostgreSQL
//! evaluates that as an InitPlan: when it is first needed, once for each execution, and passes the value to index scans
//! and parallel workers alike. EXPLAIN shows `emb <-> $0` above an `InitPlan`.
//!
//! Why not a constant in the plan? A prepared statement or a PL/pgSQL function keeps its plan. A plan made under an old
//! snapshot (REPEATABLE READ, or a model that is replaced during planning) would go on answering with the old
//! model's numbers once the invalidation message has been processed; so would one made under another `coopembed.model`.
//! An InitPlan is never stale, takes parameters (`coop_attr_query('neckline', $1)`) as well as constants,
//! raises an error only if it is evaluated, and does not embed an image during EXPLAIN.
//!
//! A call whose arguments name a column would become a subquery that runs for each row and gains nothing, so it stays as it is: see
//! [`QueryLevel::is_same_for_all_rows`].

use super::nodes::{cells, items};
use crate::pg::fmgr::fmgr_functions;
use pgrx::is_a;
use pgrx::pg_sys::{self, Datum, FuncExpr, Node, NodeTag, PlannerInfo, Query, SubLink};
use std::ffi::c_int;
use std::ptr::null_mut;

pgrx::extension_sql_file!("../../../sql/current/initplan.sql", name = "initplan", requires = ["types"]);

fmgr_functions! {
    /// The planner support function: answers the request to simplify a call, and no other. SQL knows it by this name.
    fn coop_fold_support(call) {
        // SAFETY: declared STRICT with one argument of type internal, which only the planner can pass: a support request.
        unsafe {
            let request = call.arg(0).cast_mut_ptr::<Node>();
            if !is_a(request, NodeTag::T_SupportRequestSimplify) {
                return Datum::null();
            }
            let request = &*request.cast::<pg_sys::SupportRequestSimplify>();
            let subquery = QueryLevel::new(request.root).and_then(|level| level.initplan_for(request.fcall));
            Datum::from(subquery.unwrap_or(null_mut()))
        }
    }
}

/// A query, or a subquery, that is being planned.
struct QueryLevel(*mut PlannerInfo);

impl QueryLevel {
    /// The level that is being planned, if a call can be rewritten there and would otherwise be evaluated more than once.
    ///
    /// # Safety
    /// `root` must be null or the planner's state.
    unsafe fn new(root: *mut PlannerInfo) -> Option<Self> {
        // SAFETY: the caller promises null or the planner's state.
        let root_ref = unsafe { root.as_ref() }?;
        // The planner turns subqueries into plans before it sets up relations. One that appeared later (from a column that became a constant
        // in one arm of a UNION ALL) would reach the executor unplanned.
        let is_before_sublinks = root_ref.simple_rel_array.is_null();
        // SAFETY: the planner's state points to its query, which is complete.
        (is_before_sublinks && unsafe { reads_rows(root_ref.parse) }).then_some(Self(root))
    }

    /// `(SELECT f(...))`, if `f(...)` is the same for all rows.
    ///
    /// # Safety
    /// `call` must be a call in this level's query.
    unsafe fn initplan_for(&self, call: *mut FuncExpr) -> Option<*mut SubLink> {
        // SAFETY: the planner's nodes are read as what their tags say. The call lies on the planner's stack, so it is copied before it is
        // changed.
        unsafe {
            if !items((*call).args).all(|arg| self.is_same_for_all_rows(arg)) {
                return None;
            }
            let call = pg_sys::copyObjectImpl(call.cast()).cast::<FuncExpr>();
            for cell in cells((*call).args) {
                // An argument is rewritten before the call that it belongs to: one subquery is enough for both.
                if let Some(inner) = subquery_expression((*cell).ptr_value.cast()) {
                    pg_sys::IncrementVarSublevelsUp(inner, -1, 1);
                    (*cell).ptr_value = inner.cast();
                }
            }
            pg_sys::IncrementVarSublevelsUp(call.cast(), 1, 0);
            (*(*self.0).parse).hasSubLinks = true;
            Some(make_scalar_subquery(call.cast()))
        }
    }

    /// Whether an expression has one value for all rows of a statement: constants, parameters, subqueries that refer to no columns outside
    /// of themselves, and what functions that are not volatile make of these. An unknown kind of node has not.
    ///
    /// # Safety
    /// `node` must be an expression of this level's query.
    unsafe fn is_same_for_all_rows(&self, node: *mut Node) -> bool {
        // SAFETY: the caller promises an expression; each of its nodes is read as the struct that its tag says.
        unsafe {
            match (*node).type_ {
                NodeTag::T_Const => true,
                NodeTag::T_Param => {
                    (*node.cast::<pg_sys::Param>()).paramkind == pg_sys::ParamKind::PARAM_EXTERN
                }
                NodeTag::T_FuncExpr => {
                    let f = &*node.cast::<FuncExpr>();
                    !f.funcretset
                        && is_not_volatile(f.funcid)
                        && items(f.args).all(|arg| self.is_same_for_all_rows(arg))
                }
                NodeTag::T_OpExpr => {
                    let op = &*node.cast::<pg_sys::OpExpr>();
                    !op.opretset
                        && is_not_volatile(op.opfuncid)
                        && items(op.args).all(|arg| self.is_same_for_all_rows(arg))
                }
                NodeTag::T_RelabelType => {
                    self.is_same_for_all_rows((*node.cast::<pg_sys::RelabelType>()).arg.cast())
                }
                NodeTag::T_CoerceViaIO => {
                    self.is_same_for_all_rows((*node.cast::<pg_sys::CoerceViaIO>()).arg.cast())
                }
                NodeTag::T_ArrayCoerceExpr => {
                    let coercion = &*node.cast::<pg_sys::ArrayCoerceExpr>();
                    !pg_sys::contain_volatile_functions(coercion.elemexpr.cast())
                        && self.is_same_for_all_rows(coercion.arg.cast())
                }
                NodeTag::T_ArrayExpr => items((*node.cast::<pg_sys::ArrayExpr>()).elements)
                    .all(|arg| self.is_same_for_all_rows(arg)),
                NodeTag::T_SubLink => {
                    let link = &*node.cast::<SubLink>();
                    // Columns and aggregates of this level (0), and of each level around it.
                    let levels = 0..(*self.0).query_level as c_int;
                    link.subLinkType == pg_sys::SubLinkType::EXPR_SUBLINK
                        && !levels.into_iter().any(|level| {
                            pg_sys::contain_vars_of_level(node, level)
                                || pg_sys::contain_aggs_of_level(node, level)
                        })
                }
                _ => false,
            }
        }
    }
}

/// Whether the query reads rows. One without FROM, or over a list of VALUES, evaluates each of its expressions once anyway. The subqueries
/// made here have no FROM, so this also ends the recursion.
///
/// # Safety
/// `query` must be a complete query.
unsafe fn reads_rows(query: *const Query) -> bool {
    // SAFETY: a query's FROM list has indices, from 1, into its range table, which is long enough.
    unsafe {
        items::<Node>((*(*query).jointree).fromlist).any(|item| {
            if !is_a(item, NodeTag::T_RangeTblRef) {
                return true;
            }
            let index = (*item.cast::<pg_sys::RangeTblRef>()).rtindex as usize - 1;
            let relation = items::<pg_sys::RangeTblEntry>((*query).rtable).nth(index).map(|r| (*r).rtekind);
            !matches!(relation, Some(pg_sys::RTEKind::RTE_RESULT | pg_sys::RTEKind::RTE_VALUES))
        })
    }
}

/// Whether a function may be called once instead of once for each row.
///
/// # Safety
/// `function` must be the oid of a function.
unsafe fn is_not_volatile(function: pg_sys::Oid) -> bool {
    // SAFETY: looks up the catalogue.
    unsafe { pg_sys::func_volatile(function) as u8 != pg_sys::PROVOLATILE_VOLATILE }
}

/// Makes `(SELECT expression)`.
///
/// # Safety
/// `expression` must be one whose columns' levels have been adjusted to the subquery.
unsafe fn make_scalar_subquery(expression: *mut Node) -> *mut SubLink {
    // SAFETY: palloc0 allocates a node of the right size with all other fields zero, as makeNode() does.
    unsafe {
        let query = pg_sys::palloc0(size_of::<Query>()).cast::<Query>();
        (*query).type_ = NodeTag::T_Query;
        (*query).commandType = pg_sys::CmdType::CMD_SELECT;
        (*query).canSetTag = true;
        (*query).hasSubLinks = pg_sys::checkExprHasSubLink(expression);
        (*query).jointree = pg_sys::makeFromExpr(null_mut(), null_mut());
        let column = pg_sys::makeTargetEntry(expression.cast(), 1, null_mut(), false);
        (*query).targetList = pg_sys::lappend(null_mut(), column.cast());
        (*query).stmt_location = -1;

        let link = pg_sys::palloc0(size_of::<SubLink>()).cast::<SubLink>();
        (*link).xpr.type_ = NodeTag::T_SubLink;
        (*link).subLinkType = pg_sys::SubLinkType::EXPR_SUBLINK;
        (*link).subselect = query.cast();
        (*link).location = -1;
        link
    }
}

/// The expression of a node `(SELECT expression)` that has no other clause; `None` for any other node.
///
/// # Safety
/// `node` must be an expression.
unsafe fn subquery_expression(node: *mut Node) -> Option<*mut Node> {
    // SAFETY: the caller promises an expression; its nodes are read as what their tags say.
    unsafe {
        if !is_a(node, NodeTag::T_SubLink) {
            return None;
        }
        let query = (*node.cast::<SubLink>()).subselect.cast::<Query>();
        let q = &*query;
        let from = &*q.jointree;
        let is_plain = q.rtable.is_null()
            && from.fromlist.is_null()
            && from.quals.is_null()
            && q.cteList.is_null()
            && q.setOperations.is_null()
            && q.limitCount.is_null()
            && q.limitOffset.is_null()
            && q.havingQual.is_null()
            && !(q.hasAggs || q.hasWindowFuncs || q.hasTargetSRFs);
        let mut columns = items::<pg_sys::TargetEntry>(q.targetList);
        match (is_plain, columns.next(), columns.next()) {
            (true, Some(column), None) => Some((*column).expr.cast()),
            _ => None,
        }
    }
}

#[cfg(any(test, feature = "pg_test"))]
mod tests;
