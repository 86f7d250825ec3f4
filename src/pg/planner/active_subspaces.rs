//! In how many subspaces a query has a weight, as far as its expression tells while planning: nothing is evaluated, since that could
//! embed an image or raise an error.

use super::initplan_lookup::initplan_expression;
use super::nodes::items;
use crate::pg::CoopQuery;
use pgrx::pg_sys::{self, Const, FuncExpr, Node, NodeTag, OpExpr, Param, PlannerInfo};
use std::ffi::CStr;

/// The number of subspaces in which an expression of type coopquery has a weight, or more; `None` if they may be all.
///
/// # Safety
/// `node` must be an expression of type coopquery in the plan that `root` makes.
pub unsafe fn active_subspaces(root: *mut PlannerInfo, node: *mut Node) -> Option<usize> {
    // SAFETY: the caller promises an expression; each of its nodes is read as the struct that its tag says. A constant of the type that is
    // not null is a query.
    unsafe {
        match (*node).type_ {
            NodeTag::T_Const => {
                let constant = &*node.cast::<Const>();
                (!constant.constisnull)
                    .then(|| CoopQuery::from_raw(constant.constvalue).view().active().count())
            }
            NodeTag::T_Param => {
                let param = &*node.cast::<Param>();
                let is_subquery = param.paramkind == pg_sys::ParamKind::PARAM_EXEC;
                let expression = is_subquery.then(|| initplan_expression(root, param.paramid)).flatten();
                expression.and_then(|node| active_subspaces(root, node))
            }
            NodeTag::T_FuncExpr => {
                let call = &*node.cast::<FuncExpr>();
                active_in_call(root, call.funcid, call.args)
            }
            NodeTag::T_OpExpr => {
                let call = &*node.cast::<OpExpr>();
                active_in_call(root, call.opfuncid, call.args)
            }
            _ => None,
        }
    }
}

/// [`active_subspaces`] of a call.
///
/// # Safety
/// As [`active_subspaces`], of a function's oid and its arguments.
unsafe fn active_in_call(
    root: *mut PlannerInfo,
    function: pg_sys::Oid,
    args: *mut pg_sys::List,
) -> Option<usize> {
    // SAFETY: as the caller promises; the functions that are told apart here have as many arguments as are read, of these types, since only a
    // superuser declares a function of a library.
    unsafe {
        let mut args = items::<Node>(args);
        match c_symbol(function)?.to_bytes() {
            b"coop_attr_query_wrapper"
            | b"coop_attr_query_of_wrapper"
            | b"coop_absent_wrapper"
            | b"coop_absent_of_wrapper" => Some(1),
            b"coop_not_wrapper" => active_subspaces(root, args.next()?),
            b"coop_like_wrapper" => array_length(args.nth(1)?),
            b"coopquery_plus_wrapper" => {
                let (a, b) = (args.next()?, args.next()?);
                Some(active_subspaces(root, a)? + active_subspaces(root, b)?)
            }
            b"coopquery_scale_wrapper" => active_subspaces(root, args.nth(1)?),
            b"coopquery_scaled_wrapper" => active_subspaces(root, args.next()?),
            _ => None,
        }
    }
}

/// The oid of the language C, which is the same in every database (`pg_language.dat`).
const C_LANGUAGE: u32 = 13;

/// The C symbol of a function in a library; `None` for any other function.
///
/// # Safety
/// `function` must be the oid of a function.
unsafe fn c_symbol(function: pg_sys::Oid) -> Option<&'static CStr> {
    // SAFETY: looks up the catalogue. The text is copied into the planner's memory context, which outlives its use.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::PROCOID as i32;
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(function));
        if tuple.is_null() {
            return None;
        }
        let form = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_proc>();
        let symbol = (form.prolang.to_u32() == C_LANGUAGE).then(|| {
            let mut is_null = false;
            let column = pg_sys::Anum_pg_proc_prosrc as i16;
            let text = pg_sys::SysCacheGetAttr(cache, tuple, column, &mut is_null);
            CStr::from_ptr(pg_sys::text_to_cstring(text.cast_mut_ptr()))
        });
        pg_sys::ReleaseSysCache(tuple);
        symbol
    }
}

/// The number of elements of an array that is known while planning.
///
/// # Safety
/// `node` must be an expression of an array type.
unsafe fn array_length(node: *mut Node) -> Option<usize> {
    // SAFETY: a constant of an array type that is not null is an array, whose dimensions follow its header.
    unsafe {
        match (*node).type_ {
            NodeTag::T_ArrayExpr => Some(items::<Node>((*node.cast::<pg_sys::ArrayExpr>()).elements).count()),
            NodeTag::T_Const if !(*node.cast::<Const>()).constisnull => {
                let value = (*node.cast::<Const>()).constvalue;
                let array = pg_sys::pg_detoast_datum(value.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
                usize::try_from(pg_sys::ArrayGetNItems((*array).ndim, array.add(1).cast())).ok()
            }
            _ => None,
        }
    }
}
