//! `coop_index_check(regclass)`: an index against itself and its table, in the manner of amcheck.

mod compare;

use super::storage::{refuse, Index};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::memory;
use crate::pg::run_as::RunAs;
use crate::pg::{compat, encoding, OrReport};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Raises an error if the index is damaged or lacks a row of its table; returns how many rows of the table it compared. Of a partitioned
/// index it checks those of all partitions. Expressions and predicates of the index run as the table's owner.
/// Writers wait meanwhile; on a standby, replay does not, and a check that it disturbs has to be repeated.
#[pg_extern(sql = false)]
fn coop_index_check(index: pg_sys::Oid) -> i64 {
    // Before anybody has to wait for a lock.
    check_owner(index).or_report();
    let root = Locked::open(index).or_report().unwrap_or_else(|| crate::pg::ereport::raise(not_ours(index)));
    // It may be another one's by now.
    check_owner(index).or_report();
    root.check_state().or_report();
    if !root.is_partitioned() {
        return root.compare().or_report();
    }
    // Those of partitions are their owners' business too, but who owns the whole may look at its parts.
    let mut rows = 0;
    for part in root.parts().or_report() {
        // One that is gone by now was none of a partition that is still there: the lock on the parent keeps those.
        if let Some(part) = Locked::open(part).or_report().filter(|part| !part.is_partitioned()) {
            part.check_state().or_report();
            rows += part.compare().or_report();
        }
    }
    rows
}

fn check_owner(index: pg_sys::Oid) -> Result<()> {
    // SAFETY: looks the catalogue up; for anything but an index, `IndexGetRelation` finds nothing.
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
    let mut name = unsafe { encoding::name(pg_sys::get_rel_name(relation)) };
    if name.is_empty() {
        name = relation.to_u32().to_string();
    }
    Error::new(ErrorKind::InvalidParameter, format!("\"{name}\" is not an index of access method coop"))
}

/// An index and its table, locked in the order in which everybody locks them, and let go on drop.
struct Locked {
    heap: pg_sys::Relation,
    index: pg_sys::Relation,
    lock: i32,
}

impl Locked {
    /// `None` if there is no such index.
    fn open(index: pg_sys::Oid) -> Result<Option<Self>> {
        // SAFETY: names of relations are looked up and locked by PostgreSQL, table before index; both stay open to the end.
        unsafe {
            let recovery = pg_sys::RecoveryInProgress();
            let lock = if recovery { pg_sys::AccessShareLock } else { pg_sys::ShareLock } as i32;
            let table = pg_sys::IndexGetRelation(index, true);
            if table == pg_sys::InvalidOid {
                return Ok(None);
            }
            let heap = pg_sys::table_open(table, lock);
            let index_relation = pg_sys::index_open(index, lock);
            let locked = Self { heap, index: index_relation, lock };
            // Without a lock, the number may have become another index's.
            if pg_sys::IndexGetRelation(index, false) != table {
                return Err(locked.refuse("changed while it was being locked", "Check it again."));
            }
            Ok(Some(locked))
        }
    }

    fn refuse(&self, what: &str, hint: &str) -> Error {
        // SAFETY: the index is open for as long as `self` lives.
        refuse(&unsafe { Index::new(self.index) }, ErrorKind::Unsupported, what).hint(hint)
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

    /// The indexes of all partitions, those with partitions of their own too, in the order in which everybody locks them.
    fn parts(&self) -> Result<Vec<pg_sys::Oid>> {
        // SAFETY: the index is open, and the lock on its table keeps partitions from coming and going. The list is PostgreSQL's own.
        unsafe {
            let root = (*self.index).rd_id;
            let all = pg_sys::ffi::pg_guard_ffi_boundary(|| {
                find_all_inheritors(root, pg_sys::NoLock as i32, std::ptr::null_mut())
            });
            let count = if all.is_null() { 0 } else { (*all).length };
            memory::collect((0..count).map(|i| pg_sys::list_nth_oid(all, i)).filter(|&part| part != root))
        }
    }

    /// Whether there is anything to check, or why not.
    fn check_state(&self) -> Result<()> {
        self.check_method()?;
        // SAFETY: the relation is open.
        let (class, index) = unsafe { (&*(*self.index).rd_rel, &*(*self.index).rd_index) };
        if class.relpersistence as u8 == pg_sys::RELPERSISTENCE_TEMP && !self.is_own_temporary() {
            return Err(self.refuse(
                "is on a temporary table of another session",
                "Only the session that made a temporary table can read it.",
            ));
        }
        // SAFETY: asks this process.
        let recovery = unsafe { pg_sys::RecoveryInProgress() };
        if class.relpersistence as u8 == pg_sys::RELPERSISTENCE_UNLOGGED && recovery {
            return Err(self
                .refuse(
                    "is unlogged, and there is nothing to check during recovery",
                    "Check it on the primary.",
                )
                .detail("A standby gets no rows of unlogged tables and indexes."));
        }
        if self.is_partitioned() && !index.indisvalid {
            return Err(self
                .refuse(
                    "is not valid",
                    "Create an index on each of them, and attach it with ALTER INDEX ... ATTACH PARTITION.",
                )
                .detail("Some partitions have no index that belongs to it."));
        }
        if !index.indislive || !index.indisready || !index.indisvalid {
            let what = if index.indisready { "is not valid" } else { "is not ready" };
            return Err(self
                .refuse(what, "If nobody is building it, REINDEX or drop it.")
                .detail("Building or dropping it CONCURRENTLY has not ended, or has failed, so that it may lack rows."));
        }
        Ok(())
    }

    fn is_own_temporary(&self) -> bool {
        // SAFETY: the relation is open.
        unsafe { (*self.index).rd_islocaltemp }
    }

    /// Compares index and table as the table's owner: its expressions are the owner's.
    fn compare(&self) -> Result<i64> {
        // SAFETY: both relations are open.
        let (owner, index) = unsafe { ((*(*self.heap).rd_rel).relowner, Index::new(self.index)) };
        let _role = RunAs::restricted(owner);
        compare::check(self.heap, &index)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // After an error the end of the transaction closes and unlocks them.
        if !std::thread::panicking() {
            // SAFETY: opened with this lock.
            unsafe {
                pg_sys::index_close(self.index, self.lock);
                pg_sys::table_close(self.heap, self.lock);
            }
        }
    }
}

extern "C-unwind" {
    /// catalog/pg_inherits.h, which pgrx has no bindings for; the same from 14 to 18.
    fn find_all_inheritors(
        parent: pg_sys::Oid,
        lock: pg_sys::LOCKMODE,
        counts: *mut *mut pg_sys::List,
    ) -> *mut pg_sys::List;
}
