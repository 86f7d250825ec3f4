//! Lets index scans end at a distance: offers the planner paths for `WHERE emb <-> query < r` in which the index stops at r, with and without
//! ORDER BY.
//!
//! The operator of such a condition is PostgreSQL's `<` on numbers, which no index of ours can have. So this adds what PostgreSQL would have
//! found itself, had it known that `emb <-> query < r` implies `emb <@ ball` (`src/pg/types/ball.rs`): index paths with that
//! condition. It is *lossy*: the condition that the user wrote stays a filter of the scan, and decides.
//!
//! ```text
//! Index Scan using products_emb on products
//!   Index Cond: (emb <@ ROW($0, '0.5'::double precision)::coopembed.ball)
//!   Order By: (emb <-> $0)
//!   Filter: ((emb <-> $0) < '0.5'::double precision)
//! ```
//!
//! `emb <-> query <= r`, `r > emb <-> query` and `emb <-> query BETWEEN a AND r` are such conditions too. The share of the rows that meet
//! them comes from the index ([`limit_selectivity`]); PostgreSQL itself takes it to be a third.

use super::distance_expression::{is_constant, operands, usable_indexes, Distance};
use super::initplan_lookup::is_same_value;
use super::nodes::items;
use crate::pg::am::limit_selectivity;
use crate::pg::compat;
use pgrx::is_a;
use pgrx::pg_sys::{
    self, IndexOptInfo, IndexPath, List, Node, NodeTag, Oid, OpExpr, PlannerInfo, RelOptInfo,
};
use std::ptr::null_mut;

/// The strategy number of `coopvec <@ coopembed.ball` in the operator class (sql/current/am.sql).
const BALL_STRATEGY: i16 = 3;

/// Adds the paths of one table, or partition.
///
/// # Safety
/// `table` must be a base relation of the query that `root` plans, with its other paths.
pub unsafe fn add_paths(root: *mut PlannerInfo, table: *mut RelOptInfo) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut limits = Vec::new();
        for index in usable_indexes(table) {
            limits.extend(DistanceLimit::all(root, index));
        }
        if limits.is_empty() {
            return;
        }
        estimate_rows(root, table, &limits);
        for limit in &limits {
            limit.add_paths(root, table);
        }
    }
}

/// A condition `emb <-> query < r` on the column of an index.
struct DistanceLimit {
    index: *mut IndexOptInfo,
    /// The condition.
    condition: *mut pg_sys::RestrictInfo,
    /// The query, of type coopquery or coopvec.
    query: *mut Node,
    /// `emb <@ ball`.
    in_ball: *mut Node,
    /// The share of the rows that meet the condition; `None` if nothing is known of it.
    selectivity: Option<f64>,
}

impl DistanceLimit {
    /// The conditions on the column of an index.
    ///
    /// # Safety
    /// `index` must be a coop index of a relation of the query that `root` plans.
    unsafe fn all(root: *mut PlannerInfo, index: *mut IndexOptInfo) -> Vec<Self> {
        // SAFETY: the caller promises an index of the query, whose conditions are RestrictInfos.
        unsafe {
            items::<pg_sys::RestrictInfo>((*index).indrestrictinfo)
                .filter_map(|condition| Self::new(root, index, condition))
                .collect()
        }
    }

    /// Such a condition; `None` for any other.
    ///
    /// # Safety
    /// As [`DistanceLimit::all`], and `condition` must be one of the index's table.
    unsafe fn new(
        root: *mut PlannerInfo,
        index: *mut IndexOptInfo,
        condition: *mut pg_sys::RestrictInfo,
    ) -> Option<Self> {
        // SAFETY: the caller promises a condition; its nodes are read as what their tags say.
        unsafe {
            // As PostgreSQL decides for its own index conditions: row-level security comes first.
            if (*condition).pseudoconstant
                || !pg_sys::restriction_is_securely_promotable(condition, (*index).rel)
            {
                return None;
            }
            let comparison = (*condition).clause.cast::<Node>();
            let [left, right] = operands(comparison)?;
            let (distance, radius, strategies) = match Distance::of(index, left) {
                Some(distance) => (distance, right, [1, 2]),
                None => (Distance::of(index, right)?, left, [5, 4]),
            };
            let comparison = (*comparison.cast::<OpExpr>()).opno;
            let strategy = pg_sys::get_op_opfamily_strategy(comparison, distance.sort_family);
            if !strategies.contains(&strategy)
                || !is_constant(root, distance.query)
                || !is_constant(root, radius)
            {
                return None;
            }
            let radius = as_float8(radius)?;
            let in_ball = in_ball(&distance, index, radius)?;
            let selectivity = limit_selectivity(root, &*index, distance.query, radius);
            Some(Self { index, condition, query: distance.query, in_ball, selectivity })
        }
    }

