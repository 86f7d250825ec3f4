//! Acting as the owner of the extension's tables in schema `coopembed`, which users may not change themselves.

use crate::error::{Error, Kind, Result};
use crate::pg::ereport::raise;
use crate::pg::run_as::RunAs;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::CStr;

/// Acts as the owner of the catalogue's tables until dropped.
pub struct AsCatalogOwner {
    _role: RunAs,
}

impl AsCatalogOwner {
    /// Switches to the owner of `coopembed.models`, who owns all of the extension's tables.
    pub fn enter() -> Self {
        Self { _role: RunAs::local(owner_of(relation_oid(c"models"))) }
    }
}

/// Runs an INSERT, UPDATE or DELETE on the extension's tables, as their owner.
///
/// # Errors
/// [`Kind::Internal`] if it fails.
pub fn execute_as_owner(sql: &str, arguments: &[DatumWithOid<'_>]) -> Result<()> {
    let _owner = AsCatalogOwner::enter();
    Spi::connect_mut(|client| client.update(sql, None, arguments).map(|_| ()).map_err(spi_error))
}

/// The error of a statement on the extension's tables that SPI refused.
pub fn spi_error(e: pgrx::spi::Error) -> Error {
    Error::new(Kind::Internal, format!("could not change the catalogue: {e}"))
}

/// Whether schema `coopembed` has a table of this name: a database of an earlier version may not have it until ALTER EXTENSION UPDATE.
pub fn has_relation(name: &CStr) -> bool {
    find_relation(name) != pg_sys::InvalidOid
}

/// The oid of a table of schema `coopembed`.
pub fn relation_oid(name: &CStr) -> pg_sys::Oid {
    let oid = find_relation(name);
    if oid == pg_sys::InvalidOid {
        raise(
            Error::new(Kind::Unavailable, "coopembed's tables are not in this database")
                .hint("Run CREATE EXTENSION coopembed."),
        );
    }
    oid
}

fn find_relation(name: &CStr) -> pg_sys::Oid {
    // SAFETY: two lookups in the system caches, by C strings that live during the calls.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"coopembed".as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), schema)
    }
}

fn owner_of(relation: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: the cached tuple is checked for null before it is read as the pg_class row that it is, and not read after its release.
    unsafe {
        let tuple =
            pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, pg_sys::Datum::from(relation));
        if tuple.is_null() {
            raise(Error::new(Kind::Internal, format!("relation {relation} does not exist")));
        }
        let owner = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>()).relowner;
        pg_sys::ReleaseSysCache(tuple);
        owner
    }
}
