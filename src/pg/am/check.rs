//! `coop_index_check(regclass)`: compares an index with itself and with its table, as amcheck does. Here are permissions, locks and partitions;
//! the comparison is [`verify`].

use super::relation::IndexRelation;
use super::verify::verify;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::memory;
use crate::pg::run_as::RunAs;
use crate::pg::{compat, text, OrReport};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Raises an error if an index is damaged or lacks a row of its table; returns how many rows of the table it compared. Of a partitioned
/// index, it checks the indexes of all partitions. Expressions and predicates of the index run as the table's owner.
///
/// Writers wait meanwhile. On a standby, replay of WAL goes on, and a check that it disturbs has to be repeated.
#[pg_extern(sql = false)]
fn coop_index_check(index: pg_sys::Oid) -> i64 {
    // Before the lock: a role that may not check the index must not make others wait for it.
    check_owner(index).or_report();
    let root =
        LockedIndex::open(index).or_report().unwrap_or_else(|| crate::pg::ereport::raise(not_ours(index)));
    // Again: the owner may have changed before the lock was taken.
    check_owner(index).or_report();
    root.check_state().or_report();
    if !root.is_partitioned() {
        return root.compare().or_report();
    }
    // The owner of the partitioned index may check those of its partitions, whoever owns them.
    let mut rows = 0;
    for part in root.parts().or_report() {
        // An index that is gone by now was not a partition's: the lock on the parent keeps those.
        if let Some(part) = LockedIndex::open(part).or_report().filter(|part| !part.is_partitioned()) {
            part.check_state().or_report();
            rows += part.compare().or_report();
        }
    }
    rows
}

/// Raises PostgreSQL's error unless the current role owns the index.
fn check_owner(index: pg_sys::Oid) -> Result<()> {
    // SAFETY: looks up the catalogue; for anything but an index, `IndexGetRelation` finds nothing.
    unsafe {
        if pg_sys::IndexGetRelation(index, true) == pg_sys::InvalidOid {
            return Err(not_ours(index));
        }
        if !compat::owns_relation(index, pg_sys::GetUserId()) {
            let kind = pg_sys::ObjectType::OBJECT_INDEX;
            pg_sys::aclcheck_error(pg_sys::AclResult::ACLCHECK_NOT_OWNER, kind, pg_sys::get_rel_name(index));
        }
    }
    Ok(())
}

fn not_ours(relation: pg_sys::Oid) -> Error {
    // SAFETY: returns a C string in this memory context, or null.
    let mut name = unsafe { text::catalog_name(pg_sys::get_rel_name(relation)) };
    if name.is_empty() {
        name = relation.to_u32().to_string();
    }
    Error::new(ErrorKind::InvalidParameter, format!("\"{name}\" is not an index of access method coop"))
}

/// An index and its table, open and locked until dropped: in AccessShareLock on a standby, which has no writers, else in ShareLock, which
/// keeps writers away.
struct LockedIndex {
    heap: pg_sys::Relation,
    index: pg_sys::Relation,
    lock_mode: i32,
}

impl LockedIndex {
    /// Locks the table, then the index, as every session does. `None` if there is no such index.
    fn open(index: pg_sys::Oid) -> Result<Option<Self>> {
        // SAFETY: PostgreSQL opens and locks relations by oid, or raises an error; the result closes both.
        unsafe {
            let is_standby = pg_sys::RecoveryInProgress();
            let lock_mode = if is_standby { pg_sys::AccessShareLock } else { pg_sys::ShareLock } as i32;
            let table = pg_sys::IndexGetRelation(index, true);
            if table == pg_sys::InvalidOid {
                return Ok(None);
            }
            let heap = pg_sys::table_open(table, lock_mode);
            let index_relation = pg_sys::index_open(index, lock_mode);
            let locked = Self { heap, index: index_relation, lock_mode };
            // Before the lock was taken, the index may have been dropped, and its oid given to another.
            if pg_sys::IndexGetRelation(index, false) != table {
                return Err(locked.error("changed while it was being locked", "Check it again."));
            }
            Ok(Some(locked))
        }
    }

    fn error(&self, what: &str, hint: &str) -> Error {
        // SAFETY: the index is open for as long as `self` lives.
        let index = unsafe { IndexRelation::new(self.index) };
        index.error(ErrorKind::Unsupported, what).hint(hint)
    }