    /// Offers the paths: in no order, and in the order of the distance from the same query.
    ///
    /// # Safety
    /// As [`DistanceLimit::all`]; `table` must be the index's table.
    unsafe fn add_paths(&self, root: *mut PlannerInfo, table: *mut RelOptInfo) {
        // SAFETY: relations and paths are the planner's, of this query.
        unsafe {
            let ordered: Vec<*mut IndexPath> = items::<pg_sys::Path>((*table).pathlist)
                .filter(|&path| is_a(path.cast(), NodeTag::T_IndexPath))
                .map(|path| path.cast::<IndexPath>())
                .filter(|&path| self.could_end(root, &*path))
                .collect();
            self.add_path(root, table, null_mut(), null_mut(), null_mut());
            for path in ordered {
                let path = &*path;
                self.add_path(root, table, path.indexorderbys, path.indexorderbycols, path.path.pathkeys);
            }
        }
    }

    /// Whether a path without conditions returns rows in the order of the distance from this query.
    ///
    /// # Safety
    /// As [`DistanceLimit::all`].
    unsafe fn could_end(&self, root: *mut PlannerInfo, path: &IndexPath) -> bool {
        // SAFETY: the orders of an index path are operators, with the indexed column first.
        unsafe {
            let order = items::<Node>(path.indexorderbys).next();
            path.indexinfo == self.index
                && path.indexclauses.is_null()
                && path.path.param_info.is_null()
                && order
                    .and_then(|order| operands(order))
                    .is_some_and(|[_, query]| is_same_value(root, query, self.query))
        }
    }

    /// Offers one path.
    ///
    /// # Safety
    /// As [`DistanceLimit::add_paths`]; the lists must be an index path's.
    unsafe fn add_path(
        &self,
        root: *mut PlannerInfo,
        table: *mut RelOptInfo,
        orders: *mut List,
        columns: *mut List,
        keys: *mut List,
    ) {
        // SAFETY: the caller promises the planner's own objects. An IndexClause is a node, allocated with all other fields zero.
        unsafe {
            let clause = pg_sys::palloc0(size_of::<pg_sys::IndexClause>()).cast::<pg_sys::IndexClause>();
            (*clause).type_ = NodeTag::T_IndexClause;
            (*clause).rinfo = self.condition;
            let condition = compat::make_simple_restrictinfo(root, self.in_ball.cast());
            (*clause).indexquals = pg_sys::lappend(null_mut(), condition.cast());
            (*clause).lossy = true;
            let path = pg_sys::create_index_path(
                root,
                self.index,
                pg_sys::lappend(null_mut(), clause.cast()),
                orders,
                columns,
                keys,
                pg_sys::ScanDirection::ForwardScanDirection,
                false,
                (*table).lateral_relids,
                1.0,
                false,
            );
            pg_sys::add_path(table, path.cast());
        }
    }
}

/// Corrects the planner's idea of how many rows meet the conditions, and that of the paths it has made already.
///
/// # Safety
/// `table` must be a base relation of the query that `root` plans.
unsafe fn estimate_rows(root: *mut PlannerInfo, table: *mut RelOptInfo, limits: &[DistanceLimit]) {
    // SAFETY: relations, conditions and paths are the planner's, of this query.
    unsafe {
        for limit in limits {
            if let Some(selectivity) = limit.selectivity {
                (*limit.condition).norm_selec = selectivity;
                (*limit.condition).outer_selec = selectivity;
            }
        }
        let before = (*table).rows;
        pg_sys::set_baserel_size_estimates(root, table);
        let ratio = (*table).rows / before;
        let paths = items::<pg_sys::Path>((*table).pathlist);
        for path in paths.chain(items::<pg_sys::Path>((*table).partial_pathlist)) {
            if (*path).param_info.is_null() {
                (*path).rows = pg_sys::clamp_row_est((*path).rows * ratio);
            }
        }
    }
}

