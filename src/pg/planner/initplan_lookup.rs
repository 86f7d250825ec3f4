//! What is known while planning of the values that InitPlans compute when the statement runs.

use super::nodes::items;
use pgrx::is_a;
use pgrx::pg_sys::{self, Node, NodeTag, Param, PlannerInfo};

/// The planner's number of the InitPlan that sets a parameter, and the state of the level that it belongs to.
///
/// # Safety
/// `root` must be the planner's state.
unsafe fn initplan(root: *mut PlannerInfo, param: i32) -> Option<(*mut PlannerInfo, usize)> {
    // SAFETY: the planner's state, and that of the levels around it, is complete once its subqueries are planned.
    unsafe {
        let mut level = root;
        while let Some(planner) = level.as_ref() {
            for subplan in items::<pg_sys::SubPlan>(planner.init_plans) {
                let sets = (*subplan).setParam;
                if !sets.is_null() && pg_sys::list_nth_int(sets, 0) == param {
                    return Some((level, (*subplan).plan_id as usize - 1));
                }
            }
            level = planner.parent_root;
        }
        None
    }
}

/// The expression that an InitPlan `(SELECT expression)` evaluates for a parameter.
///
/// # Safety
/// `root` must be the planner's state.
pub unsafe fn initplan_expression(root: *mut PlannerInfo, param: i32) -> Option<*mut Node> {
    // SAFETY: a subplan's number leads to its plan, which has been made.
    unsafe {
        let (level, number) = initplan(root, param)?;
        let plan = items::<pg_sys::Plan>((*(*level).glob).subplans).nth(number)?;
        // Of a subquery that reads rows, the expression is about those.
        if !is_a(plan.cast(), NodeTag::T_Result) || !(*plan).lefttree.is_null() {
            return None;
        }
        let target = items::<pg_sys::TargetEntry>((*plan).targetlist).next()?;
        Some((*target).expr.cast())
    }
}

/// Whether two expressions probably have the same value: they are equal, or set by InitPlans of equal subqueries, as where a user writes the
/// same subquery in WHERE and ORDER BY.
///
/// # Safety
/// `root` must be the planner's state, and the expressions of its query.
pub unsafe fn is_same_value(root: *mut PlannerInfo, a: *mut Node, b: *mut Node) -> bool {
    // SAFETY: the caller promises expressions; queries are nodes that equal() compares.
    unsafe {
        if pg_sys::equal(a.cast(), b.cast()) {
            return true;
        }
        match (initplan_query(root, a), initplan_query(root, b)) {
            (Some(x), Some(y)) => {
                pg_sys::exprType(a) == pg_sys::exprType(b) && pg_sys::equal(x.cast(), y.cast())
            }
            _ => false,
        }
    }
}

/// The subquery whose InitPlan sets a parameter; `None` for any other expression.
///
/// # Safety
/// As [`is_same_value`].
unsafe fn initplan_query(root: *mut PlannerInfo, node: *mut Node) -> Option<*mut pg_sys::Query> {
    // SAFETY: the caller promises an expression. A subplan's number leads to the planner's state of its subquery.
    unsafe {
        let param = node.cast::<Param>();
        if !is_a(node, NodeTag::T_Param) || (*param).paramkind != pg_sys::ParamKind::PARAM_EXEC {
            return None;
        }
        let (level, number) = initplan(root, (*param).paramid)?;
        items::<PlannerInfo>((*(*level).glob).subroots).nth(number).map(|subroot| (*subroot).parse)
    }
}
