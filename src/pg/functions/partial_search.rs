//! What `coop_search(skip_unreachable => true)` does that SQL cannot say: a statement in whose table some foreign partitions are
//! taken to be empty, because their servers are down.
//!
//! Nothing else may ever miss a row for that. So there is no setting: the partitions are known here while that one statement is planned,
//! told by the address of its query, and a relation is left out only if it is a foreign table and a partition of the table that the
//! statement's own FROM names. A subquery, a policy, a function or a foreign key's check that reads the same partition in passing has a
//! query of its own. The plan is run once, through the cursor that is returned, and no cache sees it.

use crate::error::{Error, Kind};
use crate::pg::compat;
use crate::pg::ereport::raise;
use crate::pg::fmgr::{fmgr_functions, Call};
use crate::pg::planner::nodes::items;
use pgrx::is_a;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::pg_sys::{self, Datum, NodeTag, Oid, PlannerInfo, Query, RelOptInfo};
use pgrx::prelude::*;
use std::cell::RefCell;
use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::OnceLock;

extension_sql_file!(
    "../../../sql/current/partial_search.sql",
    name = "partial_search",
    requires = ["retrieval", "queries"]
);

static PREVIOUS: OnceLock<pg_sys::set_rel_pathlist_hook_type> = OnceLock::new();

thread_local! {
    /// The statement that is being planned.
    static PLANNED: RefCell<Option<Planned>> = const { RefCell::new(None) };
}

/// A statement, and what is absent from its table.
struct Planned {
    query: *const Query,
    /// Its table's place in the query's range table, from 1.
    table: pg_sys::Index,
    absent: Vec<Oid>,
}

impl Planned {
    /// Plans the statement. `query` is planned in place.
    unsafe fn plan(
        self,
        query: *mut Query,
        sql: &CStr,
        parameters: pg_sys::ParamListInfo,
    ) -> *mut pg_sys::PlannedStmt {
        /// Puts back what was planned around it, however planning ends.
        struct Outer(Option<Planned>);
        impl Drop for Outer {
            fn drop(&mut self) {
                PLANNED.set(self.0.take());
            }
        }
        let _outer = Outer(PLANNED.replace(Some(self)));
        // SAFETY: a query that was just analysed and rewritten, its text and its parameters. No parallel plan: a cursor is read in parts.
        unsafe { pg_sys::pg_plan_query(query, sql.as_ptr(), pg_sys::CURSOR_OPT_NO_SCROLL as i32, parameters) }
    }

    /// Whether a relation of a query that is being planned is absent.
    unsafe fn lacks(&self, root: *const PlannerInfo, index: pg_sys::Index, relation: Oid) -> bool {
        // SAFETY: the planner's own state; a relation that has a parent is described in the array, if there is one.
        unsafe {
            if !std::ptr::eq((*root).parse, self.query) || !self.absent.contains(&relation) {
                return false;
            }
            let parents = (*root).append_rel_array;
            let mut index = index;
            while index != self.table && !parents.is_null() {
                match (*parents.add(index as usize)).as_ref() {
                    Some(child) => index = child.parent_relid,
                    None => break,
                }
            }
            index == self.table
        }
    }
}

/// Puts our hook before those of others.
pub fn on_load() {
    // Noted for dropping while there is memory: see `ereport::rehearse`.
    PLANNED.with(|_| ());
    // SAFETY: runs in the server's only thread, when it loads the library.
    unsafe {
        PREVIOUS.get_or_init(|| pg_sys::set_rel_pathlist_hook);
        pg_sys::set_rel_pathlist_hook = Some(leave_out);
    }
}

/// Takes what is absent from the statement that is being planned to be empty.
#[pg_guard]
unsafe extern "C-unwind" fn leave_out(
    root: *mut PlannerInfo,
    table: *mut RelOptInfo,
    index: pg_sys::Index,
    entry: *mut pg_sys::RangeTblEntry,
) {
    // SAFETY: the planner passes its own state, here as to the hook before, whose errors become panics at the boundary.
    unsafe {
        if let Some(Some(previous)) = PREVIOUS.get() {
            pg_guard_ffi_boundary(|| previous(root, table, index, entry));
        }
        let is_foreign_table = (*entry).rtekind == pg_sys::RTEKind::RTE_RELATION
            && (*entry).relkind as u8 == pg_sys::RELKIND_FOREIGN_TABLE;
        let lacks = |planned: &Planned| planned.lacks(root, index, (*entry).relid);
        if is_foreign_table && PLANNED.with_borrow(|planned| planned.as_ref().is_some_and(lacks)) {
            pg_sys::mark_dummy_rel(table);
        }
    }
}

