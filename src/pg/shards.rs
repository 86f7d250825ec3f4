//! One table on several machines. `sql/shards.sql` has each partition asked for its nearest rows; what SQL cannot say is here: that
//! the planner leaves filtering, sorting and limiting to the servers of foreign tables.
//!
//! Without statistics (and `ANALYZE` of a foreign table fetches all of it before PostgreSQL 16) the planner takes a foreign table to
//! have a few rows, and with a filter fewer than the limit: too few for the limit to be pushed down. It would fetch them all, and sort
//! them itself. While `coopembed.large_foreign_tables` is on, it takes them to have very many.

use super::settings;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::sync::OnceLock;

extension_sql_file!("../../sql/shards.sql", name = "shards", requires = ["gallery", "queries"]);

/// So many that any filter keeps more of them than a search returns.
const ROWS: f64 = 1e15;

static PREVIOUS: OnceLock<pg_sys::get_relation_info_hook_type> = OnceLock::new();

/// Puts our hook before those of others.
pub fn on_load() {
    // SAFETY: runs in the server's only thread, when it loads the library.
    unsafe {
        PREVIOUS.get_or_init(|| pg_sys::get_relation_info_hook);
        pg_sys::get_relation_info_hook = Some(estimate);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn estimate(
    root: *mut pg_sys::PlannerInfo,
    relation: pg_sys::Oid,
    inherited: bool,
    info: *mut pg_sys::RelOptInfo,
) {
    // SAFETY: the planner passes its own description of the relation, here as to the hook before.
    unsafe {
        if let Some(Some(previous)) = PREVIOUS.get() {
            previous(root, relation, inherited, info);
        }
        if settings::large_foreign_tables()
            && pg_sys::get_rel_relkind(relation) == pg_sys::RELKIND_FOREIGN_TABLE as i8
        {
            (*info).tuples = ROWS;
        }
    }
}

/// True. A statement that calls it is planned with our hook in place, whatever the session has done so far.
#[pg_extern(sql = false)]
fn coop_loaded() -> bool {
    true
}