/// `emb <@ ROW(query, radius)::coopembed.ball`; `None` if the extension's SQL objects are older than the library.
///
/// # Safety
/// As [`DistanceLimit::all`]; `radius` must be of type float8.
unsafe fn in_ball(distance: &Distance, index: *mut IndexOptInfo, radius: *mut Node) -> Option<*mut Node> {
    // SAFETY: looks up the catalogue. palloc0 allocates a node of the right size with all other fields zero, as makeNode() does.
    unsafe {
        let (family, coopvec) = (*(*index).opfamily, *(*index).opcintype);
        let ball = ball_type()?;
        let operator = pg_sys::get_opfamily_member(family, coopvec, ball, BALL_STRATEGY);
        if operator == pg_sys::InvalidOid {
            return None;
        }
        let row = pg_sys::palloc0(size_of::<pg_sys::RowExpr>()).cast::<pg_sys::RowExpr>();
        (*row).xpr.type_ = NodeTag::T_RowExpr;
        (*row).args = pg_sys::lappend(null_mut(), as_query(distance.query, coopvec, ball)?.cast());
        (*row).args = pg_sys::lappend((*row).args, radius.cast());
        (*row).row_typeid = ball;
        (*row).row_format = pg_sys::CoercionForm::COERCE_EXPLICIT_CAST;
        (*row).location = -1;
        let none = pg_sys::InvalidOid;
        let (left, right) = (distance.embedding.cast(), row.cast());
        let call = pg_sys::make_opclause(operator, pg_sys::BOOLOID, false, left, right, none, none);
        pg_sys::set_opfuncid(call.cast());
        Some(call.cast())
    }
}

/// The type `coopembed.ball`. The schema belongs to the extension, and what is taken for the type must be in the operator family.
fn ball_type() -> Option<Oid> {
    // SAFETY: looks up the catalogue by names that are C strings.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"coopembed".as_ptr(), true);
        let oid = pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::TYPENAMENSP as i32,
            pg_sys::Anum_pg_type_oid as i16,
            pg_sys::Datum::from(c"ball".as_ptr()),
            pg_sys::Datum::from(schema),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
        );
        (oid != pg_sys::InvalidOid).then_some(oid)
    }
}

/// A query as a coopquery: an embedding through its cast.
///
/// # Safety
/// `query` must be an expression of type coopvec or coopquery.
unsafe fn as_query(query: *mut Node, coopvec: Oid, ball: Oid) -> Option<*mut Node> {
    // SAFETY: looks up the catalogue; the cast's function takes a coopvec.
    unsafe {
        if pg_sys::exprType(query) != coopvec {
            return Some(query);
        }
        let coopquery = pg_sys::get_atttype(pg_sys::get_typ_typrelid(ball), 1);
        let mut function = pg_sys::InvalidOid;
        let explicit = pg_sys::CoercionContext::COERCION_EXPLICIT;
        let pathway = pg_sys::find_coercion_pathway(coopquery, coopvec, explicit, &mut function);
        (pathway == pg_sys::CoercionPathType::COERCION_PATH_FUNC)
            .then(|| call(function, coopquery, query).cast())
    }
}

/// A number as float8; `None` if it is neither that nor float4.
///
/// # Safety
/// `number` must be an expression.
unsafe fn as_float8(number: *mut Node) -> Option<*mut Node> {
    // SAFETY: the caller promises an expression.
    match unsafe { pg_sys::exprType(number) } {
        pg_sys::FLOAT8OID => Some(number),
        // SAFETY: the function takes a float4.
        pg_sys::FLOAT4OID => Some(unsafe { call(FLOAT4_TO_FLOAT8, pg_sys::FLOAT8OID, number).cast() }),
        _ => None,
    }
}

/// PostgreSQL's function float8(float4), by its number in pg_proc.dat.
const FLOAT4_TO_FLOAT8: Oid = Oid::from_u32(311);

/// A call of a function of one argument.
///
/// # Safety
/// The function must take an argument of this type and return `result`.
unsafe fn call(function: Oid, result: Oid, argument: *mut Node) -> *mut pg_sys::FuncExpr {
    // SAFETY: allocates a node in the planner's memory context.
    unsafe {
        let (none, form) = (pg_sys::InvalidOid, pg_sys::CoercionForm::COERCE_EXPLICIT_CAST);
        let arguments = pg_sys::lappend(null_mut(), argument.cast());
        pg_sys::makeFuncExpr(function, result, arguments, none, none, form)
    }
}
