//! Which statement the session runs.

use pgrx::is_a;
use pgrx::pg_sys;

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
