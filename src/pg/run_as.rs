//! Runs code as another role.

use pgrx::pg_sys;

/// While this lives, the session has another user, security context and settings. The abort of a transaction restores all of them by itself,
/// so an error leaves nothing behind.
pub struct RunAs {
    /// Restored when this is dropped.
    previous_user: pg_sys::Oid,
    /// The security context before.
    previous_context: i32,
    /// The nest level of settings: what is set from it on is undone.
    guc_level: Option<i32>,
}

impl RunAs {
    /// Runs as `user`, for the extension's own statements on its tables. SET ROLE cannot undo it.
    pub fn local(user: pg_sys::Oid) -> Self {
        Self::switch(user, pg_sys::SECURITY_LOCAL_USERID_CHANGE, None)
    }

    /// Runs as the owner of a table, for code that the owner may have written: expressions and predicates of indexes. As in REINDEX and
    /// amcheck, that code can neither create temporary objects nor open cursors that outlive it, its `search_path` is `pg_catalog, pg_temp`,
    /// and what it SETs is undone.
    pub fn restricted(owner: pg_sys::Oid) -> Self {
        // SAFETY: begins a nest level of settings, which the drop ends.
        let level = unsafe { pg_sys::NewGUCNestLevel() };
        let guard = Self::switch(owner, pg_sys::SECURITY_RESTRICTED_OPERATION, Some(level));
        // SAFETY: the strings are static. PostgreSQL 17 does the same in RestrictSearchPath.
        unsafe {
            pg_sys::set_config_option(
                c"search_path".as_ptr(),
                c"pg_catalog, pg_temp".as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
        guard
    }

    fn switch(to: pg_sys::Oid, flags: u32, guc_level: Option<i32>) -> Self {
        let (mut user, mut context) = (pg_sys::InvalidOid, 0);
        // SAFETY: reads and sets two variables of this process.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
            pg_sys::SetUserIdAndSecContext(to, context | flags as i32);
        }
        Self { previous_user: user, previous_context: context, guc_level }
    }
}

impl Drop for RunAs {
    fn drop(&mut self) {
        // After an error the abort of the transaction restores the settings; to restore them here could raise another error.
        if let Some(level) = self.guc_level.filter(|_| !std::thread::panicking()) {
            // SAFETY: ends the nest level that `restricted` began; levels within have ended.
            unsafe { pg_sys::AtEOXact_GUC(false, level) }
        }
        // SAFETY: sets two variables of this process.
        unsafe { pg_sys::SetUserIdAndSecContext(self.previous_user, self.previous_context) }
    }
}
