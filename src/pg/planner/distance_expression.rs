//! Distances in the expressions of a query that is being planned, and which indexes serve them.

use super::nodes::items;
use crate::pg::am::is_coop_index;
use crate::pg::compat;
use pgrx::is_a;
use pgrx::pg_sys::{
    self, IndexOptInfo, IndexPath, Node, NodeTag, Oid, OpExpr, PathKey, PlannerInfo, RelOptInfo,
};
use std::ffi::c_void;
use std::ptr::null_mut;

/// `emb <-> query`, with the column of an index, in either order.
pub struct Distance {
    /// The column.
    pub embedding: *mut Node,
    pub query: *mut Node,
    /// `<->`, with the column first.
    operator: Oid,
    /// The family of `<` and `<=` on distances.
    pub sort_family: Oid,
}

impl Distance {
    /// A distance from the column of an index, which serves it; `None` for any other expression.
    ///
    /// # Safety
    /// `index` must be an index of a relation of the query, and `node` an expression of the query.
    pub unsafe fn of(index: *mut IndexOptInfo, node: *mut Node) -> Option<Self> {
        // SAFETY: the caller promises an expression and an index with at least one column.
        unsafe {
            let [left, right] = operands(node)?;
            let operator = (*node.cast::<OpExpr>()).opno;
            let (embedding, query, operator) = if pg_sys::match_index_to_operand(left, 0, index) {
                (left, right, operator)
            } else if pg_sys::match_index_to_operand(right, 0, index) {
                (right, left, pg_sys::get_commutator(operator))
            } else {
                return None;
            };
            let sort_family = pg_sys::get_op_opfamily_sortfamily(operator, *(*index).opfamily);
            (sort_family != pg_sys::InvalidOid).then_some(Self { embedding, query, operator, sort_family })
        }
    }

    /// The distances that a path key stands for and an index serves, with the relations whose columns they name.
    ///
    /// # Safety
    /// As [`Distance::of`]; `key` must be a path key of the query.
    pub unsafe fn of_key(
        index: *mut IndexOptInfo,
        key: *mut PathKey,
    ) -> impl Iterator<Item = (pg_sys::Relids, Self)> {
        // SAFETY: the caller promises a key, whose equivalence class has expressions of the query as members.
        unsafe {
            let members = items::<pg_sys::EquivalenceMember>((*(*key).pk_eclass).ec_members);
            members.filter_map(move |member| {
                let distance = Self::of(index, (*member).em_expr.cast())?;
                (distance.sort_family == (*key).pk_opfamily).then_some(((*member).em_relids, distance))
            })
        }
    }

    /// A path in the order of this distance, over all rows of the index.
    ///
    /// # Safety
    /// `index` must be the index, in the query that `root` plans; `key` the path key of the distance, and `outer` the relations whose
    /// columns the query names.
    pub unsafe fn ordered_path(
        &self,
        root: *mut PlannerInfo,
        index: *mut IndexOptInfo,
        key: *mut PathKey,
        outer: pg_sys::Relids,
    ) -> *mut IndexPath {
        // SAFETY: the caller promises the planner's own objects; the nodes made here are the path's.
        unsafe {
            let (none, float8) = (pg_sys::InvalidOid, pg_sys::FLOAT8OID);
            let (embedding, query) = (self.embedding.cast(), self.query.cast());
            let order = pg_sys::make_opclause(self.operator, float8, false, embedding, query, none, none);
            pg_sys::set_opfuncid(order.cast());
            let list = |item: *mut c_void| pg_sys::lappend(null_mut(), item);
            pg_sys::create_index_path(
                root,
                index,
                null_mut(),
                list(order.cast()),
                pg_sys::lappend_int(null_mut(), 0),
                list(key.cast()),
                pg_sys::ScanDirection::ForwardScanDirection,
                false,
                outer,
                1.0,
                false,
            )
        }
    }
}

/// The first path key of a query, if it asks for the order in which an index can return rows: ascending, nulls last.
///
/// # Safety
/// `root` must be the planner's state.
pub unsafe fn first_order(root: *mut PlannerInfo) -> Option<*mut PathKey> {
    // SAFETY: the planner's path keys have equivalence classes.
    unsafe {
        items::<PathKey>((*root).query_pathkeys).next().filter(|&key| {
            compat::is_ascending(&*key) && !(*key).pk_nulls_first && !(*(*key).pk_eclass).ec_has_volatile
        })
    }
}

/// The coop indexes of a table that hold all rows which the query wants.
///
/// # Safety
/// `table` must be a base relation of the query.
pub unsafe fn usable_indexes(table: *const RelOptInfo) -> impl Iterator<Item = *mut IndexOptInfo> {
    // SAFETY: the caller promises a relation, which has a list of its indexes.
    unsafe {
        items::<IndexOptInfo>((*table).indexlist)
            .filter(|&index| is_coop_index(&*index) && ((*index).indpred.is_null() || (*index).predOK))
    }
}

/// The operands of an operator that has two; `None` for any other node.
///
/// # Safety
/// `node` must be an expression.
pub unsafe fn operands(node: *mut Node) -> Option<[*mut Node; 2]> {
    // SAFETY: the caller promises an expression, which is read as what its tag says.
    unsafe {
        if !is_a(node, NodeTag::T_OpExpr) {
            return None;
        }
        let mut args = items::<Node>((*node.cast::<OpExpr>()).args);
        match (args.next(), args.next(), args.next()) {
            (Some(left), Some(right), None) => Some([left, right]),
            _ => None,
        }
    }
}

/// Whether an expression has one value for all rows of a scan.
///
/// # Safety
/// `node` must be an expression of the query that `root` plans.
pub unsafe fn is_constant(root: *mut PlannerInfo, node: *mut Node) -> bool {
    // SAFETY: as the caller promises.
    unsafe { pg_sys::pull_varnos(root, node).is_null() && !pg_sys::contain_volatile_functions(node) }
}
