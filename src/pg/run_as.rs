//! Acting as another role until dropped.

use pgrx::pg_sys;

/// Another user, a security context and settings of their own, until dropped. A transaction that aborts restores all of it by itself, so
/// an error in between leaves nothing behind.
pub struct RunAs {
    user: pg_sys::Oid,
    context: i32,
    /// Settings changed from this level on are restored.
    settings: Option<i32>,
}

impl RunAs {
    /// As `user`, for statements of ours on tables of the extension. SET ROLE cannot undo it.
    pub fn local(user: pg_sys::Oid) -> Self {
        Self::switch(user, pg_sys::SECURITY_LOCAL_USERID_CHANGE, None)
    }

    /// As the owner of a table, for code that the owner may have written: expressions and predicates of indexes. As in REINDEX and amcheck,
    /// that code can neither create temporary objects nor open cursors that outlive it, finds objects without a schema in `pg_catalog` and
    /// `pg_temp` only, and what it SETs is undone.
    pub fn restricted(owner: pg_sys::Oid) -> Self {
        // SAFETY: begins a level of settings, which drop ends.
        let level = unsafe { pg_sys::NewGUCNestLevel() };
        let guard = Self::switch(owner, pg_sys::SECURITY_RESTRICTED_OPERATION, Some(level));
        // SAFETY: constant C strings; what PostgreSQL 17 calls RestrictSearchPath.
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

    fn switch(to: pg_sys::Oid, flags: u32, settings: Option<i32>) -> Self {
        let (mut user, mut context) = (pg_sys::InvalidOid, 0);
        // SAFETY: two plain variables of this process.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
            pg_sys::SetUserIdAndSecContext(to, context | flags as i32);
        }
        Self { user, context, settings }
    }
}

impl Drop for RunAs {
    fn drop(&mut self) {
        // On its way out, an error leaves the settings to the abort of the transaction: restoring them may raise another.
        if let Some(level) = self.settings.filter(|_| !std::thread::panicking()) {
            // SAFETY: ends the level that `restricted` began; those within have ended.
            unsafe { pg_sys::AtEOXact_GUC(false, level) }
        }
        // SAFETY: two plain variables of this process.
        unsafe { pg_sys::SetUserIdAndSecContext(self.user, self.context) }
    }
}
