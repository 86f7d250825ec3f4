//! Offers the planner index paths that PostgreSQL does not find by itself: two planner hooks.

use super::{distance_limit, one_row_join, ordered_paths};
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::pg_sys::{self, PlannerInfo, RelOptInfo};
use pgrx::prelude::*;
use std::sync::OnceLock;

/// The hooks that were set before ours.
static PREVIOUS_TABLE_HOOK: OnceLock<pg_sys::set_rel_pathlist_hook_type> = OnceLock::new();
static PREVIOUS_JOIN_HOOK: OnceLock<pg_sys::set_join_pathlist_hook_type> = OnceLock::new();

/// Sets the planner hooks. The hooks set before them run first.
pub fn on_load() {
    // SAFETY: runs in the process's only thread, when it loads the library; a hook is a pointer that the planner reads later.
    unsafe {
        PREVIOUS_TABLE_HOOK.get_or_init(|| pg_sys::set_rel_pathlist_hook);
        pg_sys::set_rel_pathlist_hook = Some(add_table_paths);
        PREVIOUS_JOIN_HOOK.get_or_init(|| pg_sys::set_join_pathlist_hook);
        pg_sys::set_join_pathlist_hook = Some(add_join_paths);
    }
}

/// set_rel_pathlist_hook: adds the paths of one table, or partition.
#[pg_guard]
unsafe extern "C-unwind" fn add_table_paths(
    root: *mut PlannerInfo,
    table: *mut RelOptInfo,
    index: pg_sys::Index,
    entry: *mut pg_sys::RangeTblEntry,
) {
    // SAFETY: the planner passes its own state to this hook, and this one to the previous hook, whose errors become panics at the
    // boundary.
    unsafe {
        if let Some(Some(previous)) = PREVIOUS_TABLE_HOOK.get() {
            pg_guard_ffi_boundary(|| previous(root, table, index, entry));
        }
        if may_use_indexes(&*entry) && !pg_sys::is_dummy_rel(table) {
            ordered_paths::add_paths(root, table, entry);
            distance_limit::add_paths(root, table);
        }
    }
}

/// set_join_pathlist_hook: adds the paths of one join.
#[pg_guard]
unsafe extern "C-unwind" fn add_join_paths(
    root: *mut PlannerInfo,
    join: *mut RelOptInfo,
    outer: *mut RelOptInfo,
    inner: *mut RelOptInfo,
    kind: pg_sys::JoinType::Type,
    extra: *mut pg_sys::JoinPathExtraData,
) {
    // SAFETY: as above.
    unsafe {
        if let Some(Some(previous)) = PREVIOUS_JOIN_HOOK.get() {
            pg_guard_ffi_boundary(|| previous(root, join, outer, inner, kind, extra));
        }
        let is_base = (*inner).reloptkind == pg_sys::RelOptKind::RELOPT_BASEREL;
        if kind == pg_sys::JoinType::JOIN_INNER
            && is_base
            && may_use_indexes(&**(*root).simple_rte_array.add((*inner).relid as usize))
        {
            one_row_join::add_paths(root, join, outer, inner, extra);
        }
    }
}

/// Whether an index may stand for a relation: a table, without its children, of which no sample is wanted.
fn may_use_indexes(entry: &pg_sys::RangeTblEntry) -> bool {
    entry.rtekind == pg_sys::RTEKind::RTE_RELATION && !entry.inh && entry.tablesample.is_null()
}
