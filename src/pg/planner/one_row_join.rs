//! Has an index serve `FROM products, q ORDER BY emb <-> q.v` where q has one row: a common table expression, a subquery, a row found by its key.
//!
//! PostgreSQL orders the rows of a table by what is known before the table is read, and a column of another table is not. But if there is no
//! more than one row of q, a nested loop with q outside returns its rows in the order in which the index does.
//!
//! ```text
//! Limit
//!   ->  Nested Loop
//!         ->  Index Scan using products_pkey on products q
//!         ->  Index Scan using products_emb on products
//!               Order By: (emb <-> q.emb)
//! ```

use super::distance_expression::{first_order, usable_indexes, Distance};
use super::nodes::items;
use pgrx::is_a;
use pgrx::pg_sys::{self, NodeTag, PlannerInfo, Query, RTEKind, RangeTblEntry, RelOptInfo};
use std::ptr::null_mut;

/// Adds the paths of an inner join in the order of the distance of `inner`'s embeddings from a query that `outer`'s only row gives.
///
/// # Safety
/// The planner must be making the paths of `join`, of these two relations, the second of which is a table.
pub unsafe fn add_paths(
    root: *mut PlannerInfo,
    join: *mut RelOptInfo,
    outer: *mut RelOptInfo,
    inner: *mut RelOptInfo,
    extra: *mut pg_sys::JoinPathExtraData,
) {
    // SAFETY: relations and paths are the planner's, of this query. Path keys have equivalence classes of expressions.
    unsafe {
        let outer_path = (*outer).cheapest_total_path;
        let is_simple = (*inner).lateral_relids.is_null() && (*outer_path).param_info.is_null();
        let Some(key) = first_order(root).filter(|_| is_simple) else { return };
        for index in usable_indexes(inner) {
            let given = Distance::of_key(index, key).find(|(_, distance)| is_given_by(root, outer, distance));
            let Some((_, distance)) = given else { continue };
            if !is_one_row(root, outer) {
                return;
            }
            let inner_path = distance.ordered_path(root, index, key, (*outer).relids).cast::<pg_sys::Path>();
            let (kind, mut costs) = (pg_sys::JoinType::JOIN_INNER, pg_sys::JoinCostWorkspace::default());
            pg_sys::initial_cost_nestloop(root, &mut costs, kind, outer_path, inner_path, extra);
            let path = pg_sys::create_nestloop_path(
                root,
                join,
                kind,
                &mut costs,
                extra,
                outer_path,
                inner_path,
                (*extra).restrictlist,
                pg_sys::lappend(null_mut(), key.cast()),
                null_mut(),
            );
            pg_sys::add_path(join, path.cast());
        }
    }
}

/// Whether a distance is from a query that only columns of `outer` give.
///
/// # Safety
/// As [`add_paths`].
unsafe fn is_given_by(root: *mut PlannerInfo, outer: *mut RelOptInfo, distance: &Distance) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let relations = pg_sys::pull_varnos(root, distance.query);
        !relations.is_null()
            && pg_sys::bms_is_subset(relations, (*outer).relids)
            && !pg_sys::contain_volatile_functions(distance.query)
    }
}

/// Whether a relation has one row at most, whatever its tables hold.
///
/// # Safety
/// `relation` must be a relation of the query that `root` plans.
unsafe fn is_one_row(root: *mut PlannerInfo, relation: *mut RelOptInfo) -> bool {
    // SAFETY: the caller promises a relation; one of this kind has an entry in the range table, which is read as what it says it is.
    unsafe {
        if (*relation).reloptkind != pg_sys::RelOptKind::RELOPT_BASEREL {
            return false;
        }
        let entry = &**(*root).simple_rte_array.add((*relation).relid as usize);
        match entry.rtekind {
            RTEKind::RTE_RELATION => {
                let none = null_mut();
                !entry.inh && pg_sys::relation_has_unique_index_for(root, relation, none, none, none)
            }
            RTEKind::RTE_SUBQUERY => returns_one_row((*relation).subroot),
            RTEKind::RTE_CTE => cte_planner(root, entry).is_some_and(|subroot| returns_one_row(subroot)),
            RTEKind::RTE_VALUES => items::<pg_sys::List>(entry.values_lists).nth(1).is_none(),
            RTEKind::RTE_RESULT => true,
            _ => false,
        }
    }
}

/// The planner's state of a common table expression, which has been planned; `None` if it refers to itself.
///
/// # Safety
/// `entry` must be a range table entry of the query that `root` plans, of a common table expression.
unsafe fn cte_planner(root: *mut PlannerInfo, entry: &RangeTblEntry) -> Option<*mut PlannerInfo> {
    // SAFETY: the caller promises such an entry: the level that it names has the expression, and a plan for each of its expressions.
    unsafe {
        if entry.self_reference {
            return None;
        }
        let mut level = root;
        for _ in 0..entry.ctelevelsup {
            level = (*level).parent_root;
        }
        let name = std::ffi::CStr::from_ptr(entry.ctename);
        let mut expressions = items::<pg_sys::CommonTableExpr>((*(*level).parse).cteList);
        let at = expressions.position(|cte| std::ffi::CStr::from_ptr((*cte).ctename) == name)?;
        let plan = pg_sys::list_nth_int((*level).cte_plan_ids, at as i32);
        let number = usize::try_from(plan - 1).ok()?;
        items::<PlannerInfo>((*(*level).glob).subroots).nth(number)
    }
}

/// Whether a subquery that has been planned returns one row at most.
///
/// # Safety
/// `root` must be null or the planner's state of the subquery.
unsafe fn returns_one_row(root: *mut PlannerInfo) -> bool {
    // SAFETY: the caller promises the state, which points to its query.
    unsafe {
        let Some(planner) = root.as_ref() else { return false };
        let query = &*planner.parse;
        if query.commandType != pg_sys::CmdType::CMD_SELECT
            || !query.setOperations.is_null()
            || query.hasTargetSRFs
        {
            return false;
        }
        let is_aggregate = query.hasAggs && query.groupClause.is_null() && query.groupingSets.is_null();
        is_aggregate || has_limit_one(query) || {
            let mut from = items::<pg_sys::Node>((*query.jointree).fromlist);
            match (from.next(), from.next()) {
                (None, _) => query.groupingSets.is_null(),
                (Some(item), None) if is_a(item, NodeTag::T_RangeTblRef) && query.groupingSets.is_null() => {
                    let index = (*item.cast::<pg_sys::RangeTblRef>()).rtindex as usize;
                    let relation = *planner.simple_rel_array.add(index);
                    !relation.is_null() && is_one_row(root, relation)
                }
                _ => false,
            }
        }
    }
}

/// Whether a query ends in `LIMIT 1`.
///
/// # Safety
/// The query must be complete.
unsafe fn has_limit_one(query: &Query) -> bool {
    // SAFETY: LIMIT is null or an expression of type bigint.
    unsafe {
        let limit = query.limitCount.cast::<pg_sys::Const>();
        !limit.is_null()
            && query.limitOption == pg_sys::LimitOption::LIMIT_OPTION_COUNT
            && is_a(limit.cast(), NodeTag::T_Const)
            && !(*limit).constisnull
            && (*limit).constvalue.value() as i64 <= 1
    }
}
