//! The lock of whoever moves or removes rows of an index.

use super::relation::IndexRelation;
use pgrx::pg_sys;

/// The right to move rows: PostgreSQL's heavyweight page lock on block 0, held in exclusive mode until dropped. Functions that move rows
/// take it as an argument.
///
/// It is taken before any buffer lock, and never while one is held: a heavyweight lock may wait for long, and its deadlock detector does
/// not see buffer locks. It does not keep anybody from reading, or from appending rows to the tail; those need buffer locks only.
pub struct ReorganizeLock<'a>(&'a IndexRelation);

impl<'a> ReorganizeLock<'a> {
    /// Waits for the lock: VACUUM, and an insert that finds only dead rows of another model.
    pub fn wait(index: &'a IndexRelation) -> Self {
        // SAFETY: the relation is open.
        unsafe { pg_sys::LockPage(index.relation(), 0, pg_sys::ExclusiveLock as i32) };
        Self(index)
    }

    /// Takes the lock if nobody has it: inserts, which leave a long tail to somebody else rather than wait.
    pub fn try_lock(index: &'a IndexRelation) -> Option<Self> {
        // SAFETY: the relation is open.
        let locked =
            unsafe { pg_sys::ConditionalLockPage(index.relation(), 0, pg_sys::ExclusiveLock as i32) };
        locked.then(|| Self(index))
    }

    /// The index whose rows may be moved.
    pub fn index(&self) -> &'a IndexRelation {
        self.0
    }
}

impl Drop for ReorganizeLock<'_> {
    fn drop(&mut self) {
        // After an error the end of the transaction releases it.
        if !std::thread::panicking() {
            // SAFETY: the lock was taken by this value, and the relation is still open.
            unsafe { pg_sys::UnlockPage(self.0.relation(), 0, pg_sys::ExclusiveLock as i32) }
        }
    }
}
