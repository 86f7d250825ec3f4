//! Plans one statement as if some foreign partitions of its table were empty: `coop_search(skip_unreachable => true)` skips partitions whose
//! servers are down, which SQL cannot say. `sql/current/shards.sql` declares the function.
//!
//! No other query may ever miss a row because of that. So there is no setting: the partitions are stored here only while that one
//! statement is planned. A relation is taken to be empty only if the query being planned is that very query (by its address), or one of its
//! WITH queries where the first of them is the search (for variety), and the relation is a foreign table and a partition of the first table in
//! its FROM. A subquery, a policy, a function or a foreign key's check that reads the same partition meanwhile has a query of its own. The plan
//! runs once, through the cursor that is returned, and is not cached.

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

/// The hook that was set before ours.
static PREVIOUS_HOOK: OnceLock<pg_sys::set_rel_pathlist_hook_type> = OnceLock::new();

thread_local! {
    /// The statement that is being planned, if it is one of `coop_search`.
    static CURRENT: RefCell<Option<SearchStatement>> = const { RefCell::new(None) };
}

/// A statement, and the partitions of its table that are taken to be empty.
struct SearchStatement {
    query: *const Query,
    /// Whether the search is the first of the statement's WITH queries, which the planner copies.
    is_in_with: bool,
    /// The table's index in the range table of the search, from 1.
    table: pg_sys::Index,
    skipped: Vec<Oid>,
}

