//! Which statement the session runs.

use pgrx::pg_sys;

/// Whether it is COPY, as in a restore: what is called meanwhile are triggers, checks and defaults of the table.
pub fn is_copy() -> bool {
    // SAFETY: reads a variable of this process: null, or the portal that runs the client's statement, for as long as it runs.
    unsafe { pg_sys::ActivePortal.as_ref() }
        .is_some_and(|portal| portal.commandTag == pg_sys::CommandTag::CMDTAG_COPY)
}
