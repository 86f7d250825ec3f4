//! Which statement the session runs, and what it is told of it once.

use super::ereport::notice;
use crate::error::{Error, Kind};
use pgrx::is_a;
use pgrx::pg_sys;
use std::cell::Cell;

thread_local! {
    /// When the last statement began whose query was null.
    static NULL_QUERY_NOTICED: Cell<pg_sys::TimestampTz> = const { Cell::new(0) };
}

/// Tells the client, once for a statement, that its query is null, and what comes of it or by what: that is legal, and rarely meant.
pub fn notice_null_query(message: &str, hint: &str) {
    // SAFETY: reads a variable of this backend's.
    let began = unsafe { pg_sys::GetCurrentStatementStartTimestamp() };
    if NULL_QUERY_NOTICED.replace(began) != began {
        let null = Error::new(Kind::InvalidParameter, message);
        notice(null.detail("A distance from NULL is NULL for every row.").hint(hint));
    }
}

/// Whether it is COPY FROM, as in a restore: what is called meanwhile are triggers, checks and defaults of the table.
pub fn is_copy_from() -> bool {
    // SAFETY: `ActivePortal` is null, or the portal that runs the client's statement and lives as long. The portal of a utility statement has one
    // PlannedStmt in its list, around the statement itself, whose tag says what it is.
    unsafe {
        let Some(portal) = pg_sys::ActivePortal.as_ref() else { return false };
        if portal.commandTag != pg_sys::CommandTag::CMDTAG_COPY || portal.stmts.is_null() {
            return false;
        }
        let planned = (*(*portal.stmts).elements).ptr_value.cast::<pg_sys::PlannedStmt>();
        let statement = (*planned).utilityStmt;
        !statement.is_null()
            && is_a(statement, pg_sys::NodeTag::T_CopyStmt)
            && (*statement.cast::<pg_sys::CopyStmt>()).is_from
    }
}