impl SearchStatement {
    /// Plans the statement. The planner changes `query` in place.
    ///
    /// # Safety
    /// `query` must be analysed and rewritten, and be this statement's.
    unsafe fn plan(
        self,
        query: *mut Query,
        sql: &CStr,
        parameters: pg_sys::ParamListInfo,
    ) -> *mut pg_sys::PlannedStmt {
        /// Restores the statement that was being planned before, however planning ends.
        struct RestoreOnDrop(Option<SearchStatement>);
        impl Drop for RestoreOnDrop {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _restore = RestoreOnDrop(CURRENT.replace(Some(self)));
        // SAFETY: the caller promises an analysed and rewritten query; its text and parameters live during the call. The options do not
        // allow a parallel plan, because a cursor is read in parts.
        unsafe { pg_sys::pg_plan_query(query, sql.as_ptr(), pg_sys::CURSOR_OPT_NO_SCROLL as i32, parameters) }
    }

    /// Whether a relation of the query being planned is to be taken to be empty: it is one of the partitions, reached from the table through
    /// its children only.
    ///
    /// # Safety
    /// `root` must be the planner's state, and `index` the index of one of its relations.
    unsafe fn skips(&self, root: *const PlannerInfo, index: pg_sys::Index, relation: Oid) -> bool {
        // SAFETY: the caller promises the planner's state. If the array exists, it has an entry for each index of the range table, which is
        // null for a relation without a parent.
        unsafe {
            let planned = if self.is_in_with { (*root).parent_root } else { root.cast_mut() };
            let is_search = planned.as_ref().is_some_and(|root| std::ptr::eq(root.parse, self.query));
            if !is_search || !self.skipped.contains(&relation) {
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

/// Sets the planner hook. The hook set before it runs first.
pub fn on_load() {
    // Registers the destructor while there is memory for it: see `ereport::rehearse`.
    CURRENT.with(|_| ());
    // SAFETY: runs in the process's only thread, when it loads the library; a hook is a pointer that the planner reads later.
    unsafe {
        PREVIOUS_HOOK.get_or_init(|| pg_sys::set_rel_pathlist_hook);
        pg_sys::set_rel_pathlist_hook = Some(skip_partitions);
    }
}

/// The planner hook: replaces the paths of a skipped partition by none.
#[pg_guard]
unsafe extern "C-unwind" fn skip_partitions(
    root: *mut PlannerInfo,
    table: *mut RelOptInfo,
    index: pg_sys::Index,
    entry: *mut pg_sys::RangeTblEntry,
) {
    // SAFETY: the planner passes its own state to this hook, and this one to the previous hook, whose errors become panics at the
    // boundary.
    unsafe {
        if let Some(Some(previous)) = PREVIOUS_HOOK.get() {
            pg_guard_ffi_boundary(|| previous(root, table, index, entry));
        }
        let is_foreign_table = (*entry).rtekind == pg_sys::RTEKind::RTE_RELATION
            && (*entry).relkind as u8 == pg_sys::RELKIND_FOREIGN_TABLE;
        let skips = |statement: &SearchStatement| statement.skips(root, index, (*entry).relid);
        if is_foreign_table && CURRENT.with_borrow(|statement| statement.as_ref().is_some_and(skips)) {
            pg_sys::mark_dummy_rel(table);
        }
    }
}

fmgr_functions! {
    /// Opens a cursor for a SELECT in which some foreign partitions are taken to be empty: `(statement text, query coopquery, skipped oid[])`.
    /// `$1` of the statement is the query. It runs with the caller's privileges.
    fn coop_open_search(call) {
        // SAFETY: declared STRICT with these arguments, and as returning a refcursor, which is stored like a text. `query` is what `analyzed`
        // has just made, and the parameters are its own.
        unsafe {
            let sql = CStr::from_ptr(pg_sys::text_to_cstring(call.arg(0).cast_mut_ptr()));
            let query = analyzed(sql, query_type(call));
            let skipped = Vec::<Oid>::from_datum(call.arg(2), false).unwrap_or_default();
            let first_of_with = items::<pg_sys::CommonTableExpr>((*query).cteList).next();
            let search = first_of_with.map_or(query, |with| (*with).ctequery.cast());
            let Some(table) = first_relation(search) else { reject("reads no table") };
            let statement = SearchStatement { query, is_in_with: first_of_with.is_some(), table, skipped };
            let parameters = parameters(call);
            let plan = statement.plan(query, sql, parameters);
            Datum::from(pg_sys::cstring_to_text(open(sql, plan, parameters)))
        }
    }
}

/// The type of the argument that becomes `$1`. It is taken from the call and not looked up by the name `coopquery`, which could mean another
/// type in the user's search_path.
///
/// # Safety
/// The call must be one of `coop_open_search`.
unsafe fn query_type(call: Call) -> Oid {
    // SAFETY: the caller promises that the function has this argument.
    unsafe { pg_sys::get_fn_expr_argtype((*call.0).flinfo, 1) }
}

fn reject(what: &str) -> ! {
    raise(
        Error::new(Kind::InvalidParameter, format!("the statement of a search {what}"))
            .hint("coop_search() writes it; it is not meant to be called by hand."),
    )
}

/// Parses, analyses (with the caller's search_path) and rewrites a statement, which has to be one SELECT.
///
/// # Safety
/// `parameter` must be the oid of a type.
unsafe fn analyzed(sql: &CStr, parameter: Oid) -> *mut Query {
    // SAFETY: a C string that lives during the call. The parser returns a list of RawStmt, and the rewriter one of Query.
    unsafe {
        let statements = pg_sys::pg_parse_query(sql.as_ptr());
        let queries = match items::<pg_sys::RawStmt>(statements).collect::<Vec<_>>()[..] {
            [statement] => compat::analyze(statement, sql, parameter),
            _ => reject("is not one statement"),
        };
        match items::<Query>(queries).collect::<Vec<_>>()[..] {
            [query] if is_select(&*query) => query,
            _ => reject("is not a plain SELECT"),
        }
    }
}

fn is_select(query: &Query) -> bool {
    query.commandType == pg_sys::CmdType::CMD_SELECT
        && query.utilityStmt.is_null()
        && !query.hasModifyingCTE
        && query.rowMarks.is_null()
}

/// The range table index of the first item in a query's FROM, if that is a relation.
///
/// # Safety
/// The query must be analysed.
unsafe fn first_relation(query: *const Query) -> Option<pg_sys::Index> {
    // SAFETY: an analysed query has a jointree, and a node is read as the struct that its tag names.
    unsafe {
        let first = items::<pg_sys::Node>((*(*query).jointree).fromlist).next()?;
        is_a(first, NodeTag::T_RangeTblRef)
            .then(|| (*first.cast::<pg_sys::RangeTblRef>()).rtindex as pg_sys::Index)
    }
}

/// The statement's parameters: the query, as `$1`.
///
/// # Safety
/// The call must be one of `coop_open_search`.
unsafe fn parameters(call: Call) -> pg_sys::ParamListInfo {
    // SAFETY: the list has room for one parameter, which is filled in before anybody reads it.
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
///
/// # Safety
/// The plan and the parameters must be those of the statement `sql`.
unsafe fn open(
    sql: &CStr,
    plan: *mut pg_sys::PlannedStmt,
    parameters: pg_sys::ParamListInfo,
) -> *const std::ffi::c_char {
    // SAFETY: everything that the cursor keeps is copied into its own memory context. The active snapshot is that of the statement that
    // calls this function.
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