fmgr_functions! {
    /// `(statement text, query coopquery, absent oid[])`: opens a cursor for the rows of a SELECT whose `$1` is the query, the foreign
    /// partitions of its table that are named being empty. It runs with the caller's rights.
    fn coop_open_search(call) {
        // SAFETY: declared STRICT with these arguments, returning a refcursor, which is stored as a text is.
        unsafe {
            let sql = CStr::from_ptr(pg_sys::text_to_cstring(call.arg(0).cast_mut_ptr()));
            let query = analysed(sql, query_type(call));
            let absent = Vec::<Oid>::from_datum(call.arg(2), false).unwrap_or_default();
            let Some(table) = first_relation(query) else { refuse("reads no table") };
            let planned = Planned { query, table, absent };
            let parameters = parameters(call);
            let plan = planned.plan(query, sql, parameters);
            Datum::from(pg_sys::cstring_to_text(open(sql, plan, parameters)))
        }
    }
}

/// The type of the argument that becomes `$1`.
unsafe fn query_type(call: Call) -> Oid {
    // SAFETY: a call of a function with that argument. By its oid, and not by its name, which a search_path may give to another type.
    unsafe { pg_sys::get_fn_expr_argtype((*call.0).flinfo, 1) }
}

fn refuse(what: &str) -> ! {
    raise(
        Error::new(Kind::InvalidParameter, format!("the statement of a search {what}"))
            .hint("coop_search() writes it; it is not meant to be called by hand."),
    )
}

/// The query of a text, analysed with the caller's search_path and rewritten.
unsafe fn analysed(sql: &CStr, parameter: Oid) -> *mut Query {
    // SAFETY: a C string; the lists are PostgreSQL's own.
    unsafe {
        let statements = pg_sys::pg_parse_query(sql.as_ptr());
        let queries = match items::<pg_sys::RawStmt>(statements).collect::<Vec<_>>()[..] {
            [statement] => compat::analyze(statement, sql, parameter),
            _ => refuse("is not one statement"),
        };
        match items::<Query>(queries).collect::<Vec<_>>()[..] {
            [query] if is_select(&*query) => query,
            _ => refuse("is not a plain SELECT"),
        }
    }
}

fn is_select(query: &Query) -> bool {
    query.commandType == pg_sys::CmdType::CMD_SELECT
        && query.utilityStmt.is_null()
        && !query.hasModifyingCTE
        && query.rowMarks.is_null()
}

/// The place in the range table of what comes first in a query's FROM.
unsafe fn first_relation(query: *const Query) -> Option<pg_sys::Index> {
    // SAFETY: a query that was analysed; a node is read as the struct that its tag says.
    unsafe {
        let first = items::<pg_sys::Node>((*(*query).jointree).fromlist).next()?;
        is_a(first, NodeTag::T_RangeTblRef)
            .then(|| (*first.cast::<pg_sys::RangeTblRef>()).rtindex as pg_sys::Index)
    }
}

/// `$1`: the query.
unsafe fn parameters(call: Call) -> pg_sys::ParamListInfo {
    // SAFETY: room for one parameter, which is filled in.
    unsafe {
        let list = pg_sys::makeParamList(1);
        (*list).params.as_mut_ptr().write(pg_sys::ParamExternData {
            value: call.arg(1),
            isnull: false,
            pflags: pg_sys::PARAM_FLAG_CONST as u16,
            ptype: query_type(call),
        });
        list
    }
}

/// Opens a cursor that runs a plan, as `SPI_cursor_open` does, and returns its name.
unsafe fn open(
    sql: &CStr,
    plan: *mut pg_sys::PlannedStmt,
    parameters: pg_sys::ParamListInfo,
) -> *const std::ffi::c_char {
    // SAFETY: what the cursor keeps is copied into its own memory; the snapshot is that of the statement which calls us.
    unsafe {
        let portal = pg_sys::CreateNewPortal();
        let before = pg_sys::MemoryContextSwitchTo((*portal).portalContext);
        let sql = pg_sys::pstrdup(sql.as_ptr());
        let plan = pg_sys::copyObjectImpl(plan.cast());
        let parameters = pg_sys::copyParamList(parameters);
        let plans = pg_sys::lappend(null_mut(), plan);
        pg_sys::MemoryContextSwitchTo(before);
        pg_sys::PortalDefineQuery(
            portal,
            std::ptr::null(),
            sql,
            pg_sys::CommandTag::CMDTAG_SELECT,
            plans,
            null_mut(),
        );
        (*portal).cursorOptions = pg_sys::CURSOR_OPT_NO_SCROLL as i32;
        pg_sys::PortalStart(portal, parameters, 0, pg_sys::GetActiveSnapshot());
        (*portal).name
    }
}