    fn is_partitioned(&self) -> bool {
        // SAFETY: the relation is open.
        unsafe { (*(*self.index).rd_rel).relkind as u8 == pg_sys::RELKIND_PARTITIONED_INDEX }
    }

    fn check_method(&self) -> Result<()> {
        // SAFETY: the relation is open.
        unsafe {
            if (*(*self.index).rd_rel).relam != pg_sys::get_index_am_oid(c"coop".as_ptr(), false) {
                return Err(not_ours((*self.index).rd_id));
            }
        }
        Ok(())
    }

    /// The indexes of all partitions, also those that have partitions of their own, in the order in which every session
    /// locks them.
    fn parts(&self) -> Result<Vec<pg_sys::Oid>> {
        // SAFETY: the index is open, and the lock on its table keeps partitions from being added or detached. The list is one of oids, or null.
        unsafe {
            let root = (*self.index).rd_id;
            let all = pg_sys::ffi::pg_guard_ffi_boundary(|| {
                find_all_inheritors(root, pg_sys::NoLock as i32, std::ptr::null_mut())
            });
            let count = if all.is_null() { 0 } else { (*all).length };
            memory::collect((0..count).map(|i| pg_sys::list_nth_oid(all, i)).filter(|&part| part != root))
        }
    }

    /// Refuses an index that cannot be checked.
    fn check_state(&self) -> Result<()> {
        self.check_method()?;
        // SAFETY: the relation is open.
        let (class, index) = unsafe { (&*(*self.index).rd_rel, &*(*self.index).rd_index) };
        if class.relpersistence as u8 == pg_sys::RELPERSISTENCE_TEMP && !self.is_own_temporary() {
            return Err(self.error(
                "is on a temporary table of another session",
                "Only the session that made a temporary table can read it.",
            ));
        }
        // SAFETY: reads a flag in shared memory.
        let is_standby = unsafe { pg_sys::RecoveryInProgress() };
        if class.relpersistence as u8 == pg_sys::RELPERSISTENCE_UNLOGGED && is_standby {
            return Err(self
                .error(
                    "is unlogged, and there is nothing to check during recovery",
                    "Check it on the primary.",
                )
                .detail("A standby gets no rows of unlogged tables and indexes."));
        }
        if self.is_partitioned() && !index.indisvalid {
            return Err(self
                .error(
                    "is not valid",
                    "Create an index on each of them, and attach it with ALTER INDEX ... ATTACH PARTITION.",
                )
                .detail("Some partitions have no index that belongs to it."));
        }
        if !index.indislive || !index.indisready || !index.indisvalid {
            let what = if index.indisready { "is not valid" } else { "is not ready" };
            return Err(self
                .error(what, "If nobody is building it, REINDEX or drop it.")
                .detail("Building or dropping it CONCURRENTLY has not ended, or has failed, so that it may lack rows."));
        }
        Ok(())
    }

    fn is_own_temporary(&self) -> bool {
        // SAFETY: the relation is open.
        unsafe { (*self.index).rd_islocaltemp }
    }

    /// Compares index and table as the table's owner, with whose rights the index's expressions must run.
    fn compare(&self) -> Result<i64> {
        // SAFETY: both relations are open.
        let (owner, index) = unsafe { ((*(*self.heap).rd_rel).relowner, IndexRelation::new(self.index)) };
        let _role = RunAs::restricted(owner);
        verify(self.heap, &index)
    }
}

impl Drop for LockedIndex {
    fn drop(&mut self) {
        // After an error the end of the transaction closes and unlocks them.
        if !std::thread::panicking() {
            // SAFETY: both were opened with this lock mode.
            unsafe {
                pg_sys::index_close(self.index, self.lock_mode);
                pg_sys::table_close(self.heap, self.lock_mode);
            }
        }
    }
}

extern "C-unwind" {
    /// Declared in catalog/pg_inherits.h, for which pgrx has no bindings; the same from 14 to 18.
    fn find_all_inheritors(
        parent: pg_sys::Oid,
        lock: pg_sys::LOCKMODE,
        counts: *mut *mut pg_sys::List,
    ) -> *mut pg_sys::List;
}
